//! A model in a folder of its own, and the program.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ml_sidecar::{
    embedded::{self, Recipe},
    local,
};
use pol_core::{
    Hash32, ModelHead,
    delta::{Claims, Profile, encode},
};

/// A model that is made in seconds and can learn.
pub(crate) const SMALL: Recipe = Recipe {
    vocabulary: 512,
    layers: 2,
    tokenizer_texts: 60,
    steps: 30,
    sequences: 4,
    length: 64,
    learning_rate: 4e-3,
    threads: 1,
};

/// A model that is made at once.
pub(crate) const TINY: Recipe =
    Recipe { vocabulary: 320, layers: 1, tokenizer_texts: 20, steps: 1, sequences: 1, length: 8, ..SMALL };

/// A folder with a model.
pub(crate) struct World {
    folder: tempfile::TempDir,
    model: String,
}

impl World {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let folder = tempfile::tempdir().unwrap();
        embedded::open(folder.path(), recipe, 1, &mut |_| {}).unwrap();
        let model = embedded::folder(folder.path(), recipe, 1).display().to_string();
        Self { folder, model }
    }

    /// The model's folder.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn model_file(&self, name: &str) -> PathBuf {
        Path::new(&self.model).join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"));
        command.args(arguments).args(["--data-dir", &self.path("data"), "--threads", "1", "--device", "cpu"]);
        command.env("OMP_WAIT_POLICY", "passive").env("POLAI_LOG", "off").output().unwrap()
    }

    /// What it says when it works.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, of arguments with spaces between them.
    pub(crate) fn say(&self, line: &str) -> String {
        self.done(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// One line and exit code 2.
    pub(crate) fn refused(&self, arguments: &[&str], part: &str) {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.lines().count() == 1 && said.contains(part), "{arguments:?}: {said:?}, expected {part:?}");
    }

    /// A delta of the right form and of a trained one's size (up to 0.06) that nobody trained.
    pub(crate) fn random_delta(&self) -> String {
        let folder = Path::new(self.model());
        let checkpoint = ml_sidecar::checkpoint::Checkpoint::open(folder).unwrap();
        let context = local::context(local::manifest_hash(folder).unwrap(), checkpoint.config.shape, Profile::F16x20);
        let noise = |index: u32| i32::from_le_bytes(*pol_core::sha256(&[&index.to_le_bytes()]).first_chunk().unwrap()) / 2_048;
        let change: Vec<i32> = (0..context.shape.value_count()).map(noise).collect();
        let head: ModelHead = context.genesis_id.into();
        let claims = Claims { model_head: head, slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 1 };
        let delta = encode(&context, &claims, &change).unwrap().sign(&local::key(1));
        self.write("random.pld", delta.as_bytes())
    }
}
