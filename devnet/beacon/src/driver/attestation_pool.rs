//! Attestations on their way into blocks, aggregated as they come.

use std::collections::BTreeMap;

use pol_core::bls::Signature;

use crate::{
    transition::{Operation, VerifySignatures, apply_operation_with, epoch_at},
    types::{Attestation, AttestationData, BeaconState, Config, Epoch, EthSpec},
};

/// Different votes that are held: all committees of two mainnet epochs, twice.
const DATA_MOST: usize = 8_192;
/// Aggregates of one vote that overlap each other.
const AGGREGATES: usize = 8;
/// Aggregates that are tried for one block, and that it carries at most.
const PACKED: usize = 128;

/// The pool. Signatures are verified before they come in.
#[derive(Debug, Default)]
pub struct AttestationPool {
    votes: BTreeMap<AttestationData, Vec<Attestation>>,
}

impl AttestationPool {
    /// Takes a verified attestation; joins it with one that it shares no voter with. False when it brings nothing, or there is no room.
    pub fn add(&mut self, attestation: Attestation) -> bool {
        if !self.votes.contains_key(&attestation.data) && self.votes.len() >= DATA_MOST {
            return false;
        }
        let held = self.votes.entry(attestation.data).or_default();
        let covers = |other: &Attestation| attestation.aggregation_bits.difference(&other.aggregation_bits).is_zero();
        if held.iter().any(covers) {
            return false;
        }
        if let Some(joined) = held.iter_mut().find_map(|other| join(other, &attestation).map(|joined| (other, joined))) {
            *joined.0 = joined.1;
            return true;
        }
        if held.len() < AGGREGATES {
            held.push(attestation);
            return true;
        }
        false
    }

    /// Forgets what no block of this epoch or a later one can carry.
    pub fn prune<E: EthSpec>(&mut self, current: Epoch) {
        self.votes.retain(|data, _| epoch_at::<E>(data.slot).saturating_add(1) >= current);
    }

    /// All that is held.
    pub fn all(&self) -> impl Iterator<Item = &Attestation> {
        self.votes.values().flatten()
    }

    /// What a block on `state` (the parent's, advanced to the block's slot) can carry and is rewarded for, newest slot first; `state` then
    /// stands after them.
    pub fn pack<E: EthSpec>(&self, state: &mut BeaconState<E>, config: &Config) -> Vec<Attestation> {
        let mut packed = Vec::new();
        let previous = state.previous_epoch();
        let candidates = self.votes.iter().filter(|(data, _)| data.slot < state.slot && data.target.epoch >= previous);
        let mut candidates: Vec<&Attestation> = candidates.flat_map(|(_, held)| held).collect();
        candidates.sort_by_key(|attestation| core::cmp::Reverse(attestation.data.slot));
        for attestation in candidates {
            if packed.len() >= PACKED {
                break;
            }
            let operation = Operation::Attestation(Box::new(attestation.clone()));
            let Ok(after) = apply_operation_with(state, &operation, config, VerifySignatures::No) else { continue };
            let is_new = after.current_epoch_participation != state.current_epoch_participation
                || after.previous_epoch_participation != state.previous_epoch_participation;
            if is_new {
                *state = after;
                packed.push(attestation.clone());
            }
        }
        packed
    }
}

/// Both in one, when no validator is in both.
fn join(one: &Attestation, other: &Attestation) -> Option<Attestation> {
    let bits = &one.aggregation_bits;
    if bits.len() != other.aggregation_bits.len() || !bits.intersection(&other.aggregation_bits).is_zero() {
        return None;
    }
    let signatures = [Signature::from_bytes(&one.signature.0).ok()?, Signature::from_bytes(&other.signature.0).ok()?];
    let signature = Signature::aggregate(&signatures).ok()?.to_bytes().into();
    Some(Attestation { aggregation_bits: bits.union(&other.aggregation_bits), data: one.data, signature })
}
