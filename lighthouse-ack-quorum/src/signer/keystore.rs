//! EIP-2335 keystores: version 4, scrypt or PBKDF2, SHA-256 checksum, AES-128-CTR.
//!
//! # Limits
//! A keystore asks for memory and rounds; more than [`limits::SCRYPT_BYTES`] and [`limits::PBKDF2_ROUNDS`] are refused before any work.
//!
//! # What it does not protect against
//! A password file beside the keystore protects nothing from who can read both.

use std::path::{Path, PathBuf};

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use pol_core::{
    bls::{BlsError, SecretKey},
    sha256,
};
use pol_kit::fs::{PrivateError, read_private};
use serde::Deserialize;
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::limits;

/// Bytes that the key derivation gives: 16 for the cipher, 16 for the checksum.
const DERIVED_BYTES: usize = 32;

/// Why a keystore gave no key. The operator's, always; neither password nor key is ever quoted.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file cannot be read, or others can.
    #[error("keystore: {0}")]
    File(#[from] PrivateError),
    /// The directory cannot be read.
    #[error("keystores in {}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// More keystores than one process holds.
    #[error("keystores in {}: more than {}", path.display(), limits::KEYSTORES)]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// No password for a keystore.
    #[error("keystore {}: no password file: looked for {}", path.display(), wanted.display())]
    NoPassword {
        /// The keystore.
        path: PathBuf,
        /// Where the password was looked for last.
        wanted: PathBuf,
    },
    /// Not JSON of EIP-2335, version 4.
    #[error("keystore {}: {reason}", path.display())]
    Form {
        /// The keystore.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Wrong password, or a damaged file.
    #[error("keystore {}: the password does not fit (checksum)", path.display())]
    Password {
        /// The keystore.
        path: PathBuf,
    },
    /// What came out is no key, or not the one that the file names.
    #[error("keystore {}: {error}", path.display())]
    Key {
        /// The keystore.
        path: PathBuf,
        /// What is wrong.
        error: BlsError,
    },
}

#[derive(Deserialize)]
struct File {
    crypto: Crypto,
    #[serde(default)]
    pubkey: String,
    version: u32,
}

#[derive(Deserialize)]
struct Crypto {
    kdf: Kdf,
    checksum: Checksum,
    cipher: Cipher,
}

#[derive(Deserialize)]
#[serde(tag = "function", content = "params", rename_all = "lowercase")]
enum Kdf {
    Scrypt { dklen: usize, n: u64, r: u32, p: u32, salt: String },
    Pbkdf2 { dklen: usize, c: u32, prf: String, salt: String },
}

#[derive(Deserialize)]
struct Checksum {
    function: String,
    message: String,
}

#[derive(Deserialize)]
struct Cipher {
    function: String,
    params: CipherParams,
    message: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// A password as the standard wants it: NFKD, without control characters, UTF-8.
pub(super) fn normalized(password: &str) -> Zeroizing<Vec<u8>> {
    let control = |c: &char| matches!(*c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    let text: Zeroizing<String> = Zeroizing::new(password.nfkd().filter(|c| !control(c)).collect());
    Zeroizing::new(text.as_bytes().to_vec())
}

impl Kdf {
    fn derive(&self, password: &str) -> Result<Zeroizing<[u8; DERIVED_BYTES]>, String> {
        let password = normalized(password);
        let mut derived = Zeroizing::new([0; DERIVED_BYTES]);
        let bytes = |salt: &str| hex::decode(salt).map_err(|error| format!("salt: {error}"));
        match self {
            Self::Scrypt { dklen: DERIVED_BYTES, n, r, p, salt } => {
                let memory = n.saturating_mul(128).saturating_mul(u64::from(*r)).saturating_mul(u64::from((*p).max(1)));
                if !n.is_power_of_two() || *n < 2 || memory > limits::SCRYPT_BYTES {
                    return Err(format!("scrypt: found n {n}, r {r}, p {p}, which is not allowed or needs too much memory"));
                }
                let log_n = u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX);
                let params = scrypt::Params::new(log_n, *r, *p).map_err(|error| format!("scrypt: {error}"))?;
                scrypt::scrypt(&password, &bytes(salt)?, &params, derived.as_mut_slice())
                    .map_err(|error| format!("scrypt: {error}"))?;
            }
            Self::Pbkdf2 { dklen: DERIVED_BYTES, c, prf, salt } => {
                if prf != "hmac-sha256" || !(1..=limits::PBKDF2_ROUNDS).contains(c) {
                    return Err(format!("pbkdf2: found {c} rounds of {prf}, expected 1 to 2^24 of hmac-sha256"));
                }
                pbkdf2::pbkdf2_hmac::<Sha256>(&password, &bytes(salt)?, *c, derived.as_mut_slice());
            }
            Self::Scrypt { dklen, .. } | Self::Pbkdf2 { dklen, .. } => {
                return Err(format!("kdf: found dklen {dklen}, expected {DERIVED_BYTES}"));
            }
        }
        Ok(derived)
    }
}

/// Opens a keystore. `path` is for messages only.
///
/// # Errors
/// [`KeystoreError`]: `Form`, `Password`, `Key`.
pub fn open(path: &Path, json: &[u8], password: &str) -> Result<SecretKey, KeystoreError> {
    let form = |reason: String| KeystoreError::Form { path: path.to_owned(), reason };
    let file: File = serde_json::from_slice(json).map_err(|error| form(error.to_string()))?;
    let crypto = &file.crypto;
    if file.version != 4 {
        return Err(form(format!("found version {}, expected 4 (EIP-2335)", file.version)));
    }
    if (crypto.checksum.function.as_str(), crypto.cipher.function.as_str()) != ("sha256", "aes-128-ctr") {
        return Err(form("found another checksum or cipher than sha256 and aes-128-ctr".to_owned()));
    }
    let exact = |field: &str, text: &str| hex::decode(text).map_err(|error| form(format!("{field}: {error}")));
    let mut secret = Zeroizing::new([0; 32]);
    let message = exact("cipher message", &crypto.cipher.message)?;
    let message: [u8; 32] = message.try_into().map_err(|_| form("cipher message: expected 32 bytes".to_owned()))?;
    let iv: [u8; 16] = exact("iv", &crypto.cipher.params.iv)?.try_into().map_err(|_| form("iv: expected 16 bytes".to_owned()))?;
    let checksum = exact("checksum", &crypto.checksum.message)?;

    let derived = crypto.kdf.derive(password).map_err(form)?;
    let (cipher_key, checksum_key) = derived.split_at(16);
    if sha256(&[checksum_key, &message]).as_slice() != checksum {
        return Err(KeystoreError::Password { path: path.to_owned() });
    }
    let cipher_key: [u8; 16] = cipher_key.try_into().unwrap_or_default();
    *secret = message;
    Ctr128BE::<Aes128>::new(&cipher_key.into(), &iv.into()).apply_keystream(secret.as_mut_slice());
    let key = SecretKey::from_bytes(&secret).map_err(|error| KeystoreError::Key { path: path.to_owned(), error })?;
    let named = file.pubkey.strip_prefix("0x").unwrap_or(&file.pubkey);
    if !named.is_empty() && !named.eq_ignore_ascii_case(&hex::encode(key.public_key().to_bytes())) {
        return Err(form("its pubkey is not that of the key inside".to_owned()));
    }
    Ok(key)
}

/// Reads every `*.json` keystore of a directory. The password of `NAME.json` is the first line of `NAME.txt` in `passwords`, or of the file
/// named after the public key with `0x` (Lighthouse's `secrets`).
///
/// # Errors
/// [`KeystoreError`]; one keystore that cannot be opened refuses them all.
pub fn read_directory(keystores: &Path, passwords: &Path) -> Result<Vec<SecretKey>, KeystoreError> {
    let broken = |source| KeystoreError::Directory { path: keystores.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(keystores).map_err(broken)? {
        let path = entry.map_err(broken)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            if paths.len() >= limits::KEYSTORES {
                return Err(KeystoreError::TooMany { path: keystores.to_owned() });
            }
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths.iter().map(|path| read_one(path, passwords)).collect()
}

fn read_one(path: &Path, passwords: &Path) -> Result<SecretKey, KeystoreError> {
    let json = read_private(path, limits::KEYSTORE_BYTES)?;
    let named: File = serde_json::from_slice(&json)
        .map_err(|error| KeystoreError::Form { path: path.to_owned(), reason: error.to_string() })?;
    let by_stem = passwords.join(path.file_stem().unwrap_or_default()).with_extension("txt");
    let hexadecimal = named.pubkey.strip_prefix("0x").unwrap_or(&named.pubkey);
    let is_hex = hexadecimal.len() == 96 && hexadecimal.bytes().all(|digit| digit.is_ascii_hexdigit());
    let by_key = if is_hex { passwords.join(format!("0x{hexadecimal}")) } else { by_stem.clone() };
    let file = [&by_stem, &by_key].into_iter().find(|file| file.exists());
    let file = file.ok_or_else(|| KeystoreError::NoPassword { path: path.to_owned(), wanted: by_key.clone() })?;
    let content = Zeroizing::new(read_private(file, limits::PASSWORD_BYTES)?);
    let text = String::from_utf8_lossy(&content);
    open(path, &json, text.lines().next().unwrap_or_default())
}
