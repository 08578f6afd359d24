//! `process_slots`: what happens whether or not blocks come.

use alloy_primitives::B256;
use ssz_types::typenum::Unsigned as _;
use tree_hash::TreeHash as _;

use super::{
    TransitionError, epoch,
    math::{Checked, place},
};
use crate::types::{BeaconState, Config, EthSpec, Slot};

/// `process_slots`: advances a copy of `state` to `slot`. Every slot costs a root of the state, so the caller bounds how far.
///
/// # Errors
/// [`TransitionError::Slots`] unless `slot` is after the state's (the caller's fault); [`TransitionError::State`].
pub fn advance<E: EthSpec>(state: &BeaconState<E>, slot: Slot, config: &Config) -> Result<BeaconState<E>, TransitionError> {
    let mut state = state.clone();
    process_slots(&mut state, slot, config)?;
    Ok(state)
}

/// The same in place; after an error the state is garbage.
///
/// # Errors
/// As [`advance`].
pub fn process_slots<E: EthSpec>(state: &mut BeaconState<E>, slot: Slot, config: &Config) -> Result<(), TransitionError> {
    if state.slot >= slot {
        return Err(TransitionError::Slots { state: state.slot, target: slot });
    }
    while state.slot < slot {
        process_slot(state)?;
        let next = state.slot.plus(1)?;
        if next.modulo(E::slots_per_epoch())? == 0 {
            epoch::process_epoch(state, config)?;
            state.slot = next;
            state.caches.next_epoch();
        } else {
            state.slot = next;
        }
    }
    Ok(state.apply_pending()?)
}

fn process_slot<E: EthSpec>(state: &mut BeaconState<E>) -> Result<(), TransitionError> {
    let at = place(state.slot.modulo(E::SlotsPerHistoricalRoot::U64)?);
    let state_root = state.update_root()?;
    if let Some(root) = state.state_roots.get_mut(at) {
        *root = state_root;
    }
    if state.latest_block_header.state_root == B256::ZERO {
        state.latest_block_header.state_root = state_root;
    }
    let block_root = state.latest_block_header.tree_hash_root();
    if let Some(root) = state.block_roots.get_mut(at) {
        *root = block_root;
    }
    Ok(())
}
