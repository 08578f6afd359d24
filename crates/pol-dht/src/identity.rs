//! This node's Ed25519 identity: made once, kept in `node.key`.
//!
//! # Contract
//! The file holds libp2p's protobuf form of the key pair, mode 0600, complete and on disk before the identity is used. A key that others
//! on the machine could read is refused.
//!
//! # What it does not protect against
//! Two processes that create it at once: the caller holds the data directory's lock (the store's) first.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use libp2p::{PeerId, identity::Keypair};
use pol_core::GenesisId;

use crate::envelope::{self, SealError};

/// File name of the key inside the data directory.
pub const KEY_FILE: &str = "node.key";
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Why this node has no identity. The operator's to fix; the text names the cause, the caller the path.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read, or not be written.
    #[error("node key file: {0}")]
    Io(#[from] io::Error),
    /// Others could read the key.
    #[error("node key file: found mode {found:04o}, expected 0600")]
    Mode {
        /// Permission bits found.
        found: u32,
    },
    /// Not a key pair.
    #[error("node key file: found bytes that are no Ed25519 key pair of libp2p")]
    Encoding,
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
        match File::open(&path) {
            Ok(file) => Self::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self::from_keypair(Keypair::generate_ed25519())?;
                identity.write(directory)?;
                Ok(identity)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a key pair, for instance one of a test.
    ///
    /// # Errors
    /// [`IdentityError::Encoding`] when it is not Ed25519.
    pub fn from_keypair(keypair: Keypair) -> Result<Self, IdentityError> {
        let key = keypair.public().try_into_ed25519().map_err(|_| IdentityError::Encoding)?;
        Ok(Self { keypair, node_key: key.to_bytes() })
    }

    fn read(file: File) -> Result<Self, IdentityError> {
        let found = file.metadata()?.permissions().mode() & 0o7777;
        if found & 0o077 != 0 {
            return Err(IdentityError::Mode { found });
        }
        let mut bytes = Vec::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        let keypair = Keypair::from_protobuf_encoding(&bytes);
        bytes.fill(0);
        Self::from_keypair(keypair.map_err(|_| IdentityError::Encoding)?)
    }

    fn write(&self, directory: &Path) -> Result<(), IdentityError> {
        let temporary = directory.join("node.key.tmp");
        // What a crash left behind was never used.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut bytes = self.keypair.to_protobuf_encoding().map_err(|_| IdentityError::Encoding)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        bytes.fill(0);
        file.sync_all()?;
        fs::rename(&temporary, directory.join(KEY_FILE))?;
        File::open(directory)?.sync_all()?;
        Ok(())
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
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn an_identity_is_the_same_after_a_restart_and_readable_by_its_owner_only() {
        let dir = Scratch::new();
        fs::write(dir.path().join("node.key.tmp"), b"half a key").unwrap();
        let first = Identity::load_or_create(dir.path()).unwrap();
        let again = Identity::load_or_create(dir.path()).unwrap();
        assert_eq!(first.node_key(), again.node_key());
        assert_eq!(first.peer_id(), again.peer_id());
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!dir.path().join("node.key.tmp").exists());
        let value = again.seal(GenesisId([1; 32]), 7, b"v").unwrap();
        assert_eq!(pol_core::record::Envelope::open(&value, GenesisId([1; 32])).unwrap().signer, first.node_key());
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_is_no_key_is_refused() {
        let dir = Scratch::new();
        Identity::load_or_create(dir.path()).unwrap();
        let path = dir.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Mode { found: 0o640 })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bytes in [&b""[..], b"short", &[0; 10_000]] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Encoding)));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let identity = Identity::from_keypair(Keypair::ed25519_from_bytes([0xab; 32]).unwrap()).unwrap();
        assert!(!format!("{identity:?}").contains("abab"));
    }
}
