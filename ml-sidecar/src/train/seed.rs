//! Chance in training: LibTorch's generator, seeded anew for every block.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pol_core::sha256;

/// LibTorch's random generator, which is one per process; whoever holds this alone draws from it.
pub(super) struct Generator(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Generator {
    pub(super) fn lock() -> Self {
        static HELD: Mutex<()> = Mutex::new(());
        Self(HELD.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a batch of a step draws.
    pub(super) fn draws(&self, seed: u64, step: u64, batch: usize) -> Draws<'_> {
        let hash = sha256(&[b"pol-ai/train/v1", &seed.to_le_bytes(), &step.to_le_bytes(), &(batch as u64).to_le_bytes()]);
        Draws { seed: hash, generator: self }
    }
}

/// Seeds of one batch's blocks.
pub(super) struct Draws<'a> {
    seed: [u8; 32],
    #[expect(dead_code, reason = "held, not read")]
    generator: &'a Generator,
}

impl Draws<'_> {
    /// Seeds the generator for a block: what is drawn from now on depends on nothing before.
    pub(super) fn seed_block(&self, block: usize) {
        let hash = sha256(&[&self.seed, &(block as u64).to_le_bytes()]);
        let word = hash.first_chunk::<8>().copied().unwrap_or_default();
        tch::manual_seed(i64::from_le_bytes(word));
    }
}
