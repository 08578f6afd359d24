//! What `--model` names, and where it lies.
//!
//! # Contract
//! A name is one of four things: `embedded` (made on first use), a packaged model (`smollm2-135m`), something on this disk (a folder in
//! Hugging Face's layout, or a GGUF file), or `owner/name` on the hub. Names come first, then the disk, then the hub. Only `embedded` is made
//! by itself: what has to be downloaded is downloaded by `model fetch`, so that no other command ever waits for a network.
//!
//! # What it does not protect against
//! A folder that somebody changed: a chain's manifest hash is for that.

use std::path::{Path, PathBuf};

use crate::{
    checkpoint::{CONFIG_FILE, Checkpoint, CheckpointError},
    embedded::{self, EmbeddedError, Recipe},
    fetch::{self, PACKAGED, PackagedModel},
    hub::{RepoKind, RepoName},
    weights::is_gguf,
};

/// The name of the embedded model.
pub const EMBEDDED: &str = "embedded";

/// What a `--model` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    /// The embedded model of the default seed.
    Embedded,
    /// A model out of a package.
    Packaged(&'static PackagedModel),
    /// A folder or a GGUF file.
    Path(PathBuf),
    /// A model of the hub.
    Hub(RepoName),
}

/// Why a model cannot be had. The operator's to mend, but for [`LocateError::Embedded`], which may be ours.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// Neither a known name, nor on this disk, nor the name of a repository.
    #[error("expected {EMBEDDED}, {}, a folder, a GGUF file, or owner/name of the hub", names())]
    Unknown,
    /// It would have to be downloaded.
    #[error("not here yet: run `ml-sidecar model fetch {name}` first (looked for {})", place.display())]
    NotFetched {
        /// The model.
        name: String,
        /// Where it was looked for.
        place: PathBuf,
    },
    /// A file that is no GGUF file.
    #[error(
        "a file, but no GGUF file: expected a folder with {CONFIG_FILE}, tokenizer.json and safetensors files, or a GGUF file"
    )]
    NoModel,
    /// It is there and cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It cannot be made.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
}

fn names() -> String {
    PACKAGED.iter().map(|model| model.name).collect::<Vec<_>>().join(", ")
}

impl ModelName {
    /// Reads a name. Looks at the disk, changes nothing.
    ///
    /// # Errors
    /// [`LocateError::Unknown`].
    pub fn parse(text: &str) -> Result<Self, LocateError> {
        if text == EMBEDDED {
            return Ok(Self::Embedded);
        }
        if let Some(model) = PACKAGED.iter().find(|model| model.name == text) {
            return Ok(Self::Packaged(model));
        }
        let path = Path::new(text);
        let looks_like_a_path = path.is_absolute() || text.starts_with('.') || text.matches('/').count() > 1;
        if path.exists() || (looks_like_a_path && !text.is_empty()) {
            return Ok(Self::Path(path.to_owned()));
        }
        RepoName::new(RepoKind::Model, text).map(Self::Hub).map_err(|_| LocateError::Unknown)
    }

    /// Where it lies, or would lie.
    pub fn place(&self, cache: &Path) -> PathBuf {
        match self {
            Self::Embedded => embedded::folder(cache, &Recipe::default(), embedded::SEED_DEFAULT),
            Self::Packaged(model) => fetch::place(model, cache),
            Self::Path(path) => path.clone(),
            Self::Hub(repo) => fetch::hub_place(repo.id(), cache),
        }
    }

    /// Opens it: looks for what was fetched in the folder `cache`, makes the embedded model there.
    ///
    /// # Errors
    /// [`LocateError`].
    pub fn open(&self, cache: &Path, on_step: &mut dyn FnMut(embedded::Progress)) -> Result<Checkpoint, LocateError> {
        let fetched = |name: &str| {
            let place = self.place(cache);
            if place.exists() { Ok(place) } else { Err(LocateError::NotFetched { name: name.to_owned(), place }) }
        };
        match self {
            Self::Embedded => Ok(embedded::open(cache, &Recipe::default(), embedded::SEED_DEFAULT, on_step)?),
            Self::Packaged(model) => Ok(Checkpoint::open_gguf(&fetched(model.name)?)?),
            Self::Path(path) if path.is_dir() => Ok(Checkpoint::open(path)?),
            Self::Path(path) if path.is_file() && !is_gguf(path) => Err(LocateError::NoModel),
            Self::Path(path) => Ok(Checkpoint::open_gguf(path)?),
            Self::Hub(repo) => Ok(Checkpoint::open(&fetched(repo.id())?)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name_is_told_apart_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(ModelName::parse("embedded").unwrap(), ModelName::Embedded);
        assert_eq!(ModelName::parse("smollm2-135m").unwrap(), ModelName::Packaged(&fetch::SMOLLM2_135M));
        assert_eq!(ModelName::parse(path.to_str().unwrap()).unwrap(), ModelName::Path(path));
        assert_eq!(ModelName::parse("/nowhere/m").unwrap(), ModelName::Path("/nowhere/m".into()));
        assert!(matches!(ModelName::parse("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B").unwrap(), ModelName::Hub(_)));
        for text in ["", "smollm", "a b/c", "a/b?"] {
            assert!(matches!(ModelName::parse(text), Err(LocateError::Unknown)), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_here_says_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["smollm2-135m", "owner/name"] {
            let refused = ModelName::parse(name).unwrap().open(folder.path(), &mut |_| {}).unwrap_err();
            assert!(refused.to_string().contains(&format!("model fetch {name}")), "{refused}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let refused = ModelName::Path(file).open(folder.path(), &mut |_| {}).unwrap_err();
        assert!(refused.to_string().contains("no GGUF file"), "{refused}");
        let gone = ModelName::Path("/nowhere/m".into()).open(folder.path(), &mut |_| {}).unwrap_err();
        assert!(gone.to_string().contains("/nowhere/m: No such file"), "{gone}");
    }

    #[test]
    fn a_gguf_file_is_a_model_like_any_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/gguf/tiny.gguf");
        let checkpoint = ModelName::Path(path).open(Path::new("/nowhere"), &mut |_| {}).unwrap();
        let model = checkpoint.load(crate::device::Device::cpu(), None).unwrap();
        let tokens = checkpoint.tokens("a b").unwrap();
        let losses = model.losses(None, &[tokens]).unwrap();
        assert!(losses.mean().is_some_and(f64::is_finite), "{losses:?}");
    }
}
