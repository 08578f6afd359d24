//! Killed at seeded moments: nothing is signed twice, and the head is there again.

use std::collections::BTreeMap;

use pol_beacon::driver::Phase;
use serde_json::Value;

use crate::world::{World, guard};

/// What the guard let be signed, by key: slots, and (source, target) epochs. It only ever grows.
fn signed(world: &World) -> BTreeMap<String, (u64, u64)> {
    let mut json = Vec::new();
    guard(&world.chain, world.folder.path()).export(&mut json).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let most = |list: &Value, field: &str| list.as_array().unwrap().iter().map(|row| number(&row[field])).max().unwrap_or(0);
    let rows = json["data"].as_array().unwrap().iter();
    rows.map(|row| {
        let key = row["pubkey"].as_str().unwrap().to_owned();
        (key, (most(&row["signed_blocks"], "slot"), most(&row["signed_attestations"], "target_epoch")))
    })
    .collect()
}

/// A linear congruential sequence: the same kills in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

async fn survive(kills: usize, mut seed: u64) {
    let mut world = World::new(4).await;
    let (mut slot, mut died) = (0, 0);
    while died < kills {
        let fuse = next(&mut seed) % 23;
        world.engine.script.lock().unwrap().fuse = Some(usize::try_from(fuse).unwrap());
        let was_killed = loop {
            let phases = async {
                for phase in [Phase::Start, Phase::Attest, Phase::Prepare] {
                    world.phase(slot, phase).await;
                }
            };
            tokio::select! {
                () = phases => slot += 1,
                () = world.engine.killed.notified() => break true,
            }
        };
        assert!(was_killed);
        died += 1;
        world.engine.script.lock().unwrap().fuse = None;
        let head = world.head();
        world.kill();
        let before = signed(&world);
        world.open();
        assert_eq!(world.head(), head, "kill {died} in slot {slot}");
        // The interrupted slot once more, from its start: the guard must refuse what would contradict.
        for phase in [Phase::Start, Phase::Attest, Phase::Prepare] {
            world.phase(slot, phase).await;
        }
        let node = world.node.take().unwrap();
        drop(node);
        let after = signed(&world);
        for (key, (block, target)) in &before {
            assert!(after[key].0 >= *block && after[key].1 >= *target, "what was signed is forgotten");
        }
        world.open();
        slot += 1;
    }
    check_blocks(&world, slot).await;
    world.slots(slot..=slot + 30).await;
    assert!(world.finalized() > 0);
}

/// Every stored block of a slot is the only one: a proposer that signed two would have both in its database.
async fn check_blocks(world: &World, slots: u64) {
    let snapshot = world.node().snapshot();
    let mut by_slot = BTreeMap::new();
    for node in snapshot.nodes.values().filter(|node| node.slot < slots && node.block.is_some()) {
        let other = by_slot.insert((node.slot, node.block.as_ref().unwrap().message().proposer_index), node.root);
        assert_eq!(other, None, "two blocks in slot {}", node.slot);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_call_loses_no_head_and_signs_nothing_twice() {
    survive(12, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_hundred_kills_lose_no_head_and_sign_nothing_twice() {
    survive(100, 2).await;
}
