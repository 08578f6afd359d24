use super::*;
use crate::{
    fixtures::{LLAMA, QWEN2, adapter, model, tokens},
    precision::Precision,
};

const PLAIN: TrainerOptions = TrainerOptions {
    optimizer: AdamW { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.01 },
    warmup_steps: 0,
    clip_norm: 1.0,
    dropout: 0.0,
    seed: 7,
    recompute: false,
};

fn batches(model: &Model) -> Vec<Batch> {
    let text = |seed, count| tokens(model, seed, count);
    vec![Batch::new(&[text("a", 9), text("b", 12), text("c", 5)]).unwrap(), Batch::new(&[text("d", 7), text("e", 7)]).unwrap()]
}

fn values_after(model: &Model, options: TrainerOptions, steps: usize) -> Vec<f32> {
    let mut trainer = Trainer::new(&adapter(model, "start"), options).unwrap();
    for _ in 0..steps {
        trainer.step(model, &batches(model)).unwrap();
    }
    trainer.adapter().unwrap().values().unwrap()
}

/// The gradient by differences of losses, which know nothing of autograd.
#[test]
fn gradients_are_the_slopes_of_the_loss() {
    for config in [QWEN2, LLAMA] {
        let model = model(config);
        let start = adapter(&model, "start");
        let trainer = Trainer::new(&start, PLAIN).unwrap();
        let batches = batches(&model);
        let tokens: usize = batches.iter().map(Batch::token_count).sum();
        let (_, gradient) = trainer.accumulate(&model, &batches, 1.0 / tokens as f64, 1).unwrap();
        let gradient = crate::adapter::to_vec(&gradient).unwrap();
        let values = start.values().unwrap();
        let loss = |values: &[f32]| {
            let adapter = Adapter::from_values(*model.shape(), values, Device::cpu()).unwrap();
            let texts = ["a", "b", "c", "d", "e"].into_iter().zip([9, 12, 5, 7, 7]);
            let texts: Vec<_> = texts.map(|(seed, count)| crate::fixtures::tokens(&model, seed, count)).collect();
            model.losses(Some(&adapter), &texts).unwrap().mean().unwrap()
        };
        // One value of every factor of the first and the last layer.
        for place in model.shape().tensors().filter(|place| place.module.layer != 1) {
            let index = (place.range.start + 3) as usize;
            let slope = |by: f32| {
                let mut moved = values.clone();
                moved[index] += by;
                loss(&moved)
            };
            let expected = (slope(2e-2) - slope(-2e-2)) / 4e-2;
            let off = (f64::from(gradient[index]) - expected).abs();
            assert!(off < 2e-4 + 0.02 * expected.abs(), "{place:?}: {} but the slope is {expected}", gradient[index]);
        }
    }
}

#[test]
fn recomputing_gives_the_same_gradient_bit_for_bit() {
    for config in [QWEN2, LLAMA] {
        let model = model(config);
        let gradient = |recompute| {
            let options = TrainerOptions { dropout: 0.3, recompute, ..PLAIN };
            let trainer = Trainer::new(&adapter(&model, "start"), options).unwrap();
            let (sum, gradient) = trainer.accumulate(&model, &batches(&model), 0.1, 4).unwrap();
            (sum, crate::adapter::to_vec(&gradient).unwrap())
        };
        let (kept, again) = (gradient(false), gradient(true));
        assert!(kept == again, "{} and {}, gradients differ", kept.0, again.0);
        assert!(kept.1.iter().any(|value| *value != 0.0));
    }
}

#[test]
fn one_seed_is_one_outcome_and_another_seed_another() {
    let model = model(QWEN2);
    let dropping = TrainerOptions { dropout: 0.2, ..PLAIN };
    let first = values_after(&model, dropping, 3);
    tch::manual_seed(99);
    assert_eq!(first, values_after(&model, dropping, 3));
    assert_ne!(first, values_after(&model, TrainerOptions { seed: 8, ..dropping }, 3));
    assert_ne!(first, values_after(&model, PLAIN, 3));
}

#[test]
fn resuming_is_as_if_nothing_had_happened() {
    let model = model(QWEN2);
    let options = TrainerOptions { dropout: 0.2, warmup_steps: 4, ..PLAIN };
    let straight = values_after(&model, options, 5);
    let mut trainer = Trainer::new(&adapter(&model, "start"), options).unwrap();
    for _ in 0..2 {
        trainer.step(&model, &batches(&model)).unwrap();
    }
    let (values, state) = (trainer.adapter().unwrap().values().unwrap(), trainer.optimizer_state().unwrap());
    let adapter = Adapter::from_values(*model.shape(), &values, Device::cpu()).unwrap();
    let mut trainer = Trainer::resume(&adapter, options, &state).unwrap();
    for number in 3..=5 {
        assert_eq!(trainer.step(&model, &batches(&model)).unwrap().number, number);
    }
    assert_eq!(trainer.adapter().unwrap().values().unwrap(), straight);
    let short = OptimizerState { second: vec![0.0; 5], ..state };
    assert!(matches!(Trainer::resume(&adapter, options, &short), Err(TrainError::State { found: 5, .. })));
}

#[test]
fn training_lowers_the_loss_of_what_it_sees() {
    let model = model(LLAMA);
    let mut trainer = Trainer::new(&adapter(&model, "start"), PLAIN).unwrap();
    let first = trainer.step(&model, &batches(&model)).unwrap();
    let last = (0..30).map(|_| trainer.step(&model, &batches(&model)).unwrap()).last().unwrap();
    assert!(last.loss < first.loss - 0.5, "{first:?} {last:?}");
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let model = model(QWEN2);
    let mut values = adapter(&model, "start").values().unwrap();
    values[0] = f32::MAX;
    values[model.shape().a_count() as usize] = f32::MAX;
    let bad = Adapter::from_values(*model.shape(), &values, Device::cpu()).unwrap();
    let mut trainer = Trainer::new(&bad, PLAIN).unwrap();
    assert!(matches!(trainer.step(&model, &batches(&model)), Err(TrainError::NotFinite { step: 1, .. })));
    assert_eq!((trainer.adapter().unwrap().values().unwrap(), trainer.steps()), (values, 0));
    assert!(matches!(trainer.step(&model, &[]), Err(TrainError::Empty)));
}

#[test]
fn the_learning_rate_warms_up_and_great_gradients_are_clipped() {
    let model = model(QWEN2);
    let options = TrainerOptions { warmup_steps: 4, clip_norm: 1e-3, ..PLAIN };
    let mut trainer = Trainer::new(&adapter(&model, "start"), options).unwrap();
    let rates: Vec<f64> = (0..6).map(|_| trainer.step(&model, &batches(&model)).unwrap().learning_rate).collect();
    assert_eq!(rates, [2.5e-3, 5e-3, 7.5e-3, 1e-2, 1e-2, 1e-2]);
    // Moments decay to a tenth of the newest gradient and parts of older ones, none longer than the clip.
    let first = trainer.optimizer_state().unwrap().first;
    let norm = first.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    assert!(norm < 1e-3 && norm > 1e-5, "{norm}");
}

#[test]
fn a_frozen_base_of_bf16_trains_too() {
    let config = crate::model::ModelConfig::parse(QWEN2).unwrap();
    let source = crate::fixtures::Memory::random(&config);
    let model = Model::load(&source, config, Device::cpu(), Precision::Bf16).unwrap();
    let mut trainer = Trainer::new(&adapter(&model, "start"), PLAIN).unwrap();
    let first = trainer.step(&model, &batches(&model)).unwrap();
    let last = (0..20).map(|_| trainer.step(&model, &batches(&model)).unwrap()).last().unwrap();
    assert!(last.loss < first.loss, "{first:?} {last:?}");
}
