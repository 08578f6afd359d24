//! How many coordinates two deltas share (section 15). Signers of ACKs ask this too (section 8).

use core::cmp::Ordering;

use crate::delta::CheckedDelta;

/// Coordinates carried by both.
pub fn overlap(a: &CheckedDelta, b: &CheckedDelta) -> usize {
    common(a, b).count()
}

/// `overlap * 10 >= 4 * min(|a|, |b|)`: one is probably a copy of the other.
///
/// A copy that moves most of its positions passes; so the rule catches the lazy, not the determined.
pub fn near_copy(a: &CheckedDelta, b: &CheckedDelta) -> bool {
    overlap(a, b).saturating_mul(10) >= a.change_count().min(b.change_count()).saturating_mul(4)
}

/// The values of both deltas at the coordinates they share.
pub(super) fn common<'a>(a: &'a CheckedDelta, b: &'a CheckedDelta) -> impl Iterator<Item = (i32, i32)> + 'a {
    let (mut a, mut b) = (a.changes(), b.changes());
    let (mut head_a, mut head_b) = (a.next(), b.next());
    core::iter::from_fn(move || {
        loop {
            let ((index_a, value_a), (index_b, value_b)) = (head_a?, head_b?);
            let order = index_a.cmp(&index_b);
            if order != Ordering::Greater {
                head_a = a.next();
            }
            if order != Ordering::Less {
                head_b = b.next();
            }
            if order == Ordering::Equal {
                return Some((value_a, value_b));
            }
        }
    })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ModelHead, delta::fixtures};

    const HEAD: ModelHead = ModelHead([1; 32]);

    #[test]
    fn the_overlap_is_the_size_of_the_intersection() {
        for (x, y) in [(1, 2), (3, 4), (5, 5)] {
            let (a, b) = (fixtures::delta(x, HEAD), fixtures::delta(y, HEAD));
            let map: BTreeMap<u32, i32> = a.changes().collect();
            let expected: Vec<(i32, i32)> = b.changes().filter_map(|(i, v)| Some((*map.get(&i)?, v))).collect();
            assert_eq!(common(&a, &b).collect::<Vec<_>>(), expected);
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected.len(), expected.len()));
        }
    }

    #[test]
    fn four_tenths_of_the_smaller_delta_is_a_near_copy_and_less_is_not() {
        let context = fixtures::context();
        // One record each: positions 0..20, and 20 positions of which `shared` are among them.
        let of = |positions: Vec<u32>| {
            let list: Vec<(u32, i32)> = positions.into_iter().map(|p| (p, 100)).collect();
            fixtures::delta_of(&context, &fixtures::claims(HEAD), &fixtures::change_of(&list, &context.shape))
        };
        let a = of((0..20).collect());
        for shared in 0..=20 {
            let b = of((20 - shared..40 - shared).collect());
            assert_eq!(overlap(&a, &b), usize::try_from(shared).unwrap());
            assert_eq!(near_copy(&a, &b), shared >= 8, "{shared}");
            assert_eq!(near_copy(&b, &a), shared >= 8, "{shared}");
        }
        // Against a delta of two records the smaller one decides.
        let wide = of((12..32).chain(4_096..4_116).collect());
        assert_eq!((wide.change_count(), near_copy(&a, &wide)), (40, true));
    }
}
