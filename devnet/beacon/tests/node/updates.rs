//! An update from its ACKs into a block, and what is short of a quorum nowhere.

use lighthouse_ack_quorum::collector::Seen;
use pol_core::{
    ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    model_head,
};
use pol_kit::clock::Clock as _;

use crate::world::{World, secret_key};

fn acks(world: &World, data: AckData, members: std::ops::Range<u64>) -> Vec<Seen> {
    let (domains, now) = (world.chain.spec.domains(), world.clock.unix_millis());
    let ack = |index| VerifiedAck::sign(data, &secret_key(index), &domains).unwrap();
    members.map(|index| Seen { ack: *ack(index).raw(), first_seen_ms: now }).collect()
}

async fn quorum_of_head(world: &World) -> serde_json::Value {
    let root = world.head();
    world.node().read(move |chain| chain.ai_quorum(&root)).await.unwrap().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_a_quorum_is_in_the_next_block_and_moves_the_model_head() {
    let mut world = World::new(4).await;
    world.slots(0..=4).await;
    let head = world.chain.spec.genesis_head();
    let data = AckData { update_id: UpdateId([9; 32]), model_head: head, result_root: ResultRoot([8; 32]) };
    let now = world.clock.unix_millis();

    // One of four is no quorum.
    let one = acks(&world, data, 0..1);
    let added = world.node().with(move |chain| chain.add_acks(&one, now)).await.unwrap();
    assert_eq!((added.counted, added.new_quorums.len()), (1, 0));
    world.slot(5).await;
    world.slot(6).await;
    assert!(quorum_of_head(&world).await["certificate"].is_null());

    let more = acks(&world, data, 1..3);
    let now = world.clock.unix_millis();
    let added = world.node().with(move |chain| chain.add_acks(&more, now)).await.unwrap();
    assert_eq!((added.counted, added.new_quorums.len()), (2, 1));
    world.slot(7).await;
    world.phase(8, pol_beacon::driver::Phase::Start).await;
    let quorum = quorum_of_head(&world).await;
    assert_eq!((&quorum["slot"], &quorum["certificate"]["acks"]), (&"8".into(), &"3".into()));
    assert_eq!(quorum["update_id"], format!("0x{}", "09".repeat(32)));
    let after = model_head::child(head, data.update_id);
    assert_eq!(quorum["model_head"], format!("0x{after}"));

    // It applies to one head only, and is included once; a restart knows the same head.
    world.slots(9..=12).await;
    assert!(quorum_of_head(&world).await["certificate"].is_null());
    world.kill();
    world.open();
    let status = world.node().read(|chain| chain.ai_status()).await.unwrap().unwrap();
    assert_eq!(status["model_head"], format!("0x{after}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_that_come_before_the_first_slot_of_a_start_count() {
    let mut world = World::new(4).await;
    let mut head = world.chain.spec.genesis_head();
    // Before genesis, and after a restart.
    for (start, id) in [(0, 7), (2, 8)] {
        let data = AckData { update_id: UpdateId([id; 32]), model_head: head, result_root: ResultRoot([8; 32]) };
        let (seen, now) = (acks(&world, data, 0..3), world.clock.unix_millis());
        let added = world.node().with(move |chain| chain.add_acks(&seen, now)).await.unwrap();
        assert_eq!((added.counted, added.new_quorums.len()), (3, 1));
        world.slots(start..=start + 1).await;
        assert_eq!(quorum_of_head(&world).await["update_id"], format!("0x{}", format!("{id:02x}").repeat(32)));
        head = model_head::child(head, data.update_id);
        world.kill();
        world.open();
    }
}
