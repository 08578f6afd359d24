//! `id:` records: which node and trainers speak for a validator (section 7), signed and renewed.
//!
//! # Contract
//! [`due`] says when; [`sign`] makes the record through guard and signer. The sequence is the time in milliseconds, so that it grows over
//! restarts; the guard refuses one that does not, as after a clock that jumped back, and then [`sign`] goes on from the last one.
//!
//! # What it does not protect against
//! A trainer key that somebody else has too: whoever holds it can announce in the validator's name.

use core::time::Duration;

use pol_core::{
    params::{ID_TTL_SECONDS, TRAINERS_PER_VALIDATOR},
    record::{IdData, VerifiedIdRecord},
};

use crate::{
    guard::{Guard, GuardError, Key, Refusal},
    signer::{SignError, Signer},
};

/// How long before the end of a record's life it is renewed: a daemon that is down for a night loses nothing.
pub const RENEW_BEFORE: Duration = Duration::from_secs(ID_TTL_SECONDS / 2);

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The guard's database.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Refused twice: with the clock's sequence and with the one after the last.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signer.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Whether a record that lives until `expires_s` (unix seconds; none: there is no record) is to be renewed at `now_s`.
pub const fn due(expires_s: Option<u64>, now_s: u64) -> bool {
    match expires_s {
        Some(expires) => now_s.saturating_add(RENEW_BEFORE.as_secs()) >= expires,
        None => true,
    }
}

/// Signs a key's identity: its libp2p node and its trainers, of which the first four in byte order count.
///
/// # Errors
/// [`IdentityError`].
pub fn sign(
    guard: &Guard,
    signer: &Signer,
    key: &Key,
    node_key: [u8; 32],
    trainers: &[[u8; 32]],
    now_ms: u64,
) -> Result<VerifiedIdRecord, IdentityError> {
    let mut trainers = trainers.to_vec();
    trainers.sort_unstable();
    trainers.dedup();
    trainers.truncate(TRAINERS_PER_VALIDATOR);
    let data = |sequence| IdData { public_key: *key, node_key, trainers: trainers.clone(), sequence };
    let receipt = match guard.identity(data(now_ms))? {
        Err(Refusal::Sequence { signed, .. }) => guard.identity(data(signed.saturating_add(1)))??,
        other => other?,
    };
    Ok(signer.identity(receipt)?)
}
