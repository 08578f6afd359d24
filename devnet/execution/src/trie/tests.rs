use std::collections::BTreeMap;

use alloy_primitives::{U256, keccak256};
use alloy_trie::{HashBuilder, proof::verify_proof};

use super::*;

impl Value for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        alloy_rlp::Encodable::encode(&U256::from(*self), out);
    }
}

/// The same root by alloy-trie's builder, which shares no code with the links and the merging here.
fn reference(all: &BTreeMap<B256, u64>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in all {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        builder.add_leaf(Nibbles::unpack(key), &bytes);
    }
    builder.root()
}

/// Few distinct keys with long common prefixes, so that branches split and merge at all depths.
fn key(random: u64) -> B256 {
    let mut key = B256::ZERO;
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::try_from((random >> (index % 6)) & 1).unwrap() * 0x11;
    }
    if random.is_multiple_of(3) { keccak256(random.to_le_bytes()) } else { key }
}

#[test]
fn the_root_is_ethereums_after_every_change() {
    let (mut trie, mut all, mut random) = (Trie::default(), BTreeMap::new(), 1_u64);
    for step in 0..3_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = key((random >> 33) % 200);
        if random >> 63 == 1 {
            trie.insert(&key, step + 1);
            all.insert(key, step + 1);
        } else {
            trie.remove(&key);
            all.remove(&key);
        }
        assert_eq!(trie.get(&key), all.get(&key), "step {step}");
        assert_eq!(trie.root(), reference(&all), "step {step}");
    }
    for key in all.keys().copied().collect::<Vec<_>>() {
        trie.remove(&key);
    }
    assert!(trie.is_empty() && trie.root() == EMPTY_ROOT_HASH);
}

#[test]
fn a_version_stays_what_it_was() {
    let mut versions = vec![(Trie::default(), BTreeMap::new())];
    for step in 0..200_u64 {
        let (mut trie, mut all) = versions.last().unwrap().clone();
        trie.insert(&key(step), step + 1);
        all.insert(key(step), step + 1);
        if step % 5 == 4 {
            trie.remove(&key(step / 2));
            all.remove(&key(step / 2));
        }
        versions.push((trie, all));
    }
    for (trie, all) in &versions {
        assert_eq!(trie.root(), reference(all));
    }
}

#[test]
fn a_proof_verifies_for_what_is_there_and_for_what_is_not() {
    let mut trie = Trie::default();
    for number in 0..150 {
        trie.insert(&key(number), number + 1);
        for asked in [0, 1, 2, 3, 77, 149, 150, 999, 1_001] {
            let key = key(asked);
            let value = trie.get(&key).map(|value| {
                let mut bytes = Vec::new();
                value.encode(&mut bytes);
                bytes
            });
            verify_proof(trie.root(), Nibbles::unpack(key), value, &trie.proof(&key)).unwrap();
        }
    }
}
