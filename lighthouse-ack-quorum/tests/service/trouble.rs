//! Peers that are down, slow, lying or restarted; each story ends with an update in a block.

use std::time::Duration;

use pol_api::quorum::v1::{AcksRequest, QuorumRequest};
use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    fault::VerifiedFaultVote,
    identity::GenesisSeed,
};

use crate::{
    http_get,
    mock::{beacon, engine, lock},
    pair_of, python,
    world::{Running, SEED, World, eventually},
};

fn key(index: u32) -> SecretKey {
    GenesisSeed::from_bytes(SEED).validator_key(index).unwrap()
}

/// One more slot: gate, ACKs, push, block with the update, checked.
async fn an_update_gets_through(world: &mut World, running: &mut Running) {
    let update_id = world.gate_acks(1_000 + world.slot);
    let pushed = world.pushed().await;
    assert_eq!(pushed.0, update_id);
    let slot = world.tick();
    world.propose(Some(&pushed));
    running.head_is(slot).await;
}

async fn ready(world: &mut World) -> Running {
    let mut running = world.start().await;
    running.head_is(0).await;
    world.tick();
    world.propose(None);
    running.head_is(1).await;
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_beacon_node_that_breaks_lies_or_is_slow_costs_updates_only_while_it_does() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    for mood in [beacon::Mood::Broken, beacon::Mood::Garbage] {
        world.beacon.set_mood(mood);
        world.tick();
        eventually("alarm", async || running.status().await.alarms.iter().any(|a| a.code == "beacon").then_some(())).await;
        world.beacon.set_mood(beacon::Mood::Well);
        let slot = world.tick();
        world.propose(None);
        running.head_is(slot).await;
        eventually("no alarm", async || running.status().await.alarms.iter().all(|a| a.code != "beacon").then_some(())).await;
        an_update_gets_through(&mut world, &mut running).await;
    }
    world.beacon.set_mood(beacon::Mood::Slow(Duration::from_millis(150)));
    an_update_gets_through(&mut world, &mut running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dht_that_goes_and_comes_back_brings_its_acks_along() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    an_update_gets_through(&mut world, &mut running).await;
    world.set_dht_down(true);
    // Any event ends the streams now.
    world.dht.bring(*VerifiedAck::sign(fixture(1), &key(9), &world.spec.domains()).unwrap().raw());
    let slot = world.tick();
    world.propose(None);
    running.head_is(slot).await;
    eventually("alarm", async || running.status().await.alarms.iter().any(|a| a.code.starts_with("dht")).then_some(())).await;
    world.set_dht_down(false);
    an_update_gets_through(&mut world, &mut running).await;
    running.stop().await;
}

const fn fixture(update: u8) -> AckData {
    AckData { update_id: UpdateId([update; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dht_that_calls_everything_verified_certifies_nothing() {
    let mut world = World::new(4, 0..0).await;
    let mut running = ready(&mut world).await;
    let data = AckData { model_head: world.head, ..fixture(1) };
    let sign = |index: u32| *VerifiedAck::sign(data, &key(index), &world.spec.domains()).unwrap().raw();
    // Forged by others' signatures, by strangers, replayed under another name.
    for index in 0..4 {
        let mut forged = sign(index);
        forged.signature = sign(index + 1).signature;
        world.dht.bring(forged);
        world.dht.bring(sign(index + 10));
        let mut renamed = sign(index);
        renamed.data.update_id = UpdateId([9; 32]);
        world.dht.bring(renamed);
    }
    world.dht.bring(sign(0));
    let counted = async || (running.status().await.acks == 1).then_some(());
    let mut counted = counted;
    eventually("the one good ACK", async || counted().await).await;
    let slot = world.tick();
    world.propose(None);
    running.head_is(slot).await;
    assert_eq!(world.engine.calls(), 0, "one of four is no quorum");
    let request = || AcksRequest { update_id: vec![1; 32].into() };
    let acks = running.client.acks(request()).await.unwrap().into_inner();
    assert_eq!(acks.acks[0].members, [0]);
    let quorum = running.client.quorum(QuorumRequest { update_id: vec![1; 32].into() }).await.unwrap().into_inner();
    assert_eq!((quorum.seats, quorum.quorum, quorum.tallies[0].quorum), (4, 2, false));
    assert!(running.client.acks(AcksRequest { update_id: vec![0; 32].into() }).await.is_err());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_fails_three_slots_in_a_row_is_left_alone_for_two_epochs_then_tried_once() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    // Each slot fails once, however often it is tried.
    let mut failed_slots = 0;
    let until = loop {
        let moods = [engine::Mood::Broken, engine::Mood::Garbage, engine::Mood::Refusing];
        world.engine.set_mood(moods[failed_slots % 3]);
        let before = world.engine.calls();
        world.gate_acks(2_000 + world.slot);
        let tried = async |running: &mut Running| {
            let status = running.status().await;
            (world.engine.calls() > before || status.breaker == 2).then_some(status)
        };
        eventually("a push", async || tried(&mut running).await).await;
        failed_slots += 1;
        let slot = world.tick();
        world.propose(None);
        running.head_is(slot).await;
        let status = running.status().await;
        if status.breaker == 2 {
            break status.breaker_until_slot;
        }
        assert!(failed_slots < 4, "it should be off by now");
    };
    assert!(failed_slots >= 2, "a push for the next slot may have failed with the new head already");
    world.engine.set_mood(engine::Mood::Well);
    let before = world.engine.calls();
    // A push for slot s is made in slot s - 1.
    while world.slot + 2 < until {
        world.gate_acks(3_000 + world.slot);
        let slot = world.tick();
        world.propose(None);
        running.head_is(slot).await;
    }
    assert_eq!(world.engine.calls(), before, "switched off until slot {until}");
    let health = reqwest::get(format!("http://{}/health", running.bound.metrics)).await.unwrap();
    assert_eq!(health.status(), 206, "blocks yes, AI no");
    let slot = world.tick();
    world.propose(None);
    running.head_is(slot).await;
    an_update_gets_through_or_the_older(&mut world, &mut running).await;
    assert_eq!(running.status().await.breaker, 1, "the trial closed it");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_service_goes_on_where_it_was_and_signs_no_second_root() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    an_update_gets_through(&mut world, &mut running).await;
    let acked = world.gate_acks(77);
    world.pushed().await;
    running.stop().await;
    // The gate says something else about the same update while the service is away.
    let now = pol_kit::clock::Clock::unix_millis(&*world.clock);
    world.sidecar.say(pol_api::sidecar::Verdict {
        update_id: acked,
        model_head: world.head,
        decision: pol_api::sidecar::Decision::Ack(ResultRoot([0xee; 32])),
        losses: None,
        full_set: true,
        first_seen_unix_ms: now,
        decided_unix_ms: now,
    });
    let slot = world.tick();
    world.propose(None);
    let mut running = world.start().await;
    running.head_is(slot).await;
    let refused = async || {
        http_get(running.bound.metrics, "/metrics").await.contains("verdicts_total{outcome=\"refused\"} 1\n").then_some(())
    };
    eventually("refusal", refused).await;
    let roots: std::collections::BTreeSet<_> =
        lock(&world.dht.held).acks.iter().filter(|s| s.ack.data.update_id == acked).map(|s| s.ack.data.result_root).collect();
    assert_eq!(roots.len(), 1);
    an_update_gets_through_or_the_older(&mut world, &mut running).await;
    running.stop().await;
}

/// Two candidates with all ACKs: the smaller id is picked.
async fn an_update_gets_through_or_the_older(world: &mut World, running: &mut Running) {
    let pushed = world.pushed().await;
    let slot = world.tick();
    world.propose(Some(&pushed));
    running.head_is(slot).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signer_with_the_same_keys_is_noticed_and_signing_stops() {
    let mut world = World::new(4, 0..2).await;
    let mut running = ready(&mut world).await;
    an_update_gets_through(&mut world, &mut running).await;
    assert!(!running.status().await.signing_stopped);
    // Somebody else, with our key 1 and another guard.
    let data = AckData { model_head: world.head, ..fixture(5) };
    world.dht.bring(*VerifiedAck::sign(data, &key(1), &world.spec.domains()).unwrap().raw());
    eventually("stop", async || running.status().await.signing_stopped.then_some(())).await;
    let signed = lock(&world.dht.held).acks.len();
    world.gate_acks(500);
    let slot = world.tick();
    world.propose(None);
    running.head_is(slot).await;
    assert_eq!(lock(&world.dht.held).acks.len(), signed, "nothing is signed any more");
    running.stop().await;
    // A fresh guard with the same keys finds the other's ACKs in the DHT at once.
    let other = world.folder.path().join("another-guard");
    let mut second = world.start_in(&other).await;
    eventually("stop", async || second.status().await.signing_stopped.then_some(())).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_no_honest_node_imports_is_not_built_on() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    // An unpatched beacon node takes it for its head.
    let slot = world.tick();
    world.beacon.propose(slot, UpdateId([1; 32]), &[0; 131], true);
    eventually("refusal", async || (running.status().await.blocks_refused == 1).then_some(())).await;
    let slot = world.tick();
    let child = world.beacon.propose(slot, UpdateId::ZERO, &[], true);
    let alarm = async |running: &mut Running| running.status().await.alarms.iter().any(|a| a.code == "chain").then_some(());
    eventually("alarm", async || alarm(&mut running).await).await;
    world.gate_acks(600);
    let slot = world.tick();
    eventually("the slot", async || (running.status().await.slot == slot).then_some(())).await;
    assert_eq!(running.status().await.head_slot, 1);
    assert_eq!(world.engine.held(child.payload_hash, slot + 1), None);
    // The node comes to its senses: back to the good chain.
    let good = lock(&world.beacon.chain).blocks.values().find(|b| b.signed.header.slot == 1).unwrap().root;
    lock(&world.beacon.chain).head = good;
    let slot = world.tick();
    world.propose(None);
    running.head_is(slot).await;
    an_update_gets_through_or_the_older(&mut world, &mut running).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_a_patched_node_refused_is_voted_against_all_the_same() {
    let mut world = World::new(8, 0..8).await;
    let mut running = ready(&mut world).await;
    let slot = world.tick();
    let bad = world.beacon.propose(slot, UpdateId([1; 32]), &[0; 131], false);
    lock(&world.beacon.chain).refused.insert(bad.root);
    world.tick();
    world.propose(None);
    eventually("refusal", async || (running.status().await.blocks_refused == 1).then_some(())).await;
    let cases = async |running: &mut Running| running.faults().await.cases.first().filter(|case| case.proven).map(drop);
    eventually("a proof", async || cases(&mut running).await).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malfeasance_of_a_member_is_posted_and_python_agrees() {
    let mut world = World::new(8, 0..0).await;
    let mut running = ready(&mut world).await;
    for root in [1, 2] {
        let data = AckData { model_head: world.head, result_root: ResultRoot([root; 32]), ..fixture(1) };
        world.dht.bring(*VerifiedAck::sign(data, &key(5), &world.spec.domains()).unwrap().raw());
    }
    eventually("both ACKs", async || (running.status().await.acks == 1).then_some(())).await;
    // Posted at a slot's begin; taken back by nobody.
    let posted = async |world: &mut World| {
        let slot = world.tick();
        world.propose(None);
        let _ = slot;
        lock(&world.beacon.chain).posted.first().cloned()
    };
    let json = eventually("posted evidence", async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        posted(&mut world).await
    })
    .await;
    let lines = python::verdicts(&world.spec, 8, &[(pair_of(&json), serde_json::json!({}))]);
    assert_eq!(lines, ["malfeasance 5 ok"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn votes_of_others_make_a_proof_and_an_unpatched_node_is_asked_again_and_again() {
    let mut world = World::new(8, 0..0).await;
    let mut running = ready(&mut world).await;
    world.beacon.set_mood(beacon::Mood::Unpatched);
    let slot = world.tick();
    let bad = world.beacon.propose(slot, UpdateId([1; 32]), &[], false);
    let proposer = bad.signed.header.proposer_index;
    let domains = world.spec.domains();
    let accused = bad.signed.verify(|index| Some(key(u32::try_from(index).unwrap()).public_key()), &domains).unwrap();
    for voter in (0..8).filter(|voter| u64::from(*voter) != proposer) {
        world.dht.bring_vote(*VerifiedFaultVote::sign(&accused, &key(voter), &domains).raw());
    }
    let all =
        async |running: &mut Running| running.faults().await.cases.first().is_some_and(|case| case.votes == 7).then_some(());
    eventually("seven votes", async || all(&mut running).await).await;
    let tries = async |running: &Running| {
        let metrics = http_get(running.bound.metrics, "/metrics").await;
        let line =
            metrics.lines().find(|line| line.starts_with("polai_quorum_slashings_total{outcome=\"refused\"}")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).unwrap_or(0)
    };
    for _ in 0..6 {
        let slot = world.tick();
        world.propose(None);
        running.head_is(slot).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = tries(&running).await;
    assert!((2..=4).contains(&refused), "{refused} tries in 6 slots");
    world.beacon.set_mood(beacon::Mood::Well);
    let taken = async |world: &mut World, running: &mut Running| {
        let slot = world.tick();
        world.propose(None);
        running.head_is(slot).await;
        lock(&world.beacon.chain).posted.first().cloned()
    };
    let json = eventually("taken slashing", async || taken(&mut world, &mut running).await).await;
    assert_eq!(pair_of(&json).first, bad.signed);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_lies_about_bytes_heads_and_roots_or_restarts_gets_no_wrong_signature() {
    let mut world = World::new(4, 0..4).await;
    let mut running = ready(&mut world).await;
    let now = pol_kit::clock::Clock::unix_millis(&*world.clock);
    let verdict = |update_id, model_head, first_seen_unix_ms| pol_api::sidecar::Verdict {
        update_id,
        model_head,
        decision: pol_api::sidecar::Decision::Ack(ResultRoot([1; 32])),
        losses: None,
        full_set: true,
        first_seen_unix_ms,
        decided_unix_ms: now,
    };
    // No such bytes; bytes for another head; bytes that are no container; a near-copy of what comes first; too late.
    world.sidecar.say(verdict(UpdateId([1; 32]), world.head, now));
    let elsewhere = crate::fixtures::delta_in(&world.spec, 1, ModelHead([9; 32]), 0);
    let garbage = UpdateId(pol_core::sha256(&[b"garbage"]));
    let late = crate::fixtures::delta_in(&world.spec, 2, world.head, 0);
    {
        let mut held = lock(&world.dht.held);
        held.deltas.insert(elsewhere.update_id(), elsewhere.as_bytes().to_vec().into());
        held.deltas.insert(garbage, b"garbage".to_vec().into());
        held.deltas.insert(late.update_id(), late.as_bytes().to_vec().into());
    }
    world.sidecar.say(verdict(elsewhere.update_id(), world.head, now));
    world.sidecar.say(verdict(garbage, world.head, now));
    world.sidecar.say(verdict(late.update_id(), world.head, now - 30_001));
    let metrics = async |what: &str| {
        let line = format!("verdicts_total{{outcome=\"{what}\"}}");
        http_get(running.bound.metrics, "/metrics").await.contains(&line).then_some(())
    };
    for outcome in ["no_bytes", "refused", "late"] {
        eventually(outcome, async || metrics(outcome).await).await;
    }
    assert!(lock(&world.dht.held).acks.is_empty());
    world.sidecar.cut();
    an_update_gets_through(&mut world, &mut running).await;
    let acks: std::collections::BTreeSet<_> = lock(&world.dht.held).acks.iter().map(|stored| stored.ack.data).collect();
    assert_eq!(acks.len(), 1, "after the restart the old verdicts came again");
    running.stop().await;
}
