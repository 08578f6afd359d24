//! Choices weighted by effective balance: proposers and sync committees.

use pol_core::{Hash32, bls::PublicKey, committee::shuffled_index, sha256};
use ssz_types::{FixedVector, typenum::Unsigned as _};

use super::{
    StateError,
    accessors::start_slot,
    math::{Checked, Overflow, length, place},
};
use crate::types::{BeaconState, DomainType, EthSpec, MAX_EFFECTIVE_BALANCE, SyncCommittee, ValidatorIndex};

const MAX_RANDOM_BYTE: u64 = 255;

/// Candidates in the order in which a seed draws them, each with whether its balance won it the draw.
///
/// # Errors
/// [`StateError::NobodyActive`] is the caller's to check: `active` must not be empty.
fn draw<E: EthSpec>(
    state: &BeaconState<E>,
    active: &[ValidatorIndex],
    seed: Hash32,
    i: u64,
) -> Result<Option<ValidatorIndex>, StateError> {
    let count = length(active.len());
    let at = shuffled_index(i.modulo(count)?, count, seed, E::PRESET.shuffle_rounds()).ok_or(Overflow)?;
    let candidate = *active.get(place(at)).ok_or(Overflow)?;
    let bytes = sha256(&[&seed.0, &i.over(32)?.to_le_bytes()]);
    let byte = bytes.get(place(i.modulo(32)?)).copied().unwrap_or_default();
    let balance = state.validator(candidate)?.effective_balance;
    let won = balance.times(MAX_RANDOM_BYTE)? >= MAX_EFFECTIVE_BALANCE.times(u64::from(byte))?;
    Ok(won.then_some(candidate))
}

/// `get_beacon_proposer_index` of every slot of the current epoch.
pub(crate) fn of_epoch<E: EthSpec>(state: &BeaconState<E>) -> Result<Vec<ValidatorIndex>, StateError> {
    let epoch = state.current_epoch();
    let shuffling = state.shuffling(epoch)?;
    let active = shuffling.active();
    if active.is_empty() {
        return Err(StateError::NobodyActive { epoch });
    }
    let epoch_seed = state.seed(epoch, DomainType::BeaconProposer)?;
    let first = start_slot::<E>(epoch)?;
    let proposer = |slot: u64| {
        let seed = Hash32(sha256(&[&epoch_seed.0, &slot.to_le_bytes()]));
        let mut draws = (0..u64::MAX).map(|i| draw(state, active, seed, i).transpose());
        // One draw in 256 is won by whoever is drawn, so this ends.
        draws.find_map(|drawn| drawn).unwrap_or(Err(StateError::NobodyActive { epoch }))
    };
    (0..E::slots_per_epoch()).map(|i| proposer(first.plus(i)?)).collect()
}

/// `get_next_sync_committee`: seats can go to one validator twice.
///
/// # Errors
/// [`StateError::NobodyActive`] in the next epoch; [`StateError::Key`] for a registry key that is none.
pub fn next_sync_committee<E: EthSpec>(state: &BeaconState<E>) -> Result<SyncCommittee<E>, StateError> {
    let epoch = state.current_epoch().plus(1)?;
    let active = state.active_indices(epoch);
    if active.is_empty() {
        return Err(StateError::NobodyActive { epoch });
    }
    let seed = state.seed(epoch, DomainType::SyncCommittee)?;
    let draws = (0..u64::MAX).map(|i| draw(state, &active, seed, i).transpose());
    let seats: Vec<ValidatorIndex> = draws.flatten().take(E::SyncCommitteeSize::USIZE).collect::<Result<_, StateError>>()?;
    let pubkeys = seats.iter().map(|i| Ok(state.validator(*i)?.pubkey)).collect::<Result<Vec<_>, StateError>>()?;
    let keys = seats.iter().map(|i| state.public_key(*i)).collect::<Result<Vec<_>, StateError>>()?;
    let aggregate_pubkey = PublicKey::aggregate(keys).map_err(|_| StateError::NobodyActive { epoch })?.into();
    let pubkeys = FixedVector::new(pubkeys).map_err(|e| StateError::List(e.to_string()))?;
    Ok(SyncCommittee { pubkeys, aggregate_pubkey })
}
