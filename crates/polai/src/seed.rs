//! GENESIS_SEED of a folder: given, or in its .env, or made there; and the key of its trainer.

use std::{fmt, io, path::Path, str::FromStr};

use ed25519_dalek::SigningKey;
use pol_core::{identity::GenesisSeed, text::HexError};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, create_private_file, read_private, write_durably},
    limits::ENV_FILE_BYTES,
};
use zeroize::Zeroizing;

use crate::{
    layout::Layout,
    read::{ReadError, read_text_bounded},
};

/// Bytes of a key file at most.
const KEY_BYTES: u64 = 256;

/// A checked GENESIS_SEED that can be handed on to a process. Never printed.
#[derive(Clone)]
pub struct SeedText(Zeroizing<String>);

impl FromStr for SeedText {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        text.parse::<GenesisSeed>()?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for SeedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeedText(..)")
    }
}

impl SeedText {
    /// The digits.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The seed.
    ///
    /// # Errors
    /// None: it was checked.
    pub fn seed(&self) -> Result<GenesisSeed, HexError> {
        self.0.parse()
    }
}

/// Makes a seed and writes it into the folder's .env, which nobody but its owner can read from then on.
///
/// # Errors
/// No random bytes; the disk's.
pub fn make(layout: &Layout) -> Result<SeedText, Exit> {
    let seed = SeedText(random()?);
    let path = layout.env_file();
    let failed = |error: io::Error| Exit::failure(format!("{}: {error}", path.display()));
    let mut text = Zeroizing::new(read_text_bounded(&path, ENV_FILE_BYTES).map_err(ReadError::exit)?.unwrap_or_default());
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str("# Made by polai up. Whoever knows it holds every genesis key of this chain.\nGENESIS_SEED=");
    text.push_str(seed.digits());
    text.push('\n');
    write_durably(&path, text.as_bytes(), Access::Owner).map_err(failed)?;
    Ok(seed)
}

/// Public key of this node's trainer, 64 hex digits. The key itself lies in its file, made when there is none: 64 hex digits, mode 0600.
///
/// # Errors
/// The operator's: a file that is no key. No random bytes; the disk's.
pub fn trainer(path: &Path) -> Result<String, Exit> {
    if !path.try_exists().unwrap_or(true) {
        let mut line = random()?;
        line.push('\n');
        create_private_file(path, line.as_bytes()).or_usage()?;
    }
    let content = Zeroizing::new(read_private(path, KEY_BYTES)?);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(content.trim_ascii(), key.as_mut())
        .map_err(|_| Exit::usage(format!("{}: no trainer key: expected 64 hex digits", path.display())))?;
    Ok(hex::encode(SigningKey::from_bytes(&key).verifying_key().as_bytes()))
}

/// 32 random bytes as 64 digits.
pub(crate) fn random() -> Result<Zeroizing<String>, Exit> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|error| Exit::failure(format!("no random bytes: {error}")))?;
    Ok(Zeroizing::new(hex::encode(*bytes)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_seed_is_added_to_what_env_says_and_the_file_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::write(layout.env_file(), "EL_HTTP_PORT=9").unwrap();
        let seed = make(&layout).unwrap();
        let text = fs::read_to_string(layout.env_file()).unwrap();
        assert!(
            text.starts_with("EL_HTTP_PORT=9\n# ") && text.ends_with(&format!("\nGENESIS_SEED={}\n", seed.digits())),
            "{text}"
        );
        assert_eq!(fs::metadata(layout.env_file()).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_ne!(make(&layout).unwrap().digits(), seed.digits());
        assert_eq!(format!("{seed:?}"), "SeedText(..)");
    }

    #[test]
    fn a_trainer_keeps_its_key_and_a_file_that_is_none_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trainer.key");
        let public = trainer(&path).unwrap();
        assert_eq!((public.len(), trainer(&path).unwrap()), (64, public));
        fs::remove_file(&path).unwrap();
        create_private_file(&path, b"secret words").unwrap();
        let line = trainer(&path).unwrap_err().to_string();
        assert!(line.contains("no trainer key") && !line.contains("words"), "{line}");
    }
}
