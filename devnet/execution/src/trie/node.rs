//! Nodes and how they change.
//!
//! A branch carries the nibbles before it, so that Ethereum's extension node is a branch with a prefix, and removing a key merges in one place.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{
    Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode},
};

use super::Value;

pub(super) type Link<V> = Arc<Node<V>>;

/// Nibble values of a branch.
const WIDTH: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct Node<V> {
    /// Nibbles between the parent's and this node's own.
    path: Nibbles,
    kind: Kind<V>,
    /// How the parent names this node; computed when first asked for.
    named: OnceLock<RlpNode>,
}

#[derive(Debug, Clone)]
enum Kind<V> {
    Leaf(V),
    Branch(Box<[Option<Link<V>>; WIDTH]>),
}

impl<V> Node<V> {
    fn leaf(path: Nibbles, value: V) -> Link<V> {
        Arc::new(Self { path, kind: Kind::Leaf(value), named: OnceLock::new() })
    }

    fn branch(path: Nibbles) -> Self {
        Self { path, kind: Kind::Branch(Box::default()), named: OnceLock::new() }
    }
}

/// What remains of a path behind `at` nibbles and the one that chooses the child.
fn behind(path: &Nibbles, at: usize) -> Nibbles {
    path.slice(at.saturating_add(1)..)
}

fn child_of<V>(children: &[Option<Link<V>>; WIDTH], nibble: u8) -> Option<&Link<V>> {
    children.get(usize::from(nibble)).and_then(Option::as_ref)
}

pub(super) fn get<V>(root: &Link<V>, mut path: Nibbles) -> Option<&V> {
    let mut node = root;
    loop {
        let at = node.path.len();
        if path.common_prefix_length(&node.path) != at {
            return None;
        }
        match &node.kind {
            Kind::Leaf(value) => return (path.len() == at).then_some(value),
            Kind::Branch(children) => {
                node = child_of(children, path.get(at)?)?;
                path = behind(&path, at);
            }
        }
    }
}

pub(super) fn insert<V: Clone>(slot: &mut Option<Link<V>>, path: Nibbles, value: V) {
    let Some(link) = slot else {
        *slot = Some(Node::leaf(path, value));
        return;
    };
    let node = Arc::make_mut(link);
    node.named = OnceLock::new();
    let common = path.common_prefix_length(&node.path);
    if common < node.path.len() {
        split(node, common);
    }
    match &mut node.kind {
        Kind::Leaf(held) => *held = value,
        Kind::Branch(children) => {
            // Keys are of one length: a path never ends in a branch.
            let child = path.get(common).and_then(|nibble| children.get_mut(usize::from(nibble)));
            if let Some(child) = child {
                insert(child, behind(&path, common), value);
            }
        }
    }
}

/// Puts a branch in the place of a node, with the node below it.
fn split<V>(node: &mut Node<V>, at: usize) {
    let nibble = node.path.get(at);
    let below = behind(&node.path, at);
    let mut old = core::mem::replace(node, Node::branch(node.path.slice(..at)));
    old.path = below;
    if let (Kind::Branch(children), Some(nibble)) = (&mut node.kind, nibble)
        && let Some(child) = children.get_mut(usize::from(nibble))
    {
        *child = Some(Arc::new(old));
    }
}

/// Takes out a key that is there.
pub(super) fn remove<V: Clone>(slot: &mut Option<Link<V>>, path: Nibbles) {
    let Some(link) = slot else { return };
    if matches!(link.kind, Kind::Leaf(_)) {
        *slot = None;
        return;
    }
    let node = Arc::make_mut(link);
    node.named = OnceLock::new();
    let at = node.path.len();
    let Kind::Branch(children) = &mut node.kind else { return };
    if let Some(child) = path.get(at).and_then(|nibble| children.get_mut(usize::from(nibble))) {
        remove(child, behind(&path, at));
    }
    let mut left = children.iter().enumerate().filter(|(_, child)| child.is_some());
    let (first, second) = (left.next().map(|(nibble, _)| nibble), left.next());
    if let (Some(nibble), None) = (first, second) {
        merge(node, nibble);
    }
}

/// Puts a branch's only child in its place.
fn merge<V: Clone>(node: &mut Node<V>, nibble: usize) {
    let Kind::Branch(children) = &mut node.kind else { return };
    let Some(child) = children.get_mut(nibble).and_then(Option::take) else { return };
    let mut child = Arc::unwrap_or_clone(child);
    let mut path = node.path;
    path.push(u8::try_from(nibble).unwrap_or_default());
    child.path = path.join(&child.path);
    child.named = OnceLock::new();
    *node = child;
}

impl<V: Value> Node<V> {
    /// How a parent names this node: its hash, or itself when it is shorter than one.
    fn named(&self) -> &RlpNode {
        self.named.get_or_init(|| {
            let mut rlp = Vec::new();
            let inner = self.encode_inner(&mut rlp);
            if matches!(self.kind, Kind::Branch(_)) && !self.path.is_empty() {
                rlp.clear();
                return ExtensionNodeRef::new(&self.path, &inner).rlp(&mut rlp);
            }
            inner
        })
    }

    /// The leaf or branch without its extension: into `rlp`, and how it is named.
    fn encode_inner(&self, rlp: &mut Vec<u8>) -> RlpNode {
        match &self.kind {
            Kind::Leaf(value) => {
                let mut bytes = Vec::new();
                value.encode(&mut bytes);
                LeafNodeRef::new(&self.path, &bytes).rlp(rlp)
            }
            Kind::Branch(children) => {
                let mut mask = TrieMask::default();
                let mut stack = Vec::with_capacity(WIDTH);
                for (nibble, child) in (0_u8..).zip(children.iter()) {
                    if let Some(child) = child {
                        mask.set_bit(nibble);
                        stack.push(child.named().clone());
                    }
                }
                BranchNodeRef::new(&stack, mask).rlp(rlp)
            }
        }
    }

    /// A root is always hashed, however short.
    pub(super) fn root_hash(&self) -> B256 {
        let named = self.named();
        named.as_hash().unwrap_or_else(|| keccak256(named.as_ref()))
    }

    pub(super) fn proof(root: &Link<V>, mut path: Nibbles, nodes: &mut Vec<Bytes>) {
        let mut node = root;
        loop {
            let first = nodes.is_empty();
            let mut rlp = Vec::new();
            let inner = node.encode_inner(&mut rlp);
            let at = node.path.len();
            if matches!(node.kind, Kind::Branch(_)) && at > 0 {
                let mut extension = Vec::new();
                let _ = ExtensionNodeRef::new(&node.path, &inner).rlp(&mut extension);
                push(nodes, extension, first);
            }
            // Whoever is shorter than a hash stands inside its parent already.
            let on_path = path.common_prefix_length(&node.path) == at;
            if matches!(node.kind, Kind::Leaf(_)) || on_path {
                push(nodes, rlp, nodes.is_empty());
            }
            let Kind::Branch(children) = &node.kind else { return };
            let child = if on_path { path.get(at).and_then(|nibble| child_of(children, nibble)) } else { None };
            let Some(child) = child else { return };
            path = behind(&path, at);
            node = child;
        }
    }
}

fn push(nodes: &mut Vec<Bytes>, rlp: Vec<u8>, always: bool) {
    if always || rlp.len() >= B256::len_bytes() {
        nodes.push(rlp.into());
    }
}
