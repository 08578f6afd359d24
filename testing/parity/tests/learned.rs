//! What was learnt here is learnt there: an adapter that was trained and exported does the same in PEFT.

use std::{fs, path::Path};

use ed25519_dalek::SigningKey;
use ml_sidecar::{
    adapter::{Adapter, export},
    checkpoint::Checkpoint,
    corpus::Corpus,
    data::CorpusSet,
    device::Device,
    embedded::{self, Recipe},
    session::{Author, Place, Plan, Session, Work},
    train::{AdamW, TrainerOptions},
    update::Residual,
};
use pol_core::{
    GenesisId,
    delta::{Context, Profile},
    state::State,
};
use pol_parity::{run, tensors};

/// A model that is made in a second.
const SMALL: Recipe = Recipe {
    vocabulary: 512,
    layers: 2,
    tokenizer_texts: 60,
    steps: 10,
    sequences: 4,
    length: 48,
    learning_rate: 4e-3,
    threads: 1,
};

fn plan(steps: u64, learning_rate: f64) -> Plan {
    let optimizer = AdamW { learning_rate, ..AdamW::default() };
    Plan {
        steps,
        refining_steps: 0,
        sequences: 8,
        length: 64,
        options: TrainerOptions { optimizer, ..TrainerOptions::default() },
    }
}

fn trained(checkpoint: &Checkpoint, plan: Plan) -> (Adapter, f64, f64, Vec<Vec<u32>>) {
    tch::set_num_threads(1);
    let model = checkpoint.load(Device::cpu(), None).unwrap();
    let context = Context { genesis_id: GenesisId([4; 32]), shape: *model.shape(), profile: Profile::F16x20 };
    let (texts, key) = (CorpusSet::new(5, &[], 2_000), SigningKey::from_bytes(&[2; 32]));
    let state = State::initial(&context.genesis_id, context.shape);
    let author = Author { context: &context, head: context.genesis_id.into(), slot: 0, key: &key };
    let session = Session { model: &model, checkpoint, texts: &texts, plan };
    let mut work = Work::begin(session, &state, author, Residual::new(context.shape), Place::new(0)).unwrap();
    while work.step().unwrap().is_some() {}
    let adapter = work.finish().unwrap().adapter.unwrap();
    let held_out: Vec<Vec<u32>> = (0..40).map(|text| checkpoint.tokens(&Corpus::new(77, &[]).get(text)).unwrap()).collect();
    let mean = |adapter| model.losses(adapter, &held_out).unwrap().mean().unwrap();
    let (before, after) = (mean(None), mean(Some(&adapter)));
    (adapter, before, after, held_out)
}

fn peft_learnt_the_same(recipe: &Recipe, plan: Plan, by: f64) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = embedded::open(folder.path(), recipe, 1, &mut |_| {}).unwrap();
    let (adapter, before, after, held_out) = trained(&checkpoint, plan);
    assert!(after < before * by, "nothing was learnt: {before} {after}");
    let [exported, texts, out] = ["adapter", "texts.json", "losses.safetensors"].map(|name| folder.path().join(name));
    export(&adapter, "embedded", &exported).unwrap();
    fs::write(&texts, serde_json::to_vec(&held_out).unwrap()).unwrap();
    run("twin.py", &[Path::new("losses"), &embedded::folder(folder.path(), recipe, 1), &exported, &texts, &out]);
    let theirs = tensors(&out);
    let tokens: usize = held_out.iter().map(|text| text.len() - 1).sum();
    let mean = |name: &str| theirs[name].iter().sum::<f64>() / tokens as f64;
    println!("held-out loss here {before:.6} -> {after:.6}, in PEFT {:.6} -> {:.6}", mean("before"), mean("after"));
    for (found, expected) in [(before, mean("before")), (after, mean("after"))] {
        assert!((found / expected - 1.0).abs() <= 1e-5, "{found} {expected}");
    }
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn an_adapter_that_lowers_the_held_out_loss_here_lowers_it_in_peft_by_as_much() {
    peft_learnt_the_same(&SMALL, plan(60, 2e-3), 0.99);
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "scripts/setup has no Python side for this processor")]
fn long_200_steps_on_the_embedded_model_are_the_same_in_peft() {
    peft_learnt_the_same(&Recipe::default(), plan(200, 1e-3), 0.98);
}
