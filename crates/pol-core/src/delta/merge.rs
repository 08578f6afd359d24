//! What a merge means: the weighted mean of its children, coordinate by coordinate (section 14.3).

use super::{
    change::SparseChange,
    decode::{Changes, CheckedDelta, CheckedMerge},
};
use crate::{GenesisId, ModelHead, UpdateId};

/// Why deltas are not the children of a merge. A missing or surplus child is the caller's fault; the rest is the fault of the
/// merge's publisher, and under a finalized update id it means "adds zero".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "child: the update id; found and expected: what the names say")]
pub enum MergeError {
    /// Not as many deltas as the merge names.
    #[error("children: {found} given, expected {expected}")]
    Count { found: usize, expected: usize },
    /// A delta that the merge names was not given.
    #[error("child {child}: not among the given deltas")]
    Missing { child: UpdateId },
    /// A child of another chain.
    #[error("child {child}: genesis_id {found}, expected {expected}")]
    OtherGenesis { child: UpdateId, found: GenesisId, expected: GenesisId },
    /// A child made for another model head.
    #[error("child {child}: model head {found}, expected {expected}")]
    OtherHead { child: UpdateId, found: ModelHead, expected: ModelHead },
    /// Children were checked against different shapes: they cannot be of one chain.
    #[error("child {child}: checked against another adapter shape than its siblings")]
    OtherShape { child: UpdateId },
}

/// The change a merge stands for. The order of `children` does not matter.
///
/// # Errors
/// [`MergeError`] when `children` are not exactly the deltas it names, all of the merge's genesis and model head.
pub fn merge(merge: &CheckedMerge, children: &[CheckedDelta]) -> Result<SparseChange, MergeError> {
    let named = merge.children();
    if children.len() != named.len() {
        return Err(MergeError::Count { found: children.len(), expected: named.len() });
    }
    let mut weighted = Vec::with_capacity(named.len());
    for (child, weight) in named {
        let delta = children.iter().find(|delta| delta.update_id() == child).ok_or(MergeError::Missing { child })?;
        check_child(merge, delta)?;
        if children.first().is_some_and(|first| first.shape() != delta.shape()) {
            return Err(MergeError::OtherShape { child });
        }
        weighted.push((delta, weight));
    }
    Ok(weighted_mean(&weighted))
}

/// That a delta is of the merge's genesis and model head.
pub(crate) fn check_child(merge: &CheckedMerge, delta: &CheckedDelta) -> Result<(), MergeError> {
    let (child, header, of_merge) = (delta.update_id(), delta.header(), merge.header());
    if header.genesis_id != of_merge.genesis_id {
        return Err(MergeError::OtherGenesis { child, found: header.genesis_id, expected: of_merge.genesis_id });
    }
    let (found, expected) = (header.claims.model_head, of_merge.claims.model_head);
    if found != expected {
        return Err(MergeError::OtherHead { child, found, expected });
    }
    Ok(())
}

/// Per coordinate `sum(w * d) / sum(w)` over the deltas that carry it, half to even. Coordinates whose mean is 0 are left out.
pub(crate) fn weighted_mean(children: &[(&CheckedDelta, u16)]) -> SparseChange {
    let mut cursors: Vec<Cursor<'_>> = children.iter().map(|(delta, weight)| Cursor::new(delta.changes(), *weight)).collect();
    let mut list = Vec::new();
    while let Some(index) = cursors.iter().filter_map(|cursor| cursor.head.map(|(index, _)| index)).min() {
        let (mut sum, mut weights) = (0_i64, 0_i64);
        for cursor in &mut cursors {
            if let Some(value) = cursor.take(index) {
                // At most 8 products of 16 and 30 bits.
                sum = sum.wrapping_add(value.wrapping_mul(cursor.weight));
                weights = weights.wrapping_add(cursor.weight);
            }
        }
        let mean = divide_half_to_even(sum, weights);
        if mean != 0 {
            list.push((index, i32::try_from(mean).unwrap_or(0)));
        }
    }
    // Indices increase because every cursor's do; a mean is no larger than the largest of its values.
    SparseChange::new(list).unwrap_or_default()
}

struct Cursor<'a> {
    head: Option<(u32, i32)>,
    rest: Changes<'a>,
    weight: i64,
}

impl<'a> Cursor<'a> {
    fn new(mut rest: Changes<'a>, weight: u16) -> Self {
        Self { head: rest.next(), rest, weight: i64::from(weight) }
    }

    fn take(&mut self, index: u32) -> Option<i64> {
        let (_, value) = self.head.filter(|(head, _)| *head == index)?;
        self.head = self.rest.next();
        Some(i64::from(value))
    }
}

/// `sum / weights` rounded to the nearest integer, halves to the even one; 0 when there is no weight.
fn divide_half_to_even(sum: i64, weights: i64) -> i64 {
    let (Some(floor), Some(rest)) = (sum.checked_div_euclid(weights), sum.checked_rem_euclid(weights)) else { return 0 };
    let doubled = rest.saturating_mul(2);
    let up = doubled > weights || (doubled == weights && floor & 1 == 1);
    floor.wrapping_add(i64::from(up))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::delta::{Checked, RawDelta, encode_merge, fixtures};

    #[test]
    fn halves_go_to_the_even_neighbour_on_both_sides_of_zero() {
        let cases = [(1, 2, 0), (3, 2, 2), (5, 2, 2), (-1, 2, 0), (-3, 2, -2), (-5, 2, -2), (7, 3, 2), (8, 3, 3), (-7, 3, -2)];
        for (sum, weights, expected) in cases {
            assert_eq!(divide_half_to_even(sum, weights), expected, "{sum}/{weights}");
        }
        for sum in -2_000_i64..2_000 {
            for weights in 1..40 {
                let got = divide_half_to_even(sum, weights);
                let distance = (sum - got * weights).abs() * 2;
                assert!(distance < weights || (distance == weights && got % 2 == 0));
            }
        }
    }

    fn checked_merge(children: &[(UpdateId, u16)], head: ModelHead) -> CheckedMerge {
        let context = fixtures::context();
        let unsigned = encode_merge(&context.genesis_id, &fixtures::claims(head), children).unwrap();
        match unsigned.sign(&fixtures::key(1)).check(&context).unwrap() {
            Checked::Merge(merge) => merge,
            other => panic!("{other:?}"),
        }
    }

    fn three() -> (Vec<CheckedDelta>, CheckedMerge) {
        let deltas: Vec<CheckedDelta> = (0..3).map(|seed| fixtures::delta(seed, ModelHead([1; 32]))).collect();
        let mut named: Vec<(UpdateId, u16)> = deltas.iter().zip([3, 1, 65_535]).map(|(d, w)| (d.update_id(), w)).collect();
        named.sort_unstable();
        (deltas, checked_merge(&named, ModelHead([1; 32])))
    }

    #[test]
    fn a_merge_is_the_mean_over_the_children_that_carry_a_coordinate() {
        let (deltas, merged) = three();
        let mut sums: BTreeMap<u32, (i128, i128)> = BTreeMap::new();
        for (id, weight) in merged.children() {
            for (index, value) in deltas.iter().find(|d| d.update_id() == id).unwrap().changes() {
                let entry = sums.entry(index).or_default();
                entry.0 += i128::from(value) * i128::from(weight);
                entry.1 += i128::from(weight);
            }
        }
        assert!(sums.values().any(|(_, w)| *w > 65_535), "no coordinate is shared: the test shows nothing");
        let expected: Vec<(u32, i32)> = sums
            .into_iter()
            .map(|(index, (sum, w))| {
                let floor = sum.div_euclid(w);
                let twice = sum.rem_euclid(w) * 2;
                (index, i32::try_from(floor + i128::from(twice > w || (twice == w && floor % 2 != 0))).unwrap())
            })
            .filter(|(_, value)| *value != 0)
            .collect();
        assert_eq!(merge(&merged, &deltas).unwrap().as_slice(), expected);
    }

    #[test]
    fn a_merge_is_the_same_for_every_order_of_its_children() {
        let (mut deltas, merged) = three();
        let expected = merge(&merged, &deltas).unwrap();
        for swap in [(0, 1), (1, 2), (0, 1), (1, 2), (0, 1)] {
            deltas.swap(swap.0, swap.1);
            assert_eq!(merge(&merged, &deltas).unwrap(), expected);
        }
    }

    #[test]
    fn children_other_than_the_named_ones_are_refused() {
        let (deltas, merged) = three();
        assert_eq!(merge(&merged, &deltas[..2]), Err(MergeError::Count { found: 2, expected: 3 }));
        let mut strange = deltas.clone();
        strange[1] = fixtures::delta(77, ModelHead([1; 32]));
        let child = deltas[1].update_id();
        assert_eq!(merge(&merged, &strange), Err(MergeError::Missing { child }));
    }

    #[test]
    fn children_of_another_head_chain_or_shape_are_refused() {
        let (deltas, _) = three();
        let child = deltas[0].update_id();
        let mut pair = [(child, 1), (deltas[1].update_id(), 1)];
        pair.sort_unstable();
        let found = ModelHead([1; 32]);
        let expected = ModelHead([2; 32]);
        let first = pair[0].0;
        let elsewhere = checked_merge(&pair, expected);
        assert_eq!(merge(&elsewhere, &deltas[..2]), Err(MergeError::OtherHead { child: first, found, expected }));

        let merged = checked_merge(&pair, found);
        let mut foreign = fixtures::context();
        foreign.genesis_id = GenesisId([0xee; 32]);
        let unsigned = encode_merge(&foreign.genesis_id, &fixtures::claims(found), &pair).unwrap();
        let Checked::Merge(of_foreign) = unsigned.sign(&fixtures::key(1)).check(&foreign).unwrap() else { panic!("no merge") };
        let (found, expected) = (fixtures::context().genesis_id, foreign.genesis_id);
        assert_eq!(merge(&of_foreign, &deltas[..2]), Err(MergeError::OtherGenesis { child: first, found, expected }));

        let mut wide = fixtures::context();
        wide.shape = fixtures::sibling_shape();
        let Checked::Delta(other) = RawDelta::from_slice(deltas[1].as_bytes()).unwrap().check(&wide).unwrap() else {
            panic!("no delta")
        };
        let mixed = [deltas[0].clone(), other];
        assert!(matches!(merge(&merged, &mixed), Err(MergeError::OtherShape { .. })));
    }
}
