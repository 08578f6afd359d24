use std::path::Path;

use pol_core::{GenesisId, delta::Profile};

use super::*;
use crate::{
    data::CorpusSet,
    device::Device,
    embedded::{self, Recipe},
    train::AdamW,
};

const SMALL: Recipe = Recipe {
    vocabulary: 400,
    layers: 1,
    tokenizer_texts: 40,
    steps: 4,
    sequences: 4,
    length: 32,
    learning_rate: 4e-3,
    threads: 1,
};

struct World {
    checkpoint: Checkpoint,
    model: Model,
    context: Context,
    state: State,
}

fn world(cache: &Path) -> World {
    // Tests run side by side, each a process: more threads would only wait for each other.
    tch::set_num_threads(1);
    let checkpoint = embedded::open(cache, &SMALL, 1, &mut |_| {}).unwrap();
    let model = checkpoint.load(Device::cpu(), None).unwrap();
    let context = Context { genesis_id: GenesisId([4; 32]), shape: *model.shape(), profile: Profile::F16x20 };
    let state = State::initial(&context.genesis_id, context.shape);
    World { checkpoint, model, context, state }
}

fn plan(steps: u64, refining_steps: u64) -> Plan {
    let optimizer = AdamW { learning_rate: 1e-2, ..AdamW::default() };
    Plan { steps, refining_steps, sequences: 4, length: 48, options: TrainerOptions { optimizer, ..TrainerOptions::default() } }
}

fn trained(world: &World, plan: Plan, residual: Residual) -> Result<Trained, SessionError> {
    let texts = CorpusSet::new(5, &[], 500);
    let key = SigningKey::from_bytes(&[2; 32]);
    let author = Author { context: &world.context, head: world.context.genesis_id.into(), slot: 7, key: &key };
    let session = Session { model: &world.model, checkpoint: &world.checkpoint, texts: &texts, plan };
    run(&session, &world.state, residual, &author, &mut |_| {})
}

#[test]
fn one_seed_is_one_delta_and_it_says_what_it_cost() {
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let run = || trained(&world, plan(3, 2), Residual::new(world.context.shape)).unwrap();
    let (one, other) = (run(), run());
    assert!(one.delta.as_bytes() == other.delta.as_bytes());
    let claims = one.delta.header().claims;
    assert_eq!((claims.inner_steps, claims.slot), (5, 7));
    assert_eq!((u64::from(claims.tokens_seen), one.tokens), (5 * 4 * 48, 5 * 4 * 48));
    let other_seed = Plan { options: TrainerOptions { seed: 9, ..plan(3, 2).options }, ..plan(3, 2) };
    let other = trained(&world, other_seed, Residual::new(world.context.shape)).unwrap();
    assert!(one.delta.as_bytes() != other.delta.as_bytes());
}

/// The values of a delta alone, trained among all others, are worth less than the same places trained alone.
#[test]
fn a_refined_delta_lowers_the_loss_more_than_a_cut_one() {
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let held_out: Vec<Vec<u32>> =
        (0..12).map(|text| world.checkpoint.tokens(&crate::corpus::Corpus::new(77, &[]).get(text)).unwrap()).collect();
    let loss = |plan| {
        let delta = trained(&world, plan, Residual::new(world.context.shape)).unwrap().delta;
        let mut state = world.state.clone();
        state.apply(&delta.into()).unwrap();
        let adapter = Adapter::from_state(&state, Device::cpu()).unwrap();
        world.model.losses(Some(&adapter), &held_out).unwrap().mean().unwrap()
    };
    let before = world.model.losses(None, &held_out).unwrap().mean().unwrap();
    let (cut, refined) = (loss(plan(40, 0)), loss(plan(20, 20)));
    assert!(refined < cut && refined < before * 0.999, "{before} {cut} {refined}");
}

#[test]
fn the_residual_takes_up_all_that_was_trained() {
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let first = trained(&world, plan(2, 0), Residual::new(world.context.shape)).unwrap();
    let start = Adapter::from_state(&world.state, Device::cpu()).unwrap();
    assert_eq!(first.residual.units(), crate::update::difference(&start, &first.adapter.unwrap()).unwrap());
}

#[test]
fn texts_without_a_token_end_the_training_with_an_error() {
    #[derive(Debug)]
    struct Nothing;
    impl TextSource for Nothing {
        fn count(&self) -> u64 {
            3
        }
        fn get(&self, _: u64) -> Result<String, SetError> {
            Ok(String::new())
        }
        fn fingerprint(&self) -> pol_core::Hash32 {
            pol_core::Hash32::ZERO
        }
    }
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let mut sequences = Sequences::new(&Nothing, &world.checkpoint, Place::new(1), Samples::default());
    assert!(matches!(sequences.take(50), Err(SessionError::Empty)));
}

/// Where a training is killed does not show in what it makes: in the middle of either part, and between them.
#[test]
fn a_training_that_is_taken_up_again_gives_the_same_delta_byte_for_byte() {
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let texts = CorpusSet::new(5, &[], 500);
    let key = SigningKey::from_bytes(&[2; 32]);
    let author = Author { context: &world.context, head: world.context.genesis_id.into(), slot: 7, key: &key };
    let session = Session { model: &world.model, checkpoint: &world.checkpoint, texts: &texts, plan: plan(3, 2) };
    let mut residual = Residual::new(world.context.shape);
    residual.add(&vec![3; world.context.shape.value_count() as usize]).unwrap();
    let begin = || Work::begin(session, &world.state, author, residual.clone(), Place::new(3)).unwrap();
    let to_the_end = |mut work: Work<'_>| {
        while work.step().unwrap().is_some() {}
        work.finish().unwrap()
    };
    let straight = to_the_end(begin());
    assert!(straight.delta.header().claims.samples != pol_core::Hash32::ZERO);
    for stop in 0..=5 {
        let mut work = begin();
        let losses: Vec<f64> = (0..stop).map(|_| work.step().unwrap().unwrap().loss).collect();
        assert_eq!(losses.len(), stop);
        let resumed = to_the_end(Work::resume(session, &world.state, author, work.keep().unwrap()).unwrap());
        assert!(resumed.delta.as_bytes() == straight.delta.as_bytes(), "stopped after {stop} steps");
        assert_eq!((resumed.residual, resumed.place), (straight.residual.clone(), straight.place.clone()));
    }
}

#[test]
fn what_was_trained_is_in_the_residual_when_a_training_is_given_up() {
    let cache = tempfile::tempdir().unwrap();
    let world = world(cache.path());
    let texts = CorpusSet::new(5, &[], 500);
    let key = SigningKey::from_bytes(&[2; 32]);
    let author = Author { context: &world.context, head: world.context.genesis_id.into(), slot: 7, key: &key };
    let session = Session { model: &world.model, checkpoint: &world.checkpoint, texts: &texts, plan: plan(3, 2) };
    let given_up = |steps: usize| {
        let mut work = Work::begin(session, &world.state, author, Residual::new(world.context.shape), Place::new(0)).unwrap();
        (0..steps).for_each(|_| assert!(work.step().unwrap().is_some()));
        work.give_up().unwrap()
    };
    let (nothing, start) = given_up(0);
    assert!(nothing.units().iter().all(|unit| *unit == 0) && start == Place::new(0));
    let (after_all, _) = given_up(3);
    assert_eq!(after_all, trained(&world, plan(3, 0), Residual::new(world.context.shape)).unwrap().residual);
    // The second part refines what is in the residual already.
    let (refined, place) = given_up(4);
    assert!(refined == after_all && place.cursor.place > 0);
}
