//! What of a Dockerfile can be held against the repository.

use std::{collections::BTreeMap, fs, path::Path};

/// A stage: its instructions in order, as (word, rest).
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// The image or stage that it begins with.
    pub from: String,
    /// What it does, by instruction.
    pub instructions: Vec<(String, String)>,
}

/// A Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// Its stages, in order.
    pub stages: Vec<Stage>,
}

impl Stage {
    /// The rests of one instruction.
    pub fn all(&self, instruction: &str) -> impl Iterator<Item = &str> {
        self.instructions.iter().filter(move |(word, _)| word == instruction).map(|(_, rest)| rest.as_str())
    }

    /// Its COPY instructions: the stage copied from (None: the repository), and what is copied.
    pub fn copies(&self) -> Vec<(Option<String>, Vec<String>)> {
        let copy = |rest: &str| {
            let from = rest.split_whitespace().find_map(|word| word.strip_prefix("--from=")).map(str::to_owned);
            let mut paths: Vec<_> = rest.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect();
            paths.pop();
            (from, paths)
        };
        self.all("COPY").map(copy).collect()
    }
}

impl Dockerfile {
    /// Reads one.
    ///
    /// # Panics
    /// It is not there, or has an instruction before the first stage that is not ARG.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let whole = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
        let mut stages: Vec<Stage> = Vec::new();
        for line in whole.replace("\\\n", " ").lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            if word == "FROM" {
                let mut words = rest.split(' ');
                let from = words.next().unwrap_or_default().to_owned();
                let name = words.nth(1).unwrap_or_default().to_owned();
                stages.push(Stage { name, from, instructions: Vec::new() });
            } else if let Some(stage) = stages.last_mut() {
                stage.instructions.push((word.to_owned(), rest));
            } else {
                assert_eq!(word, "ARG", "{}: {line}", path.display());
            }
        }
        Self { stages }
    }

    /// A stage by name; the last one without.
    ///
    /// # Panics
    /// There is none.
    pub fn stage(&self, name: &str) -> &Stage {
        let found = if name.is_empty() { self.stages.last() } else { self.stages.iter().find(|stage| stage.name == name) };
        found.unwrap_or_else(|| panic!("no stage {name:?}"))
    }

    /// A stage and those it begins with, itself first.
    ///
    /// # Panics
    /// There is none.
    pub fn chain(&self, name: &str) -> Vec<&Stage> {
        let mut chain = vec![self.stage(name)];
        while let Some(parent) = self.stages.iter().find(|stage| chain.last().is_some_and(|last| last.from == stage.name)) {
            chain.push(parent);
        }
        chain
    }

    /// The variables that a stage's image has.
    ///
    /// # Panics
    /// There is no such stage.
    pub fn environment(&self, name: &str) -> BTreeMap<String, String> {
        let chain = self.chain(name);
        let lines = chain.iter().rev().flat_map(|stage| stage.all("ENV"));
        let pair = |word: &str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        lines.flat_map(|line| line.split(' ').filter_map(pair).collect::<Vec<_>>()).collect()
    }
}
