use pol_core::{GenesisId, Hash32, ModelHead, delta::Profile, state::State};

use super::*;
use crate::{
    batch::Batch,
    device::Device,
    fixtures::{QWEN2, model, tokens},
    model::Model,
    train::{AdamW, Trainer, TrainerOptions},
};

const GENESIS: GenesisId = GenesisId([7; 32]);
/// The fixture's adapter has two chunks.
const PROFILES: [Profile; 2] = [Profile::F16x20, Profile::Q2x48];

fn context(model: &Model, profile: Profile) -> Context {
    Context { genesis_id: GENESIS, shape: *model.shape(), profile }
}

fn claims() -> Claims {
    Claims { model_head: ModelHead([7; 32]), slot: 3, samples: Hash32([0; 32]), inner_steps: 4, tokens_seen: 99 }
}

fn trained(model: &Model, state: &State, steps: u64) -> Adapter {
    let start = Adapter::from_state(state, Device::cpu()).unwrap();
    let options = TrainerOptions {
        optimizer: AdamW { learning_rate: 1e-3, ..AdamW::default() },
        warmup_steps: 0,
        ..TrainerOptions::default()
    };
    let mut trainer = Trainer::new(&start, options).unwrap();
    let batch = Batch::new(&[tokens(model, "update", 20), tokens(model, "update 2", 16)]).unwrap();
    for _ in 0..steps {
        trainer.step(model, std::slice::from_ref(&batch)).unwrap();
    }
    trainer.adapter().unwrap()
}

fn loaded(state: &State) -> Adapter {
    Adapter::from_state(state, Device::cpu()).unwrap()
}

/// Trainer and member share nothing but the genesis id and the container's bytes.
#[test]
fn two_instances_reach_the_same_root_and_the_same_tensors_from_one_container() {
    let model = model(QWEN2);
    for profile in PROFILES {
        let context = context(&model, profile);
        let mut state = State::initial(&GENESIS, *model.shape());
        let mut residual = Residual::new(*model.shape());
        let mut member = State::initial(&GENESIS, *model.shape());
        for round in 0..3 {
            residual.add(&difference(&loaded(&state), &trained(&model, &state, 4)).unwrap()).unwrap();
            let delta = residual.encode(&context, &claims(), &SigningKey::from_bytes(&[5; 32])).unwrap();
            let bytes = delta.as_bytes().to_vec();
            let change = Change::from(delta);
            residual.subtract(&change);
            let root = state.apply(&change).unwrap().root;
            let Checked::Delta(decoded) = pol_core::delta::decode(&bytes, &context).unwrap() else { panic!() };
            assert_eq!(member.apply(&decoded.into()).unwrap().root, root, "round {round}");
            let floats = |state: &State| loaded(state).values().unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(floats(&state), floats(&member));
            assert_eq!(loaded(&state).to_state().unwrap().root(), root, "tensors and integers are the same state");
        }
    }
}

#[test]
fn what_a_container_leaves_out_or_rounds_off_is_in_the_residual_to_the_last_unit() {
    let model = model(QWEN2);
    let state = State::initial(&GENESIS, *model.shape());
    let all = difference(&loaded(&state), &trained(&model, &state, 4)).unwrap();
    for profile in PROFILES {
        let mut residual = Residual::new(*model.shape());
        residual.add(&all).unwrap();
        let key = SigningKey::from_bytes(&[5; 32]);
        let change = Change::from(residual.encode(&context(&model, profile), &claims(), &key).unwrap());
        residual.subtract(&change);
        let mut sum = residual.units().to_vec();
        let mut rounded = 0;
        for (index, value) in &change {
            sum[index as usize] += value;
            rounded += usize::from(residual.units()[index as usize] != 0);
        }
        assert_eq!(sum, all);
        assert!(rounded > 0, "{profile:?}: nothing was rounded, which proves little");
        assert!(residual.units().iter().filter(|unit| **unit != 0).count() > change.iter().count());
    }
}

#[test]
fn what_was_left_out_comes_with_a_later_container() {
    let model = model(QWEN2);
    let state = State::initial(&GENESIS, *model.shape());
    let all = difference(&loaded(&state), &trained(&model, &state, 4)).unwrap();
    let mut residual = Residual::new(*model.shape());
    residual.add(&all).unwrap();
    let key = SigningKey::from_bytes(&[5; 32]);
    let first = Change::from(residual.encode(&context(&model, Profile::F16x20), &claims(), &key).unwrap());
    residual.subtract(&first);
    // Nothing new was learned: the next container carries what the first one left.
    residual.add(&vec![0; all.len()]).unwrap();
    let second = Change::from(residual.encode(&context(&model, Profile::F16x20), &claims(), &key).unwrap());
    let carried: std::collections::BTreeSet<u32> = first.iter().map(|(index, _)| index).collect();
    assert!(second.iter().any(|(index, _)| !carried.contains(&index)));
}

#[test]
fn an_untrained_adapter_differs_by_nothing_even_where_fp32_is_too_coarse_for_the_state() {
    let model = model(QWEN2);
    let mut values = State::initial(&GENESIS, *model.shape()).values().to_vec();
    values[3] = (1 << 29) + 1;
    let state = State::from_values(*model.shape(), values).unwrap();
    assert!(difference(&loaded(&state), &loaded(&state)).unwrap().iter().all(|unit| *unit == 0));
    let nothing = Residual::new(*model.shape());
    let refused = nothing.encode(&context(&model, Profile::F16x20), &claims(), &SigningKey::from_bytes(&[5; 32]));
    assert!(matches!(refused, Err(UpdateError::Encode(EncodeError::Empty { needed: 20 }))));
}

#[test]
fn a_residual_of_another_shape_or_out_of_bounds_is_refused_and_none_overflows() {
    let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
    let count = shape.value_count() as usize;
    assert!(matches!(Residual::from_units(shape, vec![0; count - 1]), Err(ValuesError::Length { .. })));
    assert!(matches!(Residual::from_units(shape, vec![i32::MIN; count]), Err(ValuesError::Bound { index: 0, .. })));
    let mut residual = Residual::from_units(shape, vec![VALUE_LIMIT - 1; count]).unwrap();
    assert!(residual.add(&[1]).is_err());
    residual.add(&vec![i32::MAX; count]).unwrap();
    assert_eq!(residual.units()[0], VALUE_LIMIT - 1);
    residual.add(&vec![i32::MIN; count]).unwrap();
    residual.add(&vec![i32::MIN; count]).unwrap();
    assert_eq!(residual.units()[0], 1 - VALUE_LIMIT);
    let mut fading = Residual::from_units(shape, vec![100; count]).unwrap();
    fading.add(&vec![1; count]).unwrap();
    assert_eq!(fading.units()[0], 96);
}
