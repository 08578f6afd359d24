//! What a child of a merge added: its trainer keeps the rest of it for the next round.

use std::collections::BTreeMap;

use bytes::Bytes;
use pol_core::{
    UpdateId,
    delta::{Change, Checked, CheckedDelta, Context, RawDelta, SparseChange},
};

/// What one child added to the state as a part of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// The child.
    pub(crate) update_id: UpdateId,
    /// The merge.
    pub(crate) merge: UpdateId,
    /// Per coordinate the child's value times its weight, by the weights of all children that carry it (section 14.3), to the nearest unit.
    pub(crate) change: Change,
}

/// The shares of one trainer's children in a merge that was added; `containers` are the merge and its children. None of anything else.
pub(crate) fn shares(context: &Context, containers: &[Bytes], trainer: &[u8; 32]) -> Vec<Share> {
    let checked = containers.iter().filter_map(|bytes| RawDelta::from_slice(bytes).ok()?.check(context).ok());
    let (mut merges, mut deltas) = (Vec::new(), Vec::new());
    for container in checked {
        match container {
            Checked::Merge(merge) => merges.push(merge),
            Checked::Delta(delta) => deltas.push(delta),
            Checked::Void(_) => {}
        }
    }
    let ([merge], true) = (merges.as_slice(), deltas.iter().any(|delta| delta.header().trainer == *trainer)) else {
        return Vec::new();
    };
    let weight =
        |delta: &CheckedDelta| merge.children().find(|(id, _)| *id == delta.update_id()).map(|(_, weight)| i64::from(weight));
    let weighted: Vec<(&CheckedDelta, i64)> = deltas.iter().filter_map(|delta| Some((delta, weight(delta)?))).collect();
    let mut weights = BTreeMap::<u32, i64>::new();
    for (delta, weight) in &weighted {
        for (index, _) in delta.changes() {
            let sum = weights.entry(index).or_default();
            *sum = sum.saturating_add(*weight);
        }
    }
    let own = weighted.iter().filter(|(delta, _)| delta.header().trainer == *trainer);
    let share = |(delta, weight): &(&CheckedDelta, i64)| {
        let of = |(index, value): (u32, i32)| {
            let all = weights.get(&index).copied().filter(|all| *all > 0)?;
            // 30 bits times 16, twice: far below 64.
            let share = (2 * i64::from(value) * weight + all).div_euclid(2 * all);
            Some((index, i32::try_from(share).ok()?))
        };
        let change = SparseChange::new(delta.changes().filter_map(of).collect()).ok()?.into();
        Some(Share { update_id: delta.update_id(), merge: merge.update_id(), change })
    };
    own.filter_map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use pol_core::{
        GenesisId, Hash32,
        delta::{Claims, Profile, encode_exact, encode_merge},
        state::Shape,
    };

    #[test]
    fn the_shares_of_all_children_are_the_change_of_the_merge() {
        let shape = Shape::new(2, 24, 24, 8, 40).unwrap();
        let context = Context { genesis_id: GenesisId([5; 32]), shape, profile: Profile::F16x20 };
        let claims =
            Claims { model_head: context.genesis_id.into(), slot: 1, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 9 };
        let delta = |key: u8, shift: u32| {
            let changes: Vec<(u32, i32)> = (0..20).map(|i| (i * 100 + shift * (i % 2), 1_024 * i32::from(key))).collect();
            let delta = encode_exact(&context, &claims, &changes).unwrap().sign(&SigningKey::from_bytes(&[key; 32]));
            Bytes::from(delta.into_bytes())
        };
        let id = |bytes: &Bytes| UpdateId(pol_core::sha256(&[bytes]));
        let children = [delta(1, 0), delta(2, 7)];
        let mut named = vec![(id(&children[0]), 1), (id(&children[1]), 3)];
        named.sort();
        let merge = encode_merge(&context.genesis_id, &claims, &named).unwrap().sign(&SigningKey::from_bytes(&[9; 32]));
        let merge = Bytes::from(merge.into_bytes());
        let all = [merge.clone(), children[0].clone(), children[1].clone()];
        let of = |key: u8| shares(&context, &all, &SigningKey::from_bytes(&[key; 32]).verifying_key().to_bytes());
        let (first, second) = (of(1), of(2));
        assert_eq!((first.len(), first[0].update_id, first[0].merge), (1, id(&children[0]), id(&merge)));
        // Alone with a coordinate it added all of its value there, else a quarter.
        let values: Vec<i32> = first[0].change.iter().map(|(_, value)| value).collect();
        assert!(values.iter().enumerate().all(|(i, value)| *value == if i % 2 == 0 { 256 } else { 1_024 }));
        assert!(second[0].change.iter().enumerate().all(|(i, (_, value))| value == if i % 2 == 0 { 1_536 } else { 2_048 }));
        assert_eq!((of(3), shares(&context, &children, &[1; 32])), (vec![], vec![]));
    }
}
