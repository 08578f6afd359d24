//! Signatures of the sync committee, on their way into the next block.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pol_core::bls::Signature;
use ssz_types::BitVector;

use crate::types::{BeaconState, EthSpec, PublicKeyBytes, Slot, SyncAggregate};

/// By slot and block root, each member's signature. Holds the last slots only.
#[derive(Debug, Default)]
pub struct SyncPool {
    signed: BTreeMap<(Slot, B256), BTreeMap<PublicKeyBytes, Signature>>,
}

impl SyncPool {
    /// Takes a verified signature of a head.
    pub fn add(&mut self, slot: Slot, root: B256, key: PublicKeyBytes, signature: Signature) {
        self.signed.entry((slot, root)).or_default().insert(key, signature);
    }

    /// Forgets what no block of `slot` or later can carry.
    pub fn prune(&mut self, slot: Slot) {
        self.signed.retain(|(of, _), _| of.saturating_add(2) > slot);
    }

    /// The aggregate for a block of `state`'s slot (the parent's state, advanced): signatures of the slot before over the parent. A member
    /// with several seats counts in each.
    pub fn aggregate<E: EthSpec>(&self, state: &BeaconState<E>, parent: B256) -> SyncAggregate<E> {
        let Some(signed) = self.signed.get(&(state.slot.saturating_sub(1), parent)) else { return SyncAggregate::empty() };
        let mut bits = BitVector::default();
        let mut signatures = Vec::new();
        for (seat, key) in state.current_sync_committee.pubkeys.iter().enumerate() {
            if let Some(signature) = signed.get(key)
                && bits.set(seat, true).is_ok()
            {
                signatures.push(*signature);
            }
        }
        match Signature::aggregate(&signatures) {
            Ok(signature) => SyncAggregate { sync_committee_bits: bits, sync_committee_signature: signature.to_bytes().into() },
            Err(_) => SyncAggregate::empty(),
        }
    }
}
