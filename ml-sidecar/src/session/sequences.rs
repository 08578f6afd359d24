//! Sequences of equal length out of a set of texts.

use serde::{Deserialize, Serialize};

use super::{Samples, SessionError};
use crate::{
    checkpoint::Checkpoint,
    data::{Cursor, Sampler, TextSource, sample_id},
};

/// Texts in a row without a token, after which a set counts as empty.
const EMPTY_TEXTS_MAX: u32 = 1_000;

/// Where in its texts a training is, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The next text.
    pub cursor: Cursor,
    /// Tokens of the last one that are not used yet.
    pub rest: Vec<u32>,
}

impl Place {
    /// The beginning, in the order of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { cursor: Cursor::new(seed), rest: Vec::new() }
    }
}

/// Sequences out of a set of texts, without end.
#[derive(Debug)]
pub struct Sequences<'a> {
    texts: &'a dyn TextSource,
    checkpoint: &'a Checkpoint,
    sampler: Sampler,
    rest: Vec<u32>,
    samples: Samples,
}

impl<'a> Sequences<'a> {
    /// Goes on from a place; `samples` is what this round has taken so far.
    pub fn new(texts: &'a dyn TextSource, checkpoint: &'a Checkpoint, place: Place, samples: Samples) -> Self {
        Self { texts, checkpoint, sampler: Sampler::new(texts.count(), place.cursor), rest: place.rest, samples }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        Place { cursor: self.sampler.cursor(), rest: self.rest.clone() }
    }

    /// What it took.
    pub const fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The next sequence, of `count` tokens.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn take(&mut self, count: usize) -> Result<Vec<u32>, SessionError> {
        let mut empty = 0_u32;
        while self.rest.len() < count {
            let number = self.sampler.next().ok_or(SessionError::Empty)?;
            let text = self.texts.get(number)?;
            let tokens = self.checkpoint.tokenizer.encode(&text)?;
            empty = if tokens.is_empty() { empty.saturating_add(1) } else { 0 };
            if empty > EMPTY_TEXTS_MAX || u64::from(empty) > self.texts.count() {
                return Err(SessionError::Empty);
            }
            self.samples.push(sample_id(&text));
            self.rest.extend(tokens);
            self.rest.extend(self.checkpoint.config.end_tokens.first());
        }
        Ok(self.rest.drain(..count).collect())
    }
}
