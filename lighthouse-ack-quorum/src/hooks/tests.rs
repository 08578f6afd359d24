use pol_core::UpdateId;
use proptest::prelude::*;

use super::*;
use crate::{
    faults::Voted,
    fixtures::{self, ack, domains, extra_data, key_of, members, public, secret, signed_header},
};

const PARENT_HASH: [u8; 32] = [0x20; 32];

const fn fields(signed: &pol_core::fault::SignedHeader) -> HeaderFields {
    let header = signed.header;
    HeaderFields {
        slot: header.slot,
        proposer_index: header.proposer_index,
        parent_root: header.parent_root.0,
        state_root: header.state_root.0,
        body_root: header.body_root.0,
        signature: signed.signature,
    }
}

/// The hooks are one per process: one test goes through all of them in the order of a node's life.
#[test]
fn a_node_that_shares_no_type_with_us_goes_through_every_hook() {
    let empty = extra_data(PARENT_HASH, UpdateId::ZERO, &[]);
    let active: Vec<(u64, [u8; 48])> = (0..8).map(|i| (i, public(i))).collect();
    let epoch = Epoch { active: &active, seed: [9; 32] };
    let block = |root, parent_root, extra_data| Block {
        root: [root; 32],
        parent_root: [parent_root; 32],
        slot: u64::from(root),
        extra_data,
        payload_parent_hash: PARENT_HASH,
    };
    assert!(matches!(before_import(&block(1, 0, &empty), &epoch), Err(HookError::NotStarted)));

    let folder = tempfile::tempdir().unwrap();
    let chain_toml = fixtures::spec().to_toml();
    let start = Start { chain_toml: &chain_toml, quorum: None, folder: folder.path(), genesis_root: [0; 32], checkpoint: None };
    assert!(matches!(init(&Start { chain_toml: "x", ..start }), Err(HookError::Genesis(_))));
    assert!(matches!(init(&Start { checkpoint: Some(("x", 1)), ..start }), Err(HookError::Checkpoint(_))));
    assert!(matches!(init(&Start { quorum: Some("3"), ..start }), Err(HookError::Quorum { .. })));
    assert!(!is_started());
    init(&Start { quorum: Some("auto"), ..start }).unwrap();
    assert!(matches!(init(&start), Err(HookError::Twice)));
    assert!(is_started());

    let genesis = fixtures::spec().genesis_head().0;
    assert_eq!(before_import(&block(1, 0, &empty), &epoch).unwrap(), Gate::Import { model_head: genesis, update: None });
    assert!(matches!(before_import(&block(3, 2, &empty), &epoch), Err(HookError::Import(_))));
    assert_eq!(rebuild([block(2, 1, &empty[..])]).unwrap(), 1);
    assert_eq!(before_import(&block(3, 2, &empty), &epoch).unwrap(), Gate::Import { model_head: genesis, update: None });
    let naked = extra_data(PARENT_HASH, UpdateId([1; 32]), &[]);
    assert!(matches!(before_import(&block(4, 3, &naked), &epoch).unwrap(), Gate::Refuse { slashable: true, .. }));
    assert!(matches!(own_payload(&block(4, 3, &naked), &epoch).unwrap(), Gate::Refuse { slashable: true, .. }));
    told(&naked);
    assert!(matches!(own_payload(&block(4, 3, &empty), &epoch).unwrap(), Gate::Import { .. }));
    assert_eq!(model_head([4; 32]).unwrap(), None);
    finalized([3; 32]).unwrap();
    assert_eq!((model_head([1; 32]).unwrap(), model_head([3; 32]).unwrap()), (None, Some(genesis)));

    slashings(&epoch);
}

/// What the node's own server says, of a block that it keeps and of one that it refused.
fn told(naked: &[u8]) {
    let header = fields(&signed_header(4, 3, 5));
    let (payload_parent_hash, payload_hash) = (PARENT_HASH, [7; 32]);
    let block =
        RefusedBlock { root: [4; 32], header, extra_data: naked.to_vec(), payload_parent_hash, payload_hash, reason: "x".into() };
    remember_refused(block).unwrap();
    let head = Head { root: [3; 32], slot: 3, active: 5, finalized_epoch: 0 };
    let ask =
        |path: &str| answer(path, &head, |root| (root == [3; 32]).then(|| (3, vec![0; 80]))).map(|json| json["data"].clone());
    let root = format!("0x{}", "04".repeat(32));
    let status = ask("status").unwrap();
    assert_eq!((&status["quorum"], &status["blocks_refused"], &status["head"]["slot"]), (&"3".into(), &"1".into(), &"3".into()));
    assert_eq!(ask("faults").unwrap()[0]["block_root"], root.as_str());
    assert_eq!(ask(&format!("quorum/{root}")).unwrap()["refused"], true);
    assert_eq!(ask(&format!("quorum/0x{}", "03".repeat(32))).unwrap()["refused"], false);
    let header: crate::service::beacon::SignedHeaderAt =
        serde_json::from_value(ask(&format!("headers/{root}")).unwrap()).unwrap();
    assert_eq!(header.signed, signed_header(4, 3, 5));
    let block: crate::service::beacon::Block = serde_json::from_value(ask(&format!("blocks/{root}")).unwrap()).unwrap();
    assert_eq!((block.extra_data.as_slice(), block.payload_hash), (naked, Hash32([7; 32])));
    for wrong in ["", "x", "blocks", "blocks/0x03", "headers/x", &format!("blocks/{}", "03".repeat(32)), "quorum/1"] {
        assert!(ask(wrong).is_err(), "{wrong}");
    }
}

fn slashings(epoch: &Epoch<'_>) {
    let (members, accused) = (members(8, 1), signed_header(9, 3, 5));
    let verified = accused.verify(key_of, &domains()).unwrap();
    let mut pool = crate::faults::FaultPool::new(domains(), pol_core::params::Preset::Minimal, false);
    let mut last = Voted::Counted;
    for voter in [0, 1, 2, 4, 5] {
        let vote = pol_core::fault::VerifiedFaultVote::sign(&verified, &secret(voter), &domains());
        last = pool.add(vote.raw(), &members, 10, key_of).unwrap();
    }
    assert_eq!(last, Voted::Quorum);
    let pair = pool.proof(accused.header.root(), 9, &members).unwrap().to_pair();
    let slashing = decode_slashing(&fields(&pair.first), &fields(&pair.second)).unwrap();
    let seats = committee(1, epoch).unwrap();
    assert_eq!(seats, (0..8).collect::<Vec<_>>());
    let state = SlashingState { slot: 10, canonical_root: [0; 32], committee: &seats };
    assert_eq!(slashing.check(&state).unwrap(), Ok(()));
    assert_eq!(slashing.check_age(10, [0; 32]).unwrap(), Ok(()));
    for (slot, root) in [(9, [0; 32]), (74, [0; 32]), (10, accused.header.root().0)] {
        assert!(slashing.check_age(slot, root).unwrap().is_err());
    }
    assert!(slashing.check(&SlashingState { slot: 9, ..state }).unwrap().is_err());
    assert!(slashing.check(&SlashingState { slot: 74, ..state }).unwrap().is_err());
    assert!(slashing.check(&SlashingState { canonical_root: accused.header.root().0, ..state }).unwrap().is_err());
    assert!(slashing.check(&SlashingState { committee: &seats[1..], ..state }).unwrap().is_err());
    let [first, second] = slashing.signatures(&seats).unwrap().unwrap();
    assert_eq!((first.signers.as_slice(), second.signers.as_slice()), (&[3][..], &[0, 1, 2, 4, 5][..]));
    holds(&first);
    holds(&second);

    let [a, b] = [3, 4].map(|root| ack(2, fixtures::data(1, 2, root)).ack.verify(&domains()).unwrap());
    let pair = pol_core::fault::Malfeasance::build(2, &a, &b).unwrap().to_pair();
    let slashing = decode_slashing(&fields(&pair.first), &fields(&pair.second)).unwrap();
    slashing.signatures(&seats).unwrap().unwrap().iter().for_each(holds);
    assert_eq!(slashing.check(&SlashingState { slot: 1_000_000, ..state }).unwrap(), Ok(()));
    assert!(decode_slashing(&fields(&pair.first), &fields(&accused)).is_err());
    let plain = decode_slashing(&fields(&accused), &fields(&signed_header(9, 3, 6))).unwrap();
    assert_eq!((plain, plain.signatures(&seats).unwrap()), (Slashing::Plain, None));
}

/// As the node's own bulk verification would check it.
fn holds(set: &SignatureSet) {
    let keys: Vec<_> = set.signers.iter().map(|index| secret(*index).public_key()).collect();
    let signature = pol_core::bls::Signature::from_bytes(&set.signature).unwrap();
    assert_eq!(signature.fast_aggregate_verify(Hash32(set.root), &keys), Ok(()));
}

#[test]
fn the_wire_form_is_split_from_80_bytes_on_and_left_alone_below() {
    let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
    for length in 0..=512 {
        let parts = split_wire(&bytes[..length]);
        if length < 80 {
            let plain = WireParts { extra_data: &bytes[..length], nonce: 0, difficulty: 0, trailer: &[] };
            assert_eq!(parts, plain);
        } else {
            assert_eq!((parts.extra_data, parts.trailer), (&bytes[..64], &bytes[80..length]));
            assert_eq!(parts.nonce, u64::from_be_bytes(bytes[64..72].try_into().unwrap()));
            assert_eq!(parts.difficulty, u64::from_be_bytes(bytes[72..80].try_into().unwrap()));
        }
    }
}

proptest! {
    #[test]
    fn no_pair_of_headers_makes_the_decoder_panic(
        slots in any::<(u64, u64)>(), indices in any::<(u64, u64)>(), roots in any::<([u8; 32], [u8; 32], [u8; 32])>(),
        tags in (0_u8..4, 0_u8..4), tail in any::<[u8; 8]>(),
    ) {
        let tagged = |kind: u8| match kind {
            0 => pol_core::fault::malfeasance_tag().0,
            1 => {
                let mut root = roots.0;
                root[..24].copy_from_slice(&pol_core::fault::fault_tag());
                root[24..].copy_from_slice(&tail);
                root
            }
            _ => roots.1,
        };
        let header = |slot, proposer_index, kind| HeaderFields {
            slot, proposer_index, parent_root: tagged(kind), state_root: roots.2, body_root: roots.1, signature: [0; 96],
        };
        let _ = decode_slashing(&header(slots.0, indices.0, tags.0), &header(slots.1, indices.1, tags.1));
        let _ = decode_slashing(&header(slots.0, indices.0, 2), &header(slots.0, indices.0, 1));
    }
}
