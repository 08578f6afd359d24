//! What people see of datasets and sets.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{
    filter::Refusal,
    registry::DATASETS,
    set::{Contribution, SetError, TextSource, Texts},
};

/// Buckets of the histogram of lengths: up to 2^8, 2^9, ... characters.
const BUCKETS: u32 = 9;

/// The table of named datasets.
pub fn list() -> String {
    let width = |of: fn(&super::Dataset) -> &str| DATASETS.iter().map(|dataset| of(dataset).len()).max().unwrap_or(0);
    let (key, repo, config) = (width(|d| d.key), width(|d| d.repo), width(|d| d.config));
    let mut table = String::new();
    for d in DATASETS {
        // Writing into a string does not fail.
        let _ = writeln!(table, "{:key$}  {:repo$}  {:config$}  {}  [{}]", d.key, d.repo, d.config, d.about, d.licence);
    }
    table
}

/// Numbers about texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Texts.
    pub texts: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their characters.
    pub chars: u64,
    /// Characters of the shortest.
    pub shortest: u64,
    /// Characters of the longest.
    pub longest: u64,
    /// Texts by length: up to 256 characters, up to 512, and so on, the last without end.
    pub lengths: Vec<u64>,
    /// Where they come from.
    pub contributions: Vec<Contribution>,
}

impl Statistics {
    /// Goes through all texts once; of the built-in corpus, through the first ten thousand.
    ///
    /// # Errors
    /// The disk's.
    pub fn of(texts: &Texts) -> Result<Self, SetError> {
        let (count, contributions) = match texts {
            Texts::Set(set) => (set.count(), set.about().contributions.clone()),
            Texts::Corpus(corpus) => (corpus.count().min(10_000), Vec::new()),
        };
        let mut found = Self { contributions, shortest: u64::MAX, lengths: vec![0; 9], ..Self::default() };
        for number in 0..count {
            let text = texts.get(number)?;
            let chars = text.chars().count() as u64;
            found.texts += 1;
            found.bytes = found.bytes.saturating_add(text.len() as u64);
            found.chars = found.chars.saturating_add(chars);
            found.shortest = found.shortest.min(chars);
            found.longest = found.longest.max(chars);
            let bucket = (64 - chars.saturating_sub(1).leading_zeros()).saturating_sub(8).min(BUCKETS - 1);
            if let Some(place) = usize::try_from(bucket).ok().and_then(|bucket| found.lengths.get_mut(bucket)) {
                *place += 1;
            }
        }
        found.shortest = found.shortest.min(found.longest);
        Ok(found)
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.chars.checked_div(self.texts).unwrap_or(0);
        writeln!(f, "{} texts, {} bytes, {} characters", self.texts, self.bytes, self.chars)?;
        writeln!(f, "characters of a text: {} to {}, {mean} in the mean", self.shortest, self.longest)?;
        let most = self.lengths.iter().copied().max().unwrap_or(0).max(1);
        for (i, count) in self.lengths.iter().enumerate().filter(|(_, count)| **count > 0) {
            let bar = usize::try_from(count.saturating_mul(40) / most).unwrap_or(0);
            let name = if i + 1 == self.lengths.len() { "longer".to_owned() } else { format!("<= {}", 256_u64 << i) };
            writeln!(f, "  {name:>8} {count:>9} {}", "#".repeat(bar))?;
        }
        for c in &self.contributions {
            let commit = c.commit.as_deref().and_then(|commit| commit.get(..12)).unwrap_or("local");
            writeln!(f, "{} ({commit}): {} read, {} kept, {}", c.source, c.read, c.kept, refused(&c.refused, c.unreadable))?;
        }
        Ok(())
    }
}

fn refused(refused: &BTreeMap<Refusal, u64>, unreadable: u64) -> String {
    let name = |refusal: &Refusal| match refusal {
        Refusal::Short => "too short",
        Refusal::FewLetters => "few letters",
        Refusal::Repetitive => "repetitive",
        Refusal::Duplicate => "duplicates",
    };
    let mut parts: Vec<String> = refused.iter().map(|(refusal, count)| format!("{count} {}", name(refusal))).collect();
    if unreadable > 0 {
        parts.push(format!("{unreadable} unreadable"));
    }
    if parts.is_empty() { "none refused".to_owned() } else { parts.join(", ") }
}

/// Writes texts into a file that `--data-file` reads again: as JSON lines when it is named so, else as plain text with an empty line after
/// each text (empty lines within texts are lost).
///
/// # Errors
/// The disk's.
pub fn save(texts: &impl TextSource, path: &Path) -> Result<u64, SetError> {
    let at = |source| SetError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut unfinished = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(folder).map_err(at)?;
    let is_json = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
    {
        let mut writer = BufWriter::new(unfinished.as_file_mut());
        for number in 0..texts.count() {
            write_one(&mut writer, &texts.get(number)?, is_json).map_err(at)?;
        }
        writer.flush().map_err(at)?;
    }
    unfinished.as_file().sync_all().map_err(at)?;
    std::fs::set_permissions(unfinished.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(at)?;
    let _: File = unfinished.persist(path).map_err(|failed| at(failed.error))?;
    Ok(texts.count())
}

fn write_one(writer: &mut impl Write, text: &str, is_json: bool) -> io::Result<()> {
    if is_json {
        serde_json::to_writer(&mut *writer, &serde_json::json!({ "text": text }))?;
        return writer.write_all(b"\n");
    }
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        writeln!(writer, "{line}")?;
    }
    writer.write_all(b"\n")
}
