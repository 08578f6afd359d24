//! This node's Ed25519 identity: made once, kept in `node.key`.
//!
//! # Contract
//! The file holds libp2p's protobuf form of the key pair, mode 0600, complete and on disk before the identity is used. A key that others
//! on the machine could read is refused.
//!
//! # What it does not protect against
//! Two processes that create it at once: the caller holds the data directory's lock (the store's) first.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use libp2p::{PeerId, identity::Keypair};
use pol_core::GenesisId;
use pol_kit::fs::{PrivateError, create_private_file, read_private, remove_unfinished};

use crate::envelope::{self, SealError};

/// File name of the key inside the data directory.
pub const KEY_FILE: &str = "node.key";
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why this node has no identity. The operator's to fix; the text names the file and the cause.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written, is none, or lets others in.
    #[error("node key: {0}")]
    File(#[from] PrivateError),
    /// What a killed process left behind cannot be removed.
    #[error("node key: {}: {source}", directory.display())]
    Directory {
        /// The data directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not a key pair.
    #[error("node key: {}: found bytes that are no Ed25519 key pair of libp2p", path.display())]
    Encoding {
        /// The file; empty when the key came from elsewhere.
        path: PathBuf,
    },
}

/// The key pair of this node.
#[derive(Clone)]
pub struct Identity {
    keypair: Keypair,
    node_key: [u8; 32],
}

impl Identity {
    /// Loads the key from `directory`, or creates it there.
    ///
    /// # Errors
    /// [`IdentityError`], each variant.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let path = directory.join(KEY_FILE);
        match read_private(&path, KEY_FILE_BYTES_MAX) {
            Ok(mut bytes) => {
                let keypair = Keypair::from_protobuf_encoding(&bytes);
                bytes.fill(0);
                Self::of(keypair.ok(), path)
            }
            Err(PrivateError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Self::create(directory, path),
            Err(error) => Err(error.into()),
        }
    }

    fn create(directory: &Path, path: PathBuf) -> Result<Self, IdentityError> {
        remove_unfinished(directory).map_err(|source| IdentityError::Directory { directory: directory.to_owned(), source })?;
        let keypair = Keypair::generate_ed25519();
        let Ok(mut bytes) = keypair.to_protobuf_encoding() else { return Err(IdentityError::Encoding { path }) };
        let created = create_private_file(&path, &bytes);
        bytes.fill(0);
        created?;
        Self::of(Some(keypair), path)
    }

    /// Takes a key pair, for instance one of a test.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`] when it is not Ed25519.
    pub fn from_keypair(keypair: Keypair) -> Result<Self, IdentityError> {
        Self::of(Some(keypair), PathBuf::new())
    }

    fn of(keypair: Option<Keypair>, path: PathBuf) -> Result<Self, IdentityError> {
        let keys = keypair.and_then(|keypair| Some((keypair.public().try_into_ed25519().ok()?.to_bytes(), keypair)));
        let (node_key, keypair) = keys.ok_or(IdentityError::Encoding { path })?;
        Ok(Self { keypair, node_key })
    }

    /// The key pair, for the transport.
    pub const fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The public Ed25519 key: `node key` of an `id:` record.
    pub const fn node_key(&self) -> [u8; 32] {
        self.node_key
    }

    /// libp2p's name of this node.
    pub fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// Seals a value as this node.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, genesis_id: GenesisId, now: u64, value: &[u8]) -> Result<Vec<u8>, SealError> {
        envelope::seal(&self.keypair, genesis_id, now, value)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn an_identity_is_the_same_after_a_restart_and_readable_by_its_owner_only() {
        let dir = Scratch::new();
        fs::write(dir.path().join(".unfinished-x"), b"half a key").unwrap();
        let first = Identity::load_or_create(dir.path()).unwrap();
        let again = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!(first.node_key(), again.node_key());
        assert_eq!(first.peer_id(), again.peer_id());
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let value = again.seal(GenesisId([1; 32]), 7, b"v").unwrap();
        assert_eq!(pol_core::record::Envelope::open(&value, GenesisId([1; 32])).unwrap().signer, first.node_key());
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_is_no_key_is_refused() {
        let dir = Scratch::new();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::File(PrivateError::Mode { found: 0o640, .. })), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bytes in [&b""[..], b"short", &[0; 256]] {
            fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(dir.path()).unwrap_err();
            assert!(matches!(&error, IdentityError::Encoding { path: named } if *named == path), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let identity = Identity::from_keypair(Keypair::ed25519_from_bytes([0xab; 32]).unwrap()).unwrap();
        assert!(!format!("{identity:?}").contains("abab"));
    }
}
