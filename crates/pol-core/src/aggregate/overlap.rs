//! How many coordinates two deltas share (section 15). Signers of ACKs ask this too (section 8).

use core::cmp::Ordering;

use crate::delta::{CheckedDelta, Record};

/// Values of a chunk (section 6.1).
const CHUNK: usize = 4_096;

/// Coordinates carried by both.
pub fn overlap(a: &CheckedDelta, b: &CheckedDelta) -> usize {
    let mut count = 0_usize;
    for_common(a, b, |_, _| count = count.saturating_add(1));
    count
}

/// `overlap * 10 >= 4 * min(|a|, |b|)` and `max(|a|, |b|) <= 4 * min(|a|, |b|)`: one is probably a copy of the other.
///
/// Both must be of similar size, or a record of 20 guessed positions would silence a delta of 45,080. A copy that moves most of its
/// positions, or keeps less than a quarter of them, passes; so the rule catches the lazy, not the determined.
pub fn near_copy(a: &CheckedDelta, b: &CheckedDelta) -> bool {
    let (a_count, b_count) = (a.change_count(), b.change_count());
    let four_of_least = a_count.min(b_count).saturating_mul(4);
    a_count.max(b_count) <= four_of_least && overlap(a, b).saturating_mul(10) >= four_of_least
}

/// Whether a candidate is a near-copy of a delta that this member already ACKed on the same head. If so it must not ACK the candidate:
/// "a member may ACK any number of candidates on a head, but \[...\] no kind-0 delta that is a near-copy (section 15) of one it has
/// already ACKed on that head" (section 8). Merges and voids are not asked about.
///
/// An ACK of the very same delta, renewed, is no copy; deltas of other heads are passed over. It costs an overlap (about 0.5 ms for two
/// full deltas of a 1.5 B model) per delta of similar size. What was ACKed must be remembered durably, or a restart forgets it.
pub fn copies_any(already_acked: &[&CheckedDelta], candidate: &CheckedDelta) -> bool {
    let head = candidate.header().claims.model_head;
    already_acked
        .iter()
        .filter(|acked| acked.header().claims.model_head == head && acked.update_id() != candidate.update_id())
        .any(|acked| near_copy(acked, candidate))
}

/// Calls `each` with the values of both deltas at every coordinate they share.
pub(super) fn for_common(a: &CheckedDelta, b: &CheckedDelta, mut each: impl FnMut(i32, i32)) {
    let mut table = Table([0; CHUNK]);
    let (mut rest_a, mut rest_b) = (a.records(), b.records());
    let (mut head_a, mut head_b) = (rest_a.next(), rest_b.next());
    while let (Some((chunk_a, record_a)), Some((chunk_b, record_b))) = (&head_a, &head_b) {
        let order = chunk_a.cmp(chunk_b);
        if order == Ordering::Equal {
            table.for_common(record_a, record_b, &mut each);
        }
        if order != Ordering::Greater {
            head_a = rest_a.next();
        }
        if order != Ordering::Less {
            head_b = rest_b.next();
        }
    }
}

/// Values of one record by position, 0 elsewhere: no record holds a 0. A look-up per position is several times faster than walking
/// two sorted lists, whose every comparison the processor has to guess.
struct Table([i32; CHUNK]);

impl Table {
    fn for_common(&mut self, a: &Record, b: &Record, each: &mut impl FnMut(i32, i32)) {
        for (position, value) in a.entries() {
            self.set(position, value);
        }
        for (position, of_b) in b.entries() {
            match self.0.get(usize::from(position)) {
                Some(0) | None => {}
                Some(of_a) => each(*of_a, of_b),
            }
        }
        for (position, _) in a.entries() {
            self.set(position, 0);
        }
    }

    fn set(&mut self, position: u16, value: i32) {
        if let Some(place) = self.0.get_mut(usize::from(position)) {
            *place = value;
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ModelHead,
        delta::{Claims, fixtures},
    };

    const HEAD: ModelHead = ModelHead([1; 32]);

    #[test]
    fn the_overlap_is_the_size_of_the_intersection() {
        for (x, y) in [(1, 2), (3, 4), (5, 5)] {
            let (a, b) = (fixtures::delta(x, HEAD), fixtures::delta(y, HEAD));
            let map: BTreeMap<u32, i32> = a.changes().collect();
            let expected: Vec<(i32, i32)> = b.changes().filter_map(|(i, v)| Some((*map.get(&i)?, v))).collect();
            let mut found = Vec::new();
            for_common(&a, &b, |a, b| found.push((a, b)));
            assert_eq!(found, expected);
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

    /// `records` full records of which the first is at positions 0..20 of chunk 0.
    fn of_records(records: u32) -> CheckedDelta {
        // 6 chunks.
        let context =
            crate::delta::Context { shape: crate::state::Shape::new(2, 100, 100, 50, 100).unwrap(), ..fixtures::context() };
        let list: Vec<(u32, i32)> = (0..records).flat_map(|chunk| (0..20).map(move |p| (chunk * 4_096 + p, 100))).collect();
        fixtures::delta_of(&context, &fixtures::claims(HEAD), &fixtures::change_of(&list, &context.shape))
    }

    #[test]
    fn a_delta_of_more_than_four_times_the_size_is_no_near_copy_even_when_it_carries_all() {
        let (one, four, five) = (of_records(1), of_records(4), of_records(5));
        assert_eq!((overlap(&one, &four), overlap(&one, &five)), (20, 20));
        assert!(near_copy(&one, &four) && near_copy(&four, &one));
        assert!(!near_copy(&one, &five) && !near_copy(&five, &one));
        assert!(near_copy(&four, &five));
    }

    #[test]
    fn a_member_refuses_copies_of_what_it_acked_on_that_head_and_nothing_else() {
        let (first, other) = (fixtures::delta(1, HEAD), fixtures::delta(2, HEAD));
        let claims = Claims { slot: 77, ..fixtures::claims(HEAD) };
        let copy = fixtures::delta_of(&fixtures::context(), &claims, &fixtures::dense_change(1, &fixtures::shape()));
        assert!(near_copy(&first, &copy) && !near_copy(&first, &other));
        assert!(!copies_any(&[], &copy));
        assert!(copies_any(&[&other, &first], &copy));
        assert!(!copies_any(&[&other], &copy));
        // Renewing an ACK is no second one, unless another copy of it was ACKed too.
        assert!(!copies_any(&[&first], &first));
        assert!(copies_any(&[&first, &copy], &first));
        let elsewhere = fixtures::delta(1, ModelHead([2; 32]));
        assert!(near_copy(&elsewhere, &copy) && !copies_any(&[&elsewhere], &copy));
    }
}
