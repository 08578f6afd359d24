//! A Merkle Patricia trie that keeps every version of itself: a clone is a version, and shares all nodes that did not change since.
//!
//! # Contract
//! Keys are 32 bytes (hashes), so no key is another's prefix. The root is Ethereum's: nodes are encoded by `alloy-trie`, and a node's hash is
//! computed at most once. So a block costs what it touches, an old state costs what was touched since, and a reorg is picking up another
//! root.
//!
//! # What it does not protect against
//! Keys chosen to collide: the caller hashes addresses and slots before they become keys.

mod node;

use alloy_primitives::{B256, Bytes};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use node::Node;

/// What a leaf holds.
pub trait Value: Clone {
    /// Its bytes in the trie, as Ethereum's RLP has them.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A version of a trie. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Trie<V>(Option<node::Link<V>>);

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Value> Trie<V> {
    /// The value of a key.
    pub fn get(&self, key: &B256) -> Option<&V> {
        node::get(self.0.as_ref()?, Nibbles::unpack(key))
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: &B256, value: V) {
        node::insert(&mut self.0, Nibbles::unpack(key), value);
    }

    /// Takes a key out; nothing happens when it is not there.
    pub fn remove(&mut self, key: &B256) {
        // Looking first keeps a removal of nothing from copying the path.
        if self.get(key).is_some() {
            node::remove(&mut self.0, Nibbles::unpack(key));
        }
    }

    /// Whether it holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The root hash.
    pub fn root(&self) -> B256 {
        self.0.as_ref().map_or(EMPTY_ROOT_HASH, |node| node.root_hash())
    }

    /// The nodes from the root to where the key is or would be, each in RLP: a proof of presence or of absence (EIP-1186).
    pub fn proof(&self, key: &B256) -> Vec<Bytes> {
        let mut nodes = Vec::new();
        if let Some(root) = &self.0 {
            Node::proof(root, Nibbles::unpack(key), &mut nodes);
        }
        nodes
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests;
