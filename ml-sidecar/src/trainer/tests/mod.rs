mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
};

use pol_core::delta::{Checked, RawDelta};
use pol_kit::clock::{Manual, System};
use world::{World, bad_plan, good_plan, head};

use super::*;

fn world() -> World {
    World::new(Arc::new(System::new()))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_offers_what_its_own_gate_acks_and_one_candidate_at_a_time() {
    let mut world = world();
    let trainer = world.start(good_plan());
    trainer.until(|progress| progress.phase == Phase::Waiting).await;
    let offers = world.shelf.offers();
    assert_eq!((offers.len(), offers[0].head), (1, head(&world)));
    assert_eq!(world.memory().bytes(offers[0].update_id).unwrap(), offers[0].bytes);
    // The claims say what it was trained on.
    let checked = pol_core::delta::decode(&offers[0].bytes, &world.chain.tip.context).unwrap();
    let claims = checked.header().claims;
    assert_eq!((claims.inner_steps, claims.tokens_seen, claims.model_head), (10, 10 * 4 * 32, head(&world)));
    assert!(claims.samples != pol_core::Hash32::ZERO && claims.slot > 0);
    // Ours wins: it goes on from there.
    world.chain.accept(&offers[0].bytes);
    trainer.until(|progress| progress.published == 2 && progress.phase == Phase::Waiting).await;
    let offers = world.shelf.offers();
    assert_eq!((offers.len(), offers[1].head), (2, head(&world)));
    assert!(offers[1].sequence > offers[0].sequence);
    assert!(trainer.stop());
    assert_eq!((world.measured.rounds("passed"), world.measured.updates("accepted")), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_own_gate_does_not_ack_is_never_offered() {
    let world = world();
    let trainer = world.start(bad_plan());
    trainer.until(|progress| progress.round >= 3).await;
    assert!(trainer.stop());
    assert_eq!(world.shelf.tries.load(Ordering::SeqCst), 0);
    assert!(world.measured.rounds("passed") == 0 && world.memory().own.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_anew_when_the_head_moves_and_keeps_what_was_trained() {
    let mut world = world();
    let mut plan = good_plan();
    plan.steps = 1_000_000;
    let trainer = world.start(plan);
    trainer.until(|progress| progress.step >= 2).await;
    let before = head(&world);
    world.chain.accept_another(3);
    trainer.until(|progress| progress.round == 1 && progress.head != before && progress.step >= 1).await;
    assert!(trainer.stop());
    assert_eq!((world.measured.rounds("rebased"), world.shelf.offers().len()), (1, 0));
    assert!(world.memory().residual.units().iter().any(|unit| *unit != 0), "what was trained is kept");
    assert!(world.memory().place.cursor.place > 0, "texts that were seen are not seen again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_nobody_acks_gives_way_to_the_next_after_the_timeout() {
    let mut world = world();
    world.ack_timeout = Duration::from_millis(50);
    let trainer = world.start(good_plan());
    trainer.until(|progress| progress.published >= 2).await;
    assert!(trainer.stop());
    let offers = world.shelf.offers();
    assert!(offers[0].head == offers[1].head && offers[0].update_id != offers[1].update_id);
    assert!(offers[0].sequence < offers[1].sequence);
    // Who ACKed the first may ACK the second: it is no near-copy.
    let [first, second] = [0, 1].map(|at: usize| world.memory().change(offers[at].update_id).unwrap());
    let carried: BTreeSet<u32> = first.iter().map(|(index, _)| index).collect();
    assert!(second.iter().all(|(index, _)| !carried.contains(&index)));
}

/// The residual of the memory after each turn of the chain.
#[tokio::test(flavor = "multi_thread")]
async fn the_residual_gives_up_what_was_accepted_takes_it_back_in_a_reorg_and_is_kept_when_another_wins() {
    let mut world = world();
    let genesis = world.chain.tip.clone();
    let trainer = world.start_for_one_offer().await;
    let (own, trained) = (world.memory().own[0].clone(), world.memory().residual);
    let mut without = trained.clone();
    without.subtract(&world.memory().change(own.update_id).unwrap());
    assert_ne!(trained, without);

    world.chain.accept(&world.memory().bytes(own.update_id).unwrap());
    trainer.until(|progress| progress.accepted == 1).await;
    trainer.until(|progress| progress.head == head(&world)).await;
    assert_eq!((world.memory().residual, world.memory().own[0].added), (without.clone(), true));
    let accepted = world.chain.tip.clone();
    world.chain.revert(genesis);
    trainer.until(|progress| progress.head == head(&world)).await;
    assert_eq!((world.memory().residual, world.memory().own[0].added), (trained.clone(), false));

    // Another one wins, for good.
    world.chain.accept_another(1);
    world.chain.finalize();
    trainer.until(|progress| progress.head == head(&world)).await;
    assert!(trainer.stop());
    assert_eq!((world.memory().residual, world.memory().own.len()), (trained, 0));
    assert_eq!(["accepted", "reverted", "lost"].map(|outcome| world.measured.updates(outcome)), [1, 1, 1]);
    assert!(accepted.head != head(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_delta_in_a_merge_is_accepted_and_the_residual_gives_up_what_the_merge_added_of_it() {
    let mut world = world();
    let genesis = world.chain.tip.clone();
    let trainer = world.start_for_one_offer().await;
    let (own, trained) = (world.memory().own[0].clone(), world.memory().residual);
    let whole = world.memory().change(own.update_id).unwrap();
    let bytes = world.memory().bytes(own.update_id).unwrap();
    // It carries every other coordinate of the own one.
    let mut dense = vec![1; trained.units().len()];
    whole.iter().enumerate().for_each(|(at, (index, value))| dense[index as usize] = if at % 2 == 0 { value } else { 0 });
    let other = world.chain.another(&dense, 1);
    world.chain.accept_merge(&[(&bytes, 1), (&other, 1)]);
    trainer.until(|progress| progress.accepted == 1).await;
    trainer.until(|progress| progress.head == head(&world)).await;
    assert!(trainer.stop());
    let memory = world.memory();
    assert!(memory.own[0].added && memory.own[0].merge.is_some());
    // Half where both carry it, all where it is alone: section 14.3.
    let Checked::Delta(other) = RawDelta::new(other).unwrap().check(&genesis.context).unwrap() else { panic!("no delta") };
    let others: BTreeSet<u32> = other.changes().map(|(index, _)| index).collect();
    let (mut halves, mut wholes) = (0, 0);
    for (index, value) in &whole {
        let gone = trained.units()[index as usize] - memory.residual.units()[index as usize];
        if others.contains(&index) {
            assert!((2 * gone - value).abs() <= 1, "{gone} of {value}");
            halves += 1;
        } else {
            assert_eq!(gone, value);
            wholes += 1;
        }
    }
    assert!(halves > 0 && wholes > 0, "{halves} {wholes}");

    // A restart takes nothing back, a reorg does, and another merge counts anew.
    let again = world.start(good_plan());
    again.control.stop();
    again.until(|progress| progress.phase == Phase::Stopped && progress.head == head(&world)).await;
    assert_eq!((world.memory().residual, world.memory().own[0].merge), (memory.residual, memory.own[0].merge));
    world.chain.revert(genesis);
    again.until(|progress| progress.head == head(&world)).await;
    assert_eq!((world.memory().residual, world.memory().own[0].added), (trained, false));
    assert!(again.stop());
    assert_eq!(["accepted", "reverted", "lost"].map(|outcome| world.measured.updates(outcome)), [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_residual_of_which_nothing_is_accepted_for_64_slots_is_dropped() {
    let clock = Arc::new(Manual::at(1_000 + 12 * 100));
    let mut world = World::new(Arc::clone(&clock) as Arc<dyn Clock>);
    let trainer = world.start_for_one_offer().await;
    assert_eq!(world.memory().since_slot, Some(100));
    for (slots, dropped) in [(64, false), (1, true)] {
        clock.advance(Duration::from_secs(12 * slots));
        world.chain.accept_another(slots as i32);
        trainer.until(|progress| progress.head == head(&world)).await;
        let units = world.memory().residual;
        assert_eq!(units.units().iter().all(|unit| *unit == 0), dropped, "{slots}");
    }
    assert!(trainer.stop());
    assert_eq!(world.memory().since_slot, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dht_that_is_down_delays_and_loses_nothing() {
    let mut world = world();
    world.shelf.down.store(true, Ordering::SeqCst);
    let trainer = world.start(good_plan());
    let failed = trainer.until(|progress| progress.problem.is_some()).await;
    assert!(failed.problem.unwrap().contains("DHT"));
    let own = world.memory().own[0].clone();
    world.shelf.down.store(false, Ordering::SeqCst);
    let back = trainer.until(|progress| progress.phase == Phase::Waiting).await;
    assert_eq!((back.problem, back.published), (None, 1));
    assert_eq!((world.shelf.offers()[0].update_id, world.shelf.offers()[0].sequence), (own.update_id, own.sequence));
    // What it could not offer before the head moved is of no use any more.
    world.shelf.down.store(true, Ordering::SeqCst);
    world.chain.accept_another(1);
    trainer.until(|progress| progress.problem.is_some()).await;
    world.chain.accept_another(2);
    world.shelf.down.store(false, Ordering::SeqCst);
    trainer.until(|progress| progress.published == 2 && progress.phase == Phase::Waiting).await;
    assert!(trainer.stop());
    assert_eq!(world.shelf.offers()[1].head, head(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_and_starts_as_it_is_told_and_does_the_rounds_that_were_asked_for() {
    let mut world = world();
    world.ack_timeout = Duration::from_millis(1);
    let trainer = world.start(good_plan());
    trainer.control.start(Some(2));
    let done = trainer.until(|progress| progress.phase == Phase::Stopped && progress.round > 0).await;
    assert!((2..=3).contains(&done.round), "{done:?}");
    trainer.control.start(Some(1));
    let more = trainer.until(|progress| progress.phase == Phase::Stopped && progress.round > done.round).await;
    assert_eq!(more.round, done.round + 1);
    assert!(trainer.stop());
}

/// Killed again and again, while it trains and while it publishes, and what it offers is what it would have offered, to the byte.
async fn survives_kills(kills: u64, updates: usize) {
    let standing = || World::new(Arc::new(Manual::at(2_000)));
    let mut straight = standing();
    let trainer = straight.start(good_plan());
    for number in 1..=updates {
        trainer.until(|progress| progress.published == number as u64 && progress.phase == Phase::Waiting).await;
        straight.chain.accept(&straight.shelf.offers()[number - 1].bytes);
    }
    assert!(trainer.stop());

    let mut world = standing();
    let mut deaths = 0;
    for kill in 0..kills {
        let chance = pol_core::sha256(&[b"kill", &kill.to_le_bytes()]);
        if chance[0].is_multiple_of(3) {
            world.shelf.die_at.store(world.shelf.tries.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
        } else {
            world.deadly.store(1 + u64::from(chance[1]) % 12, Ordering::SeqCst);
        }
        deaths += u64::from(world.start(good_plan()).until_dead().await);
        world.deadly.store(0, Ordering::SeqCst);
        world.shelf.die_at.store(0, Ordering::SeqCst);
        let newest = world.shelf.offers().last().cloned();
        if let Some(offer) = newest.filter(|offer| offer.head == head(&world) && world.chain.tip.number < updates as u64) {
            world.chain.accept(&offer.bytes);
        }
    }
    assert!(deaths * 3 > kills, "{deaths} deaths");
    let mut offers = world.shelf.offers();
    offers.dedup();
    assert!(offers.len() > 1, "nothing of worth was offered");
    for (number, (offer, expected)) in offers.iter().zip(straight.shelf.offers()).enumerate() {
        assert!(*offer == expected, "offer {number}: {} {}", offer.update_id, expected.update_id);
    }
    let sequences: BTreeMap<u64, &Offer> = offers.iter().map(|offer| (offer.sequence, offer)).collect();
    assert_eq!(sequences.len(), offers.len(), "two containers with one sequence number, or one with two");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_never_offers_two_containers_as_one_nor_one_as_two() {
    survives_kills(8, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_killed_a_hundred_times_it_never_offers_two_containers_as_one_nor_one_as_two() {
    survives_kills(100, 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_was_begun_on_other_texts_is_not_gone_on_with() {
    let standing = || World::new(Arc::new(Manual::at(2_000)));
    let mut straight = standing();
    straight.texts_seed = 6;
    assert!(straight.start_for_one_offer().await.stop());
    let mut world = standing();
    world.deadly.store(6, Ordering::SeqCst);
    assert!(world.start(good_plan()).until_dead().await, "killed in the middle of a round");
    assert!(world.memory().kept_round().is_some_and(|kept| kept.kept.tokens > 0));
    world.texts_seed = 6;
    assert!(world.start_for_one_offer().await.stop());
    assert!(world.shelf.offers()[0] == straight.shelf.offers()[0], "it follows from the new texts alone");
}

/// Resident memory of this process, KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn memory_stays_flat(rounds: usize, warm: usize, growth: f64) {
    let mut world = world();
    world.ack_timeout = Duration::from_millis(1);
    let trainer = world.start(good_plan());
    let mut before = 0.0;
    for number in 1..=rounds {
        let progress = trainer.until(|progress| progress.round >= number as u64).await;
        // Near convergence many rounds do not pass: those count, too.
        let newest = world.shelf.offers().last().cloned();
        if let Some(offer) = newest.filter(|offer| offer.head == progress.head && offer.head == head(&world)) {
            world.chain.accept(&offer.bytes);
            world.chain.finalize();
        }
        if number == warm {
            before = resident();
        }
    }
    let after = resident();
    assert!(trainer.stop());
    let published = world.measured.updates("accepted");
    println!("{before} KiB after {warm} rounds, {after} KiB after {rounds}, {published} accepted");
    assert!(after <= before * growth, "{before} KiB, then {after} KiB");
    assert!(published > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_rounds() {
    memory_stays_flat(12, 6, 1.1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_memory_stays_flat_over_200_rounds() {
    memory_stays_flat(200, 20, 1.02).await;
}
