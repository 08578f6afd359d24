//! "Done when": 64 slots, 16 validators, two bad proposers.

use pol_core::{Hash32, UpdateId};

use crate::{
    http_get,
    mock::{beacon::Block, lock},
    pair_of, python,
    world::{Running, World, eventually},
};

const SLOTS: u64 = 64;
const VALIDATORS: u32 = 16;
/// A block whose certificate was tampered with, which the honest do not build on.
const BAD: [u64; 2] = [20, 41];
/// No update passes the gate in these slots.
const QUIET: [u64; 3] = [10, 30, 31];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_are_certified_pushed_and_checked_and_bad_proposers_are_slashed() {
    let mut world = World::new(VALIDATORS, 0..VALIDATORS).await;
    let mut running = world.start().await;
    running.head_is(0).await;
    let (mut accepted, mut accused) = (0, Vec::new());
    let mut candidate: Option<(UpdateId, Vec<u8>)> = None;
    for slot in 1..=SLOTS {
        assert_eq!(world.tick(), slot);
        if BAD.contains(&slot) {
            let (update_id, mut trailer) = candidate.clone().unwrap();
            trailer[100] ^= 1;
            accused.push(world.beacon.propose(slot, update_id, &trailer, false));
            proven(&world, &mut running, &accused).await;
        } else {
            world.propose(candidate.as_ref());
            accepted += usize::from(candidate.is_some());
            running.head_is(slot).await;
            if BAD.contains(&(slot - 1)) {
                posted(&world, &accused).await;
            }
        }
        if slot % 8 == 0 {
            let mut chain = lock(&world.beacon.chain);
            chain.finalized = (slot / 8, chain.head);
        }
        // For the next slot. After a bad block the head is the same, so is the update; only the slot is new.
        candidate = None;
        if !QUIET.contains(&(slot + 1)) {
            let update_id = world.gate_acks(slot);
            let pushed = world.pushed().await;
            assert_eq!(pushed.0, if BAD.contains(&slot) { pushed.0 } else { update_id }, "slot {slot}");
            candidate = Some(pushed);
        }
    }
    let ai_blocks = SLOTS as usize - BAD.len() - QUIET.len() - 1;
    assert_eq!(accepted, ai_blocks);
    told(&world, &mut running, ai_blocks).await;
    judged_by_python(&world, &accused).await;
    running.stop().await;
}

/// Votes are signed and proven in the block's own slot; nothing is posted before the next one.
async fn proven(world: &World, running: &mut Running, accused: &[Block]) {
    let root = accused.last().unwrap().root;
    let is_proven =
        async |running: &mut Running| running.faults().await.cases.iter().any(|c| c.block_root == root.0[..] && c.proven);
    eventually("fault proof", async || is_proven(running).await.then_some(())).await;
    assert_eq!(lock(&world.beacon.chain).posted.len(), accused.len() - 1);
}

/// Posted from the slot after the accused block's on.
async fn posted(world: &World, accused: &[Block]) {
    let posted = async || (lock(&world.beacon.chain).posted.len() == accused.len()).then_some(());
    eventually("posted slashing", posted).await;
    let proposer = accused.last().unwrap().signed.header.proposer_index;
    lock(&world.beacon.chain).slashed.insert(proposer);
}

async fn told(world: &World, running: &mut Running, ai_blocks: usize) {
    let status = running.status().await;
    assert_eq!((status.slot, status.head_slot, status.seats, status.quorum, status.keys), (64, 64, 16, 8, 16));
    assert_eq!((status.blocks_refused, status.signing_stopped), (2, false));
    assert_eq!(status.model_head, world.head.0[..]);
    let metrics = http_get(running.bound.metrics, "/metrics").await;
    assert!(metrics.contains(&format!("polai_quorum_blocks_total{{outcome=\"accepted\"}} {ai_blocks}\n")), "{metrics}");
    assert!(metrics.contains("polai_quorum_pushes_total{outcome=\"pushed\"}"), "{metrics}");
    let faults = http_get(running.bound.faults, "/faults").await;
    assert!(faults.contains("\"proven\":true"), "{faults}");
    assert!(running.faults().await.slashings.is_empty(), "both are slashed: nothing is posted any more");
    let held = lock(&world.dht.held);
    assert_eq!((held.validators.len(), held.epoch), (16, Some(8)));
    assert_eq!(held.identities.len(), 16);
    assert!(held.identities.iter().all(|id| id.clone().verify(&world.spec.domains()).is_ok()));
}

async fn judged_by_python(world: &World, accused: &[Block]) {
    let posted = lock(&world.beacon.chain).posted.clone();
    assert_eq!(posted.len(), BAD.len());
    let pairs: Vec<_> = posted.iter().map(pair_of).collect();
    let mut given = Vec::new();
    let mut expected = Vec::new();
    for block in accused {
        let header = block.signed.header;
        let pair = *pairs.iter().find(|pair| pair.first.header == header).expect("posted");
        assert_eq!(pair.first, block.signed);
        given.push((pair, python::chain(header.slot + 1, Hash32([7; 32]), 16)));
        expected.push(format!("fault_proof {} ok", header.proposer_index));
        // And the verifier does not accept everything.
        given.push((pair, python::chain(header.slot + 1, block.root, 16)));
        expected.push("canonical_block".to_owned());
        given.push((pair, python::chain(header.slot + 65, Hash32([7; 32]), 16)));
        expected.push("too_early_or_late".to_owned());
        let mut broken = pair;
        broken.second.signature = pair.first.signature;
        given.push((broken, python::chain(header.slot + 1, Hash32([7; 32]), 16)));
        expected.push("bad_vote_signature".to_owned());
    }
    assert_eq!(python::verdicts(&world.spec, VALIDATORS, &given), expected);
}
