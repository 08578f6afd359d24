//! What a training is told, as checked values.

use std::path::PathBuf;

use super::v1;
use crate::{
    convert::{self, ConvertError, at_most},
    limits::NAME_BYTES,
};

/// Datasets or files of one order, at most.
pub const SOURCES: usize = 64;
/// Bytes of a path.
pub const PATH_BYTES: usize = 4_096;
/// Steps of a round, at most.
pub const STEPS: u64 = 1_000_000;
/// Sequences of a step, at most.
pub const BATCH: u32 = 1_024;
/// Predicted tokens of a sequence, at most.
pub const LENGTH: u32 = 131_072;

/// What to train on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextsWanted {
    /// Datasets by name; whether there are such is not known yet.
    pub datasets: Vec<String>,
    /// All datasets, when none is named.
    pub auto_data: bool,
    /// Files and folders of the sidecar's machine.
    pub files: Vec<PathBuf>,
    /// Texts in all.
    pub samples: Option<u64>,
    /// Texts of each dataset.
    pub samples_per_dataset: Option<u64>,
    /// Column or field of the text in files.
    pub column: Option<String>,
    /// Which texts of the many.
    pub seed: u64,
}

/// How long to train, and on what; what is None is as the process was started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainOrder {
    /// Rounds; none: until it is stopped.
    pub rounds: Option<u64>,
    /// Steps with all values.
    pub steps: Option<u64>,
    /// Steps with the values of the delta alone.
    pub refining_steps: Option<u64>,
    /// Above 0 and up to 1.
    pub learning_rate: Option<f64>,
    /// Sequences of a step.
    pub batch: Option<u32>,
    /// Predicted tokens of a sequence.
    pub length: Option<u32>,
    /// What to train on.
    pub texts: Option<TextsWanted>,
}

fn range(field: &'static str, found: u64, most: u64) -> Result<Option<u64>, ConvertError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let error = ConvertError::Range { field, found: number(found), least: 0, most: number(most) };
    if found > most { Err(error) } else { Ok(Some(found).filter(|found| *found > 0)) }
}

fn small(field: &'static str, found: u32, most: u32) -> Result<Option<u32>, ConvertError> {
    range(field, found.into(), most.into()).map(|found| found.and_then(|found| u32::try_from(found).ok()))
}

/// In messages numbers are whole: a rate that is none shows as its bits' sign.
fn rate(found: f64) -> Result<Option<f64>, ConvertError> {
    match found {
        0.0 => Ok(None),
        _ if found > 0.0 && found <= 1.0 => Ok(Some(found)),
        _ => {
            let found = if found > 1.0 { 2 } else { -1 };
            Err(ConvertError::Range { field: "learning_rate", found, least: 0, most: 1 })
        }
    }
}

impl TryFrom<v1::TrainTexts> for TextsWanted {
    type Error = ConvertError;

    fn try_from(message: v1::TrainTexts) -> Result<Self, ConvertError> {
        at_most("datasets", message.datasets.len(), SOURCES)?;
        at_most("files", message.files.len(), SOURCES)?;
        message.datasets.iter().try_for_each(|name| convert::text("datasets", name, NAME_BYTES))?;
        message.files.iter().try_for_each(|path| at_most("files", path.len(), PATH_BYTES))?;
        convert::text("column", &message.column, NAME_BYTES)?;
        if !message.files.is_empty() && (message.auto_data || !message.datasets.is_empty()) {
            return Err(ConvertError::TooLong { field: "files", found: message.files.len(), most: 0 });
        }
        Ok(Self {
            datasets: message.datasets,
            auto_data: message.auto_data,
            files: message.files.into_iter().map(PathBuf::from).collect(),
            samples: Some(message.samples).filter(|count| *count > 0),
            samples_per_dataset: Some(message.samples_per_dataset).filter(|count| *count > 0),
            column: Some(message.column).filter(|column| !column.is_empty()),
            seed: message.seed,
        })
    }
}

impl TryFrom<v1::TrainRequest> for TrainOrder {
    type Error = ConvertError;

    fn try_from(message: v1::TrainRequest) -> Result<Self, ConvertError> {
        if let Some(found) = message.refining_steps {
            range("refining_steps", found, STEPS)?;
        }
        Ok(Self {
            rounds: Some(message.rounds).filter(|rounds| *rounds > 0),
            steps: range("steps", message.steps, STEPS)?,
            refining_steps: message.refining_steps,
            learning_rate: rate(message.learning_rate)?,
            batch: small("batch", message.batch, BATCH)?,
            length: small("length", message.length, LENGTH)?,
            texts: message.texts.map(TextsWanted::try_from).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(change: fn(&mut v1::TrainRequest)) -> Result<TrainOrder, ConvertError> {
        let mut message = v1::TrainRequest::default();
        change(&mut message);
        message.try_into()
    }

    #[test]
    fn what_is_not_said_is_as_the_process_was_started() {
        assert_eq!(order(|_| {}), Ok(TrainOrder::default()));
        let said = order(|m| {
            (m.rounds, m.steps, m.refining_steps, m.learning_rate, m.batch, m.length) = (2, 30, Some(0), 0.5, 8, 64);
        });
        let expected = TrainOrder {
            rounds: Some(2),
            steps: Some(30),
            refining_steps: Some(0),
            learning_rate: Some(0.5),
            batch: Some(8),
            length: Some(64),
            texts: None,
        };
        assert_eq!(said, Ok(expected));
    }

    #[test]
    fn what_is_beyond_a_bound_is_refused() {
        for (field, refused) in [
            ("steps", order(|m| m.steps = STEPS + 1)),
            ("refining_steps", order(|m| m.refining_steps = Some(u64::MAX))),
            ("learning_rate", order(|m| m.learning_rate = 1.5)),
            ("learning_rate", order(|m| m.learning_rate = -0.1)),
            ("learning_rate", order(|m| m.learning_rate = f64::NAN)),
            ("learning_rate", order(|m| m.learning_rate = f64::INFINITY)),
            ("batch", order(|m| m.batch = BATCH + 1)),
            ("length", order(|m| m.length = u32::MAX)),
        ] {
            assert!(matches!(refused, Err(ConvertError::Range { field: found, .. }) if found == field), "{field}: {refused:?}");
        }
        let texts = |change: fn(&mut v1::TrainTexts)| {
            let mut message = v1::TrainTexts::default();
            change(&mut message);
            TextsWanted::try_from(message)
        };
        assert_eq!(texts(|_| {}), Ok(TextsWanted::default()));
        assert!(matches!(texts(|m| m.datasets = vec![String::new(); SOURCES + 1]), Err(ConvertError::TooLong { .. })));
        assert!(matches!(texts(|m| m.datasets = vec!["\u{1b}[2J".to_owned()]), Err(ConvertError::Text { .. })));
        assert!(matches!(texts(|m| m.files = vec!["a".repeat(PATH_BYTES + 1)]), Err(ConvertError::TooLong { .. })));
        assert!(matches!(texts(|m| m.column = "c".repeat(NAME_BYTES + 1)), Err(ConvertError::TooLong { .. })));
        let both = texts(|m| (m.files, m.datasets) = (vec!["a".to_owned()], vec!["b".to_owned()]));
        assert!(matches!(both, Err(ConvertError::TooLong { field: "files", .. })));
    }
}
