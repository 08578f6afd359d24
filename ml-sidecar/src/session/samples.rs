//! The commitment to what a training saw.

use pol_core::{Hash32, sha256};
use serde::{Deserialize, Serialize};

/// The commitment to the training samples of a delta (`Claims::samples`, section 14 of docs/PROTOCOL.md), in the making.
///
/// It is the root of the binary Merkle tree over the ids ([`crate::data::sample_id`]) of the texts that the round's sequences were cut from, in
/// the order in which the round took them, a text that came twice standing there twice: leaf `H(0x00 || id)`, node `H(0x01 || left || right)`,
/// padded with leaves `0^32` to the next power of two, as the state's tree of section 6.1. A text whose last tokens went into the next round
/// counts for the round that took it. No text: zeros, which stand for "not given".
///
/// Memory does not grow with the number of texts: only the roots of full subtrees are kept.
///
/// # What it does not protect against
/// It is a claim. It binds a trainer to a list that it can show later; nobody can tell from it what was really trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Roots of full subtrees with their heights, the heights strictly falling.
    subtrees: Vec<(u32, [u8; 32])>,
}

impl Samples {
    /// A text was taken.
    pub fn push(&mut self, id: Hash32) {
        let (mut height, mut hash) = (0, sha256(&[&[0], &id.0]));
        while let Some((_, left)) = self.subtrees.pop_if(|(last, _)| *last == height) {
            hash = node(&left, &hash);
            height = height.saturating_add(1);
        }
        self.subtrees.push((height, hash));
    }

    /// The root.
    pub fn root(&self) -> Hash32 {
        let mut subtrees = self.subtrees.iter().rev();
        let Some((mut height, mut hash)) = subtrees.next().copied() else { return Hash32::ZERO };
        for (next, left) in subtrees {
            hash = raised(hash, height, *next);
            hash = node(left, &hash);
            height = next.saturating_add(1);
        }
        Hash32(hash)
    }
}

/// A subtree as the left one of a higher tree that is padding otherwise.
fn raised(mut hash: [u8; 32], from: u32, to: u32) -> [u8; 32] {
    let mut padding = (0..from).fold([0; 32], |below, _| node(&below, &below));
    for _ in from..to {
        hash = node(&hash, &padding);
        padding = node(&padding, &padding);
    }
    hash
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1], left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, word by word.
    fn by_definition(ids: &[Hash32]) -> Hash32 {
        let mut level: Vec<[u8; 32]> = ids.iter().map(|id| sha256(&[&[0], &id.0])).collect();
        if level.is_empty() {
            return Hash32::ZERO;
        }
        level.resize(level.len().next_power_of_two(), [0; 32]);
        while level.len() > 1 {
            level = level.chunks(2).map(|pair| node(&pair[0], &pair[1])).collect();
        }
        Hash32(level[0])
    }

    #[test]
    fn the_commitment_is_the_tree_of_its_definition_for_every_count() {
        let ids: Vec<Hash32> = (0..40_u32).map(|text| Hash32(sha256(&[&text.to_le_bytes()]))).collect();
        for count in 0..=ids.len() {
            let mut samples = Samples::default();
            ids[..count].iter().for_each(|id| samples.push(*id));
            assert_eq!(samples.root(), by_definition(&ids[..count]), "{count}");
            let kept = serde_json::to_string(&samples).unwrap();
            assert_eq!(serde_json::from_str::<Samples>(&kept).unwrap(), samples);
        }
    }

    #[test]
    fn order_and_repetition_count() {
        let root = |texts: &[u8]| {
            let mut samples = Samples::default();
            texts.iter().for_each(|text| samples.push(Hash32([*text; 32])));
            samples.root()
        };
        assert!(root(&[1, 2]) != root(&[2, 1]) && root(&[1]) != root(&[1, 1]) && root(&[1, 2, 3]) != root(&[1, 2, 3, 3]));
    }
}
