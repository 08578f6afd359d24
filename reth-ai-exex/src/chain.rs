//! What the execution side needs to know of its chain.

use core::num::NonZeroU64;

use alloy_primitives::B256;
use pol_core::{
    GenesisId, Hash32, ModelHead,
    difficulty::{DifficultyError, DifficultyRule},
    genesis::ChainSpec,
};

/// A hash in pol-core's type.
pub const fn hash32(hash: B256) -> Hash32 {
    Hash32(hash.0)
}

/// A hash in alloy's type.
pub const fn b256(hash: Hash32) -> B256 {
    B256::new(hash.0)
}

/// The part of a chain's parameters that the execution side lives by (section 2.1). Small and `Copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    genesis_id: GenesisId,
    genesis_hash: B256,
    genesis_time: u64,
    slot_seconds: NonZeroU64,
    difficulty: DifficultyRule,
}

impl Chain {
    /// Of its five numbers: id, hash of the execution genesis block, time of slot 0 (unix seconds), seconds of a slot, floor.
    ///
    /// # Errors
    /// [`DifficultyError::SlotSeconds`], [`DifficultyError::Floor`]: the operator's genesis is wrong.
    pub fn new(
        genesis_id: GenesisId,
        genesis_hash: B256,
        genesis_time: u64,
        slot_seconds: u64,
        difficulty_floor: u64,
    ) -> Result<Self, DifficultyError> {
        let difficulty = DifficultyRule::new(slot_seconds, difficulty_floor)?;
        let slot_seconds = NonZeroU64::new(slot_seconds).ok_or(DifficultyError::SlotSeconds { found: slot_seconds })?;
        Ok(Self { genesis_id, genesis_hash, genesis_time, slot_seconds, difficulty })
    }

    /// Of a whole chain specification (chain.toml).
    pub fn of(spec: &ChainSpec) -> Self {
        let parameters = spec.parameters();
        Self {
            genesis_id: spec.genesis_id(),
            genesis_hash: b256(parameters.execution_genesis_hash),
            genesis_time: parameters.genesis_time,
            slot_seconds: NonZeroU64::new(parameters.slot_seconds).unwrap_or(NonZeroU64::MIN), // 1 at least in every ChainSpec
            difficulty: *spec.difficulty(),
        }
    }

    /// The chain's name.
    pub const fn genesis_id(&self) -> GenesisId {
        self.genesis_id
    }

    /// `M_0`, the model head of the genesis block.
    pub fn genesis_head(&self) -> ModelHead {
        self.genesis_id.into()
    }

    /// Hash of the execution genesis block.
    pub const fn genesis_hash(&self) -> B256 {
        self.genesis_hash
    }

    /// Unix seconds of slot 0.
    pub const fn genesis_time(&self) -> u64 {
        self.genesis_time
    }

    /// Seconds of a slot.
    pub const fn slot_seconds(&self) -> u64 {
        self.slot_seconds.get()
    }

    /// The difficulty rule.
    pub const fn difficulty(&self) -> &DifficultyRule {
        &self.difficulty
    }

    /// The slot that contains a time (unix seconds); slot 0 for every time before it.
    pub fn slot_at(&self, unix_seconds: u64) -> u64 {
        unix_seconds.saturating_sub(self.genesis_time) / self.slot_seconds
    }

    /// When a slot begins, unix seconds: the timestamp of its block. Saturates for slots beyond time.
    pub const fn slot_start(&self, slot: u64) -> u64 {
        self.genesis_time.saturating_add(slot.saturating_mul(self.slot_seconds.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_begin_at_genesis_and_a_timestamp_names_its_slot() {
        let chain = Chain::new(GenesisId([1; 32]), B256::ZERO, 1_000, 6, 100).unwrap();
        for slot in [0, 1, 2, 1_000_000] {
            let start = chain.slot_start(slot);
            assert_eq!([start, start + 5, start + 6].map(|time| chain.slot_at(time)), [slot, slot, slot + 1]);
        }
        assert_eq!((chain.slot_at(0), chain.slot_at(999)), (0, 0));
        assert_eq!(chain.slot_start(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_chain_without_lawful_numbers_does_not_exist() {
        for (slot, floor) in [(0, 1), (3_601, 1), (6, 0), (6, 1 << 62)] {
            assert!(Chain::new(GenesisId::ZERO, B256::ZERO, 0, slot, floor).is_err());
        }
    }
}
