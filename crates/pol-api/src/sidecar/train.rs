//! Training on demand, as checked values.

use pol_core::{ModelHead, UpdateId};

use super::v1;
use crate::{
    convert::{self, ConvertError, printable},
    limits::{ALARM_TEXT_BYTES, NAME_BYTES},
};

/// Datasets of one training, at most.
pub const DATASETS_PER_TRAINING: usize = 16;
/// Datasets of an answer, at most.
pub const DATASETS: usize = 64;
/// Steps of one delta, at most.
pub const STEPS: u64 = 1_000_000;
/// Sequences of a step, at most.
pub const SEQUENCES: u32 = 4_096;
/// Predicted tokens of a sequence, at most.
pub const LENGTH: u32 = 131_072;
/// Learning rate times 10^9, at most: 1.
pub const LEARNING_RATE_NANO: u32 = 1_000_000_000;

/// How to train. None, or no dataset: as the process was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Training {
    /// Named datasets.
    pub datasets: Vec<String>,
    /// Inner steps between two deltas.
    pub steps: Option<u64>,
    /// Deltas to make; none: until it is stopped.
    pub rounds: Option<u64>,
    /// Sequences of a step.
    pub sequences: Option<u32>,
    /// Predicted tokens of a sequence.
    pub length: Option<u32>,
    /// Learning rate times 10^9.
    pub learning_rate_nano: Option<u32>,
    /// Where chance begins.
    pub seed: Option<u64>,
}

/// None for 0, a refusal above the most.
fn number<N: Copy + PartialOrd + Default + Into<u64>>(field: &'static str, found: N, most: N) -> Result<Option<N>, ConvertError> {
    if found > most {
        let signed = |n: N| i64::try_from(n.into()).unwrap_or(i64::MAX);
        return Err(ConvertError::Range { field, found: signed(found), least: 0, most: signed(most) });
    }
    Ok(Some(found).filter(|found| *found > N::default()))
}

impl TryFrom<v1::TrainRequest> for Training {
    type Error = ConvertError;

    fn try_from(message: v1::TrainRequest) -> Result<Self, ConvertError> {
        convert::at_most("datasets", message.datasets.len(), DATASETS_PER_TRAINING)?;
        message.datasets.iter().try_for_each(|name| convert::text("datasets", name, NAME_BYTES))?;
        Ok(Self {
            datasets: message.datasets,
            steps: number("steps", message.steps, STEPS)?,
            rounds: number("rounds", message.rounds, u64::MAX)?,
            sequences: number("sequences", message.sequences, SEQUENCES)?,
            length: number("length", message.length, LENGTH)?,
            learning_rate_nano: number("learning_rate_nano", message.learning_rate_nano, LEARNING_RATE_NANO)?,
            seed: number("seed", message.seed, u64::MAX)?,
        })
    }
}

impl From<Training> for v1::TrainRequest {
    fn from(training: Training) -> Self {
        Self {
            datasets: training.datasets,
            steps: training.steps.unwrap_or_default(),
            rounds: training.rounds.unwrap_or_default(),
            sequences: training.sequences.unwrap_or_default(),
            length: training.length.unwrap_or_default(),
            learning_rate_nano: training.learning_rate_nano.unwrap_or_default(),
            seed: training.seed.unwrap_or_default(),
        }
    }
}

/// One event of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrainEvent {
    /// A step.
    Step {
        /// Which one of this delta, from 1.
        step: u64,
        /// Steps of this delta.
        steps: u64,
        /// Loss, nano-nats.
        loss_nano_nats: i64,
        /// Predicted tokens a second.
        tokens_per_second: u64,
        /// Model head it builds on.
        model_head: ModelHead,
    },
    /// A delta was published.
    Published {
        /// Its id.
        update_id: UpdateId,
        /// Model head it applies to.
        model_head: ModelHead,
    },
    /// The training is over.
    Ended {
        /// Why, printable ASCII.
        reason: String,
    },
}

impl TryFrom<v1::TrainResponse> for TrainEvent {
    type Error = ConvertError;

    fn try_from(message: v1::TrainResponse) -> Result<Self, ConvertError> {
        match message.event.ok_or(ConvertError::Missing { field: "event" })? {
            v1::train_response::Event::Step(step) => Ok(Self::Step {
                step: step.step,
                steps: step.steps,
                loss_nano_nats: step.loss_nano_nats,
                tokens_per_second: step.tokens_per_second,
                model_head: ModelHead(convert::fixed("model_head", &step.model_head)?),
            }),
            v1::train_response::Event::Published(published) => Ok(Self::Published {
                update_id: convert::update_id(&published.update_id)?,
                model_head: ModelHead(convert::fixed("model_head", &published.model_head)?),
            }),
            v1::train_response::Event::Ended(ended) => {
                convert::text("reason", &ended.reason, ALARM_TEXT_BYTES)?;
                Ok(Self::Ended { reason: ended.reason })
            }
        }
    }
}

impl From<TrainEvent> for v1::TrainResponse {
    fn from(event: TrainEvent) -> Self {
        let event = match event {
            TrainEvent::Step { step, steps, loss_nano_nats, tokens_per_second, model_head } => {
                let model_head = convert::field(model_head.0);
                v1::train_response::Event::Step(v1::TrainStep { step, steps, loss_nano_nats, tokens_per_second, model_head })
            }
            TrainEvent::Published { update_id, model_head } => v1::train_response::Event::Published(v1::TrainPublished {
                update_id: convert::field(update_id.0),
                model_head: convert::field(model_head.0),
            }),
            TrainEvent::Ended { reason } => {
                v1::train_response::Event::Ended(v1::TrainEnded { reason: printable(&reason, ALARM_TEXT_BYTES) })
            }
        };
        Self { event: Some(event) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_wire_and_zero_means_not_said() {
        let training = Training {
            datasets: vec!["fineweb".to_owned()],
            steps: Some(STEPS),
            rounds: None,
            sequences: Some(SEQUENCES),
            length: Some(LENGTH),
            learning_rate_nano: Some(LEARNING_RATE_NANO),
            seed: Some(u64::MAX),
        };
        for training in [training, Training::default()] {
            assert_eq!(Training::try_from(v1::TrainRequest::from(training.clone())), Ok(training));
        }
    }

    #[test]
    fn a_request_out_of_bounds_is_refused() {
        let refused = |message: v1::TrainRequest| Training::try_from(message).unwrap_err();
        let steps = v1::TrainRequest { steps: STEPS + 1, ..v1::TrainRequest::default() };
        assert!(matches!(refused(steps), ConvertError::Range { field: "steps", .. }));
        let length = v1::TrainRequest { length: u32::MAX, ..v1::TrainRequest::default() };
        assert!(matches!(refused(length), ConvertError::Range { field: "length", .. }));
        let many = v1::TrainRequest { datasets: vec![String::new(); 17], ..v1::TrainRequest::default() };
        assert!(matches!(refused(many), ConvertError::TooLong { field: "datasets", found: 17, .. }));
        let long = v1::TrainRequest { datasets: vec!["a".repeat(65)], ..v1::TrainRequest::default() };
        assert!(matches!(refused(long), ConvertError::TooLong { field: "datasets", found: 65, .. }));
    }

    #[test]
    fn events_survive_the_wire() {
        let model_head = ModelHead([1; 32]);
        let events = [
            TrainEvent::Step { step: 1, steps: 2, loss_nano_nats: -3, tokens_per_second: 4, model_head },
            TrainEvent::Published { update_id: UpdateId([2; 32]), model_head },
            TrainEvent::Ended { reason: "stopped".to_owned() },
        ];
        for event in events {
            assert_eq!(TrainEvent::try_from(v1::TrainResponse::from(event.clone())), Ok(event));
        }
        assert_eq!(TrainEvent::try_from(v1::TrainResponse::default()), Err(ConvertError::Missing { field: "event" }));
    }
}
