//! What can be asked of a state ("Beacon state accessors" of the specification).

use std::sync::Arc;

use alloy_primitives::B256;
use pol_core::{Hash32, bls::PublicKey, committee, fault, sha256};
use ssz_types::typenum::Unsigned as _;
use tree_hash::TreeHash as _;

use super::{
    Shuffling, StateError,
    caches::{Caches, get_or_try},
    keys::KeyTable,
    math::{Checked, length, place},
    proposers,
};
use crate::types::{
    BeaconState, Config, DomainType, EFFECTIVE_BALANCE_INCREMENT, Epoch, EthSpec, Gwei, MIN_SEED_LOOKAHEAD, PublicKeyBytes, Slot,
    Validator, ValidatorIndex, compute_domain,
};

/// `compute_epoch_at_slot`.
pub fn epoch_at<E: EthSpec>(slot: Slot) -> Epoch {
    slot.checked_div(E::slots_per_epoch()).unwrap_or_default()
}

/// `compute_start_slot_at_epoch`.
///
/// # Errors
/// [`StateError::Overflow`].
pub fn start_slot<E: EthSpec>(epoch: Epoch) -> Result<Slot, StateError> {
    Ok(epoch.times(E::slots_per_epoch())?)
}

impl<E: EthSpec> BeaconState<E> {
    /// `get_current_epoch`.
    pub fn current_epoch(&self) -> Epoch {
        epoch_at::<E>(self.slot)
    }

    /// `get_previous_epoch`.
    pub fn previous_epoch(&self) -> Epoch {
        self.current_epoch().saturating_sub(1)
    }

    /// `get_block_root_at_slot`.
    ///
    /// # Errors
    /// [`StateError::BlockRoot`] unless the slot is one of the last `SLOTS_PER_HISTORICAL_ROOT`.
    pub fn block_root_at_slot(&self, slot: Slot) -> Result<B256, StateError> {
        let missing = StateError::BlockRoot { slot, state_slot: self.slot };
        let last = slot.plus(E::SlotsPerHistoricalRoot::U64)?;
        if slot >= self.slot || self.slot > last {
            return Err(missing);
        }
        let at = place(slot.modulo(E::SlotsPerHistoricalRoot::U64)?);
        self.block_roots.get(at).copied().ok_or(missing)
    }

    /// `get_block_root`.
    ///
    /// # Errors
    /// As [`Self::block_root_at_slot`].
    pub fn block_root(&self, epoch: Epoch) -> Result<B256, StateError> {
        self.block_root_at_slot(start_slot::<E>(epoch)?)
    }

    /// `get_randao_mix`: the mix of this or a recent epoch; that of an epoch long past or to come is another epoch's.
    pub fn randao_mix(&self, epoch: Epoch) -> B256 {
        let at = epoch.checked_rem(E::EpochsPerHistoricalVector::U64).unwrap_or_default();
        self.randao_mixes.get(place(at)).copied().unwrap_or_default()
    }

    /// `get_seed`.
    ///
    /// # Errors
    /// [`StateError::Overflow`].
    pub fn seed(&self, epoch: Epoch, kind: DomainType) -> Result<Hash32, StateError> {
        let lookback = E::EpochsPerHistoricalVector::U64.minus(MIN_SEED_LOOKAHEAD)?.minus(1)?;
        let mix = self.randao_mix(epoch.plus(lookback)?);
        Ok(Hash32(sha256(&[&kind.bytes(), &epoch.to_le_bytes(), &mix.0])))
    }

    /// `get_domain`.
    pub fn domain(&self, kind: DomainType, epoch: Epoch) -> B256 {
        let version = if epoch < self.fork.epoch { self.fork.previous_version } else { self.fork.current_version };
        compute_domain(kind, version, self.genesis_validators_root)
    }

    /// `compute_time_at_slot`. Unix seconds.
    ///
    /// # Errors
    /// [`StateError::Overflow`].
    pub fn time_at_slot(&self, slot: Slot, config: &Config) -> Result<u64, StateError> {
        Ok(slot.times(config.slot_seconds)?.plus(self.genesis_time)?)
    }

    fn unknown(&self, index: ValidatorIndex) -> StateError {
        StateError::UnknownValidator { index, validators: self.validators.len() }
    }

    /// A registry entry.
    ///
    /// # Errors
    /// [`StateError::UnknownValidator`].
    pub fn validator(&self, index: ValidatorIndex) -> Result<&Validator, StateError> {
        self.validators.get(place(index)).ok_or_else(|| self.unknown(index))
    }

    pub(crate) fn validator_mut(&mut self, index: ValidatorIndex) -> Result<&mut Validator, StateError> {
        let unknown = self.unknown(index);
        self.validators.get_mut(place(index)).ok_or(unknown)
    }

    /// A balance. Gwei.
    ///
    /// # Errors
    /// [`StateError::UnknownValidator`].
    pub fn balance(&self, index: ValidatorIndex) -> Result<Gwei, StateError> {
        self.balances.get(place(index)).copied().ok_or_else(|| self.unknown(index))
    }

    /// `get_active_validator_indices`: a walk over the registry. [`Self::shuffling`] has them for the epochs around.
    pub fn active_indices(&self, epoch: Epoch) -> Vec<ValidatorIndex> {
        (0..).zip(&self.validators).filter(|(_, v)| v.is_active_at(epoch)).map(|(index, _)| index).collect()
    }

    /// Committees of the previous, the current or the next epoch.
    ///
    /// # Errors
    /// [`StateError::Epoch`] for another one.
    pub fn shuffling(&self, epoch: Epoch) -> Result<Arc<Shuffling>, StateError> {
        let current = self.current_epoch();
        let [previous_cell, current_cell, next_cell] = &self.caches.shufflings;
        let cell = if epoch == current {
            current_cell
        } else if epoch == self.previous_epoch() {
            previous_cell
        } else if epoch.checked_sub(1) == Some(current) {
            next_cell
        } else {
            return Err(StateError::Epoch { epoch, current });
        };
        get_or_try(cell, || {
            let seed = self.seed(epoch, DomainType::BeaconAttester)?;
            Ok(Arc::new(Shuffling::new::<E>(epoch, self.active_indices(epoch), seed)?))
        })
    }

    /// `get_total_active_balance`, of the current epoch. Gwei.
    ///
    /// # Errors
    /// [`StateError::Overflow`].
    pub fn total_active_balance(&self) -> Result<Gwei, StateError> {
        let current = self.current_epoch();
        get_or_try(&self.caches.total_active_balance, || {
            let active = self.validators.iter().filter(|v| v.is_active_at(current));
            total_balance(active.map(|v| v.effective_balance))
        })
    }

    /// `get_beacon_proposer_index`, of any slot of the current epoch.
    ///
    /// # Errors
    /// [`StateError::Epoch`] for a slot of another epoch, [`StateError::NobodyActive`].
    pub fn proposer_index(&self, slot: Slot) -> Result<ValidatorIndex, StateError> {
        let (epoch, current) = (epoch_at::<E>(slot), self.current_epoch());
        if epoch != current {
            return Err(StateError::Epoch { epoch, current });
        }
        let of_epoch = get_or_try(&self.caches.proposers, || proposers::of_epoch(self).map(Arc::from))?;
        let at = place(slot.modulo(E::slots_per_epoch())?);
        of_epoch.get(at).copied().ok_or(StateError::NobodyActive { epoch })
    }

    /// `get_validator_churn_limit`.
    ///
    /// # Errors
    /// As [`Self::shuffling`].
    pub fn churn_limit(&self, config: &Config) -> Result<u64, StateError> {
        let active = length(self.shuffling(self.current_epoch())?.active().len());
        Ok(active.over(config.churn_limit_quotient)?.max(config.min_per_epoch_churn_limit))
    }

    pub(crate) fn keys(&self) -> &KeyTable {
        self.caches.keys.get_or_init(|| Arc::new(self.validators.iter().map(|v| v.pubkey).collect()))
    }

    /// A validator's key, decoded once for all copies of this state.
    ///
    /// # Errors
    /// [`StateError::UnknownValidator`]; [`StateError::Key`] when the registry's bytes are no key.
    pub fn public_key(&self, index: ValidatorIndex) -> Result<&PublicKey, StateError> {
        self.keys().key(index).ok_or_else(|| self.unknown(index))?.ok_or(StateError::Key { index })
    }

    /// Registry index of a key.
    pub fn index_of(&self, key: &PublicKeyBytes) -> Option<ValidatorIndex> {
        self.keys().index_of(key)
    }

    /// The committee that ACKs and votes in an epoch, registry indices by seat (docs/PROTOCOL.md section 8).
    ///
    /// # Errors
    /// [`StateError::Epoch`] when this state does not know that epoch's seed: it reaches from `EPOCHS_PER_HISTORICAL_VECTOR - 2`
    /// epochs ago to the next epoch.
    pub fn ai_committee(&self, epoch: Epoch) -> Result<Vec<ValidatorIndex>, StateError> {
        let current = self.current_epoch();
        let oldest = current.plus(2)?.saturating_sub(E::EpochsPerHistoricalVector::U64);
        if epoch < oldest || epoch > current.plus(1)? {
            return Err(StateError::Epoch { epoch, current });
        }
        let seed = self.seed(epoch, DomainType::BeaconAttester)?;
        Ok(committee::committee(&self.active_indices(epoch), seed, E::PRESET.shuffle_rounds()))
    }

    /// Writes what is pending into the trees and returns `hash_tree_root`.
    ///
    /// # Errors
    /// [`StateError::List`].
    pub fn update_root(&mut self) -> Result<B256, StateError> {
        self.apply_pending()?;
        Ok(self.tree_hash_root())
    }

    /// Forgets everything computed from this state: call it after writing to a field by hand.
    pub fn drop_caches(&mut self) {
        self.caches = Caches::default();
    }
}

/// `get_total_balance`: at least one increment, so that it can divide. Gwei.
pub(crate) fn total_balance(balances: impl IntoIterator<Item = Gwei>) -> Result<Gwei, StateError> {
    let sum = balances.into_iter().try_fold(0_u64, |sum, balance| sum.plus(balance))?;
    Ok(sum.max(EFFECTIVE_BALANCE_INCREMENT))
}

/// A state as fault proofs see it (docs/PROTOCOL.md section 11).
#[derive(Debug, Clone, Copy)]
pub struct FaultView<'a, E: EthSpec>(pub &'a BeaconState<E>);

impl<'a, E: EthSpec> fault::StateView for FaultView<'a, E> {
    type Key = &'a PublicKey;

    fn slot(&self) -> u64 {
        self.0.slot
    }

    fn public_key(&self, index: u64) -> Option<Self::Key> {
        self.0.public_key(index).ok()
    }

    fn block_root(&self, slot: u64) -> Option<Hash32> {
        self.0.block_root_at_slot(slot).ok().map(|root| Hash32(root.0))
    }

    fn committee(&self, epoch: u64) -> Option<Vec<u64>> {
        self.0.ai_committee(epoch).ok()
    }
}
