//! The trainer's key: Ed25519, 32 secret bytes as 64 hex digits in a file that only its owner may read.

use std::{fmt, io, path::Path};

use ed25519_dalek::SigningKey;
use pol_kit::fs::{PrivateError, create_private_file, read_private};

/// 64 digits and a line feed or two.
const FILE_BYTES_MAX: u64 = 70;

/// Why there is no key. The operator's fault, but for [`KeyError::Random`].
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used: others may read it, say.
    #[error(transparent)]
    File(#[from] PrivateError),
    /// Something else is in it.
    #[error("{path}: not a key: expected 64 hex digits")]
    Form {
        /// The file.
        path: String,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// A key that shows itself by its public half.
#[derive(Clone)]
pub struct TrainerKey(pub SigningKey);

impl TrainerKey {
    /// The public half, as `--trainer` of the quorum service takes it: 64 hex digits.
    pub fn public(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    /// A key out of 64 hex digits; none, when that is not what they are.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let mut secret = [0; 32];
        hex::decode_to_slice(digits.trim(), &mut secret).ok()?;
        Some(Self(SigningKey::from_bytes(&secret)))
    }
}

impl fmt::Debug for TrainerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainerKey({})", self.public())
    }
}

/// Reads a key; makes one where there is no file.
///
/// # Errors
/// [`KeyError`].
pub fn trainer_key(path: &Path) -> Result<TrainerKey, KeyError> {
    let bytes = match read_private(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(PrivateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(KeyError::Random)?;
            let text = format!("{}\n", hex::encode(secret)).into_bytes();
            create_private_file(path, &text)?;
            text
        }
        Err(error) => return Err(error.into()),
    };
    let key = std::str::from_utf8(&bytes).ok().and_then(TrainerKey::from_hex);
    key.ok_or_else(|| KeyError::Form { path: path.display().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_key_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trainer.key");
        let made = trainer_key(&path).unwrap();
        assert_eq!(trainer_key(&path).unwrap().public(), made.public());
        assert!(trainer_key(&folder.path().join("other.key")).unwrap().public() != made.public());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains(fs::read_to_string(&path).unwrap().trim()));
        fs::write(&path, "00").unwrap();
        assert!(matches!(trainer_key(&path), Err(KeyError::Form { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(trainer_key(&path), Err(KeyError::File(_))));
    }
}
