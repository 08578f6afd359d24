//! Snapshots: made by who folded, joined from by who cannot or need not, believed when certificates agree.

use std::{sync::Arc, time::Duration};

use ml_sidecar::follow::Rule;
use pol_core::{
    GenesisId,
    delta::{Context, Profile},
    state::{Shape, SnapshotManifest, State},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{PATIENCE, World};

/// A snapshot every four updates.
async fn world(far: u64, stuck: Duration) -> World {
    let shape = Shape::new(2, 24, 24, 12, 40).unwrap();
    let mut world = World::new(Context { genesis_id: GenesisId([6; 32]), shape, profile: Profile::F16x20 }).await;
    world.snapshots = Rule { interval: 4, far, stuck };
    world
}

fn go_on(world: &mut World, seeds: std::ops::Range<i32>) {
    for seed in seeds {
        let id = world.chain.delta(seed);
        world.chain.certify(id);
    }
    world.share();
    world.chain.finalize(world.chain.updates.len());
}

async fn has_snapshot(world: &World, updates: u64) {
    let begin = std::time::Instant::now();
    while !world.dht.held().snapshots.iter().any(|(_, manifest, _)| manifest.updates == updates) {
        assert!(begin.elapsed() < PATIENCE, "a snapshot after update {updates}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_from_a_snapshot_when_deltas_are_lost_and_is_confirmed_by_8_certificates() {
    let mut world = world(1_000, Duration::from_millis(300)).await;
    let mut maker = world.start_in("maker", None, None).await;
    go_on(&mut world, 0..9);
    has_snapshot(&world, 8).await;
    // What was applied is offered again; then it is lost.
    let begin = std::time::Instant::now();
    while !world.chain.updates.iter().all(|(id, _)| world.dht.held().stored.contains(id)) {
        assert!(begin.elapsed() < PATIENCE, "all are offered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lost: Vec<_> = world.chain.updates[..8].iter().map(|(id, _)| *id).collect();
    lost.iter().for_each(|id| drop(world.dht.held().deltas.remove(id)));

    let mut joiner = world.start_in("joiner", None, None).await;
    let state = joiner.until("the snapshot and what came after", |state| state.updates == 9).await;
    assert_eq!((state.root, state.confirmed, state.behind), (world.chain.fresh().root(), false, 0));
    let go = |world: &mut World, seed| {
        let id = world.chain.delta(seed);
        world.chain.certify(id);
        world.dht.put(id, &world.chain.bytes[&id]);
    };
    (20..26).for_each(|seed| go(&mut world, seed));
    let state = joiner.until("seven updates after it", |state| state.updates == 15).await;
    assert!(!state.confirmed);
    joiner.stop().await;
    let mut joiner = world.start_in("joiner", None, None).await;
    go(&mut world, 30);
    let state = joiner.until("the eighth", |state| state.updates == 16 && state.confirmed).await;
    assert_eq!(state.root, world.chain.fresh().root());
    let state = maker.until("the same at the maker", |state| state.updates == 16).await;
    assert!(state.confirmed && state.root == world.chain.fresh().root());
    assert!(world.dht.held().asked.iter().all(|wanted| wanted.root.is_some()), "the certificate's root is asked for first");
    joiner.stop().await;
    maker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_far_behind_joins_and_one_that_is_near_folds() {
    let mut world = world(9, Duration::from_secs(3_600)).await;
    let mut maker = world.start_in("maker", None, None).await;
    go_on(&mut world, 0..8);
    has_snapshot(&world, 8).await;
    let mut near = world.start_in("near", None, None).await;
    let state = near.until("eight updates", |state| state.updates == 8).await;
    assert!(state.confirmed, "it folded");
    near.stop().await;
    go_on(&mut world, 10..16);
    has_snapshot(&world, 12).await;
    // It knows all of the chain before it looks, since its bytes come late.
    let all = std::mem::take(&mut world.dht.held().deltas);
    let mut far = world.start_in("far", None, None).await;
    far.until("the snapshot", |state| state.updates == 12 && !state.confirmed).await;
    world.dht.held().deltas = all;
    let state = far.until("the rest", |state| state.updates == 14).await;
    assert_eq!(state.root, world.chain.fresh().root());
    maker.until("the rest", |state| state.updates == 14).await;
    far.stop().await;
    maker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_snapshot_is_thrown_away_and_the_true_one_or_the_fold_takes_its_place() {
    let mut world = world(4, Duration::from_millis(300)).await;
    go_on(&mut world, 0..5);
    let false_one = Arc::new(State::initial(&GenesisId([9; 32]), world.chain.context.shape));
    let manifest = SnapshotManifest::of(&false_one, 4, &[]);
    let head = world.chain.updates[3].1;
    world.dht.held().snapshots.push((head, manifest, Arc::clone(&false_one)));
    // Nothing else can be had at first.
    let all = std::mem::take(&mut world.dht.held().deltas);
    let mut sidecar = world.start(None, None).await;
    let state = sidecar.until("the false snapshot", |state| state.updates == 4).await;
    assert_eq!((state.root, state.confirmed), (false_one.root(), false));
    world.dht.held().deltas = all;
    let root = world.chain.fresh().root();
    let state = sidecar.until("the fold", |state| state.updates == 5 && state.root == root).await;
    assert!(state.confirmed);
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_another_root_is_counted_and_the_fold_stands() {
    let mut world = world(1_000, Duration::from_secs(3_600)).await;
    let mut sidecar = world.start(None, None).await;
    go_on(&mut world, 0..2);
    let id = world.chain.delta(7);
    world.chain.accept_with(id, Some(pol_core::ResultRoot([1; 32])));
    world.share();
    let state = sidecar.until("the third", |state| state.updates == 3).await;
    assert_eq!((state.root, state.confirmed), (world.chain.fresh().root(), false));
    let mut page = String::new();
    let mut stream = tokio::net::TcpStream::connect(sidecar.running.metrics).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.contains("polai_sidecar_result_root_mismatches_total 1"), "{page}");
    go_on(&mut world, 10..18);
    sidecar.until("eight that agree", |state| state.updates == 11 && state.confirmed).await;
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_follow_a_void_joins_from_a_later_snapshot_in_time() {
    let mut world = world(1_000, Duration::from_millis(500)).await;
    let mut maker = world.start_in("maker", None, None).await;
    go_on(&mut world, 0..5);
    has_snapshot(&world, 4).await;
    maker.until("five updates", |state| state.updates == 5).await;
    for (id, _) in &world.chain.updates[..4] {
        world.dht.held().deltas.remove(id);
    }
    let mut joiner = world.start_in("joiner", None, None).await;
    joiner.until("the snapshot and what came after", |state| state.updates == 5 && !state.confirmed).await;
    // Back to before the snapshot: only who folded can follow.
    let void = world.chain.void(world.chain.updates[1].1);
    world.chain.accept(void);
    world.dht.put(void, &world.chain.bytes[&void]);
    for seed in 30..34 {
        let id = world.chain.delta(seed);
        world.chain.accept(id);
        world.dht.put(id, &world.chain.bytes[&id]);
    }
    let followed = maker.until("the void", |state| state.updates == 10).await;
    joiner.until("all of the chain", |state| state.updates == 5 && state.behind == 5).await;
    // Nothing happens any more: only time passes.
    world.chain.finalize(10);
    let state = joiner.until("the snapshot after the void", |state| state.updates == 10).await;
    assert_eq!(state.root, followed.root);
    joiner.stop().await;
    maker.stop().await;
}
