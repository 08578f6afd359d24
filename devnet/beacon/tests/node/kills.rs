//! Killed at seeded moments: nothing is signed twice, and the head is there again.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pol_beacon::{
    driver::Phase,
    types::{DomainType, signing_root},
};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::world::World;

/// As in the guard: (key, slot) -> signing root, (key, target epoch) -> (source epoch, signing root).
type Place = (&'static [u8; 48], u64);
const BLOCKS: TableDefinition<'_, Place, &[u8; 32]> = TableDefinition::new("blocks");
const ATTESTATIONS: TableDefinition<'_, Place, (u64, &[u8; 32])> = TableDefinition::new("attestations");

/// Everything that was ever allowed to be signed.
#[derive(Default)]
struct Signed {
    blocks: BTreeMap<(Vec<u8>, u64), [u8; 32]>,
    votes: BTreeMap<(Vec<u8>, u64), [u8; 32]>,
}

impl Signed {
    /// Adds what the guard of a dead node holds. A second signing root for one slot or target is a double signature.
    fn add(&mut self, world: &World) {
        let database = redb::Database::open(world.folder.path().join("guard/guard.redb")).unwrap();
        let read = database.begin_read().unwrap();
        for row in read.open_table(BLOCKS).unwrap().iter().unwrap() {
            let (place, root) = row.unwrap();
            let (key, slot) = place.value();
            let before = self.blocks.insert((key.to_vec(), slot), *root.value());
            assert!(before.is_none_or(|before| before == *root.value()), "two blocks for slot {slot}");
        }
        for row in read.open_table(ATTESTATIONS).unwrap().iter().unwrap() {
            let (place, value) = row.unwrap();
            let (key, target) = place.value();
            let root = *value.value().1;
            let before = self.votes.insert((key.to_vec(), target), root);
            assert!(before.is_none_or(|before| before == root), "two attestations for target {target}");
        }
    }

    /// Every block of the chain is one that the guard allowed, and the only one of its slot.
    fn check(&self, world: &World) {
        let snapshot = world.node().snapshot();
        let mut slots = BTreeMap::new();
        for node in snapshot.nodes.values() {
            let Some(block) = &node.block else { continue };
            let message = block.message();
            let state = &node.state;
            let root = signing_root(message, state.domain(DomainType::BeaconProposer, state.current_epoch()));
            let key = state.validator(message.proposer_index).unwrap().pubkey;
            if let Some(allowed) = self.blocks.get(&(key.to_vec(), message.slot)) {
                assert_eq!(B256::from(*allowed), root, "slot {}", message.slot);
            }
            assert_eq!(slots.insert(message.slot, node.root), None, "two blocks in slot {}", message.slot);
        }
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
        signed.add(&world);
        world.open();
        assert_eq!(world.head(), head, "kill {kill} in slot {slot}");
        signed.check(&world);
        // The interrupted slot once more, from its start: what would contradict must be refused.
        work(&world, slot).await;
        slot += 1;
    }
    world.kill();
    signed.add(&world);
    world.open();
    signed.check(&world);
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
