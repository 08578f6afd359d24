//! Texts out of one file, whatever its format.

use std::{io, ops::ControlFlow, sync::Arc};

use super::{lines::LineTexts, parquet::ParquetTexts};
use crate::hub::{HubError, ReadAt, hub_error};

/// How a file holds texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A column of a parquet file.
    Parquet,
    /// A field of JSON objects, one a line.
    JsonLines(Packing),
    /// Plain text, with an empty line after each text.
    Text(Packing),
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Format {
    /// The format that a file's name stands for.
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?.to_ascii_lowercase();
        let packed = [(".gz", Packing::Gzip), (".zst", Packing::Zstd)];
        let (name, packing) = packed
            .iter()
            .find_map(|(ending, packing)| Some((name.strip_suffix(ending)?, *packing)))
            .unwrap_or((name.as_str(), Packing::Plain));
        match name.rsplit_once('.')?.1 {
            "parquet" if packing == Packing::Plain => Some(Self::Parquet),
            "json" | "jsonl" | "ndjson" => Some(Self::JsonLines(packing)),
            "txt" | "text" => Some(Self::Text(packing)),
            _ => None,
        }
    }
}

/// Why a file gives no more texts.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The hub's fault, or the network's.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The operating system's answer.
    #[error("{0}")]
    Io(io::Error),
    /// A damaged file, or one of another format. The fault of whoever made it.
    #[error("{0}")]
    Format(String),
    /// It has no such column. The operator's fault, or the registry is out of date.
    #[error("no text column {column}; there are: {known}")]
    Column {
        /// The column.
        column: String,
        /// Those that are there.
        known: String,
    },
    /// A small file that would become a huge one. The fault of whoever made it.
    #[error("a compressed file that grows beyond {times} times its size: refused")]
    Bomb {
        /// How much growth is allowed.
        times: u64,
    },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match hub_error(error) {
            Ok(error) => Self::Hub(error),
            Err(error) => match error.downcast::<Self>() {
                Ok(error) => error,
                Err(error) => Self::Io(error),
            },
        }
    }
}

/// What a file held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Texts handed out.
    pub texts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows or lines without a text.
    pub missing: u64,
    /// Texts that were not UTF-8.
    pub not_utf8: u64,
    /// Lines that were too long.
    pub too_long: u64,
}

impl Counts {
    /// Hands out bytes that should be a text.
    pub(super) fn hand_out(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.not_utf8 = self.not_utf8.saturating_add(1);
            return ControlFlow::Continue(());
        };
        self.texts = self.texts.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        sink(text)
    }
}

/// A file of texts, in parts: row groups of a parquet file, runs of lines of others.
#[derive(Debug)]
pub struct TextFile(Inner);

#[derive(Debug)]
enum Inner {
    Parquet(ParquetTexts),
    Lines(LineTexts),
}

impl TextFile {
    /// Opens a file. `column` is the parquet column or the JSON field.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(source: Arc<dyn ReadAt>, format: Format, column: &str) -> Result<Self, ReadError> {
        Ok(Self(match format {
            Format::Parquet => Inner::Parquet(ParquetTexts::open(source, column)?),
            Format::JsonLines(packing) => Inner::Lines(LineTexts::new(source, packing, Some(column.to_owned()))),
            Format::Text(packing) => Inner::Lines(LineTexts::new(source, packing, None)),
        }))
    }

    /// How many parts there are, where that is known beforehand.
    pub fn parts(&self) -> Option<usize> {
        match &self.0 {
            Inner::Parquet(file) => Some(file.groups()),
            Inner::Lines(_) => None,
        }
    }

    /// Hands out the texts of a part until `sink` breaks. A part beyond the last has none.
    ///
    /// # Errors
    /// [`ReadError`]; what was handed out before stays valid.
    pub fn read(&self, part: usize, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Counts, ReadError> {
        match &self.0 {
            Inner::Parquet(file) => file.read(part, sink),
            Inner::Lines(file) => file.read(part, sink),
        }
    }
}
