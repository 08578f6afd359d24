//! Patches without context lines, and what a README says of them.
//!
//! # Contract
//! [`Patch::parse`] takes what `git diff --unified=0` writes and nothing else. [`check`] compares patches with the table of a README:
//! one row per patch and file. Neither looks at a checkout: [`applies`] does, by asking git.
//!
//! # What it does not protect against
//! A patch that applies and is wrong.

mod table;

use std::{collections::BTreeMap, path::Path, process::Command};

pub use table::{Row, rows};

/// What is wrong with a patch or its description. Ours, always.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// A line that is no part of a patch without context.
    #[error("{patch}, line {line}: found {found:?}, expected a file, a hunk, or an added or removed line")]
    Line {
        /// The patch.
        patch: String,
        /// Counted from 1.
        line: usize,
        /// The line, cut.
        found: String,
    },
    /// A hunk with other numbers of lines than it says.
    #[error("{patch}, line {line}: a hunk of -{removed} +{added} lines has others")]
    Hunk {
        /// The patch.
        patch: String,
        /// Where it begins.
        line: usize,
        /// Lines that it says it removes.
        removed: usize,
        /// Lines that it says it adds.
        added: usize,
    },
    /// Two patches change one file: then they do not apply in any order.
    #[error("{file}: changed by {first} and by {second}")]
    Shared {
        /// The file.
        file: String,
        /// One of them.
        first: String,
        /// The other one.
        second: String,
    },
    /// The README says something else.
    #[error("{patch}, {file}: found +{} -{}, the README's table says {}", found.0, found.1,
        expected.map_or_else(|| "nothing".to_owned(), |(added, removed)| format!("+{added} -{removed}")))]
    Table {
        /// The patch.
        patch: String,
        /// The file.
        file: String,
        /// Lines added and removed.
        found: (usize, usize),
        /// What the table says.
        expected: Option<(usize, usize)>,
    },
    /// A row about nothing.
    #[error("the README's table has {patch}, {file}, which is not there")]
    Row {
        /// The patch.
        patch: String,
        /// The file.
        file: String,
    },
}

/// A patch: lines added and removed by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// Its name.
    pub name: String,
    /// File of Lighthouse -> (added, removed).
    pub files: BTreeMap<String, (usize, usize)>,
}

/// `-a,b +c,d` of a hunk's head: b and d, which are 1 where they are not said.
fn lines_of(head: &str) -> Option<(usize, usize)> {
    let (removed, added) = head.strip_prefix("@@ -")?.strip_suffix(" @@")?.split_once(" +")?;
    let count = |range: &str| match range.split_once(',') {
        Some((start, count)) => start.parse::<usize>().and(count.parse()).ok(),
        None => range.parse::<usize>().map(|_| 1).ok(),
    };
    Some((count(removed)?, count(added)?))
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// [`PatchError::Line`], [`PatchError::Hunk`].
    pub fn parse(name: &str, text: &str) -> Result<Self, PatchError> {
        let mut files: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut file = None;
        let mut lines = text.lines().enumerate().peekable();
        while let Some((at, line)) = lines.next() {
            let broken = || {
                let found = line.chars().take(60).collect();
                PatchError::Line { patch: name.to_owned(), line: at.saturating_add(1), found }
            };
            if let Some(names) = line.strip_prefix("diff --git a/") {
                let (old, new) = names.split_once(" b/").ok_or_else(broken)?;
                if old != new {
                    return Err(broken());
                }
                file = Some(new.to_owned());
            } else if let (Some((removed, added)), Some(file)) = (lines_of(line), &file) {
                let mut of = |sign: char| std::iter::from_fn(|| lines.next_if(|(_, line)| line.starts_with(sign))).count();
                if (of('-'), of('+')) != (removed, added) {
                    return Err(PatchError::Hunk { patch: name.to_owned(), line: at.saturating_add(1), removed, added });
                }
                let sum = files.entry(file.clone()).or_default();
                *sum = (sum.0.saturating_add(added), sum.1.saturating_add(removed));
            } else {
                let of_file = file.as_ref().is_some_and(|file| {
                    line == format!("--- a/{file}")
                        || line == format!("+++ b/{file}")
                        || ["--- /dev/null", "new file mode 100644"].contains(&line)
                });
                if !of_file {
                    return Err(broken());
                }
            }
        }
        Ok(Self { name: name.to_owned(), files })
    }
}

/// Compares patches with each other and with the table.
///
/// # Errors
/// [`PatchError`], the first one.
pub fn check(patches: &[Patch], table: &[Row]) -> Result<(), PatchError> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for patch in patches {
        for (file, found) in &patch.files {
            if let Some(first) = owners.insert(file, &patch.name) {
                let (first, second) = (first.to_owned(), patch.name.clone());
                return Err(PatchError::Shared { file: file.clone(), first, second });
            }
            let row = table.iter().find(|row| row.patch == patch.name && row.file == *file);
            let expected = row.map(|row| (row.added, row.removed));
            if expected != Some(*found) {
                return Err(PatchError::Table { patch: patch.name.clone(), file: file.clone(), found: *found, expected });
            }
        }
    }
    let nothing = table.iter().find(|row| owners.get(row.file.as_str()) != Some(&row.patch.as_str()));
    nothing.map_or(Ok(()), |row| Err(PatchError::Row { patch: row.patch.clone(), file: row.file.clone() }))
}

/// Whether git would apply these patches, all of them, to a checkout. Nothing is changed.
///
/// # Errors
/// What git says.
pub fn applies(checkout: &Path, patches: &[&Path]) -> Result<(), String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(checkout).args(["apply", "--check", "--unidiff-zero"]).args(patches);
    let output = git.output().map_err(|error| format!("git: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
