//! What `--data` names: files and folders of this machine, or datasets that ml-sidecar knows.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use pol_kit::exit::Exit;

use crate::programs::{self, Programs};

/// What a trainer learns from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrainData {
    /// The built-in corpus.
    #[default]
    Corpus,
    /// Files and folders.
    Files(Vec<String>),
    /// Datasets of the hub, by ml-sidecar's names.
    Datasets(Vec<String>),
}

impl TrainData {
    /// Tells files and names apart: what is on this disk is a file or folder, every other word has to be the name of a dataset. Looks at the
    /// disk and asks ml-sidecar; the hub is not asked.
    ///
    /// # Errors
    /// The operator's: a word that is neither, or both kinds at once.
    pub fn read(given: &[String], programs: &Programs) -> Result<Self, Exit> {
        Self::sort(given, || known(programs))
    }

    fn sort(given: &[String], known: impl FnOnce() -> Result<Vec<String>, Exit>) -> Result<Self, Exit> {
        let (files, names): (Vec<String>, Vec<String>) = given.iter().cloned().partition(|word| Path::new(word).exists());
        if names.is_empty() {
            return Ok(if files.is_empty() { Self::Corpus } else { Self::Files(files) });
        }
        let known = known()?;
        if let Some(word) = names.iter().find(|word| !known.contains(word)) {
            let datasets = known.join(", ");
            return Err(Exit::usage(format!("--data {word}: no such file or folder, and no dataset; those are: {datasets}")));
        }
        if let (Some(file), Some(name)) = (files.first(), names.first()) {
            return Err(Exit::usage(format!("--data: {file} is on this disk and {name} is a dataset: give one kind")));
        }
        Ok(Self::Datasets(names))
    }

    /// The same, for ml-sidecar.
    pub fn flags(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Corpus => Vec::new(),
            Self::Files(files) => files.iter().map(|file| ("--data", file.clone())).collect(),
            Self::Datasets(names) => vec![("--datasets", names.join(","))],
        }
    }
}

/// Names of the datasets: the first word of each line of ml-sidecar's table.
fn known(programs: &Programs) -> Result<Vec<String>, Exit> {
    let mut command = Command::new(programs.find(programs::SIDECAR)?);
    let output = command.args(["train", "--list-datasets"]).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(Exit::usage(format!("ml-sidecar does not list its datasets: it ended with {}", output.status)));
    }
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(table.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(given: &[&str]) -> Result<TrainData, Exit> {
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        TrainData::sort(&given, || Ok(vec!["c4_en".to_owned(), "fineweb".to_owned()]))
    }

    #[test]
    fn what_is_on_the_disk_is_a_file_and_other_words_are_names_of_datasets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(sorted(&[]).unwrap(), TrainData::Corpus);
        assert_eq!(sorted(&[path]).unwrap().flags(), [("--data", path.to_owned())]);
        assert_eq!(sorted(&["fineweb", "c4_en"]).unwrap().flags(), [("--datasets", "fineweb,c4_en".to_owned())]);
        let line = sorted(&[path, "c4_en"]).unwrap_err().to_string();
        assert!(line.contains("give one kind"), "{line}");
    }

    #[test]
    fn a_word_that_is_neither_is_refused_with_the_names_that_are_known() {
        let line = sorted(&["c4_en", "nonsense"]).unwrap_err().to_string();
        assert_eq!(line, "--data nonsense: no such file or folder, and no dataset; those are: c4_en, fineweb");
        let nobody = Programs::in_folders(Vec::new());
        assert!(TrainData::read(&["c4_en".to_owned()], &nobody).unwrap_err().to_string().contains("ml-sidecar"));
        assert_eq!(TrainData::read(&[], &nobody).unwrap(), TrainData::Corpus);
    }
}
