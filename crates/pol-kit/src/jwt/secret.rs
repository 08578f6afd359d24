//! The shared secret and its file.

use crate::fs::{PrivateError, create_private_file, read_private};
use crate::limits::SECRET_FILE_BYTES;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why there is no secret. The operator's to mend; the text never holds any of the file's content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read, or others can.
    #[error("JWT secret: {0}")]
    File(#[from] PrivateError),
    /// It does not hold 64 digits.
    #[error("JWT secret: {}: {found} characters, expected 64 hex digits (openssl rand -hex 32)", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Characters in it, without `0x` and white space around.
        found: usize,
    },
    /// One of the 64 is no hex digit.
    #[error("JWT secret: {}: something else than 64 hex digits (openssl rand -hex 32)", path.display())]
    NotHex {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no random bytes.
    #[error("JWT secret: no random bytes: {0}")]
    Random(getrandom::Error),
}

/// 32 bytes that both sides of an authenticated port know. Overwritten when dropped, and never printed.
pub struct Secret(Zeroizing<[u8; 32]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A secret that the caller has already, as tests do.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads a file of mode 0600 (or less) with 64 hex digits in either case, `0x` before and white space around them allowed.
    ///
    /// # Errors
    /// [`SecretError`]; the operator's fault. A process ends with exit code 2.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let content = Zeroizing::new(read_private(path, SECRET_FILE_BYTES)?);
        let digits = content.trim_ascii();
        let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
        if digits.len() != 64 {
            return Err(SecretError::Length { path: path.to_owned(), found: digits.len() });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| SecretError::NotHex { path: path.to_owned() })?;
        Ok(Self(bytes))
    }

    /// Makes a new secret in a new file of mode 0600.
    ///
    /// # Errors
    /// [`SecretError::File`], also when the file exists: it is left as it is.
    pub fn create(path: &Path) -> Result<Self, SecretError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(SecretError::Random)?;
        let mut line = Zeroizing::new(vec![0; 65]);
        if let Some((end, digits)) = line.split_last_mut() {
            *end = b'\n';
            // 64 digits are what 32 bytes need.
            let _ = hex::encode_to_slice(*bytes, digits);
        }
        create_private_file(path, &line)?;
        Ok(Self(bytes))
    }

    /// The secret of `path`, made when there is no such file. Processes that start at the same time get the same one.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let exists = |error: &SecretError| matches!(error, SecretError::File(PrivateError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists);
        if path.try_exists().unwrap_or(true) {
            return Self::load(path);
        }
        match Self::create(path) {
            Err(error) if exists(&error) => Self::load(path),
            created => created,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    const DIGITS: &str = "00112233445566778899aAbBcCdDeEfF00112233445566778899aabbccddeeff";

    fn load(content: impl AsRef<[u8]>, mode: u32) -> Result<Secret, SecretError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwt.hex");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Secret::load(&path)
    }

    #[test]
    fn sixty_four_hex_digits_are_a_secret_with_or_without_prefix_and_newline() {
        let expected = hex::decode(DIGITS).unwrap();
        for content in [DIGITS.to_owned(), format!("{DIGITS}\n"), format!("0x{DIGITS}\r\n"), format!(" 0x{DIGITS} \n\n")] {
            assert_eq!(load(&content, 0o600).unwrap().bytes(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_secret_of_31_or_33_bytes_or_of_other_characters_is_refused_and_never_quoted() {
        let bad = [&DIGITS[2..], &format!("{DIGITS}00"), "", "0x", &DIGITS.replace('7', "g"), &format!("0x0x{}", &DIGITS[4..])];
        for content in bad {
            let error = load(content, 0o600).unwrap_err();
            assert!(matches!(error, SecretError::Length { .. } | SecretError::NotHex { .. }), "{content}: {error}");
            assert!(!error.to_string().contains("8899"), "{error}");
        }
        assert!(load([0xff; 64], 0o600).is_err());
        assert!(load("0".repeat(257), 0o600).is_err());
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o644, 0o640, 0o660, 0o604] {
            let error = load(DIGITS, mode).unwrap_err();
            assert!(error.to_string().contains("chmod 600 "), "{mode:o}: {error}");
        }
    }

    #[test]
    fn a_created_secret_is_0600_random_and_what_a_later_start_loads() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
        let made = Secret::load_or_create(&one).unwrap();
        assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(Secret::load_or_create(&one).unwrap().bytes(), made.bytes());
        assert_eq!(Secret::load(&one).unwrap().bytes(), made.bytes());
        assert_ne!(Secret::create(&two).unwrap().bytes(), made.bytes());
        assert!(Secret::create(&one).is_err(), "an existing secret was replaced");
        assert_eq!(fs::read(&one).unwrap().len(), 65);
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::from_bytes([0xab; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
