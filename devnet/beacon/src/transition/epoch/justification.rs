//! Casper FFG: what an epoch's votes justify and finalize.

use ssz_types::{BitVector, typenum::U4};

use super::EpochSummary;
use crate::{
    transition::{StateError, math::Checked},
    types::{BeaconState, Checkpoint, Epoch, EthSpec, GENESIS_EPOCH, Gwei},
};

/// The checkpoints of a state after its epoch's votes are weighed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Justification {
    /// Justified before the current one.
    pub previous_justified: Checkpoint,
    /// Justified.
    pub current_justified: Checkpoint,
    /// Finalized.
    pub finalized: Checkpoint,
    bits: BitVector<U4>,
}

impl Justification {
    /// What [`process_justification_and_finalization`] would write, without writing it: fork choice asks this of every block.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn of<E: EthSpec>(state: &BeaconState<E>, summary: &EpochSummary) -> Result<Self, StateError> {
        // In the first two epochs the checkpoints have a root of zeros, which must stay.
        if state.current_epoch() <= GENESIS_EPOCH.plus(1)? {
            return Ok(Self::unchanged(state));
        }
        weigh(state, summary.total_active_balance, summary.previous_target_balance()?, summary.current_target_balance)
    }

    fn unchanged<E: EthSpec>(state: &BeaconState<E>) -> Self {
        Self {
            previous_justified: state.previous_justified_checkpoint,
            current_justified: state.current_justified_checkpoint,
            finalized: state.finalized_checkpoint,
            bits: state.justification_bits.clone(),
        }
    }
}

/// `process_justification_and_finalization`.
///
/// # Errors
/// [`StateError`].
pub fn process_justification_and_finalization<E: EthSpec>(
    state: &mut BeaconState<E>,
    summary: &EpochSummary,
) -> Result<(), StateError> {
    let new = Justification::of(state, summary)?;
    state.previous_justified_checkpoint = new.previous_justified;
    state.current_justified_checkpoint = new.current_justified;
    state.finalized_checkpoint = new.finalized;
    state.justification_bits = new.bits;
    Ok(())
}

/// `weigh_justification_and_finalization`.
fn weigh<E: EthSpec>(
    state: &BeaconState<E>,
    total: Gwei,
    previous_target: Gwei,
    current_target: Gwei,
) -> Result<Justification, StateError> {
    let (previous_epoch, current_epoch) = (state.previous_epoch(), state.current_epoch());
    let old_previous = state.previous_justified_checkpoint;
    let old_current = state.current_justified_checkpoint;
    let old = |epoch: usize| state.justification_bits.get(epoch).unwrap_or_default();
    let mut bits = [false, old(0), old(1), old(2)];
    let mut new = Justification { previous_justified: old_current, ..Justification::unchanged(state) };
    let two_thirds = total.times(2)?;
    let checkpoint = |epoch: Epoch| Ok::<_, StateError>(Checkpoint { epoch, root: state.block_root(epoch)? });
    let [newest, second, ..] = &mut bits;
    if previous_target.times(3)? >= two_thirds {
        new.current_justified = checkpoint(previous_epoch)?;
        *second = true;
    }
    if current_target.times(3)? >= two_thirds {
        new.current_justified = checkpoint(current_epoch)?;
        *newest = true;
    }
    let is = |old: Checkpoint, distance: u64| old.epoch.checked_add(distance) == Some(current_epoch);
    let [first, second, third, fourth] = bits;
    // In this order, each overruling the one before: as in the specification.
    let finalizes = [
        (second && third && fourth && is(old_previous, 3), old_previous),
        (second && third && is(old_previous, 2), old_previous),
        (first && second && third && is(old_current, 2), old_current),
        (first && second && is(old_current, 1), old_current),
    ];
    for (_, checkpoint) in finalizes.into_iter().filter(|(holds, _)| *holds) {
        new.finalized = checkpoint;
    }
    for (epoch, bit) in bits.into_iter().enumerate() {
        new.bits.set(epoch, bit).map_err(|_| StateError::List("justification_bits".to_owned()))?;
    }
    Ok(new)
}
