//! Section 11 end to end: a bad certificate, votes, a proof, a slashing, and the chain goes on.

use pol_beacon::{driver::Event, fork_choice::BlockRefusal};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_proposer_of_a_bad_certificate_is_slashed_and_the_chain_goes_on() {
    let mut world = World::new(8).await;
    // Whoever proposes in slot 10 does it badly.
    let state = pol_beacon::transition::advance(&world.chain.genesis, 10, &world.chain.config).unwrap();
    world.slots(0..=7).await;
    let head = world.node().snapshot().head_node().unwrap().state.clone();
    let at_ten = pol_beacon::transition::advance(&head, 10, &world.chain.config).unwrap();
    let bad = at_ten.proposer_index(10).unwrap();
    assert!(state.validators.len() > usize::try_from(bad).unwrap());
    world.kill();
    world.bad = Some(bad);
    world.open();
    let mut events = world.node().events().subscribe();

    let mut slot = 8;
    let slashed = loop {
        world.slot(slot).await;
        let state = world.node().snapshot().head_node().unwrap().state.clone();
        if state.validator(bad).unwrap().slashed {
            break slot;
        }
        assert!(slot < 14, "not slashed by slot {slot}");
        slot += 1;
    };
    assert!(slashed >= 11);
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(event);
    }
    assert!(seen.iter().any(|event| matches!(**event, Event::ProposerSlashing(_))), "{seen:?}");
    let faults = world.node().read(|chain| chain.ai_faults()).await.unwrap();
    assert_eq!(faults["cases"][0]["proposer_index"], bad.to_string());
    assert_eq!((&faults["cases"][0]["proven"], &faults["cases"][0]["votes"]), (&true.into(), &"7".into()));

    // The others go on, and finalize.
    world.slots(slot + 1..=64).await;
    assert!(world.finalized() >= 4, "{}", world.finalized());
    assert!(world.head_slot() >= 62);
    let faults = world.node().read(|chain| chain.ai_faults()).await.unwrap();
    assert_eq!(faults["slashings"], serde_json::json!([]), "nothing is posted once it is slashed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_short_of_quorum_is_refused_at_import_and_nothing_changes() {
    let world = World::new(4).await;
    world.slots(0..=3).await;
    let head = world.head();
    let node = world.node();
    let block = node.snapshot().head_node().unwrap().block.clone().unwrap();
    let mut signed = block.signed().clone();
    // The next block names an update and brings no certificate.
    signed.message.parent_root = head;
    signed.message.slot = 4;
    let mut extra = vec![0xaa; 80];
    extra[..32].copy_from_slice(&signed.message.body.execution_payload.block_hash.0);
    signed.message.body.execution_payload.parent_hash = signed.message.body.execution_payload.block_hash;
    signed.message.body.execution_payload.extra_data = extra.try_into().unwrap();
    world.clock.set_unix_millis(node.slots().begins(4, pol_beacon::driver::Phase::Start));
    let refusal = node.import(signed.into()).await.unwrap().unwrap_err();
    let pol_beacon::driver::ImportRefused::Rule(BlockRefusal::Gate(_)) = refusal else { panic!("{refusal}") };
    assert_eq!(node.head(), head);
    // It is not signed by its proposer, so that nobody is accused.
    assert_eq!(node.read(|chain| chain.ai_faults()).await.unwrap()["cases"], serde_json::json!([]));
}
