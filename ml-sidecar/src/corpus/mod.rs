//! The built-in corpus: endless readable text, made up on the spot, for machines that reach no data hub.
//!
//! # Contract
//! [`text`] is a pure function of (seed, topic, index): the same bytes on every machine, in every run. A text has some 150 to 900 characters
//! of whole sentences on one [`Topic`]; its sums are right. No sentence of `DEV_TEXTS` is in it, but words, topics and languages are alike, so
//! that a model that learns from it gets better at them. The grammar lies in the folder `corpus`; its format is described in `grammar.rs`.
//!
//! # What it does not protect against
//! It is no substitute for real text: a model that sees nothing else will soon know all of its templates.

mod draw;
mod grammar;
mod words;

use std::{fmt, str::FromStr, sync::LazyLock};

use draw::Draw;
use grammar::Grammar;
use pol_core::sha256;

const FILES: &[&str] = &[
    include_str!("../../corpus/en.txt"),
    include_str!("../../corpus/de.txt"),
    include_str!("../../corpus/fr.txt"),
    include_str!("../../corpus/es.txt"),
    include_str!("../../corpus/romance.txt"),
    include_str!("../../corpus/others.txt"),
];

static GRAMMARS: LazyLock<Vec<Grammar>> = LazyLock::new(|| FILES.iter().map(|file| Grammar::parse(file)).collect());

/// What a text is about. Those named after a language mix trade, weather, numbers and talk in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Topic {
    Events,
    Facts,
    Arithmetic,
    Trade,
    Weather,
    Dialogue,
    Code,
    Advice,
    Travel,
    Craft,
    German,
    French,
    Spanish,
    Italian,
    Portuguese,
    Dutch,
    Russian,
    Chinese,
    Japanese,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 19] = [
        Self::Events,
        Self::Facts,
        Self::Arithmetic,
        Self::Trade,
        Self::Weather,
        Self::Dialogue,
        Self::Code,
        Self::Advice,
        Self::Travel,
        Self::Craft,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Portuguese,
        Self::Dutch,
        Self::Russian,
        Self::Chinese,
        Self::Japanese,
    ];

    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Facts => "facts",
            Self::Arithmetic => "arithmetic",
            Self::Trade => "trade",
            Self::Weather => "weather",
            Self::Dialogue => "dialogue",
            Self::Code => "code",
            Self::Advice => "advice",
            Self::Travel => "travel",
            Self::Craft => "craft",
            Self::German => "german",
            Self::French => "french",
            Self::Spanish => "spanish",
            Self::Italian => "italian",
            Self::Portuguese => "portuguese",
            Self::Dutch => "dutch",
            Self::Russian => "russian",
            Self::Chinese => "chinese",
            Self::Japanese => "japanese",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Not the name of a topic. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no topic of the built-in corpus (events, arithmetic, trade, ...)")]
pub struct UnknownTopic {
    /// What was given.
    pub found: String,
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(name: &str) -> Result<Self, UnknownTopic> {
        let topic = Self::ALL.into_iter().find(|topic| topic.name() == name);
        topic.ok_or_else(|| UnknownTopic { found: name.to_owned() })
    }
}

/// One text.
pub fn text(seed: u64, topic: Topic, index: u64) -> String {
    let mut draw = Draw::new(seed, topic.name(), index);
    GRAMMARS.iter().find_map(|grammar| grammar.text(topic.name(), &mut draw)).unwrap_or_default()
}

/// Texts on several topics in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    seed: u64,
    topics: Vec<Topic>,
}

impl Corpus {
    /// The corpus of a seed; on all topics when none are given.
    pub fn new(seed: u64, topics: &[Topic]) -> Self {
        let topics = if topics.is_empty() { &Topic::ALL } else { topics };
        Self { seed, topics: topics.to_vec() }
    }

    /// The text with this number. There is one for every number.
    pub fn get(&self, index: u64) -> String {
        let count = self.topics.len().max(1) as u64;
        let topic = usize::try_from(index % count).ok().and_then(|at| self.topics.get(at));
        text(self.seed, topic.copied().unwrap_or(Topic::Advice), index / count)
    }

    /// What tells it from a corpus of another seed, on other topics, or out of another grammar.
    pub fn fingerprint(&self) -> [u8; 32] {
        let topics: Vec<&str> = self.topics.iter().map(|topic| topic.name()).collect();
        let grammars: Vec<[u8; 32]> = FILES.iter().map(|file| sha256(&[file.as_bytes()])).collect();
        sha256(&[&self.seed.to_le_bytes(), topics.join(" ").as_bytes(), b"\n", grammars.as_flattened()])
    }

    /// All texts in order. It does not end.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        (0..).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests;
