//! SSZ roots of the few small containers this protocol signs, and domains (section 2).
//!
//! # Why this way
//! Six fixed containers do not justify a merkleization library whose major version every beacon node would have to share with us. The
//! roots are held to the official Python specification by golden vectors.

use crate::{Hash32, sha256};

/// Root of two sibling nodes.
pub(crate) fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[left, right])
}

/// Root of a container with `N` field roots, `N` a power of two (pad with zero roots).
pub(crate) fn container4(fields: &[[u8; 32]; 4]) -> [u8; 32] {
    let [a, b, c, d] = fields;
    node(&node(a, b), &node(c, d))
}

/// Root of a container with five to eight fields, padded with zero roots.
pub(crate) fn container8(fields: &[[u8; 32]; 8]) -> [u8; 32] {
    let [a, b, c, d, e, f, g, h] = *fields;
    node(&container4(&[a, b, c, d]), &container4(&[e, f, g, h]))
}

/// Root of a `uint64`.
pub(crate) fn uint64(value: u64) -> [u8; 32] {
    left_aligned(&value.to_le_bytes())
}

/// The first `N` of these bytes; zeros where they end early, which callers with fields of fixed sizes never meet.
pub(crate) fn filled<const N: usize>(bytes: impl IntoIterator<Item = u8>) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(bytes) {
        *to = from;
    }
    array
}

/// Root of a byte vector of at most 32 bytes; longer input is cut, which the fixed-size callers never do.
pub(crate) fn left_aligned(bytes: &[u8]) -> [u8; 32] {
    filled(bytes.iter().copied())
}

/// Root of a `Bytes48`.
pub(crate) fn bytes48(bytes: &[u8; 48]) -> [u8; 32] {
    let (head, tail) = bytes.split_at(32);
    node(&left_aligned(head), &left_aligned(tail))
}

/// Root of a `List[Bytes32, 4]`; entries beyond four are cut, which the bounded callers never have.
pub(crate) fn list4(items: &[[u8; 32]]) -> [u8; 32] {
    let mut leaves = [[0; 32]; 4];
    let mut count = 0_u64;
    for (leaf, item) in leaves.iter_mut().zip(items) {
        *leaf = *item;
        count = count.saturating_add(1);
    }
    node(&container4(&leaves), &uint64(count))
}

/// `compute_domain` of the consensus specification: `type || hash_tree_root(ForkData)[0..28]`.
pub fn compute_domain(domain_type: [u8; 4], fork_version: [u8; 4], genesis_validators_root: Hash32) -> Hash32 {
    let fork_data_root = node(&left_aligned(&fork_version), genesis_validators_root.as_bytes());
    Hash32(filled(domain_type.into_iter().chain(fork_data_root)))
}

/// `compute_signing_root`: root of `SigningData { object_root, domain }`.
pub fn signing_root(object_root: Hash32, domain: Hash32) -> Hash32 {
    Hash32(node(object_root.as_bytes(), domain.as_bytes()))
}

/// SSZ bytes of a [`BeaconBlockHeader`].
pub const BEACON_BLOCK_HEADER_BYTES: usize = 112;

/// `BeaconBlockHeader` of the consensus specification, as plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BeaconBlockHeader {
    /// Slot of the block.
    pub slot: u64,
    /// Registry index of the proposer.
    pub proposer_index: u64,
    /// Root of the parent block; a tag in the headers of section 11.
    pub parent_root: Hash32,
    /// Root of the post state.
    pub state_root: Hash32,
    /// Root of the body.
    pub body_root: Hash32,
}

impl BeaconBlockHeader {
    /// `hash_tree_root`.
    pub fn root(&self) -> Hash32 {
        Hash32(container8(&[
            uint64(self.slot),
            uint64(self.proposer_index),
            self.parent_root.0,
            self.state_root.0,
            self.body_root.0,
            [0; 32],
            [0; 32],
            [0; 32],
        ]))
    }

    /// SSZ serialization: five fixed fields in order.
    pub fn to_bytes(&self) -> [u8; BEACON_BLOCK_HEADER_BYTES] {
        let fields = self
            .slot
            .to_le_bytes()
            .into_iter()
            .chain(self.proposer_index.to_le_bytes())
            .chain(self.parent_root.0)
            .chain(self.state_root.0)
            .chain(self.body_root.0);
        filled(fields)
    }

    /// Reads the SSZ serialization. Every 112 bytes are a header.
    pub fn from_bytes(bytes: &[u8; BEACON_BLOCK_HEADER_BYTES]) -> Self {
        let mut reader = Reader(bytes);
        Self {
            slot: u64::from_le_bytes(reader.take()),
            proposer_index: u64::from_le_bytes(reader.take()),
            parent_root: Hash32(reader.take()),
            state_root: Hash32(reader.take()),
            body_root: Hash32(reader.take()),
        }
    }
}

/// Cuts fixed-size fields off the front of bytes whose total length was checked by the caller's type.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    /// The next `N` bytes; zeros where the input is shorter, which a caller with a checked length never meets.
    pub(crate) fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = filled(self.0.iter().copied());
        self.0 = self.0.get(N..).unwrap_or_default();
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_bytes() {
        let header = BeaconBlockHeader {
            slot: 7,
            proposer_index: u64::MAX,
            parent_root: Hash32([1; 32]),
            state_root: Hash32([2; 32]),
            body_root: Hash32([3; 32]),
        };
        assert_eq!(BeaconBlockHeader::from_bytes(&header.to_bytes()), header);
    }

    #[test]
    fn a_domain_is_its_type_and_28_bytes_of_the_fork_data_root() {
        let domain = compute_domain([1, 2, 3, 4], [0; 4], Hash32::ZERO);
        assert_eq!(domain.0[..4], [1, 2, 3, 4]);
        assert_eq!(domain.0[4..], node(&[0; 32], &[0; 32])[..28]);
    }
}
