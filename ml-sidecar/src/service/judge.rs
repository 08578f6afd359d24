//! The gate behind a lock: one judgement at a time, on a thread that may block.

use std::sync::{Arc, Mutex, PoisonError};

use pol_core::{
    UpdateId,
    delta::Change,
    gate::{NanoNats, SelfTest, TextSet},
    params::ACK_TIMEOUT_SECONDS,
};
use pol_kit::tasks::{Panic, Tasks};

use crate::{
    follow::Tip,
    gate::{Candidate, Extent, Gate, GateError, Judgement},
};

/// Why there is no judgement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JudgeError {
    /// The model's: memory that is full, for instance. Ours.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A defect of ours.
    #[error(transparent)]
    Panic(#[from] Panic),
}

/// A gate that several tasks use. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    gate: Arc<Mutex<Gate>>,
    public_key: Option<[u8; 48]>,
    tasks: Tasks,
}

impl Judge {
    /// With the validator's key, a machine that is too slow for all texts measures a prefix in that validator's own order.
    pub(crate) fn new(gate: Gate, public_key: Option<[u8; 48]>, tasks: Tasks) -> Self {
        Self { gate: Arc::new(Mutex::new(gate)), public_key, tasks }
    }

    /// What this machine may say.
    pub(crate) fn self_test(&self) -> SelfTest {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner).self_test()
    }

    /// Judges a change of the tip's state, in so many seconds if it can.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub(crate) async fn judge(
        &self,
        tip: Arc<Tip>,
        update_id: UpdateId,
        change: Change,
        seconds: f64,
    ) -> Result<Judgement, JudgeError> {
        let (gate, public_key) = (Arc::clone(&self.gate), self.public_key);
        let judged = self.tasks.run_blocking(move || {
            let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            let extent = public_key.map_or(Extent::Full, |key| gate.within(seconds, &tip.head, key));
            let (state, norms) = (tip.state.as_ref(), tip.norms.as_slice());
            gate.judge(&Candidate { update_id, head: tip.head, state, change: &change, norms }, extent)
        });
        Ok(judged.await??)
    }

    /// Other work on a thread that may block.
    ///
    /// # Errors
    /// [`JudgeError::Panic`].
    pub(crate) async fn blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JudgeError> {
        Ok(self.tasks.run_blocking(work).await?)
    }

    /// Measures the loss without any change, so that the first candidate on a head need not wait for it.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub(crate) async fn warm(&self, tip: Arc<Tip>) -> Result<(), JudgeError> {
        let (gate, public_key) = (Arc::clone(&self.gate), self.public_key);
        let measured = self.tasks.run_blocking(move || {
            let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            // A machine that measures prefixes has no time for all texts.
            let extent = public_key.map_or(Extent::Full, |key| gate.within(ACK_TIMEOUT_SECONDS as f64, &tip.head, key));
            if extent == Extent::Full { gate.measure_before(tip.head, &tip.state) } else { Ok(()) }
        });
        Ok(measured.await??)
    }
}

/// Both losses as the rules compare them; None when one is not finite or none was measured.
pub(crate) fn nano_losses(judgement: &Judgement) -> Option<(NanoNats, NanoNats)> {
    let (before, after) = judgement.losses?;
    Some((NanoNats::from_f64_bits(before.to_bits())?, NanoNats::from_f64_bits(after.to_bits())?))
}

/// Loss before minus loss after, nano-nats.
pub(crate) fn gain(judgement: &Judgement) -> Option<i64> {
    nano_losses(judgement).map(|(before, after)| before.get().saturating_sub(after.get()))
}

/// Whether all texts were measured.
pub(crate) fn is_full(judgement: &Judgement) -> bool {
    judgement.losses.is_some() && judgement.texts == TextSet::Full
}
