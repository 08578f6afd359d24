use std::sync::Arc;

use pol_core::{GenesisId, ModelHead, UpdateId, block::BlockError, committee::QuorumRule, model_head};
use tempfile::TempDir;

use super::*;
use crate::{
    collector::Collector,
    fixtures::{self, NOW_MS, ack, domains, extra_data, members, spec},
    members::Members,
    quorum::{Certified, certify},
};

const GENESIS: [u8; 32] = [0x10; 32];
const PARENT_HASH: [u8; 32] = [0x20; 32];

struct Node {
    _folder: TempDir,
    importer: Importer,
    members: Members,
    collector: Collector,
}

fn node(n: u64) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let table = Arc::new(HeadTable::open(&folder.path().join("heads.redb"), spec().genesis_id()).unwrap());
    table.anchor(Anchor { root: Hash32(GENESIS), model_head: spec().genesis_head() }, 0).unwrap();
    let importer = Importer::new(table, QuorumRule::Auto, domains(), 8);
    let members = members(n, 0);
    let mut collector = Collector::new(domains(), QuorumRule::Auto);
    collector.set_members(Arc::new(members.clone()));
    Node { _folder: folder, importer, members, collector }
}

impl Node {
    fn certified(&mut self, update: u8, head: ModelHead, signers: std::ops::Range<u64>) -> Option<Certified> {
        let data = pol_core::ack::AckData { model_head: head, ..fixtures::data(update, 0, 3) };
        self.collector.add(&signers.map(|index| ack(index, data)).collect::<Vec<_>>(), NOW_MS);
        certify(&self.collector, head, self.members.committee(0).unwrap(), QuorumRule::Auto, &domains()).unwrap()
    }

    fn check(&self, root: u8, parent: [u8; 32], extra: &[u8]) -> Result<CheckedBlock, ImportError> {
        let block = BlockView {
            root: [root; 32],
            parent_root: parent,
            slot: u64::from(root),
            extra_data: extra,
            payload_parent_hash: PARENT_HASH,
        };
        self.importer.check(&block, self.members.committee(u64::from(root) / 8).unwrap())
    }
}

fn empty() -> Vec<u8> {
    extra_data(PARENT_HASH, UpdateId::ZERO, &[])
}

#[test]
fn ai_blocks_move_the_head_empty_ones_keep_it_and_each_has_its_row() {
    let mut node = node(4);
    let genesis = spec().genesis_head();
    assert_eq!(node.check(1, GENESIS, &empty()).unwrap().model_head, genesis);
    let certified = node.certified(7, genesis, 0..2).unwrap();
    let block = extra_data(PARENT_HASH, certified.data().update_id, &certified.trailer());
    let head = model_head::child(genesis, certified.data().update_id);
    assert_eq!(node.check(2, [1; 32], &block).unwrap().model_head, head);
    let row = node.importer.table().row(Hash32([2; 32])).unwrap().unwrap();
    assert_eq!((row.slot, row.parent_root, row.update_id, row.model_head), (2, Hash32([1; 32]), UpdateId([7; 32]), head));
    assert_eq!(node.check(2, [1; 32], &block).unwrap().model_head, head, "asked again");
    // The same update on the head after it: its certificate speaks of another head.
    assert!(matches!(node.check(3, [2; 32], &block), Err(ImportError::Refused { fault: Some(_), .. })));
    assert!(node.importer.table().row(Hash32([3; 32])).unwrap().is_none(), "a refused block has no row");
}

#[test]
fn every_defect_is_refused_and_only_a_bad_certificate_is_slashable() {
    let mut node = node(4);
    let genesis = spec().genesis_head();
    let certified = node.certified(7, genesis, 0..2).unwrap();
    let (update, trailer) = (certified.data().update_id, certified.trailer());
    let good = extra_data(PARENT_HASH, update, &trailer);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut one_vote = good.clone();
    one_vote[80 + 34] = 1;
    let slashable = [flipped, one_vote, extra_data(PARENT_HASH, update, &[]), good[..good.len() - 1].to_vec()];
    for (i, block) in slashable.iter().enumerate() {
        match node.check(1, GENESIS, block) {
            Err(ImportError::Refused { fault: Some(fault), .. }) => assert_eq!(fault.block_root(), Hash32([1; 32])),
            other => panic!("{i}: {other:?}"),
        }
    }
    let innocent = [
        extra_data([9; 32], update, &trailer),
        extra_data(PARENT_HASH, UpdateId::ZERO, &trailer),
        good[..79].to_vec(),
        Vec::new(),
    ];
    for (i, block) in innocent.iter().enumerate() {
        let refused = node.check(1, GENESIS, block);
        assert!(matches!(refused, Err(ImportError::Refused { fault: None, .. })), "{i}: {refused:?}");
    }
}

#[test]
fn a_certificate_short_of_quorum_is_refused_for_every_subset_of_signers() {
    // Seat bits of every subset of 8 seats with a signature of exactly those: the quorum of 8 is 4.
    let mut node = node(8);
    let genesis = spec().genesis_head();
    for mask in 1_u32..256 {
        let signers: Vec<u64> = (0..8).filter(|i| mask >> i & 1 == 1).collect();
        let data = pol_core::ack::AckData { model_head: genesis, ..fixtures::data(7, 0, 3) };
        let acks: Vec<_> = signers.iter().map(|i| ack(*i, data).ack.verify(&domains()).unwrap()).collect();
        let seats = signers.iter().map(|i| usize::try_from(*i).unwrap()).zip(&acks);
        let raw = pol_core::ack::RawCertificate::build(8, seats).unwrap();
        let block = extra_data(PARENT_HASH, data.update_id, &raw.encode());
        let allowed = node.check(1, GENESIS, &block).is_ok();
        assert_eq!(allowed, mask.count_ones() >= 4, "{mask:b}");
    }
    assert!(node.certified(8, genesis, 0..3).is_none());
}

#[test]
fn an_unknown_parent_and_another_epochs_committee_are_our_problem_not_the_peers() {
    let node = node(4);
    assert!(matches!(node.check(1, [9; 32], &empty()), Err(ImportError::UnknownParent { .. })));
    let block =
        BlockView { root: [1; 32], parent_root: GENESIS, slot: 9, extra_data: &empty(), payload_parent_hash: PARENT_HASH };
    let other = node.importer.check(&block, node.members.committee(0).unwrap());
    assert!(matches!(other, Err(ImportError::Committee { found: 0, expected: 1, .. })));
}

#[test]
fn an_own_payload_is_judged_as_everybody_will_and_nothing_is_written() {
    let mut node = node(4);
    let genesis = spec().genesis_head();
    let certified = node.certified(7, genesis, 0..2).unwrap();
    let good = extra_data(PARENT_HASH, certified.data().update_id, &certified.trailer());
    let check = |extra: &[u8], hash| {
        node.importer.check_own(GENESIS, 1, extra, hash, node.members.committee(0).unwrap()).map(|own| *own.checked())
    };
    assert_eq!(check(&good, PARENT_HASH).unwrap().model_head, model_head::child(genesis, UpdateId([7; 32])));
    // A stale push: the payload's parent moved on.
    assert!(matches!(check(&good, [9; 32]), Err(ImportError::Refused { fault: None, .. })));
    assert!(matches!(check(&good[..80], PARENT_HASH), Err(ImportError::Refused { fault: Some(_), .. })));
    assert_eq!(node.importer.table().len().unwrap(), 1);
}

#[test]
fn rows_survive_a_restart_and_a_table_of_another_chain_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heads.redb");
    let (chain, row) = (
        GenesisId([1; 32]),
        Row { slot: 3, parent_root: Hash32([2; 32]), update_id: UpdateId([3; 32]), model_head: ModelHead([4; 32]) },
    );
    let table = HeadTable::open(&path, chain).unwrap();
    table.put(Hash32([5; 32]), &row).unwrap();
    assert!(matches!(HeadTable::open(&path, chain), Err(TableError::Database(_))), "two processes");
    drop(table);
    assert!(matches!(HeadTable::open(&path, GenesisId([2; 32])), Err(TableError::Chain { .. })));
    let table = HeadTable::open(&path, chain).unwrap();
    assert_eq!(table.row(Hash32([5; 32])).unwrap(), Some(row));
    let other = Row { model_head: ModelHead([9; 32]), ..row };
    assert!(matches!(table.put(Hash32([5; 32]), &other), Err(TableError::Contradiction { .. })));
    let anchor = Anchor { root: Hash32([5; 32]), model_head: ModelHead([9; 32]) };
    assert!(matches!(table.anchor(anchor, 3), Err(TableError::Contradiction { .. })));
}

#[test]
fn finality_removes_what_is_below_and_names_the_heads_that_are_history() {
    let folder = tempfile::tempdir().unwrap();
    let table = HeadTable::open(&folder.path().join("heads.redb"), GenesisId([1; 32])).unwrap();
    let put = |root: u8, slot, head: u8| {
        let row = Row { slot, parent_root: Hash32::ZERO, update_id: UpdateId::ZERO, model_head: ModelHead([head; 32]) };
        table.put(Hash32([root; 32]), &row).unwrap();
    };
    // Slots 1..=5; the head changes at 3 and 5; 4 has a fork with a head of its own.
    for (root, slot, head) in [(1, 1, 1), (2, 2, 1), (3, 3, 2), (4, 4, 2), (14, 4, 9), (5, 5, 3)] {
        put(root, slot, head);
    }
    assert!(table.finalize(Hash32([99; 32])).unwrap().is_empty(), "not imported yet");
    assert!(table.finalize(Hash32([2; 32])).unwrap().is_empty(), "its head lives on");
    assert_eq!((table.len().unwrap(), table.row(Hash32([1; 32])).unwrap()), (5, None));
    let closed = table.finalize(Hash32([5; 32])).unwrap();
    assert_eq!(closed, [ModelHead([1; 32]), ModelHead([2; 32]), ModelHead([9; 32])]);
    assert_eq!(table.heads().unwrap().into_iter().collect::<Vec<_>>(), [ModelHead([3; 32])]);
}

#[test]
fn a_lost_table_is_rebuilt_from_stored_blocks_with_the_same_rows() {
    let mut node = node(4);
    let genesis = spec().genesis_head();
    let certified = node.certified(7, genesis, 0..2).unwrap();
    let ai = extra_data(PARENT_HASH, certified.data().update_id, &certified.trailer());
    node.check(1, GENESIS, &empty()).unwrap();
    node.check(2, [1; 32], &ai).unwrap();
    node.check(3, [2; 32], &empty()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let table = HeadTable::open(&folder.path().join("heads.redb"), spec().genesis_id()).unwrap();
    let stored = |root: u8, parent, extra: &[u8]| StoredBlock {
        root: Hash32([root; 32]),
        parent_root: Hash32(parent),
        slot: u64::from(root),
        update_id: update_of(extra),
    };
    let blocks = [stored(1, GENESIS, &empty()), stored(2, [1; 32], &ai), stored(3, [2; 32], &empty())];
    assert!(matches!(table.rebuild(blocks), Err(TableError::Order { .. })), "without an anchor");
    assert!(table.is_empty().unwrap());
    table.anchor(Anchor { root: Hash32(GENESIS), model_head: genesis }, 0).unwrap();
    assert_eq!(table.rebuild(blocks).unwrap(), 3);
    for root in [1_u8, 2, 3] {
        let root = Hash32([root; 32]);
        assert_eq!(table.row(root).unwrap(), node.importer.table().row(root).unwrap());
    }
}

#[test]
fn a_checkpoint_is_two_hashes_and_nothing_else() {
    let (root, head) = ("11".repeat(32), "22".repeat(32));
    let expected = Anchor { root: Hash32([0x11; 32]), model_head: ModelHead([0x22; 32]) };
    for text in [format!("{root}:{head}"), format!("0x{root}:0x{head}")] {
        assert_eq!(text.parse(), Ok(expected));
    }
    for text in ["", ":", &root, &format!("{root}:{}", &head[1..]), &format!("{root}:{head}:"), &format!("{root} {head}")] {
        assert!(text.parse::<Anchor>().is_err(), "{text}");
    }
}

#[test]
fn the_refusal_says_which_rule() {
    let node = node(4);
    match node.check(1, GENESIS, &[0; 10]) {
        Err(ImportError::Refused { refused, .. }) => assert!(matches!(refused.error, BlockError::Wire(_))),
        other => panic!("{other:?}"),
    }
}
