use std::path::Path;

use pol_core::{GenesisId, UpdateId, committee::QuorumRule, fault::SignedHeader, record::IdData};
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::*;
use crate::{
    fixtures::{self, domains, public, spec, spec_of},
    import::{Anchor, BlockView, HeadTable, ImportError, Importer, OwnPayload},
};

const HEAD: ModelHead = ModelHead([2; 32]);

fn open(folder: &Path) -> Result<Guard, GuardError> {
    Guard::open(&folder.join("guard"), spec().delta_context(), domains())
}

fn guard() -> (TempDir, Guard) {
    let folder = tempdir().unwrap();
    let guard = open(folder.path()).unwrap();
    (folder, guard)
}

fn candidate(seed: u64, head: ModelHead, slot: u64) -> (Candidate, UpdateId) {
    let delta = fixtures::delta(seed, head, slot);
    let id = delta.update_id();
    (delta.into(), id)
}

fn data(update_id: UpdateId, model_head: ModelHead, root: u8) -> AckData {
    AckData { update_id, model_head, result_root: ResultRoot([root; 32]) }
}

fn may(guard: &Guard, candidate: &Candidate, data: &AckData, keys: &[u64]) -> Vec<Option<Refusal>> {
    let keys: Vec<Key> = keys.iter().map(|index| public(*index)).collect();
    guard.acks(candidate, data, &keys).unwrap().into_iter().map(Result::err).collect()
}

#[test]
fn one_root_per_update_and_head_for_each_key_over_restarts() {
    let (folder, guard) = guard();
    let (delta, id) = candidate(1, HEAD, 0);
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 1), &[0, 1]), [None, None]);
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 1), &[0, 1]), [None, None], "the same again");
    let second = Refusal::SecondRoot { update_id: id, signed: ResultRoot([1; 32]), found: ResultRoot([2; 32]) };
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 2), &[0, 2]), [Some(second.clone()), None], "key 2 is free");
    drop(guard);
    let guard = open(folder.path()).unwrap();
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 2), &[1]), [Some(second)]);
    assert!(guard.knows_ack(&public(0), &data(id, HEAD, 1)).unwrap());
    assert!(!guard.knows_ack(&public(0), &data(id, HEAD, 2)).unwrap());
    assert!(!guard.knows_ack(&public(9), &data(id, HEAD, 1)).unwrap());
}

#[test]
fn a_near_copy_of_what_a_key_acked_on_the_head_is_refused_over_restarts() {
    let (folder, guard) = guard();
    let ((first, first_id), (copy, copy_id), (other, other_id)) =
        (candidate(1, HEAD, 0), candidate(1, HEAD, 9), candidate(2, HEAD, 0));
    assert_eq!(may(&guard, &first, &data(first_id, HEAD, 1), &[0]), [None]);
    drop(guard);
    let guard = open(folder.path()).unwrap();
    let refusal = Refusal::NearCopy { update_id: copy_id, copied: first_id };
    assert_eq!(may(&guard, &copy, &data(copy_id, HEAD, 1), &[0, 1]), [Some(refusal), None], "key 1 saw the copy first");
    assert_eq!(may(&guard, &other, &data(other_id, HEAD, 1), &[0, 1]), [None, None]);
    assert_eq!(may(&guard, &first, &data(first_id, HEAD, 1), &[0]), [None], "an ACK renewed is no copy");
    let head = ModelHead([3; 32]);
    let (elsewhere, id) = candidate(1, head, 9);
    assert_eq!(may(&guard, &elsewhere, &data(id, head, 1), &[0]), [None], "another head");
}

#[test]
fn a_candidate_that_is_not_the_acks_is_refused() {
    let (_folder, guard) = guard();
    let (delta, id) = candidate(1, HEAD, 0);
    let other = ModelHead([8; 32]);
    assert!(matches!(may(&guard, &delta, &data(id, other, 1), &[0])[..], [Some(Refusal::Head { .. })]));
    assert!(matches!(may(&guard, &delta, &data(UpdateId([1; 32]), HEAD, 1), &[0])[..], [Some(Refusal::Head { .. })]));
    let broken = Candidate::decode(&guard, id, vec![0; 500]);
    assert!(matches!(broken, Err(Refusal::Container { .. })));
}

#[test]
fn a_head_that_is_history_is_never_acked_on_again_and_its_rows_go() {
    let (_folder, guard) = guard();
    let (delta, id) = candidate(1, HEAD, 0);
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 1), &[0]), [None]);
    guard.close_heads(&[HEAD]).unwrap();
    for root in [1, 2] {
        assert!(matches!(may(&guard, &delta, &data(id, HEAD, root), &[0])[..], [Some(Refusal::ClosedHead { .. })]));
    }
    assert!(guard.knows_ack(&public(0), &data(id, HEAD, 1)).unwrap());
    let mut json = Vec::new();
    guard.export(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    assert!(!json.contains("result_root") && json.contains(&hex::encode(HEAD.0)), "{json}");
}

#[test]
fn a_second_process_on_the_same_database_is_refused() {
    let (folder, guard) = guard();
    assert!(matches!(open(folder.path()), Err(GuardError::Lock(_))));
    drop(guard);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn a_guard_of_another_chain_is_refused() {
    let (folder, guard) = guard();
    drop(guard);
    let other = spec_of(2, QuorumRule::Auto);
    let opened = Guard::open(&folder.path().join("guard"), other.delta_context(), other.domains());
    assert!(matches!(opened, Err(GuardError::Chain { .. })));
}

/// A check that failed for the block with this header.
fn fault_of(header: &SignedHeader) -> CertificateFault {
    let folder = tempdir().unwrap();
    let table = std::sync::Arc::new(HeadTable::open(&folder.path().join("h"), spec().genesis_id()).unwrap());
    table.anchor(Anchor { root: Hash32([1; 32]), model_head: HEAD }, 0).unwrap();
    let importer = Importer::new(table, QuorumRule::Auto, domains(), 8);
    let committee = fixtures::committee(header.header.slot / 8, 0..4, &mut Default::default());
    let extra = fixtures::extra_data([7; 32], UpdateId([1; 32]), &[]);
    let root = header.header.root().0;
    let block =
        BlockView { root, parent_root: [1; 32], slot: header.header.slot, extra_data: &extra, payload_parent_hash: [7; 32] };
    match importer.check(&block, &committee) {
        Err(ImportError::Refused { fault: Some(fault), .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn fault_votes_need_the_failed_check_of_that_very_block_and_never_accuse_an_own_key() {
    let (_folder, guard) = guard();
    let accused = fixtures::signed_header(9, 3, 5);
    let verified = accused.verify(fixtures::key_of, &domains()).unwrap();
    let keys: Vec<Key> = (0..4).map(public).collect();
    let votes = guard.fault_votes(&fault_of(&accused), &verified, &public(3), &keys).unwrap().unwrap();
    assert_eq!(votes.iter().map(|vote| vote.key).collect::<Vec<_>>(), keys[..3]);
    let again = guard.fault_votes(&fault_of(&accused), &verified, &public(3), &keys).unwrap().unwrap();
    assert_eq!(again.len(), 3, "voting again is harmless");
    let other = fixtures::signed_header(9, 3, 6).verify(fixtures::key_of, &domains()).unwrap();
    let refused = guard.fault_votes(&fault_of(&accused), &other, &public(3), &keys).unwrap();
    assert!(matches!(refused, Err(Refusal::OtherBlock { .. })));
}

fn id(sequence: u64) -> IdData {
    IdData { public_key: public(0), node_key: [1; 32], trainers: vec![], sequence }
}

#[test]
fn an_identitys_sequence_grows_over_restarts() {
    let (folder, guard) = guard();
    assert!(guard.identity(id(5)).unwrap().is_ok());
    drop(guard);
    let guard = open(folder.path()).unwrap();
    for sequence in [0, 4, 5] {
        assert_eq!(guard.identity(id(sequence)).unwrap(), Err(Refusal::Sequence { found: sequence, signed: 5 }));
    }
    assert!(guard.identity(id(6)).unwrap().is_ok());
}

fn own_payload() -> OwnPayload {
    let folder = tempdir().unwrap();
    let table = std::sync::Arc::new(HeadTable::open(&folder.path().join("h"), spec().genesis_id()).unwrap());
    table.anchor(Anchor { root: Hash32([1; 32]), model_head: HEAD }, 0).unwrap();
    let importer = Importer::new(table, QuorumRule::Auto, domains(), 8);
    let committee = fixtures::committee(0, 0..4, &mut Default::default());
    importer.check_own([1; 32], 1, &fixtures::extra_data([7; 32], UpdateId::ZERO, &[]), [7; 32], &committee).unwrap()
}

#[test]
fn blocks_are_signed_once_per_slot_and_upwards_only() {
    let (folder, guard) = guard();
    let payload = own_payload();
    let may = |guard: &Guard, slot, root| guard.block(&public(0), slot, Hash32([root; 32]), &payload).unwrap().is_ok();
    assert!(may(&guard, 5, 1) && may(&guard, 5, 1));
    assert!(!may(&guard, 5, 2) && !may(&guard, 4, 1));
    drop(guard);
    let guard = open(folder.path()).unwrap();
    assert!(!may(&guard, 5, 2) && may(&guard, 6, 2) && !may(&guard, 5, 1));
    assert!(guard.block(&public(1), 1, Hash32([9; 32]), &payload).unwrap().is_ok(), "another key");
}

#[test]
fn double_and_surround_votes_are_refused() {
    let (_folder, guard) = guard();
    let may = |source, target, root| guard.attestation(&public(0), source, target, Hash32([root; 32])).unwrap().is_ok();
    assert!(may(2, 3, 1) && may(2, 3, 1));
    assert!(!may(2, 3, 2), "double vote");
    assert!(!may(1, 4, 3), "surrounds (2, 3)");
    assert!(may(2, 6, 4) && may(3, 7, 5));
    assert!(!may(4, 5, 6), "surrounded by (3, 7)");
    assert!(!may(9, 8, 7), "source after target");
}

#[test]
fn a_moved_guard_forbids_what_the_old_one_forbade() {
    let (_old_folder, old) = guard();
    let ((delta, id), (copy, copy_id)) = (candidate(1, HEAD, 0), candidate(1, HEAD, 9));
    assert_eq!(may(&old, &delta, &data(id, HEAD, 1), &[0]), [None]);
    old.close_heads(&[ModelHead([77; 32])]).unwrap();
    assert!(old.identity(self::id(50)).unwrap().is_ok());
    assert!(old.block(&public(0), 10, Hash32([1; 32]), &own_payload()).unwrap().is_ok());
    assert!(old.attestation(&public(0), 2, 3, Hash32([1; 32])).unwrap().is_ok());
    let mut json = Vec::new();
    old.export(&mut json).unwrap();

    let (_folder, new) = guard();
    assert_eq!(new.import(&json).unwrap(), Merged { keys: 1, acks: 1 });
    assert_eq!(new.import(&json).unwrap(), Merged { keys: 1, acks: 0 }, "once more changes nothing");
    assert!(matches!(may(&new, &delta, &data(id, HEAD, 2), &[0])[..], [Some(Refusal::SecondRoot { .. })]));
    assert!(matches!(may(&new, &copy, &data(copy_id, HEAD, 1), &[0])[..], [Some(Refusal::NearCopy { .. })]));
    let closed = ModelHead([77; 32]);
    let (late, late_id) = candidate(5, closed, 0);
    assert!(matches!(may(&new, &late, &data(late_id, closed, 1), &[0])[..], [Some(Refusal::ClosedHead { .. })]));
    assert!(new.identity(self::id(50)).unwrap().is_err() && new.identity(self::id(51)).unwrap().is_ok());
    assert!(new.block(&public(0), 10, Hash32([1; 32]), &own_payload()).unwrap().is_err());
    assert!(new.block(&public(0), 11, Hash32([1; 32]), &own_payload()).unwrap().is_ok());
    assert!(new.attestation(&public(0), 2, 3, Hash32([1; 32])).unwrap().is_err());
    assert!(new.attestation(&public(0), 1, 4, Hash32([1; 32])).unwrap().is_err());
    assert!(new.attestation(&public(0), 2, 4, Hash32([1; 32])).unwrap().is_ok());
    // What was imported is exported again.
    let (_third_folder, third) = guard();
    let mut json = Vec::new();
    new.export(&mut json).unwrap();
    third.import(&json).unwrap();
    assert!(third.block(&public(0), 11, Hash32([2; 32]), &own_payload()).unwrap().is_err());
}

#[test]
fn a_standard_eip_3076_file_of_another_client_is_understood() {
    let (_folder, guard) = guard();
    let root = hex::encode(domains().genesis_validators_root().0);
    let key = hex::encode(public(0));
    let json = format!(
        r#"{{"metadata":{{"interchange_format_version":"5","genesis_validators_root":"0x{root}"}},
        "data":[{{"pubkey":"0x{key}","signed_blocks":[{{"slot":"81952","signing_root":"0x{root}"}},{{"slot":"7"}}],
        "signed_attestations":[{{"source_epoch":"2290","target_epoch":"3007"}}]}}]}}"#
    );
    guard.import(json.as_bytes()).unwrap();
    assert!(guard.block(&public(0), 81_952, Hash32([1; 32]), &own_payload()).unwrap().is_err());
    assert!(guard.block(&public(0), 81_953, Hash32([1; 32]), &own_payload()).unwrap().is_ok());
    assert!(guard.attestation(&public(0), 2_289, 3_008, Hash32([1; 32])).unwrap().is_err());
    assert!(guard.attestation(&public(0), 2_290, 3_008, Hash32([1; 32])).unwrap().is_ok());
}

#[test]
fn files_of_another_chain_version_or_with_contradictions_change_nothing() {
    let (_folder, guard) = guard();
    let (delta, id) = candidate(1, HEAD, 0);
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 1), &[0]), [None]);
    let mut json = Vec::new();
    guard.export(&mut json).unwrap();
    let json = String::from_utf8(json).unwrap();
    let chain = hex::encode(spec().genesis_id().0);
    let other_chain = json.replace(&chain, &hex::encode(GenesisId([9; 32]).0));
    assert!(matches!(guard.import(other_chain.as_bytes()), Err(InterchangeError::Chain { field: "genesis_id", .. })));
    let version = json.replace("pol-ai-1", "4");
    assert!(matches!(guard.import(version.as_bytes()), Err(InterchangeError::Version { .. })));
    let contradiction = json.replace(&hex::encode([1; 32]), &hex::encode([2; 32]));
    assert!(matches!(guard.import(contradiction.as_bytes()), Err(InterchangeError::Contradiction { .. })));
    assert!(guard.import(b"{}").is_err() && guard.import(b"").is_err() && guard.import(&[0xff; 100]).is_err());
    assert_eq!(may(&guard, &delta, &data(id, HEAD, 1), &[0]), [None], "still the first root");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_questions_gives_two_roots(questions in proptest::collection::vec((0_u64..2, 0_u64..3, 0_u8..3, any::<bool>()), 1..20)) {
        let (folder, mut guard) = guard();
        let mut signed = std::collections::BTreeMap::new();
        for (key, seed, root, restart) in questions {
            if restart {
                drop(guard);
                guard = open(folder.path()).unwrap();
            }
            let (delta, id) = candidate(seed, HEAD, 0);
            let allowed = may(&guard, &delta, &data(id, HEAD, root), &[key])[0].is_none();
            let first = *signed.entry((key, seed)).or_insert(root);
            prop_assert_eq!(allowed, first == root);
        }
    }
}
