//! Every bound of this crate, in one table.

use core::time::Duration;

use pol_core::params::MAX_COMMITTEE;

/// ACKs the collector holds: 512 seats on 300 candidates.
pub const ACKS: usize = 153_600;
/// ACKs of one member that the collector holds; its oldest gives way. No member can push out another one's.
pub const ACKS_PER_MEMBER: usize = ACKS / MAX_COMMITTEE;
/// ACKs that one batch verifies together; longer input is cut into batches.
pub const BATCH: usize = 512;
/// Candidates that were dropped for want of a quorum and are remembered, so that a late ACK does not bring them back.
pub const DROPPED: usize = 4_096;
/// Members whose contradictory ACKs are kept as evidence: one pair each.
pub const EVIDENCE: usize = 3 * MAX_COMMITTEE;

/// Epochs before the current one whose committees are kept: a fault proof is valid for 64 slots.
pub const EPOCHS_BACK: u64 = 9;
/// Decoded BLS keys that are kept beyond those in use.
pub const KEYS_IDLE: usize = 2_048;

/// Accused blocks whose votes are kept. The oldest slot gives way.
pub const FAULT_CASES: usize = 64;
/// Accused blocks of one proposer in one slot whose votes are kept: an equivocator must not fill the table.
pub const FAULT_CASES_PER_PROPOSER: usize = 4;

/// Rows of the table of model heads beyond the finalized block. A chain that does not finalize for so long needs a person.
pub const HEAD_ROWS: u64 = 1 << 20;
/// Deltas on one model head of which a near-copy is refused: what the aggregation keeps (section 15).
pub const GUARDED_DELTAS: usize = 64;
/// Bytes of an interchange file. One key's rows are 250 bytes per ACK.
pub const INTERCHANGE_BYTES: u64 = 256 << 20;

/// Bytes of an EIP-2335 keystore file; a regular one has about 1,000.
pub const KEYSTORE_BYTES: u64 = 64 << 10;
/// Bytes of a password file.
pub const PASSWORD_BYTES: u64 = 1 << 10;
/// Keystores in one directory.
pub const KEYSTORES: usize = 4_096;
/// Memory that a keystore may ask scrypt for, in bytes: that of EIP-2335's own example.
pub const SCRYPT_BYTES: u64 = 256 << 20;
/// Rounds that a keystore may ask PBKDF2 for; the standard's example has 2^18.
pub const PBKDF2_ROUNDS: u32 = 1 << 24;

/// How long the AI engine may take. It only writes into a register.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of an answer of the AI engine.
pub const PUSH_ANSWER_BYTES: usize = 16 << 10;
