//! `DEV_TEXTS`: the texts on which the loss gate measures.
//!
//! # Contract
//! A file of exactly 512 lines of UTF-8, each ended by one line feed, each a text of 1 to 256 Unicode scalar values without control characters or
//! white space at its ends, no two alike. The order counts: the first 32 are the self-test. The chain's name for them
//! (`gate.dev_texts_hash`, section 2.1) is the SHA-256 of the file, so `sha256sum` shows it. A [`DevTexts`] has the right form; a
//! [`ChainTexts`] is the one the chain was made with. A file has one form only, so the same texts never have two hashes.
//!
//! The built-in texts ([`DevTexts::embedded`]) were written for this project: half of them English, the others in nine languages, on trade,
//! weather, numbers, crafts and programs. They stand in the order of their own hashes, which mixes languages and topics.
//!
//! # What it does not protect against
//! The texts are public: a trainer can overfit them and pass the gate.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use pol_core::{
    Hash32,
    params::{GATE_TEXT_CHARS, GATE_TEXTS},
    sha256,
};

/// The built-in texts, as they lie in the repository.
pub const EMBEDDED: &str = include_str!("../texts/dev-texts.txt");

/// Longest file that can have the form: every character four bytes, and the line feeds.
const FILE_BYTES_MAX: u64 = (GATE_TEXTS * (GATE_TEXT_CHARS * 4 + 1)) as u64;

/// Why there are no texts. The operator's fault, always; lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum TextsError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Longer than 512 texts can be.
    #[error("DEV_TEXTS: more than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("DEV_TEXTS, line {line}: not UTF-8")]
    Utf8 {
        /// The line.
        line: usize,
    },
    /// Another number of texts.
    #[error("DEV_TEXTS: {found} texts, expected {GATE_TEXTS}, one a line")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// The last line has no line feed: the file was cut.
    #[error("DEV_TEXTS: the last line does not end")]
    Unfinished,
    /// An empty or a too long text.
    #[error("DEV_TEXTS, line {line}: {found} characters, expected 1 ..= {GATE_TEXT_CHARS}")]
    Length {
        /// The line.
        line: usize,
        /// Unicode scalar values in it.
        found: usize,
    },
    /// A control character (a carriage return, say) or an invisible mark.
    #[error("DEV_TEXTS, line {line}: character {found:?} is not allowed")]
    Character {
        /// The line.
        line: usize,
        /// The character.
        found: char,
    },
    /// White space that nobody sees.
    #[error("DEV_TEXTS, line {line}: white space at an end")]
    Space {
        /// The line.
        line: usize,
    },
    /// A text that is there already.
    #[error("DEV_TEXTS, line {line}: the same text as line {first}")]
    Duplicate {
        /// The line.
        line: usize,
        /// The one before it.
        first: usize,
    },
    /// Texts of another chain.
    #[error(
        "these DEV_TEXTS have hash {found}, but the chain was made with {expected} (gate.dev_texts_hash in chain.toml): give its file with --dev-texts"
    )]
    Hash {
        /// Hash of the file.
        found: Hash32,
        /// Hash in chain.toml.
        expected: Hash32,
    },
}

/// 512 texts of the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevTexts {
    texts: Vec<String>,
    hash: Hash32,
}

impl DevTexts {
    /// The built-in texts.
    pub fn embedded() -> Self {
        Self { texts: EMBEDDED.lines().map(str::to_owned).collect(), hash: Hash32(sha256(&[EMBEDDED.as_bytes()])) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`TextsError`], naming the line.
    pub fn read(path: &Path) -> Result<Self, TextsError> {
        let mut bytes = Vec::new();
        let file = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        file.map_err(|source| TextsError::File { path: path.to_owned(), source })?;
        Self::parse(&bytes)
    }

    /// Checks the content of a file.
    ///
    /// # Errors
    /// [`TextsError`], naming the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextsError> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(TextsError::TooLong);
        }
        let count = bytes.iter().filter(|byte| **byte == b'\n').count();
        if count != GATE_TEXTS {
            return Err(TextsError::Count { found: count });
        }
        let mut first_lines = BTreeMap::new();
        let mut texts = Vec::with_capacity(GATE_TEXTS);
        let mut rest = bytes;
        for line in 1..=GATE_TEXTS {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let (text, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let text = std::str::from_utf8(text).map_err(|_| TextsError::Utf8 { line })?;
            check(text, line)?;
            if let Some(first) = first_lines.insert(text, line) {
                return Err(TextsError::Duplicate { line, first });
            }
            texts.push(text.to_owned());
        }
        if !rest.is_empty() {
            return Err(TextsError::Unfinished);
        }
        Ok(Self { texts, hash: Hash32(sha256(&[bytes])) })
    }

    /// SHA-256 of the file: what `polai genesis` writes into chain.toml.
    pub const fn hash(&self) -> Hash32 {
        self.hash
    }

    /// The texts, in order.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Compares them with the hash in chain.toml.
    ///
    /// # Errors
    /// [`TextsError::Hash`].
    pub fn of_chain(self, expected: Hash32) -> Result<ChainTexts, TextsError> {
        if self.hash == expected { Ok(ChainTexts(self)) } else { Err(TextsError::Hash { found: self.hash, expected }) }
    }
}

/// The texts that a chain was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainTexts(DevTexts);

impl ChainTexts {
    /// The texts, in order.
    pub fn texts(&self) -> &[String] {
        self.0.texts()
    }

    /// Their hash.
    pub const fn hash(&self) -> Hash32 {
        self.0.hash()
    }
}

/// The flag that names another file.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct DevTextsArgs {
    /// File of the 512 DEV_TEXTS, one a line; by default the built-in ones
    #[arg(long, env = "POLAI_DEV_TEXTS", value_name = "FILE")]
    pub dev_texts: Option<PathBuf>,
}

impl DevTextsArgs {
    /// Reads the file, or takes the built-in texts.
    ///
    /// # Errors
    /// [`TextsError`].
    pub fn read(&self) -> Result<DevTexts, TextsError> {
        self.dev_texts.as_deref().map_or_else(|| Ok(DevTexts::embedded()), DevTexts::read)
    }
}

fn check(text: &str, line: usize) -> Result<(), TextsError> {
    let found = text.chars().count();
    if !(1..=GATE_TEXT_CHARS).contains(&found) {
        return Err(TextsError::Length { line, found });
    }
    let refused = |c: &char| c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}');
    if let Some(found) = text.chars().find(refused) {
        return Err(TextsError::Character { line, found });
    }
    if text.trim() != text {
        return Err(TextsError::Space { line });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
