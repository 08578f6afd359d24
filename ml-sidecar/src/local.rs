//! A chain of one machine: what a delta belongs to when there is no chain.toml.
//!
//! Its name follows from the model's files and the profile, so that two people with the same model can judge each other's deltas and a delta of
//! another model is refused like one of another chain.
//!
//! # What it does not protect against
//! Anything: the trainer's key follows from a seed that everybody knows.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32,
    delta::{Context, Profile},
    sha256,
    state::Shape,
};

use crate::{checkpoint::CONFIG_FILE, digest, tokens::TOKENIZER_FILE};

const CHAIN_TAG: &[u8] = b"pol-ai/local/v1";
const KEY_TAG: &[u8] = b"pol-ai/local/key/v1";
const MANIFEST_TAG: &[u8] = b"pol-ai/manifest/v1";
const FILES_MAX: usize = 4_096;

/// What a decoder must know of the local chain of a model.
pub fn context(manifest: Hash32, shape: Shape, profile: Profile) -> Context {
    Context { genesis_id: GenesisId(sha256(&[CHAIN_TAG, &manifest.0, &[profile.byte()]])), shape, profile }
}

/// A key for deltas that never leave this machine.
pub fn key(seed: u64) -> SigningKey {
    SigningKey::from_bytes(&sha256(&[KEY_TAG, &seed.to_le_bytes()]))
}

/// Hash of a model's files: of a folder `config.json`, `tokenizer.json` and all safetensors files by name, else of the one file. This is what
/// `model.manifest_hash` of a chain.toml holds. It reads everything: seconds for a model of gigabytes.
///
/// # Errors
/// What the operating system says, with the file: the operator's fault.
pub fn manifest_hash(model: &Path) -> Result<Hash32, (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    let mut parts = vec![MANIFEST_TAG.to_vec()];
    let mut add = |path: &Path| -> Result<(), (PathBuf, io::Error)> {
        let mut file = File::open(path).map_err(at(path))?;
        let (length, hash) = digest::copy(&mut file, &mut io::sink(), u64::MAX).map_err(at(path))?;
        let name = path.file_name().map_or_else(Vec::new, |name| name.as_encoded_bytes().to_vec());
        let name_length = (name.len() as u64).to_le_bytes().to_vec();
        parts.extend([name_length, name, length.to_le_bytes().to_vec(), hash.to_vec()]);
        Ok(())
    };
    if !model.is_dir() {
        add(model)?;
    } else {
        let entries = fs::read_dir(model).map_err(at(model))?.take(FILES_MAX);
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(at(model))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        paths.extend([CONFIG_FILE, TOKENIZER_FILE].map(|name| model.join(name)));
        paths.sort();
        paths.iter().try_for_each(|path| add(path))?;
    }
    Ok(Hash32(sha256(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_every_file_of_a_model_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        for name in ["config.json", "tokenizer.json", "model.safetensors"] {
            write(name, "x");
        }
        let hash = || manifest_hash(folder.path()).unwrap();
        let first = hash();
        write("README.md", "anything");
        assert_eq!(hash(), first);
        for name in ["config.json", "tokenizer.json", "model.safetensors", "model-2.safetensors"] {
            write(name, "y");
            assert_ne!(hash(), first, "{name}");
            write(name, "x");
        }
        assert_ne!(hash(), first);
        fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
        assert!(manifest_hash(folder.path()).unwrap_err().0.ends_with("tokenizer.json"));
        assert!(manifest_hash(&folder.path().join("README.md")).is_ok());
    }
}
