//! A set of texts on disk: what a training goes through.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pol_core::{Hash32, sha256};
use serde::{Deserialize, Serialize};

use super::{corpus_set::CorpusSet, filter::Refusal};
use crate::{digest, unfinished::Unfinished};

const TEXTS: &str = "texts";
const INDEX: &str = "index";
const ABOUT: &str = "set.json";
const TAG: &[u8] = b"pol-ai/sample/v1";
const FINGERPRINT: &[u8] = b"pol-ai/texts/set/v1";
const ABOUT_BYTES_MAX: u64 = 16 << 20;
/// Texts of a set, at most.
pub const TEXTS_MAX: u64 = 100_000_000;

/// Texts with numbers.
pub trait TextSource: Send + Sync + std::fmt::Debug {
    /// How many there are.
    fn count(&self) -> u64;

    /// The text with this number.
    ///
    /// # Errors
    /// The disk's fault, or a number beyond the last.
    fn get(&self, number: u64) -> Result<String, SetError>;

    /// What tells these texts, in this order, from others: a place in one is none in another.
    fn fingerprint(&self) -> Hash32;
}

/// The id of a training sample: what a delta's commitment is made of (section 14 of docs/PROTOCOL.md).
pub fn sample_id(text: &str) -> Hash32 {
    Hash32(sha256(&[TAG, text.as_bytes()]))
}

/// Why a set cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// What the operating system said. The operator's to mend.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It was changed since it was written: thrown away and made again.
    #[error("{}: a damaged set of texts: {reason}", path.display())]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It takes more than its share of the cache. The operator's to mend.
    #[error(
        "the texts take {needed} bytes or more, and {most} are allowed (half of --data-budget): raise it, or ask for fewer with --num-samples"
    )]
    Budget {
        /// Bytes that it takes with the first text too many.
        needed: u64,
        /// Bytes allowed.
        most: u64,
    },
    /// A text that is not there. Our fault.
    #[error("text {number} of {count}")]
    Number {
        /// The number.
        number: u64,
        /// How many there are.
        count: u64,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SetError {
    move |source| SetError::Io { path: path.to_owned(), source }
}

/// What one dataset, or one local file, gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// Name of the dataset, or path of the file.
    pub source: String,
    /// Commit of its repository, where it has one.
    pub commit: Option<String>,
    /// Texts that were read.
    pub read: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// Texts that were kept.
    pub kept: u64,
    /// Bytes that were kept.
    pub kept_bytes: u64,
    /// Texts that were passed over, by reason.
    pub refused: std::collections::BTreeMap<Refusal, u64>,
    /// Rows without text, texts that are not UTF-8, lines that are too long.
    pub unreadable: u64,
}

/// What a set is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Texts.
    pub count: u64,
    /// Bytes of all texts.
    pub bytes: u64,
    /// SHA-256 of all texts, one after the other, hex.
    pub texts_sha256: String,
    /// SHA-256 of the index, hex.
    pub index_sha256: String,
    /// Where they come from.
    pub contributions: Vec<Contribution>,
}

/// A set of texts that was acquired before.
#[derive(Debug)]
pub struct SampleSet {
    folder: PathBuf,
    texts: File,
    index: File,
    about: About,
}

impl SampleSet {
    /// Opens a set and compares all of it with its hashes.
    ///
    /// # Errors
    /// [`SetError`].
    pub fn open(folder: &Path) -> Result<Self, SetError> {
        let path = folder.join(ABOUT);
        let mut json = Vec::new();
        File::open(&path).and_then(|file| file.take(ABOUT_BYTES_MAX).read_to_end(&mut json)).map_err(at(&path))?;
        let damaged = |reason: &str| SetError::Damaged { path: folder.to_owned(), reason: reason.to_owned() };
        let about: About = serde_json::from_slice(&json).map_err(|error| damaged(&error.to_string()))?;
        let open = |name: &str, bytes: u64, sha256: &str| {
            let path = folder.join(name);
            let mut file = File::open(&path).map_err(at(&path))?;
            let found = digest::copy(&mut file, &mut io::sink(), bytes.saturating_add(1)).map_err(at(&path))?;
            if found.0 != bytes || hex::encode(found.1) != sha256 {
                return Err(damaged(name));
            }
            Ok(file)
        };
        let index_bytes = about.count.checked_add(1).and_then(|count| count.checked_mul(8)).filter(|_| about.count <= TEXTS_MAX);
        let index = open(INDEX, index_bytes.ok_or_else(|| damaged("count"))?, &about.index_sha256)?;
        let texts = open(TEXTS, about.bytes, &about.texts_sha256)?;
        Ok(Self { folder: folder.to_owned(), texts, index, about })
    }

    /// What it is made of.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl TextSource for SampleSet {
    fn count(&self) -> u64 {
        self.about.count
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        if number >= self.about.count {
            return Err(SetError::Number { number, count: self.about.count });
        }
        let damaged = |reason: &str| SetError::Damaged { path: self.folder.clone(), reason: reason.to_owned() };
        let mut ends = [0; 16];
        self.index.read_exact_at(&mut ends, number * 8).map_err(at(&self.folder))?;
        let ([start, end], _) = ends.as_chunks::<8>() else { return Err(damaged(INDEX)) };
        let (start, end) = (u64::from_le_bytes(*start), u64::from_le_bytes(*end));
        let length = end.checked_sub(start).filter(|_| end <= self.about.bytes);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or_else(|| damaged(INDEX))?;
        let mut bytes = vec![0; length];
        self.texts.read_exact_at(&mut bytes, start).map_err(at(&self.folder))?;
        String::from_utf8(bytes).map_err(|_| damaged(TEXTS))
    }

    fn fingerprint(&self) -> Hash32 {
        let About { texts_sha256, index_sha256, .. } = &self.about;
        Hash32(sha256(&[FINGERPRINT, texts_sha256.as_bytes(), index_sha256.as_bytes()]))
    }
}

/// Texts of whatever origin, as a training sees them.
#[derive(Debug)]
pub enum Texts {
    /// Acquired, on disk.
    Set(SampleSet),
    /// Made up on the spot.
    Corpus(CorpusSet),
}

impl TextSource for Texts {
    fn count(&self) -> u64 {
        match self {
            Self::Set(set) => set.count(),
            Self::Corpus(set) => set.count(),
        }
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        match self {
            Self::Set(set) => set.get(number),
            Self::Corpus(set) => set.get(number),
        }
    }

    fn fingerprint(&self) -> Hash32 {
        match self {
            Self::Set(set) => set.fingerprint(),
            Self::Corpus(set) => set.fingerprint(),
        }
    }
}

/// Writes a set. It appears only when it is finished.
#[derive(Debug)]
pub(super) struct SetWriter {
    folder: Unfinished,
    texts: BufWriter<File>,
    index: BufWriter<File>,
    count: u64,
    bytes: u64,
    most: u64,
}

impl SetWriter {
    /// A new set beside its later place, of at most so many bytes of text.
    pub(super) fn new(beside: &Path, most: u64) -> Result<Self, SetError> {
        let folder = Unfinished::begin(beside).map_err(at(beside))?;
        let create = |name: &str| {
            let path = folder.path().join(name);
            Ok(BufWriter::with_capacity(1 << 20, File::create(&path).map_err(at(&path))?))
        };
        let (texts, mut index) = (create(TEXTS)?, create(INDEX)?);
        index.write_all(&0_u64.to_le_bytes()).map_err(at(folder.path()))?;
        Ok(Self { texts, index, folder, count: 0, bytes: 0, most })
    }

    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) -> Result<(), SetError> {
        let needed = self.bytes.saturating_add(text.len() as u64);
        if needed > self.most {
            return Err(SetError::Budget { needed, most: self.most });
        }
        self.bytes = needed;
        self.count = self.count.saturating_add(1);
        let written = self.texts.write_all(text.as_bytes()).and_then(|()| self.index.write_all(&self.bytes.to_le_bytes()));
        written.map_err(at(self.folder.path()))
    }

    /// Texts so far.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Moves it to its place, durably, and opens it.
    pub(super) fn finish(self, place: &Path, contributions: Vec<Contribution>) -> Result<SampleSet, SetError> {
        let Self { folder, texts, index, count, bytes, .. } = self;
        let settle = |writer: BufWriter<File>| writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all();
        settle(texts).and_then(|()| settle(index)).map_err(at(folder.path()))?;
        let hash = |name: &str| {
            let path = folder.path().join(name);
            let (_, hash) =
                File::open(&path).and_then(|mut file| digest::copy(&mut file, &mut io::sink(), u64::MAX)).map_err(at(&path))?;
            Ok(hex::encode(hash))
        };
        let about = About { count, bytes, texts_sha256: hash(TEXTS)?, index_sha256: hash(INDEX)?, contributions };
        let path = folder.path().join(ABOUT);
        let json = serde_json::to_vec_pretty(&about).map_err(|error| at(&path)(error.into()))?;
        pol_kit::fs::write_durably(&path, &json, pol_kit::fs::Access::Everybody).map_err(at(&path))?;
        folder.finish(place).map_err(at(place))?;
        SampleSet::open(place)
    }
}
