//! Models of the hub, as the folders that models are loaded from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::hub::{FileEntry, Hub, HubError, NameError, RepoKind, RepoName};

/// Why a model of the hub cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HubModelError {
    /// No name of a model. The operator's fault.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The hub's answer, the network, or the disk.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A repository without what a model needs. The operator's to mend: another model.
    #[error("{id}: {reason}")]
    Content {
        /// The repository.
        id: String,
        /// What is missing.
        reason: String,
    },
}

/// Whether a model is loaded from this file.
fn is_wanted(path: &str) -> bool {
    let is_shard = path.starts_with("model-") && path.ends_with(".safetensors");
    is_shard
        || matches!(
            path,
            "config.json"
                | "generation_config.json"
                | "tokenizer.json"
                | "tokenizer_config.json"
                | "model.safetensors"
                | "model.safetensors.index.json"
        )
}

fn is_pickle(path: &str) -> bool {
    path.ends_with(".bin") || path.ends_with(".pt") || path.ends_with(".pth")
}

/// Where `owner/name` lies once it was fetched.
pub fn place(id: &str, cache: &Path) -> PathBuf {
    cache.join(id.replace('/', "--"))
}

/// Fetches config, tokenizer and safetensors of `owner/name` into `cache/owner--name`, and returns that folder. What is there already is not
/// fetched again; what comes is compared with the hub's hashes.
///
/// # Errors
/// [`HubModelError`].
pub fn hub_model(id: &str, hub: &Hub, cache: &Path) -> Result<PathBuf, HubModelError> {
    let repo = RepoName::new(RepoKind::Model, id)?;
    let keep = |path: &str| !path.contains('/') && (is_wanted(path) || is_pickle(path));
    let listing = hub.listing(&repo, "", "model", &keep, false)?;
    let refused = |reason: &str| HubModelError::Content { id: id.to_owned(), reason: reason.to_owned() };
    let wanted: Vec<&FileEntry> = listing.files.iter().filter(|entry| is_wanted(&entry.path)).collect();
    let has = |test: fn(&str) -> bool| wanted.iter().any(|entry| test(&entry.path));
    if !has(|path| path.ends_with(".safetensors")) {
        let pickle = listing.files.iter().any(|entry| is_pickle(&entry.path));
        return Err(refused(if pickle { "only pickle weights, which are never read" } else { "no safetensors in it" }));
    }
    for needed in ["config.json", "tokenizer.json"] {
        if !wanted.iter().any(|entry| entry.path == needed) {
            return Err(refused(&format!("no {needed} in it")));
        }
    }
    let folder = place(id, cache);
    fs::create_dir_all(&folder).map_err(crate::hub::at(&folder))?;
    for entry in wanted {
        let place = folder.join(&entry.path);
        tracing::info!(target: "polai::ml", file = entry.path, bytes = entry.size, "fetching");
        let fetched = hub.file(&repo, &listing.commit, entry)?.fetch_all()?;
        put(&fetched, &place)?;
    }
    Ok(folder)
}

/// The file under its name, without a second copy where the file system allows that.
fn put(fetched: &Path, place: &Path) -> Result<(), HubError> {
    let unfinished = place.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    fs::hard_link(fetched, &unfinished)
        .or_else(|_| fs::copy(fetched, &unfinished).map(drop))
        .and_then(|()| fs::rename(&unfinished, place))
        .map_err(crate::hub::at(place))
}
