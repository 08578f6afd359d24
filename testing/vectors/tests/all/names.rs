//! Sections 5 and 8: identities, committees, quorums.

use core::num::NonZeroU16;

use pol_core::{
    Hash32,
    bls::SecretKey,
    committee::{QuorumRule, ack_quorum, committee as seats_of, fault_quorum, shuffled_index},
    identity::{GenesisSeed, PeerId, withdrawal_credentials},
    text::HexError,
};
use pol_vectors::{agree, open};

pub(crate) fn identity(file: &str) {
    let mut file = open(file);
    file.each("eip2333", |case| {
        let master = SecretKey::derive_master(&case.hex("seed")).unwrap();
        assert_eq!(master.to_bytes(), case.bytes("master_key"), "{}", case.name());
        assert_eq!(master.derive_child(case.num("child_index")).to_bytes(), case.bytes("child_key"), "{}", case.name());
    });
    file.each("cases", |case| {
        let (result, error) = (case.text("genesis_seed").parse::<GenesisSeed>(), case.error());
        let words = |e: &HexError| -> &[&str] {
            match e {
                HexError::Length { .. } => &["wrong_length"],
                HexError::Digit { .. } => &["not_hex"],
            }
        };
        let Some(seed) = agree(case.name(), result, error.as_deref(), words) else { return };
        let account = seed.funded_account().unwrap();
        let mut expect = case.object("account");
        assert_eq!(*account.secret(), expect.bytes("private_key"));
        assert_eq!(account.address(), expect.bytes("address"));
        // The uncompressed key and EIP-55's letter case are for people; the address pins both.
        assert!(expect.text("public_key").starts_with("04"));
        assert_eq!(expect.text("checksummed").to_lowercase(), format!("0x{}", hex::encode(account.address())));
        expect.finish();
        assert_eq!(withdrawal_credentials(account.address()), case.bytes("withdrawal_credentials"));
        case.each("validators", |validator| {
            let key = seed.validator_key(validator.num("index")).unwrap();
            assert_eq!(key.to_bytes(), validator.bytes("signing_key"), "{}", validator.name());
            assert_eq!(key.public_key().to_bytes(), validator.bytes("public_key"));
            assert_eq!(PeerId::of(&key.public_key()).to_string(), validator.text("peer_id"));
        });
    });
    file.finish();
}

pub(crate) fn committee(file: &str) {
    let mut file = open(file);
    file.each("shuffles", |case| {
        let (rounds, count, seed) = (case.num("rounds"), case.num("count"), Hash32(case.bytes("seed")));
        let (indices, shuffled) = (case.ints("indices"), case.ints("shuffled"));
        assert!(!indices.is_empty() && indices.len() == shuffled.len());
        for (index, expected) in indices.iter().zip(shuffled) {
            let found = shuffled_index(u64::try_from(*index).unwrap(), count, seed, rounds);
            assert_eq!(found.map(i128::from), Some(expected), "{}: index {index}", case.name());
        }
    });
    file.each("cases", |case| {
        let mut active = case.object("active");
        let (first, step, count): (u64, u64, u64) = (active.num("first"), active.num("step"), active.num("count"));
        active.finish();
        let active: Vec<u64> = (0..count).map(|i| first + i * step).collect();
        let found = seats_of(&active, Hash32(case.bytes("seed")), case.num("rounds"));
        let found: Vec<i128> = found.into_iter().map(i128::from).collect();
        assert_eq!(found, case.ints("seats"), "{}", case.name());
    });
    let mut quorums = file.object("quorums");
    let check = |found: Vec<i128>, rule: &dyn Fn(usize) -> usize| {
        assert!(found.len() > 512);
        found.iter().enumerate().for_each(|(n, q)| assert_eq!(rule(n) as i128, *q, "n = {n}"));
    };
    check(quorums.ints("ack_auto"), &|n| ack_quorum(QuorumRule::Auto, n));
    check(quorums.ints("fault"), &fault_quorum);
    let mut fixed = quorums.object("ack_fixed");
    for number in fixed.keys() {
        let rule = QuorumRule::Fixed(number.parse::<NonZeroU16>().unwrap());
        check(fixed.ints(&number), &|n| ack_quorum(rule, n));
    }
    quorums.finish();
    file.finish();
}
