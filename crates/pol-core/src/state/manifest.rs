//! What a snapshot says before its values, and where everything in it stands (section 13).
//!
//! A snapshot is one run of bytes: this manifest, then the chunks' values in flat order (i32, little-endian). Its length follows from the
//! shape alone, so that any part of it can be asked for by its place.

use super::{SnapshotError, SnapshotLeaves, State, to_usize};
use crate::{ResultRoot, delta::NORM_WINDOW, state::Shape};

const VERSION: u8 = 1;
/// Version, number of norms, updates.
const HEAD: usize = 10;
/// Before the chunk hashes: the head and room for all norms.
const LEAVES_AT: usize = HEAD + NORM_WINDOW * 8;

/// Bytes of a manifest: version 1, number of norms, updates u64, 64 norms u64 (unused ones zero), the hashes of all chunks.
pub fn manifest_bytes(shape: &Shape) -> usize {
    to_usize(shape.chunk_count()).saturating_mul(32).saturating_add(LEAVES_AT)
}

/// Bytes of a whole snapshot: at most 1 GiB and 3 MiB, that of the largest shape.
pub fn snapshot_bytes(shape: &Shape) -> u64 {
    let manifest = u64::try_from(manifest_bytes(shape)).unwrap_or(u64::MAX);
    u64::from(shape.value_count()).saturating_mul(4).saturating_add(manifest)
}

/// Why bytes are no manifest. The sender's fault: ask another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the length that the shape gives.
    #[error("snapshot manifest: {found} bytes, expected {expected}")]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// Another version.
    #[error("snapshot manifest: version {found}, expected {VERSION}")]
    Version {
        /// Version found.
        found: u8,
    },
    /// More norms than a state has.
    #[error("snapshot manifest: {found} norms, expected at most {NORM_WINDOW}")]
    Norms {
        /// Norms it says to have.
        found: usize,
    },
    /// Room that is not used is not zero: there is one encoding.
    #[error("snapshot manifest: unused norms are not zero")]
    Unused,
    /// The chunk hashes.
    #[error(transparent)]
    Leaves(#[from] SnapshotError),
}

/// What a snapshot begins with, in one piece.
///
/// The norms are not part of any root: who lies about them changes how its reader judges norms for at most 64 updates, never the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// Accepted updates up to the state.
    pub updates: u64,
    /// Norms of the last changes that were added, oldest first, 64 at most (section 12).
    pub norms: Vec<u64>,
    /// The hashes of its chunks.
    pub leaves: SnapshotLeaves,
}

impl SnapshotManifest {
    /// Of a state; the newest 64 norms are taken.
    pub fn of(state: &State, updates: u64, norms: &[u64]) -> Self {
        let surplus = norms.len().saturating_sub(NORM_WINDOW);
        Self { updates, norms: norms.iter().skip(surplus).copied().collect(), leaves: SnapshotLeaves::of(state) }
    }

    /// The root of the state that the snapshot is.
    pub fn root(&self) -> ResultRoot {
        self.leaves.root()
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let count = u8::try_from(self.norms.len().min(NORM_WINDOW)).unwrap_or(u8::MAX);
        let mut bytes = vec![VERSION, count];
        bytes.extend(self.updates.to_le_bytes());
        bytes.extend(self.norms.iter().take(NORM_WINDOW).flat_map(|norm| norm.to_le_bytes()));
        bytes.resize(LEAVES_AT, 0);
        bytes.extend(self.leaves.all().iter().flatten());
        bytes
    }

    /// Reads a manifest of a state of this shape.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn decode(shape: Shape, bytes: &[u8]) -> Result<Self, ManifestError> {
        let length = ManifestError::Length { found: bytes.len(), expected: manifest_bytes(&shape) };
        if bytes.len() != manifest_bytes(&shape) {
            return Err(length);
        }
        let Some(([version, count, updates @ ..], rest)) = bytes.split_first_chunk::<HEAD>() else { return Err(length) };
        let Some((norms, leaves)) = rest.split_at_checked(LEAVES_AT.saturating_sub(HEAD)) else { return Err(length) };
        if *version != VERSION {
            return Err(ManifestError::Version { found: *version });
        }
        let count = usize::from(*count);
        let Some((used, unused)) = norms.split_at_checked(count.saturating_mul(8)) else {
            return Err(ManifestError::Norms { found: count });
        };
        if unused.iter().any(|byte| *byte != 0) {
            return Err(ManifestError::Unused);
        }
        let norms = used.as_chunks().0.iter().map(|norm| u64::from_le_bytes(*norm)).collect();
        let leaves = SnapshotLeaves::new(shape, leaves.as_chunks().0.to_vec())?;
        Ok(Self { updates: u64::from_le_bytes(*updates), norms, leaves })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::{GenesisId, delta::fixtures};

    fn manifest(norms: usize) -> SnapshotManifest {
        let state = State::initial(&GenesisId([2; 32]), fixtures::shape());
        let norms: Vec<u64> = (1..=u64::try_from(norms).unwrap()).collect();
        SnapshotManifest::of(&state, 256, &norms)
    }

    #[test]
    fn a_manifest_survives_its_bytes_and_keeps_the_newest_norms() {
        for norms in [0, 1, NORM_WINDOW] {
            let sent = manifest(norms);
            let bytes = sent.encode();
            assert_eq!(bytes.len(), manifest_bytes(&fixtures::shape()));
            assert_eq!(SnapshotManifest::decode(fixtures::shape(), &bytes), Ok(sent));
        }
        let last = u64::try_from(NORM_WINDOW).unwrap() + 3;
        assert_eq!(manifest(NORM_WINDOW + 3).norms, (4..=last).collect::<Vec<_>>());
    }

    #[test]
    fn other_lengths_versions_and_encodings_are_refused() {
        let (shape, bytes) = (fixtures::shape(), manifest(2).encode());
        let broken = |change: fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            SnapshotManifest::decode(shape, &bytes).unwrap_err()
        };
        let expected = bytes.len();
        assert_eq!(broken(|b| b.truncate(9)), ManifestError::Length { found: 9, expected });
        assert_eq!(broken(|b| b.push(0)), ManifestError::Length { found: expected + 1, expected });
        assert_eq!(broken(|b| b[0] = 2), ManifestError::Version { found: 2 });
        assert_eq!(broken(|b| b[1] = 65), ManifestError::Norms { found: 65 });
        assert_eq!(broken(|b| b[1] = 1), ManifestError::Unused);
    }

    #[test]
    fn the_length_follows_from_the_shape() {
        let shape = fixtures::shape();
        let values = u64::from(shape.value_count()) * 4;
        assert_eq!(snapshot_bytes(&shape), values + u64::try_from(manifest(0).encode().len()).unwrap());
    }
}
