//! The execution client is away, slow or wrong, and comes back.

use pol_beacon::{driver::Phase, engine::EngineState};
use serde_json::json;

use crate::{engine::Mode, world::World};

/// Trouble for two epochs, then peace: blocks in every slot again, and finality.
async fn recovers(mode: Mode, state: EngineState) {
    let world = World::new(4).await;
    world.slots(0..=10).await;
    world.engine.set(mode);
    // The hundreds of milliseconds that a slow client costs are waited for once, not for two epochs.
    let last = if mode == Mode::Slow { 12 } else { 26 };
    world.slots(11..=last).await;
    assert_eq!(world.node().link().state(), state);
    assert_eq!(world.node().health().report().status, pol_kit::metrics::Status::Down);
    world.engine.set(Mode::Good);
    world.slots(last + 1..=last + 40).await;
    assert_eq!((world.head_slot(), world.node().link().state()), (last + 40, EngineState::Synced));
    assert!(world.finalized() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_was_down_for_two_epochs_is_no_harm() {
    recovers(Mode::Down, EngineState::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_answered_syncing_is_no_harm() {
    recovers(Mode::Syncing, EngineState::Syncing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_answered_garbage_is_no_harm() {
    recovers(Mode::Garbage, EngineState::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_is_too_slow_is_no_harm() {
    recovers(Mode::Slow, EngineState::Down).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_payload_is_not_imported_and_the_chain_goes_on() {
    let world = World::new(4).await;
    world.slots(0..=5).await;
    let head = world.head();
    world.engine.set(Mode::Invalid);
    world.slots(6..=7).await;
    assert_eq!(world.head(), head);
    world.engine.set(Mode::Good);
    world.slots(8..=12).await;
    assert_eq!(world.head_slot(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_lost_its_newest_blocks_is_fed_them_again() {
    let world = World::new(4).await;
    world.slots(0..=44).await;
    // Below what is final, too.
    world.engine.forget_above(7);
    world.slots(45..=50).await;
    assert_eq!((world.head_slot(), world.node().link().state()), (50, EngineState::Synced));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_client_that_lacks_any_number_of_blocks_gets_them_all_64_a_slot() {
    let world = World::new(4).await;
    world.slots(0..=205).await;
    let mut slot = 205;
    for missing in [1, 63, 64, 65, 100, 127, 128, 200] {
        world.engine.forget_newest(missing);
        // A slot more than feeding takes: the one in which it is found out.
        let enough = slot + missing.div_ceil(64) + 1;
        world.slots(slot + 1..=enough).await;
        assert_eq!((world.node().link().state(), world.head_slot()), (EngineState::Synced, enough), "{missing} missing");
        slot = enough;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_late_or_refused_is_a_missed_slot_and_not_a_lost_client() {
    for mode in [Mode::LatePayload, Mode::NoPayload] {
        let world = World::new(4).await;
        world.slots(0..=3).await;
        world.engine.set(mode);
        // Not the whole slot: what comes later in it would mend a wrong word.
        world.phase(4, Phase::Start).await;
        assert_eq!((world.head_slot(), world.node().link().state()), (3, EngineState::Synced), "{mode:?}");
        assert_ne!(world.node().health().report().status, pol_kit::metrics::Status::Down, "{mode:?}");
        world.engine.set(Mode::Good);
        world.slot(5).await;
        assert_eq!((world.head_slot(), world.node().link().state()), (5, EngineState::Synced), "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_with_a_bad_certificate_is_cleared_and_the_block_comes_out_empty() {
    let world = World::new(4).await;
    world.slots(0..=3).await;
    world.engine.set(Mode::BadCertificate);
    world.phase(4, Phase::Start).await;
    let snapshot = world.node().snapshot();
    let block = snapshot.head_node().unwrap().block.clone().unwrap();
    assert_eq!(block.message().slot, 4, "the slot was not missed");
    let extra = &block.message().body.execution_payload.extra_data;
    assert_eq!((extra.len(), &extra[32..64]), (80, &[0; 32][..]));
    let zero = json!(format!("0x{}", "00".repeat(32)));
    assert_eq!(world.engine.script.lock().unwrap().candidates.last().unwrap()["updateId"], zero);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposer_asks_for_its_payload_before_its_slot() {
    let world = World::new(1).await;
    world.slots(0..=3).await;
    let before = world.engine.count("engine_forkchoiceUpdatedV3");
    world.phase(4, Phase::Start).await;
    // One for the head at the slot's start, one after the import; none with attributes.
    assert_eq!(world.engine.count("engine_forkchoiceUpdatedV3") - before, 2);
    assert_eq!(world.head_slot(), 4);
}
