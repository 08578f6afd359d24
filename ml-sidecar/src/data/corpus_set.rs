//! The built-in corpus as a set of texts.

use pol_core::{Hash32, sha256};

use super::set::{SetError, TextSource};
use crate::corpus::{Corpus, Topic};

const FINGERPRINT: &[u8] = b"pol-ai/texts/corpus/v1";
/// Texts of the built-in corpus when nobody says how many.
pub const CORPUS_TEXTS: u64 = 1 << 20;

/// The first texts of a built-in corpus. Nothing of it is kept anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusSet {
    corpus: Corpus,
    count: u64,
}

impl CorpusSet {
    /// So many texts of the corpus of a seed, on these topics (all, when none are given).
    pub fn new(seed: u64, topics: &[Topic], count: u64) -> Self {
        Self { corpus: Corpus::new(seed, topics), count }
    }
}

impl TextSource for CorpusSet {
    fn count(&self) -> u64 {
        self.count
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        if number >= self.count {
            return Err(SetError::Number { number, count: self.count });
        }
        Ok(self.corpus.get(number))
    }

    fn fingerprint(&self) -> Hash32 {
        Hash32(sha256(&[FINGERPRINT, &self.corpus.fingerprint(), &self.count.to_le_bytes()]))
    }
}
