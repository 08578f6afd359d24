#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;
use crate::fixtures::{FLOOR, SLOT, chain, child, draft, genesis, seal_draft};

type Forgery = (&'static str, fn(&mut Header));

/// Every field of the header, each with a change that keeps its shape.
const FORGERIES: [Forgery; 20] = [
    ("parent_hash", |h| h.parent_hash.0[0] ^= 1),
    ("ommers_hash", |h| h.ommers_hash.0[0] ^= 1),
    ("beneficiary", |h| h.beneficiary.0[0] ^= 1),
    ("state_root", |h| h.state_root.0[0] ^= 1),
    ("transactions_root", |h| h.transactions_root.0[0] ^= 1),
    ("receipts_root", |h| h.receipts_root.0[0] ^= 1),
    ("logs_bloom", |h| h.logs_bloom.0[0] ^= 1),
    ("difficulty", |h| h.difficulty += U256::from(1)),
    ("number", |h| h.number += 1),
    ("gas_limit", |h| h.gas_limit += 1),
    ("gas_used", |h| h.gas_used += 1),
    ("timestamp", |h| h.timestamp += SLOT),
    ("extra_data", |h| h.extra_data = flipped(&h.extra_data, 63)),
    ("mix_hash", |h| h.mix_hash.0[0] ^= 1),
    ("nonce", |h| h.nonce.0[7] ^= 1),
    ("base_fee_per_gas", |h| h.base_fee_per_gas = Some(7)),
    ("withdrawals_root", |h| h.withdrawals_root = Some(B256::repeat_byte(1))),
    ("blob_gas_used", |h| h.blob_gas_used = Some(131_072)),
    ("excess_blob_gas", |h| h.excess_blob_gas = Some(1)),
    ("parent_beacon_block_root", |h| h.parent_beacon_block_root = Some(B256::repeat_byte(1))),
];

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

fn check(header: &Header, parent: &Header) -> Result<UpdateId, HeaderError> {
    check_child(header, parent.hash_slow(), parent, chain().difficulty())
}

/// Searches a nonce for whatever difficulty the header claims, as somebody would who wants to get a lie through.
fn resealed(mut header: Header) -> Header {
    let nonces = 0_u64..;
    for nonce in nonces {
        header.nonce = nonce.into();
        let Ok(core) = to_core(&header) else { return header };
        if seal::verify(&core.seal_hash(), nonce, core.difficulty).is_ok() {
            return header;
        }
    }
    header
}

#[test]
fn a_sealed_child_passes_and_names_its_update() {
    let parent = genesis();
    let (ai, empty) = (child(&parent, 9), child(&parent, 0));
    assert_eq!(check(&ai, &parent), Ok(UpdateId([9; 32])));
    assert_eq!(check_alone(&ai), Ok(UpdateId([9; 32])));
    assert_eq!(check_difficulty(&ai, &parent, chain().difficulty()), Ok(()));
    assert_eq!(update_id(&ai), Ok(UpdateId([9; 32])));
    assert_eq!(check(&empty, &parent), Ok(UpdateId::ZERO));
    let grandchild = child(&ai, 8);
    assert_eq!(check(&grandchild, &ai), Ok(UpdateId([8; 32])));
}

#[test]
fn a_seal_commits_to_every_field() {
    let parent = genesis();
    let sealed = child(&parent, 9);
    for (field, forge) in FORGERIES {
        let mut forged = sealed.clone();
        forge(&mut forged);
        assert_ne!(forged.hash_slow(), sealed.hash_slow(), "{field}");
        if field != "nonce" {
            assert_ne!(to_core(&forged).unwrap().seal_hash(), to_core(&sealed).unwrap().seal_hash(), "{field}");
        }
        // One forgery in a thousand would meet the target by chance; these do not.
        assert!(check(&forged, &parent).is_err(), "{field} is forged and passes");
    }
}

#[test]
fn a_field_forged_and_sealed_again_is_refused_by_the_check_meant_for_it_or_is_ethereums_to_refuse() {
    let parent = genesis();
    for (field, forge) in FORGERIES {
        let mut forged = child(&parent, 9);
        forge(&mut forged);
        let forged = resealed(forged);
        let verdict = check(&forged, &parent);
        match field {
            "parent_hash" => {
                assert!(matches!(verdict, Err(HeaderError::Rule(HeaderRuleError::Parent { .. }))), "{verdict:?}");
                assert!(matches!(check_alone(&forged), Err(HeaderError::Rule(HeaderRuleError::ExtraData(_)))));
            }
            "difficulty" | "timestamp" => {
                assert!(matches!(verdict, Err(HeaderError::Rule(HeaderRuleError::Difficulty(_)))) || field == "timestamp");
                let later = check_difficulty(&forged, &parent, chain().difficulty());
                // Two slots instead of one: at the floor both give the floor, so the time itself is lawful there.
                assert_eq!(later.is_err(), field == "difficulty", "{field}: {later:?}");
            }
            // A second update id is for the beacon node to refuse: its certificate is of the first.
            "extra_data" => assert_eq!(verdict.map(|id| id == UpdateId([9; 32])), Ok(false)),
            // Sealed again, these are good headers of another block; roots, gas and numbers are Ethereum's own checks.
            _ => assert_eq!(verdict, Ok(UpdateId([9; 32])), "{field}"),
        }
    }
}

#[test]
fn a_wrong_first_half_is_refused_even_when_sealed() {
    let parent = genesis();
    for at in 0..32 {
        let mut header = child(&parent, 9);
        header.extra_data = flipped(&header.extra_data, at);
        let header = resealed(header);
        let expected = |error: &HeaderError| {
            matches!(error, HeaderError::Rule(HeaderRuleError::ExtraData(ExtraDataError::ParentHash { .. })))
        };
        assert!(check(&header, &parent).is_err_and(|error| expected(&error)), "byte {at}");
        assert!(check_alone(&header).is_err_and(|error| expected(&error)), "byte {at}");
    }
}

#[test]
fn extra_data_of_any_length_but_64_is_refused() {
    let parent = genesis();
    for length in (0..=256).filter(|length| *length != 64) {
        let header = Header { extra_data: vec![0; length].into(), ..child(&parent, 0) };
        let refused = HeaderError::Rule(HeaderRuleError::ExtraData(ExtraDataError::Length { found: length }));
        assert_eq!(check_alone(&header), Err(refused.clone()));
        assert_eq!(check(&header, &parent), Err(refused));
    }
}

#[test]
fn a_nonce_of_another_header_and_one_beside_the_right_one_are_refused() {
    let parent = genesis();
    let (one, other) = (child(&parent, 1), child(&parent, 2));
    let swapped = Header { nonce: other.nonce, ..one.clone() };
    let seal = |error: &HeaderError| matches!(error, HeaderError::Rule(HeaderRuleError::Seal(_)));
    assert!(check(&swapped, &parent).is_err_and(|error| seal(&error)));
    let beside = Header { nonce: (u64::from(one.nonce) + 1).into(), ..one };
    assert!(check(&beside, &parent).is_err_and(|error| seal(&error)));
}

#[test]
fn difficulties_at_the_edges_are_refused_and_divide_nothing_by_zero() {
    let parent = genesis();
    for difficulty in [U256::ZERO, U256::from(1), U256::from(u64::MAX), U256::from(u64::MAX) + U256::from(1), U256::MAX] {
        let header = Header { difficulty, ..child(&parent, 0) };
        assert!(check(&header, &parent).is_err(), "{difficulty}");
        let as_parent = check_child(&child(&parent, 0), header.hash_slow(), &header, chain().difficulty());
        assert!(as_parent.is_err(), "{difficulty}");
    }
    let zero = Header { difficulty: U256::ZERO, ..child(&parent, 0) };
    assert!(matches!(check_alone(&zero), Err(HeaderError::Rule(HeaderRuleError::Seal(_)))));
}

#[test]
fn a_block_between_two_slots_and_one_not_later_than_its_parent_are_refused() {
    let parent = genesis();
    for timestamp in [0, parent.timestamp, parent.timestamp + 1, parent.timestamp + SLOT + 1, u64::MAX] {
        let header = resealed(Header { timestamp, ..child(&parent, 0) });
        assert!(matches!(check(&header, &parent), Err(HeaderError::Rule(HeaderRuleError::Difficulty(_)))), "{timestamp}");
    }
}

#[test]
fn a_header_of_an_older_or_a_later_fork_is_refused_by_name() {
    let good = child(&genesis(), 0);
    let missing: [Forgery; 5] = [
        ("base_fee_per_gas", |h| h.base_fee_per_gas = None),
        ("withdrawals_root", |h| h.withdrawals_root = None),
        ("blob_gas_used", |h| h.blob_gas_used = None),
        ("excess_blob_gas", |h| h.excess_blob_gas = None),
        ("parent_beacon_block_root", |h| h.parent_beacon_block_root = None),
    ];
    for (field, forge) in missing {
        let mut header = good.clone();
        forge(&mut header);
        assert_eq!(check_alone(&header), Err(HeaderError::Missing { field }));
    }
    let foreign: [Forgery; 3] = [
        ("requests_hash", |h| h.requests_hash = Some(B256::ZERO)),
        ("block_access_list_hash", |h| h.block_access_list_hash = Some(B256::ZERO)),
        ("slot_number", |h| h.slot_number = Some(0)),
    ];
    for (field, forge) in foreign {
        let mut header = good.clone();
        forge(&mut header);
        assert_eq!(check_alone(&header), Err(HeaderError::Foreign { field }));
    }
}

#[test]
fn the_masked_copy_is_what_ethereum_asks_for_and_differs_in_nothing_else() {
    let header = child(&genesis(), 9);
    let masked = masked(&header);
    assert_eq!((masked.difficulty, masked.nonce, masked.extra_data.len()), (U256::ZERO, B64::ZERO, 0));
    let back = Header { difficulty: header.difficulty, nonce: header.nonce, extra_data: header.extra_data.clone(), ..masked };
    assert_eq!(back, header);
}

#[test]
fn the_difficulty_rises_by_a_1024th_on_filled_slots_and_falls_after_missed_ones() {
    let parent = Header { difficulty: U256::from(3 * FLOOR), ..genesis() };
    let next = seal_draft(draft(&parent, 1), &parent, UpdateId::ZERO);
    assert_eq!(next.difficulty, U256::from(3 * FLOOR + 2));
    assert_eq!(check(&next, &parent), Ok(UpdateId::ZERO));
    let late = seal_draft(draft(&parent, 3), &parent, UpdateId::ZERO);
    assert_eq!(late.difficulty, U256::from(3 * FLOOR - 2 * (3 * FLOOR / 16)));
    assert_eq!(check(&late, &parent), Ok(UpdateId::ZERO));
}

prop_compose! {
    fn headers()(
        hashes: [[u8; 32]; 7],
        beneficiary: [u8; 20],
        bloom in proptest::collection::vec(any::<u8>(), 256),
        extra_data in proptest::collection::vec(any::<u8>(), 64),
        numbers: [u64; 9],
    ) -> Header {
        Header {
            parent_hash: hashes[0].into(),
            ommers_hash: hashes[1].into(),
            beneficiary: beneficiary.into(),
            state_root: hashes[2].into(),
            transactions_root: hashes[3].into(),
            receipts_root: hashes[4].into(),
            logs_bloom: alloy_primitives::Bloom::from_slice(&bloom),
            difficulty: U256::from(numbers[0]),
            number: numbers[1],
            gas_limit: numbers[2],
            gas_used: numbers[3],
            timestamp: numbers[4],
            extra_data: extra_data.into(),
            mix_hash: hashes[5].into(),
            nonce: numbers[5].into(),
            base_fee_per_gas: Some(numbers[6]),
            withdrawals_root: Some(hashes[6].into()),
            blob_gas_used: Some(numbers[7]),
            excess_blob_gas: Some(numbers[8]),
            parent_beacon_block_root: Some(hashes[0].into()),
            ..Header::default()
        }
    }
}

proptest! {
    #[test]
    fn both_header_types_have_the_same_fields_bytes_and_hash(header in headers()) {
        let core = to_core(&header).unwrap();
        prop_assert_eq!(core.encode(), alloy_rlp::encode(&header));
        prop_assert_eq!(b256(core.block_hash()), header.hash_slow());
        prop_assert_eq!(from_core(&core), header);
    }

    #[test]
    fn no_header_makes_a_check_panic(header in headers(), parent in headers()) {
        let _ = check_alone(&header);
        let _ = check(&header, &parent);
        let _ = check_difficulty(&header, &parent, chain().difficulty());
    }
}
