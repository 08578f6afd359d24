use pol_api::convert::ChainEvent;
use pol_core::{UpdateId, state::State};

use super::super::engine::{Advanced, tests::Script};
use super::*;

/// A chain of so many updates, all with their roots, the first `finalized` of them final, as the feed tells it.
fn chain(updates: u8, finalized: usize) -> (Script, Vec<ChainEvent>) {
    let mut script = Script::new();
    let mut events = Vec::new();
    for seed in 0..updates {
        let id = script.delta(seed);
        events.push(script.certify(id));
    }
    events.push(script.finalize(finalized));
    (script, events)
}

fn told(folder: &tempfile::TempDir, script: &Script, events: &[ChainEvent]) -> Engine {
    let mut engine = Engine::open(folder.path(), script.context).unwrap();
    for event in events {
        engine.take(event).unwrap();
    }
    engine
}

fn accept(engine: &mut Engine, script: &mut Script, seed: u8) {
    let id = script.delta(seed);
    let event = script.certify(id);
    engine.take(&event).unwrap();
    assert_eq!(script.go(engine), [] as [UpdateId; 0]);
}

#[test]
fn a_snapshot_of_one_node_brings_another_to_the_same_state_which_8_certificates_confirm() {
    let (mut script, events) = chain(10, 9);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut maker = told(&one, &script, &events);
    script.go(&mut maker);
    assert_eq!((maker.due(4), maker.due(10)), (Some(8), None));
    let (head, manifest, state) = maker.snapshot(8).unwrap().unwrap();
    assert_eq!((manifest.root(), manifest.norms.len()), (state.root(), 8));

    let mut joiner = told(&two, &script, &events);
    let wanted = joiner.wanted(4, 5).unwrap();
    assert_eq!(wanted.len(), 2, "8 with its certificate's root, then any; 4 is too near");
    assert_eq!((wanted[0].model_head, wanted[0].updates, wanted[0].root), (head, 8, Some(state.root())));
    assert!(joiner.join(&wanted[0], &manifest, State::clone(&state)).unwrap());
    let tip = joiner.tip().unwrap();
    assert_eq!((tip.number, tip.root, tip.confirmed, tip.behind), (8, state.root(), false, 2));
    assert_eq!(joiner.due(4), None, "what was not folded here is not offered as if it were");
    script.go(&mut joiner);
    for seed in 10..15 {
        accept(&mut joiner, &mut script, seed);
        assert!(!joiner.tip().unwrap().confirmed, "seven at most");
    }
    drop(joiner);
    let mut joiner = Engine::open(two.path(), script.context).unwrap();
    assert!(!joiner.tip().unwrap().confirmed, "a restart confirms nothing");
    accept(&mut joiner, &mut script, 15);
    let tip = joiner.tip().unwrap();
    assert_eq!((tip.confirmed, tip.root, tip.norms.len()), (true, script.fresh().root(), 16));
    drop(joiner);
    let joiner = Engine::open(two.path(), script.context).unwrap();
    assert_eq!(joiner.tip().unwrap(), tip);
}

#[test]
fn a_snapshot_that_certificates_contradict_is_thrown_away_for_good_and_the_fold_goes_on() {
    let (mut script, events) = chain(9, 9);
    let folder = tempfile::tempdir().unwrap();
    let mut engine = told(&folder, &script, &events);
    // Its own hashes are right: it is another state.
    let wrong = State::initial(&pol_core::GenesisId([9; 32]), script.context.shape);
    let manifest = SnapshotManifest::of(&wrong, 8, &[]);
    let any = engine.wanted(4, 1).unwrap().into_iter().find(|wanted| wanted.root.is_none()).unwrap();
    assert!(any.accepts(wrong.root()));
    assert!(engine.join(&any, &manifest, wrong.clone()).unwrap());
    assert_eq!(engine.abandon().unwrap(), None, "nothing is known against it yet");
    script.go(&mut engine);
    assert!(!engine.tip().unwrap().confirmed);
    // The process dies before it acts.
    drop(engine);
    let mut engine = Engine::open(folder.path(), script.context).unwrap();
    let reverted = engine.abandon().unwrap();
    assert_eq!(reverted, Some(Event::Reverted { to_head: script.context.genesis_id.into(), number: 0 }));
    let tip = engine.tip().unwrap();
    assert_eq!((tip.number, tip.confirmed, tip.behind), (0, true, 9));
    assert!(engine.wanted(4, 1).unwrap().iter().all(|wanted| !wanted.accepts(wrong.root())));
    script.go(&mut engine);
    accept(&mut engine, &mut script, 30);
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
    drop(engine);
    let engine = Engine::open(folder.path(), script.context).unwrap();
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
}

#[test]
fn a_fold_that_contradicts_its_certificate_stands_and_stops_acks_until_8_agree() {
    let (mut script, events) = chain(3, 2);
    let folder = tempfile::tempdir().unwrap();
    let mut engine = told(&folder, &script, &events);
    script.go(&mut engine);
    let id = script.delta(3);
    let ChainEvent::Update(update) = script.accept(id) else { panic!("an update") };
    let lie = Some(pol_core::ResultRoot([7; 32]));
    engine.take(&ChainEvent::Update(pol_api::convert::ChainUpdate { result_root: lie, ..update })).unwrap();
    let Advanced::Applied { events, .. } = engine.advance(&|id| script.bytes.get(id).cloned()).unwrap() else {
        panic!("applied")
    };
    let Event::Applied { root, certified, parent, .. } = events[0] else { panic!("{events:?}") };
    assert_eq!((root, certified, parent), (script.fresh().root(), lie, script.chain[2].1), "the fold wins");
    assert!(!engine.tip().unwrap().confirmed);
    assert_eq!(engine.abandon().unwrap(), None, "it is no snapshot");
    for seed in 4..11 {
        accept(&mut engine, &mut script, seed);
    }
    assert!(!engine.tip().unwrap().confirmed, "seven agree");
    engine.take(&script.revert(10)).unwrap();
    accept(&mut engine, &mut script, 40);
    assert!(!engine.tip().unwrap().confirmed, "a reorg took one of them");
    drop(engine);
    let mut engine = Engine::open(folder.path(), script.context).unwrap();
    accept(&mut engine, &mut script, 41);
    assert!(engine.tip().unwrap().confirmed);
}

#[test]
fn a_void_to_before_the_snapshot_waits_and_one_to_the_snapshots_own_state_is_followed() {
    let (mut script, events) = chain(6, 6);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut maker = told(&one, &script, &events);
    script.go(&mut maker);
    let (_, manifest, state) = maker.snapshot(4).unwrap().unwrap();
    let mut joiner = told(&two, &script, &events);
    let wanted = joiner.wanted(4, 1).unwrap();
    assert!(joiner.join(&wanted[0], &manifest, State::clone(&state)).unwrap());
    script.go(&mut joiner);
    let back = script.void(script.chain[3].1);
    let event = script.certify(back);
    joiner.take(&event).unwrap();
    script.go(&mut joiner);
    assert_eq!(joiner.tip().unwrap().root, state.root());
    let too_far = script.void(script.chain[1].1);
    let event = script.certify(too_far);
    joiner.take(&event).unwrap();
    assert!(script.go(&mut joiner).is_empty());
    assert_eq!(joiner.advance(&|id| script.bytes.get(id).cloned()).unwrap(), Advanced::OutOfReach);
    assert_eq!((joiner.tip().unwrap().number, joiner.tip().unwrap().behind), (7, 1), "it waits, and does not end");
}

#[test]
fn a_snapshot_of_no_use_any_more_is_left() {
    let (script, events) = chain(9, 8);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut maker = told(&one, &script, &events);
    script.go(&mut maker);
    let (_, manifest, state) = maker.snapshot(8).unwrap().unwrap();
    let wanted = told(&two, &script, &events).wanted(4, 1).unwrap();
    // It was folded meanwhile.
    assert!(!maker.join(&wanted[0], &manifest, State::clone(&state)).unwrap());
    assert_eq!(maker.tip().unwrap().root, script.fresh().root());
}

#[test]
fn a_doubted_fold_is_confirmed_although_the_update_after_it_names_no_root() {
    let (mut script, events) = chain(2, 1);
    let folder = tempfile::tempdir().unwrap();
    let mut engine = told(&folder, &script, &events);
    script.go(&mut engine);
    let id = script.delta(2);
    let ChainEvent::Update(update) = script.accept(id) else { panic!("an update") };
    let lie = Some(pol_core::ResultRoot([7; 32]));
    engine.take(&ChainEvent::Update(pol_api::convert::ChainUpdate { result_root: lie, ..update })).unwrap();
    let id = script.delta(3);
    engine.take(&script.accept(id)).unwrap();
    for seed in 4..11 {
        accept(&mut engine, &mut script, seed);
    }
    assert!(!engine.tip().unwrap().confirmed, "seven agree");
    drop(engine);
    let mut engine = Engine::open(folder.path(), script.context).unwrap();
    accept(&mut engine, &mut script, 11);
    assert!(engine.tip().unwrap().confirmed, "the eighth");
}

#[test]
fn a_joined_state_without_a_first_root_is_confirmed_from_the_next_snapshots_update_on() {
    let (mut script, events) = chain(5, 5);
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut maker = told(&one, &script, &events[..5]);
    maker.take(&events[5]).unwrap();
    script.go(&mut maker);
    let (_, manifest, state) = maker.snapshot(4).unwrap().unwrap();
    let mut joiner = told(&two, &script, &events[..4]);
    let id = script.chain[4].0;
    script.chain.truncate(4);
    joiner.take(&script.accept(id)).unwrap();
    joiner.take(&script.finalize(4)).unwrap();
    let wanted = joiner.wanted(4, 1).unwrap();
    assert!(joiner.join(&wanted[0], &manifest, State::clone(&state)).unwrap());
    assert_eq!(script.go(&mut joiner), [] as [UpdateId; 0]);
    // The script folds all anew for each root: only those around the snapshot's update have one, which is enough to tell.
    let next = usize::try_from(pol_core::params::SNAPSHOT_INTERVAL).unwrap();
    for number in 6..=next {
        let id = script.delta((number % 200) as u8);
        let event = if number % 20 == 0 { script.certify(id) } else { script.accept(id) };
        joiner.take(&event).unwrap();
    }
    assert_eq!(script.go(&mut joiner), [] as [UpdateId; 0]);
    for seed in 201..208 {
        accept(&mut joiner, &mut script, seed);
    }
    assert!(!joiner.tip().unwrap().confirmed, "seven after the snapshot's update, and many before it");
    drop(joiner);
    let mut joiner = Engine::open(two.path(), script.context).unwrap();
    accept(&mut joiner, &mut script, 208);
    let tip = joiner.tip().unwrap();
    assert_eq!((tip.confirmed, tip.number, tip.root), (true, next as u64 + 8, script.fresh().root()));
}
