//! Why bytes are no PLD1 container.

use crate::{GenesisId, params::DELTA_MAX_BYTES};

/// What is wrong with one FP16 value of a profile 1 record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// Not a number.
    #[error("NaN")]
    Nan,
    /// Plus or minus infinity.
    #[error("infinity")]
    Infinity,
    /// +0: a position without a change has no place in a record.
    #[error("zero")]
    Zero,
    /// -0.
    #[error("negative zero")]
    NegativeZero,
    /// 64.0 or beyond.
    #[error("magnitude of 64.0 or more")]
    TooLarge,
}

/// What is wrong with the FP16 scale of a profile 2 record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScaleFault {
    /// NaN or infinity.
    #[error("not finite")]
    NotFinite,
    /// Zero (of either sign) or negative.
    #[error("not above zero")]
    NotPositive,
    /// A code makes a value of 64.0 or beyond of it.
    #[error("a decoded magnitude of 64.0 or more")]
    TooLarge,
    /// No code 1 or 2: twice the scale with the smaller levels would say the same, and one change must have one record.
    #[error("half of what it must be: no value is of the smaller level")]
    NotLeast,
}

/// Why bytes are no valid container for this chain (section 14). Always the author's or the sending peer's fault, never ours and
/// never transient: the same bytes are refused for ever. Under a finalized update id it means "adds zero".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the field names are those of the protocol text, found and expected everywhere the same")]
pub enum DeltaError {
    /// More than DELTA_MAX_BYTES.
    #[error("container: {found} bytes, expected at most {DELTA_MAX_BYTES}")]
    TooLong { found: usize },
    /// Shorter than header and signature.
    #[error("container: {found} bytes, expected at least {expected}")]
    TooShort { found: usize, expected: usize },
    /// Does not begin with `PLD1`.
    #[error("magic: found {found:02x?}, expected \"PLD1\"")]
    Magic { found: [u8; 4] },
    /// Another version.
    #[error("version: found {found}, expected 1")]
    Version { found: u8 },
    /// Not 0, 1 or 2.
    #[error("kind: found {found}, expected 0, 1 or 2")]
    Kind { found: u8 },
    /// Not the chain's profile (kind 0) or not 0 (kinds 1 and 2).
    #[error("profile: found {found}, expected {expected}")]
    Profile { found: u8, expected: u8 },
    /// Byte 7 is not zero.
    #[error("byte 7: found {found}, expected 0")]
    Padding { found: u8 },
    /// Made for another chain.
    #[error("genesis_id: found {found}, expected {expected}")]
    OtherGenesis { found: GenesisId, expected: GenesisId },
    /// A reserved byte is not zero.
    #[error("reserved byte at offset {offset}: found {found}, expected 0")]
    Reserved { offset: usize, found: u8 },
    /// C is not the shape's chunk count (kind 0) or not 0 (kinds 1 and 2).
    #[error("chunk count: found {found}, expected {expected}")]
    ChunkCount { found: u32, expected: u32 },
    /// A delta without records.
    #[error("record count of a delta: found 0, expected 1 or more")]
    Empty,
    /// A merge of fewer than 2 or more than 8 children.
    #[error("children: found {found}, expected 2..=8")]
    ChildCount { found: u32 },
    /// A void names exactly one head.
    #[error("record count of a void: found {found}, expected 1")]
    VoidCount { found: u32 },
    /// The length does not follow from the counts.
    #[error("container: {found} bytes, expected {expected} by its counts")]
    Length { found: usize, expected: usize },
    /// A bit beyond the last chunk is set.
    #[error("spare bits of the bitmap: last byte is {found:#04x}")]
    SpareBits { found: u8 },
    /// The bitmap and the record count differ.
    #[error("bitmap: {found} chunks present, expected {expected}")]
    PopCount { found: u32, expected: u32 },
    /// The unary part of a record has the wrong number of ones.
    #[error("chunk {chunk}: {found} ones in the unary part, expected {expected}")]
    Unary { chunk: u32, found: u32, expected: u32 },
    /// Positions of a record do not strictly increase.
    #[error("chunk {chunk}: positions do not increase")]
    PositionOrder { chunk: u32 },
    /// A position beyond the chunk's last value.
    #[error("chunk {chunk}: position {found}, expected below {length}")]
    PositionRange { chunk: u32, found: u32, length: u32 },
    /// A value that no delta may carry (profile 1).
    #[error("chunk {chunk}: value {bits:#06x} is {fault}")]
    Value { chunk: u32, bits: u16, fault: ValueFault },
    /// A scale that no delta may carry (profile 2).
    #[error("chunk {chunk}: scale {bits:#06x} is {fault}")]
    Scale { chunk: u32, bits: u16, fault: ScaleFault },
    /// Update ids of a merge do not strictly increase.
    #[error("child {position}: update ids do not strictly increase")]
    ChildOrder { position: usize },
    /// A child without weight.
    #[error("child {position}: weight is 0, expected 1 or more")]
    ChildWeight { position: usize },
    /// The trainer key is no curve point, or not its canonical encoding.
    #[error("trainer key: not the canonical encoding of a curve point")]
    Key,
    /// The signature does not verify under the strict rule (a key or R of small order is refused here too).
    #[error("signature: does not verify under the trainer key")]
    Signature,
}
