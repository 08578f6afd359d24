//! The 208 bytes before a container's body (section 14).

use super::{error::DeltaError, profile::Profile};
use crate::{GenesisId, Hash32, ModelHead, state::Shape};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 208;
/// Bytes of the signature at the end.
pub const SIGNATURE_BYTES: usize = 64;

pub(super) const MAGIC: [u8; 4] = *b"PLD1";
pub(super) const VERSION: u8 = 1;
pub(super) const TRAINER_AT: usize = 120;
const RESERVED_AT: usize = 152;

/// What a decoder must know of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The chain.
    pub genesis_id: GenesisId,
    /// The adapter's shape.
    pub shape: Shape,
    /// The chain's record layout.
    pub profile: Profile,
}

/// What a container is (byte 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Records of changed values.
    Delta,
    /// A weighted mean of deltas.
    Merge,
    /// A return to an ancestor head.
    Void,
}

impl Kind {
    /// The byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Delta => 0,
            Self::Merge => 1,
            Self::Void => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Delta),
            1 => Some(Self::Merge),
            2 => Some(Self::Void),
            _ => None,
        }
    }
}

/// What the author of a container says about it. Claims: nothing here but the model head is ever checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The model head the container applies to.
    pub model_head: ModelHead,
    /// Slot at which training began.
    pub slot: u64,
    /// Merkle root of the ids of the training samples; zeros: not given.
    pub samples: Hash32,
    /// Inner optimizer steps.
    pub inner_steps: u32,
    /// Tokens seen in training, saturating. It weighs a delta in a merge, at most 4-fold (section 15).
    pub tokens_seen: u32,
}

/// A decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the container is.
    pub kind: Kind,
    /// The chain it was made for.
    pub genesis_id: GenesisId,
    /// What its author says.
    pub claims: Claims,
    /// Ed25519 key of the trainer, or of the publisher of a merge or void.
    pub trainer: [u8; 32],
    /// Chunks of the adapter (kind 0), else 0.
    pub chunk_count: u32,
    /// Records, children or heads in the body.
    pub record_count: u32,
}

impl Header {
    /// Reads the header and checks what does not depend on the kind's body: all but the counts and the length.
    pub(super) fn read(bytes: &[u8], context: &Context) -> Result<Self, DeltaError> {
        let mut reader = Reader { bytes, total: bytes.len() };
        let magic = reader.array()?;
        if magic != MAGIC {
            return Err(DeltaError::Magic { found: magic });
        }
        let [version, kind, profile, padding] = reader.array()?;
        if version != VERSION {
            return Err(DeltaError::Version { found: version });
        }
        let kind = Kind::from_byte(kind).ok_or(DeltaError::Kind { found: kind })?;
        let expected = profile_byte(kind, context.profile);
        if profile != expected {
            return Err(DeltaError::Profile { found: profile, expected });
        }
        if padding != 0 {
            return Err(DeltaError::Padding { found: padding });
        }
        let genesis_id = GenesisId(reader.array()?);
        if genesis_id != context.genesis_id {
            return Err(DeltaError::OtherGenesis { found: genesis_id, expected: context.genesis_id });
        }
        let claims = Claims {
            model_head: ModelHead(reader.array()?),
            slot: u64::from_le_bytes(reader.array()?),
            samples: Hash32(reader.array()?),
            inner_steps: u32::from_le_bytes(reader.array()?),
            tokens_seen: u32::from_le_bytes(reader.array()?),
        };
        let trainer = reader.array()?;
        let reserved: [u8; 48] = reader.array()?;
        if let Some((offset, found)) = (RESERVED_AT..).zip(reserved).find(|(_, byte)| *byte != 0) {
            return Err(DeltaError::Reserved { offset, found });
        }
        let chunk_count = u32::from_le_bytes(reader.array()?);
        let record_count = u32::from_le_bytes(reader.array()?);
        Ok(Self { kind, genesis_id, claims, trainer, chunk_count, record_count })
    }

    /// The 208 bytes.
    pub(super) fn to_bytes(self, profile: Profile) -> Vec<u8> {
        let claims = &self.claims;
        [
            MAGIC.as_slice(),
            &[VERSION, self.kind.byte(), profile_byte(self.kind, profile), 0],
            &self.genesis_id.0,
            &claims.model_head.0,
            &claims.slot.to_le_bytes(),
            &claims.samples.0,
            &claims.inner_steps.to_le_bytes(),
            &claims.tokens_seen.to_le_bytes(),
            &self.trainer,
            &[0; 48],
            &self.chunk_count.to_le_bytes(),
            &self.record_count.to_le_bytes(),
        ]
        .concat()
    }
}

/// The chain's profile for deltas, 0 for merges and voids.
const fn profile_byte(kind: Kind, profile: Profile) -> u8 {
    match kind {
        Kind::Delta => profile.byte(),
        Kind::Merge | Kind::Void => 0,
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    total: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DeltaError> {
        let short = DeltaError::TooShort { found: self.total, expected: HEADER_BYTES + SIGNATURE_BYTES };
        let (head, rest) = self.bytes.split_first_chunk().ok_or(short)?;
        self.bytes = rest;
        Ok(*head)
    }
}
