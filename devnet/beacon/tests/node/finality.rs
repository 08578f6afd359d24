//! The chain finalizes, and is the same after a restart.

use crate::world::World;

/// With one validator the specification finalizes epoch 1 at slot 40, with more epoch 2 at slot 32.
async fn finalizes(validators: u32, slot: u64, epoch: u64) {
    let world = World::new(validators).await;
    world.slots(0..=slot - 1).await;
    assert_eq!((world.finalized(), world.head_slot()), (0, slot - 1), "a block in every slot, nothing final yet");
    world.slot(slot).await;
    assert_eq!((world.finalized(), world.head_slot()), (epoch, slot));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_validator_finalizes_from_genesis() {
    finalizes(1, 40, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_finalize_from_genesis() {
    let world = World::new(4).await;
    world.slots(0..=40).await;
    assert_eq!(world.head_slot(), 40);
    assert!(world.finalized() >= 2, "{}", world.finalized());
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_validators_finalize_from_genesis() {
    finalizes(16, 32, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_has_the_same_head_and_goes_on() {
    let mut world = World::new(4).await;
    world.slots(0..=44).await;
    let (head, finalized) = (world.head(), world.node().snapshot().finalized);
    assert!(finalized.epoch > 0);
    world.kill();
    world.open();
    assert_eq!(world.head(), head);
    world.slots(45..=60).await;
    assert_eq!(world.head_slot(), 60);
    assert!(world.finalized() >= 5, "{}", world.finalized());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_table_of_model_heads_is_made_anew_from_the_blocks() {
    let mut world = World::new(4).await;
    world.slots(0..=44).await;
    let head = world.head();
    world.kill();
    let tables = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let lost: Vec<_> = tables.filter(|path| path.is_file() && !path.ends_with("beacon.redb")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    std::fs::remove_file(&lost[0]).unwrap();
    world.open();
    assert_eq!(world.head(), head);
    world.slots(45..=48).await;
    assert_eq!(world.head_slot(), 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_starts_hundreds_of_slots_late_goes_on() {
    let world = World::new(4).await;
    world.slots(400..=440).await;
    assert_eq!(world.head_slot(), 440);
    assert!(world.finalized() >= 50, "{}", world.finalized());
}

#[tokio::test(flavor = "multi_thread")]
async fn long_five_thousand_slots_stay_small() {
    let world = World::new(8).await;
    let began = std::time::Instant::now();
    world.slots(0..=5_000).await;
    let took = began.elapsed();
    assert_eq!(world.head_slot(), 5_000);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096;
    println!("{} us a slot, {} MB resident, the scripted execution client included", took.as_micros() / 5_000, resident >> 20);
    assert!(resident < 300 << 20, "{resident} bytes");
}
