//! SIGKILL of the program at seeded moments while it proposes by the real clock.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use pol_beacon::types::{DomainType, SigningData};
use tree_hash::TreeHash as _;

use super::{Place, get, head_at, place, signed::Signed, start};

/// What the node has answered, over all its lives. It may never go back behind it.
#[derive(Default)]
struct Told {
    /// Slot and root of each head.
    heads: BTreeMap<u64, B256>,
    finalized: u64,
}

impl Told {
    /// Asks for head and finality. Whether there was an answer.
    async fn ask(&mut self, place: &Place) -> bool {
        let Some(finality) = get(place, "/eth/v1/beacon/states/head/finality_checkpoints").await else { return false };
        let Some(head) = get(place, "/eth/v1/beacon/headers/head").await else { return false };
        let (Some(epoch), Some(slot), Some(root)) = (
            finality["data"]["finalized"]["epoch"].as_str(),
            head["data"]["header"]["message"]["slot"].as_str(),
            head["data"]["root"].as_str(),
        ) else {
            return false;
        };
        let (epoch, slot, root) = (epoch.parse().unwrap(), slot.parse().unwrap(), root.parse().unwrap());
        assert!(epoch >= self.finalized, "finality went back from {} to {epoch}", self.finalized);
        self.finalized = epoch;
        if let Some((newest, _)) = self.heads.last_key_value() {
            assert!(slot >= *newest, "the head went back from {newest} to {slot}");
        }
        assert_eq!(*self.heads.entry(slot).or_insert(root), root, "two heads in slot {slot}");
        true
    }

    /// The guard keeps the newest block of a key: it is no older than the newest head, and no other than what was answered of its slot.
    fn check(&self, place: &Place, signed: &Signed) {
        let state = &place.chain.genesis;
        let key = state.validators.get(0).unwrap().pubkey.to_vec();
        for ((_, slot), allowed) in &signed.blocks {
            let Some(root) = self.heads.get(slot) else { continue };
            let domain = state.domain(DomainType::BeaconProposer, slot / 8);
            let signing_root = SigningData { object_root: *root, domain }.tree_hash_root();
            assert_eq!(B256::from(*allowed), signing_root, "slot {slot}");
        }
        let last = signed.blocks.range((key.clone(), 0)..=(key, u64::MAX)).next_back().map(|((_, slot), _)| *slot);
        assert!(last >= self.heads.last_key_value().map(|(slot, _)| *slot), "{last:?}: a head that the guard does not know");
    }
}

/// A linear congruential sequence: the same kills in every run.
const fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Each life lasts so long, in milliseconds: from before the first answer to the middle of a later slot.
async fn survive(kills: usize, lives: core::ops::Range<u64>, mut seed: u64) -> Told {
    let place = place().await;
    let guard = place.folder.path().join("secrets_data/slashing_protection");
    let (mut told, mut signed, mut answered) = (Told::default(), Signed::default(), 0);
    // The first life is let come to its first block: what is killed is a node that proposes.
    let first = start(&place);
    head_at(&place, 1).await;
    drop(first);
    for _ in 0..kills {
        let life = lives.start + next(&mut seed) % (lives.end - lives.start);
        let end = Instant::now() + Duration::from_millis(life);
        let running = start(&place);
        let mut spoke = false;
        while Instant::now() < end {
            spoke |= told.ask(&place).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        answered += usize::from(spoke);
        drop(running);
        signed.add(&guard);
        told.check(&place, &signed);
    }
    let running = start(&place);
    let (newest, root) = told.heads.last_key_value().map(|(slot, root)| (*slot, *root)).unwrap();
    head_at(&place, newest + 2).await;
    assert!(told.ask(&place).await);
    let known = get(&place, &format!("/eth/v1/beacon/headers/{root}")).await.unwrap();
    assert_eq!(known["data"]["canonical"], true, "{known}");
    drop(running);
    signed.add(&guard);
    told.check(&place, &signed);
    assert!(
        answered > kills / 2 && signed.blocks.len() > kills / 2,
        "{answered} of {kills} lives, {} blocks",
        signed.blocks.len()
    );
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_at_any_moment_starts_again_on_its_head_and_signs_nothing_twice() {
    survive(8, 200..1_600, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_program_killed_a_hundred_times_starts_again_on_its_head_and_signs_nothing_twice() {
    let told = survive(100, 200..2_200, 4).await;
    assert!(told.finalized > 0, "a hundred kills did not hold finality up");
}
