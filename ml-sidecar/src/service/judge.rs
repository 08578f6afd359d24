//! The gate behind a lock: one judgement at a time, on a thread that may block.

use std::sync::{Arc, Mutex, PoisonError};

use pol_core::{
    UpdateId,
    delta::Change,
    gate::{NanoNats, SelfTest, TextSet},
    params::ACK_TIMEOUT_SECONDS,
};
use pol_kit::{
    exit::Exit,
    tasks::{Panic, Tasks},
};

use super::MakeGate;
use crate::{
    checkpoint::is_out_of_gpu_memory,
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
    bench: Arc<Mutex<Bench>>,
    public_key: Option<[u8; 48]>,
    tasks: Tasks,
}

impl Judge {
    /// With the validator's key, a machine that is too slow for all texts measures a prefix in that validator's own order.
    /// `spare` makes the gate that takes over when the GPU's memory is full: another program may have taken it since this one was loaded.
    pub(crate) fn new(gate: Gate, spare: Option<MakeGate>, public_key: Option<[u8; 48]>, tasks: Tasks) -> Self {
        Self { bench: Arc::new(Mutex::new(Bench { gate, spare })), public_key, tasks }
    }

    /// What this machine may say.
    pub(crate) fn self_test(&self) -> SelfTest {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner).gate.self_test()
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
        let (bench, public_key) = (Arc::clone(&self.bench), self.public_key);
        let judged = self.tasks.run_blocking(move || {
            let Bench { gate, spare } = &mut *bench.lock().unwrap_or_else(PoisonError::into_inner);
            with_spare(gate, spare, |gate| {
                let extent = public_key.map_or(Extent::Full, |key| gate.within(seconds, &tip.head, key));
                let (state, norms) = (tip.state.as_ref(), tip.norms.as_slice());
                gate.judge(&Candidate { update_id, head: tip.head, state, change: &change, norms }, extent)
            })
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
        let (bench, public_key) = (Arc::clone(&self.bench), self.public_key);
        let measured = self.tasks.run_blocking(move || {
            let Bench { gate, spare } = &mut *bench.lock().unwrap_or_else(PoisonError::into_inner);
            with_spare(gate, spare, |gate| {
                // A machine that measures prefixes has no time for all texts.
                let extent = public_key.map_or(Extent::Full, |key| gate.within(ACK_TIMEOUT_SECONDS as f64, &tip.head, key));
                if extent == Extent::Full { gate.measure_before(tip.head, &tip.state) } else { Ok(()) }
            })
        });
        Ok(measured.await??)
    }
}

/// The gate, and what makes the one that may take over.
struct Bench {
    gate: Gate,
    spare: Option<MakeGate>,
}

impl std::fmt::Debug for Bench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// Does work; once more with the spare one, which stays, when the GPU's memory is full.
fn with_spare<G, T>(
    gate: &mut G,
    spare: &mut Option<impl FnOnce() -> Result<G, Exit>>,
    mut work: impl FnMut(&mut G) -> Result<T, GateError>,
) -> Result<T, GateError> {
    let error = match work(gate) {
        Err(error) if is_out_of_gpu_memory(&error) => error,
        done => return done,
    };
    let Some(make) = spare.take() else { return Err(error) };
    tracing::warn!(target: "polai::gate", %error, "the GPU's memory is full: the gate goes on with the CPU");
    match make() {
        Ok(made) => {
            *gate = made;
            work(gate)
        }
        Err(failed) => {
            tracing::error!(target: "polai::gate", error = %failed, "no gate on the CPU either");
            Err(error)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ModelError, torch::TorchError};

    fn full() -> GateError {
        ModelError::from(TorchError::CudaOutOfMemory("CUDA out of memory".to_owned())).into()
    }

    #[test]
    fn a_served_gate_whose_gpu_is_full_judges_on_the_cpu_from_then_on() {
        let (mut gate, mut spare) = ("cuda", Some(|| Ok("cpu")));
        let judge = |gate: &mut &'static str| if *gate == "cpu" { Ok(*gate) } else { Err(full()) };
        assert_eq!(with_spare(&mut gate, &mut spare, judge).unwrap(), "cpu");
        assert_eq!((gate, spare.is_none()), ("cpu", true));
        assert_eq!(with_spare(&mut gate, &mut spare, judge).unwrap(), "cpu");
    }

    #[test]
    fn a_device_that_was_asked_for_by_name_and_other_errors_stay_errors() {
        let (mut gate, mut none) = ("cuda", None::<fn() -> Result<&'static str, Exit>>);
        assert!(with_spare(&mut gate, &mut none, |_| Err::<(), _>(full())).is_err());
        let mut spare = Some(|| Ok("cpu"));
        assert!(matches!(with_spare(&mut gate, &mut spare, |_| Err::<(), _>(GateError::Tokens)), Err(GateError::Tokens)));
        assert_eq!((gate, spare.is_some()), ("cuda", true));
        let mut broken = Some(|| Err::<&str, _>(Exit::failure("no room")));
        assert!(is_out_of_gpu_memory(&with_spare(&mut gate, &mut broken, |_| Err::<(), _>(full())).unwrap_err()));
    }
}
