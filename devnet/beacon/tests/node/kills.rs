//! Killed at seeded moments: nothing is signed twice, and the head is there again.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pol_beacon::{
    driver::Phase,
    types::{DomainType, signing_root},
};

use crate::{signed::Signed, world::World};

/// Every block of the chain is one that the guard allowed, and the only one of its slot.
fn check(signed: &Signed, world: &World) {
    let snapshot = world.node().snapshot();
    let mut slots = BTreeMap::new();
    for node in snapshot.nodes.values() {
        let Some(block) = &node.block else { continue };
        let message = block.message();
        let state = &node.state;
        let root = signing_root(message, state.domain(DomainType::BeaconProposer, state.current_epoch()));
        let key = state.validator(message.proposer_index).unwrap().pubkey;
        if let Some(allowed) = signed.blocks.get(&(key.to_vec(), message.slot)) {
            assert_eq!(B256::from(*allowed), root, "slot {}", message.slot);
        }
        assert_eq!(slots.insert(message.slot, node.root), None, "two blocks in slot {}", message.slot);
    }
}

/// A linear congruential sequence: the same kills in every run.
const fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

async fn work(world: &World, slot: u64) {
    for phase in [Phase::Start, Phase::Attest, Phase::Prepare] {
        world.phase(slot, phase).await;
    }
}

async fn survive(kills: usize, mut seed: u64) {
    let mut world = World::new(4).await;
    let (mut slot, mut signed) = (0, Signed::default());
    for kill in 0..kills {
        let fuse = usize::try_from(next(&mut seed) % 23).unwrap();
        world.engine.script.lock().unwrap().fuse = Some(fuse);
        loop {
            tokio::select! {
                () = work(&world, slot) => slot += 1,
                () = world.engine.killed.notified() => break,
            }
        }
        world.engine.script.lock().unwrap().fuse = None;
        let head = world.head();
        world.kill();
        signed.add(&world.folder.path().join("guard"));
        world.open();
        assert_eq!(world.head(), head, "kill {kill} in slot {slot}");
        check(&signed, &world);
        // The interrupted slot once more, from its start: what would contradict must be refused.
        work(&world, slot).await;
        slot += 1;
    }
    world.kill();
    signed.add(&world.folder.path().join("guard"));
    world.open();
    check(&signed, &world);
    assert!(signed.blocks.len() > kills / 2 && signed.votes.len() > kills / 4, "{} {}", signed.blocks.len(), signed.votes.len());
    world.slots(slot..=slot + 40).await;
    assert!(world.finalized() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_call_loses_no_head_and_signs_nothing_twice() {
    survive(12, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_hundred_kills_lose_no_head_and_sign_nothing_twice() {
    survive(100, 2).await;
}
