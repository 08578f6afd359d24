use std::sync::Arc;

use pol_core::{ModelHead, committee::QuorumRule, fault::SlashingKind, params::ACK_TTL_SECONDS};
use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{self, NOW_MS, ack, data, domains, members},
    quorum::certify,
};

fn collector(n: u64) -> Collector {
    let mut collector = Collector::new(domains(), QuorumRule::Auto);
    collector.set_members(Arc::new(members(n, 1)));
    collector
}

fn acks(indices: impl IntoIterator<Item = u64>, data: AckData) -> Vec<Seen> {
    indices.into_iter().map(|index| ack(index, data)).collect()
}

#[test]
fn each_member_counts_once_and_nobody_else_counts() {
    let mut collector = collector(4);
    let mut given = acks(0..6, data(1, 2, 3));
    given.extend(acks(0..2, data(1, 2, 3)));
    let added = collector.add(&given, NOW_MS);
    assert_eq!((added.counted, added.repeated, added.foreign), (4, 2, 2));
    assert_eq!(added.new_quorums, [data(1, 2, 3)]);
    let again = collector.add(&given, NOW_MS);
    assert_eq!((again.counted, again.repeated, again.foreign, again.new_quorums.len()), (0, 6, 2, 0));
    assert_eq!(collector.len(), 4);
    assert_eq!(collector.tally(data(1, 2, 3).update_id), [(data(1, 2, 3), 4)]);
}

#[test]
fn bad_signatures_are_found_by_halving_wherever_they_stand() {
    for bad in [vec![0], vec![511], vec![3, 4, 300], (0..512).step_by(64).collect::<Vec<usize>>()] {
        let mut collector = collector(512);
        let mut given = acks(0..512, data(1, 2, 3));
        for place in &bad {
            // A good signature of the same member, over something else: only the pairing can tell.
            given[*place].ack.signature = ack(*place as u64, data(1, 2, 9)).ack.signature;
        }
        let added = collector.add(&given, NOW_MS);
        assert_eq!((added.counted, added.bad), (512 - bad.len(), bad.len()), "{bad:?}");
        let signers = collector.signers(&data(1, 2, 3), collector.members().committee(1).unwrap());
        assert!(bad.iter().all(|place| !signers.contains(&(*place as u64))));
    }
}

#[test]
fn a_forged_ack_does_not_keep_the_real_one_out() {
    let mut collector = collector(4);
    let mut forged = ack(1, data(1, 2, 3));
    forged.ack.signature = ack(2, data(1, 2, 3)).ack.signature;
    let mut garbage = ack(1, data(1, 2, 3));
    garbage.ack.signature = [0xff; 96];
    let added = collector.add(&[forged, garbage, ack(1, data(1, 2, 3))], NOW_MS);
    assert_eq!((added.counted, added.bad), (1, 2));
}

#[test]
fn wrong_subgroup_infinity_and_points_off_the_curve_count_as_bad() {
    let mut infinity = [0; 96];
    infinity[0] = 0xc0;
    let mut off_curve = [0; 96];
    off_curve[0] = 0x80;
    off_curve[95] = 1;
    // A point on the curve outside the subgroup: the golden vectors hold one.
    let vectors = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/vectors/data/signing.json")).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
    let points = vectors["points"].as_array().unwrap().iter();
    let refused = points.filter(|p| p["kind"] == "signature" && p["valid_point"] == false).map(|p| p["bytes"].as_str().unwrap());
    let refused: Vec<[u8; 96]> = refused.filter_map(|text| hex::decode(text).unwrap().try_into().ok()).collect();
    assert!(!refused.is_empty());
    for signature in refused.into_iter().chain([infinity, off_curve]) {
        let mut bad = ack(0, data(1, 2, 3));
        bad.ack.signature = signature;
        assert_eq!(collector(4).add(&[bad], NOW_MS).bad, 1);
    }
}

#[test]
fn two_roots_by_one_member_are_evidence_and_the_first_goes_on_counting() {
    for order in [[3, 4], [4, 3]] {
        let mut collector = collector(4);
        let given: Vec<Seen> = order.iter().map(|root| ack(2, data(1, 2, *root))).collect();
        // In one call or in two.
        let added = if order[0] == 3 {
            collector.add(&given, NOW_MS)
        } else {
            collector.add(&given[..1], NOW_MS);
            collector.add(&given[1..], NOW_MS)
        };
        assert_eq!(added.conflicting, 1);
        assert_eq!(collector.len(), 1);
        let evidence = *collector.evidence().get(&2).unwrap();
        assert_eq!(evidence.to_pair().kind(), Ok(SlashingKind::Malfeasance));
        assert_eq!(evidence.verify(fixtures::key_of, &domains()).unwrap().member(), 2);
        // Further contradictions cost nothing and change nothing.
        assert_eq!(collector.add(&[ack(2, data(1, 2, 7))], NOW_MS).conflicting, 1);
        assert_eq!(collector.take_evidence(2), Some(evidence));
    }
}

#[test]
fn a_forged_contradiction_is_no_evidence() {
    let mut collector = collector(4);
    collector.add(&[ack(2, data(1, 2, 3))], NOW_MS);
    let mut forged = ack(2, data(1, 2, 4));
    forged.ack.signature = ack(1, data(1, 2, 4)).ack.signature;
    assert_eq!(collector.add(&[forged], NOW_MS).bad, 1);
    assert!(collector.evidence().is_empty());
}

#[test]
fn a_candidate_without_a_quorum_after_30_seconds_is_dropped_for_good() {
    let mut collector = collector(4);
    collector.add(&acks([0], data(1, 2, 3)), NOW_MS);
    collector.add(&acks([0, 1], data(5, 2, 3)), NOW_MS);
    assert!(collector.sweep(NOW_MS + 30_000).is_empty());
    assert_eq!(collector.sweep(NOW_MS + 30_001), [data(1, 2, 3).update_id]);
    assert!(collector.is_dropped(data(1, 2, 3).model_head, data(1, 2, 3).update_id));
    assert_eq!(collector.add(&acks(0..4, data(1, 2, 3)), NOW_MS + 30_002).late, 4);
    assert_eq!(collector.len(), 2, "the one with a quorum stays");
    assert!(collector.sweep(NOW_MS + ACK_TTL_SECONDS * 1_000 - 1).is_empty());
    assert_eq!(collector.len(), 2);
    collector.sweep(NOW_MS + ACK_TTL_SECONDS * 1_000);
    assert!(collector.is_empty());
    assert_eq!(collector.add(&acks([3], data(9, 2, 3)), NOW_MS + ACK_TTL_SECONDS * 1_000).late, 1, "a replay after its life");
}

#[test]
fn heads_that_are_history_are_forgotten() {
    let mut collector = collector(4);
    collector.add(&acks(0..4, data(1, 2, 3)), NOW_MS);
    collector.add(&acks(0..4, data(1, 3, 3)), NOW_MS);
    collector.retain_heads(|head| *head == ModelHead([3; 32]));
    assert_eq!((collector.len(), collector.tally(data(1, 2, 3).update_id).len()), (4, 1));
}

#[test]
fn a_member_that_acks_without_end_pushes_out_only_its_own() {
    let mut collector = collector(4);
    collector.add(&acks([1], data(200, 2, 3)), NOW_MS);
    for n in 0..=limits::ACKS_PER_MEMBER {
        let mut name = data(0, 2, 3);
        name.update_id.0[..2].copy_from_slice(&u16::try_from(n + 1).unwrap().to_be_bytes());
        assert_eq!(collector.add(&[ack(0, name)], NOW_MS).counted, 1);
    }
    assert_eq!(collector.len(), limits::ACKS_PER_MEMBER + 1);
    assert_eq!(collector.tally(data(200, 2, 3).update_id).len(), 1);
    let mut first = data(0, 2, 3);
    first.update_id.0[..2].copy_from_slice(&1_u16.to_be_bytes());
    assert!(collector.tally(first.update_id).is_empty());
}

#[test]
fn without_members_nothing_counts() {
    let mut collector = Collector::new(domains(), QuorumRule::Auto);
    assert_eq!(collector.add(&acks(0..4, data(1, 2, 3)), NOW_MS).foreign, 4);
}

/// Validators 0, 2, 4, ... ACKed; 1, 3, 5, ... did not.
fn even_acked(n: u64) -> Collector {
    let mut collector = collector(2 * n);
    collector.add(&acks((0..n).map(|i| 2 * i), data(1, 2, 3)), NOW_MS);
    assert_eq!(collector.len() as u64, n);
    collector
}

fn certified(collector: &Collector, committee: &Committee) -> Option<usize> {
    let found = certify(collector, data(1, 2, 3).model_head, committee, QuorumRule::Auto, &domains()).unwrap();
    found.map(|certified| certified.acks())
}

#[test]
fn every_subset_of_every_committee_up_to_12_has_a_certificate_exactly_from_its_quorum_on() {
    let (collector, mut keys) = (even_acked(12), crate::members::Keys::default());
    for n in 1..=12_u64 {
        for mask in 0_u32..1 << n {
            let committee = fixtures::committee(1, (0..n).map(|i| 2 * i + u64::from(mask >> i & 1 == 0)), &mut keys);
            let votes = mask.count_ones() as usize;
            let expected = (votes >= (n as usize).div_ceil(2).max(1)).then_some(votes);
            assert_eq!(certified(&collector, &committee), expected, "{n} seats, {mask:b}");
        }
    }
}

#[test]
fn every_committee_size_up_to_512_needs_its_quorum_and_no_ack_less() {
    // 256 validators ACKed; each committee is made of some of them and of some who did not.
    let (mut collector, mut keys) = (Collector::new(domains(), QuorumRule::Auto), crate::members::Keys::default());
    collector.set_members(Arc::new(members(512, 1)));
    collector.add(&acks(0..256, data(1, 2, 3)), NOW_MS);
    for n in 1..=512_u64 {
        let quorum = n.div_ceil(2);
        for votes in [quorum - 1, quorum] {
            let committee = fixtures::committee(1, (0..votes).chain(256..256 + n - votes), &mut keys);
            assert_eq!(committee.len() as u64, n);
            let expected = (votes == quorum).then_some(votes as usize);
            assert_eq!(certified(&collector, &committee), expected, "{votes} of {n}");
        }
    }
}

#[test]
fn the_candidate_with_most_acks_is_certified_and_ties_go_to_the_smaller_id() {
    let mut collector = collector(6);
    let head = data(1, 2, 3).model_head;
    let picked = |collector: &Collector| {
        let committee = collector.members().committee(1).unwrap();
        certify(collector, head, committee, QuorumRule::Auto, &domains()).unwrap().map(|c| c.data().update_id.0[0])
    };
    assert_eq!(picked(&collector), None);
    collector.add(&acks(0..3, data(9, 2, 3)), NOW_MS);
    assert_eq!(picked(&collector), Some(9));
    collector.add(&acks(2..5, data(7, 2, 3)), NOW_MS);
    assert_eq!(picked(&collector), Some(7));
    collector.add(&acks(0..4, data(9, 2, 3)), NOW_MS);
    assert_eq!(picked(&collector), Some(9));
    collector.add(&acks(0..6, data(4, 8, 3)), NOW_MS);
    assert_eq!(picked(&collector), Some(9), "another head's candidate");
    // Three roots of one update: each counts for itself.
    collector.add(&acks([0, 1], data(1, 2, 1)), NOW_MS);
    collector.add(&acks([2, 3], data(1, 2, 2)), NOW_MS);
    collector.add(&acks([4, 5], data(1, 2, 3)), NOW_MS);
    assert_eq!(picked(&collector), Some(9));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_same_acks_give_the_same_counts_in_any_order_and_number(
        order in proptest::collection::vec((0_u64..6, 0_u8..2), 1..24),
    ) {
        let mut collector = collector(5);
        for (index, update) in &order {
            collector.add(&[ack(*index, data(*update + 1, 2, 3))], NOW_MS);
        }
        for update in 0..2 {
            let distinct: std::collections::BTreeSet<u64> =
                order.iter().filter(|(index, u)| *u == update && *index < 5).map(|(index, _)| *index).collect();
            let found = collector.tally(data(update + 1, 2, 3).update_id).first().map_or(0, |(_, n)| *n);
            prop_assert_eq!(found, distinct.len());
        }
    }

    #[test]
    fn what_is_picked_is_what_counting_every_seat_of_every_candidate_picks(
        given in proptest::collection::vec((0_u64..8, 1_u8..5), 1..32),
        seats in 2_u64..7,
    ) {
        let mut collector = collector(8);
        for (index, update) in &given {
            collector.add(&[ack(*index, data(*update, 2, 3))], NOW_MS);
        }
        // Members beyond the seats ACK too, in another epoch's name: they must not decide.
        let committee = fixtures::committee(1, 0..seats, &mut crate::members::Keys::default());
        let counts = (1_u8..5).map(|update| {
            let signers = collector.signers(&data(update, 2, 3), &committee);
            (data(update, 2, 3).update_id, signers.len())
        });
        let expected = pol_core::ack::pick(counts, committee.quorum(QuorumRule::Auto));
        let found = certify(&collector, data(1, 2, 3).model_head, &committee, QuorumRule::Auto, &domains()).unwrap();
        prop_assert_eq!(found.map(|certified| certified.data().update_id), expected);
    }
}
