//! Training, as checked values.

use pol_core::{ModelHead, gate::NanoNats};

use super::v1;
use crate::{
    convert::{self, ConvertError, printable},
    limits::ALARM_TEXT_BYTES,
};

/// Datasets of an answer, at most.
pub const DATASETS: usize = 64;

/// What a trainer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainPhase {
    /// It was told to stop, or has done its rounds.
    Stopped,
    /// Updates of the chain are not here yet.
    Behind,
    /// It takes training steps.
    Training,
    /// Its own gate measures.
    Gating,
    /// It hands a candidate to the DHT.
    Publishing,
    /// Its candidate is open.
    Waiting,
    /// Something failed; it tries again after a pause.
    Failed,
}

impl TryFrom<i32> for TrainPhase {
    type Error = ConvertError;

    fn try_from(number: i32) -> Result<Self, ConvertError> {
        match v1::TrainPhase::try_from(number) {
            Ok(v1::TrainPhase::Stopped) => Ok(Self::Stopped),
            Ok(v1::TrainPhase::Behind) => Ok(Self::Behind),
            Ok(v1::TrainPhase::Training) => Ok(Self::Training),
            Ok(v1::TrainPhase::Gating) => Ok(Self::Gating),
            Ok(v1::TrainPhase::Publishing) => Ok(Self::Publishing),
            Ok(v1::TrainPhase::Waiting) => Ok(Self::Waiting),
            Ok(v1::TrainPhase::Failed) => Ok(Self::Failed),
            Ok(v1::TrainPhase::Unspecified) | Err(_) => {
                Err(ConvertError::Range { field: "phase", found: number.into(), least: 1, most: 7 })
            }
        }
    }
}

impl From<TrainPhase> for v1::TrainPhase {
    fn from(phase: TrainPhase) -> Self {
        match phase {
            TrainPhase::Stopped => Self::Stopped,
            TrainPhase::Behind => Self::Behind,
            TrainPhase::Training => Self::Training,
            TrainPhase::Gating => Self::Gating,
            TrainPhase::Publishing => Self::Publishing,
            TrainPhase::Waiting => Self::Waiting,
            TrainPhase::Failed => Self::Failed,
        }
    }
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainProgress {
    /// What it does.
    pub phase: TrainPhase,
    /// Model head that it trains on.
    pub model_head: ModelHead,
    /// Rounds that were begun before.
    pub round: u64,
    /// Steps done in this round.
    pub step: u64,
    /// Steps of a round.
    pub steps: u64,
    /// Loss before the last step; none measured, or not finite.
    pub loss: Option<NanoNats>,
    /// Predicted tokens a second in this round.
    pub tokens_per_second: u64,
    /// Candidates that were offered since the start of the process.
    pub published: u64,
    /// Own updates that became part of the state since then.
    pub accepted: u64,
    /// What failed last, while it is failing; printable ASCII.
    pub problem: Option<String>,
}

impl TryFrom<v1::TrainResponse> for TrainProgress {
    type Error = ConvertError;

    fn try_from(message: v1::TrainResponse) -> Result<Self, ConvertError> {
        let message = message.progress.ok_or(ConvertError::Missing { field: "progress" })?;
        convert::text("problem", &message.problem, ALARM_TEXT_BYTES)?;
        Ok(Self {
            phase: message.phase.try_into()?,
            model_head: ModelHead(convert::fixed("model_head", &message.model_head)?),
            round: message.round,
            step: message.step,
            steps: message.steps,
            loss: message.loss_nano_nats.map(|found| super::loss("loss_nano_nats", found)).transpose()?,
            tokens_per_second: message.tokens_per_second,
            published: message.published,
            accepted: message.accepted,
            problem: Some(message.problem).filter(|problem| !problem.is_empty()),
        })
    }
}

impl From<&TrainProgress> for v1::TrainResponse {
    fn from(progress: &TrainProgress) -> Self {
        let message = v1::TrainProgress {
            phase: v1::TrainPhase::from(progress.phase).into(),
            model_head: convert::field(progress.model_head.0),
            round: progress.round,
            step: progress.step,
            steps: progress.steps,
            loss_nano_nats: progress.loss.map(NanoNats::get),
            tokens_per_second: progress.tokens_per_second,
            published: progress.published,
            accepted: progress.accepted,
            problem: progress.problem.as_deref().map(|problem| printable(problem, ALARM_TEXT_BYTES)).unwrap_or_default(),
        };
        Self { progress: Some(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(phase: TrainPhase) -> TrainProgress {
        TrainProgress {
            phase,
            model_head: ModelHead([1; 32]),
            round: 1,
            step: 2,
            steps: 3,
            loss: NanoNats::new(4),
            tokens_per_second: 5,
            published: 6,
            accepted: 7,
            problem: None,
        }
    }

    #[test]
    fn progress_survives_the_wire() {
        use TrainPhase::{Behind, Failed, Gating, Publishing, Stopped, Training, Waiting};
        for phase in [Stopped, Behind, Training, Gating, Publishing, Waiting, Failed] {
            for problem in [None, Some("disk full".to_owned())] {
                let sent = TrainProgress { problem, ..progress(phase) };
                assert_eq!(TrainProgress::try_from(v1::TrainResponse::from(&sent)), Ok(sent));
            }
        }
    }

    #[test]
    fn an_unknown_phase_a_negative_loss_and_a_steering_text_are_refused() {
        let broken = |change: fn(&mut v1::TrainProgress)| {
            let mut message = v1::TrainResponse::from(&progress(TrainPhase::Training));
            change(message.progress.as_mut().unwrap());
            TrainProgress::try_from(message).unwrap_err()
        };
        assert!(matches!(broken(|p| p.phase = 0), ConvertError::Range { field: "phase", .. }));
        assert!(matches!(broken(|p| p.phase = 8), ConvertError::Range { field: "phase", .. }));
        assert!(matches!(broken(|p| p.loss_nano_nats = Some(-1)), ConvertError::Range { field: "loss_nano_nats", .. }));
        assert!(matches!(broken(|p| p.problem = "\u{1b}".to_owned()), ConvertError::Text { field: "problem", .. }));
        assert!(matches!(broken(|p| p.model_head.clear()), ConvertError::Length { field: "model_head", .. }));
        assert_eq!(TrainProgress::try_from(v1::TrainResponse::default()), Err(ConvertError::Missing { field: "progress" }));
    }
}
