//! What `model chain` says is what `polai genesis --model FILE` reads (crates/polai/src/genesis/model.rs) and what the gate then trusts.

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use ml_sidecar::{checkpoint::Checkpoint, local, texts::DevTexts};
use pol_core::{gate::NanoNats, params::SELF_TEST_TEXTS};
use serde::Deserialize;
use support::{TINY, World};

/// The keys that genesis reads: these, and no others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    model: Model,
    gate: Gate,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    manifest_hash: String,
    layers: u32,
    hidden: u32,
    query: u32,
    key_value: u32,
    intermediate: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gate {
    dev_texts_hash: String,
    reference_losses: Vec<i64>,
}

#[test]
fn what_a_chain_must_know_of_a_model_is_said_in_the_keys_that_genesis_reads() {
    let world = World::new(&TINY);
    let said = world.done(&["model", "chain", "--model", world.model()]);
    let file = world.path("model.toml");
    assert_eq!(world.done(&["model", "chain", "--model", world.model(), "--output", &file]), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), said, "measured twice, the same");

    let Tables { model, gate } = toml::from_str(&said).unwrap();
    let folder = Path::new(world.model());
    assert_eq!(model.manifest_hash, local::manifest_hash(folder).unwrap().to_string());
    let shape = Checkpoint::open(folder).unwrap().config.shape;
    let found = [model.layers, model.hidden, model.query, model.key_value, model.intermediate];
    assert_eq!(found, [shape.layers(), shape.hidden(), shape.query(), shape.key_value(), shape.intermediate()]);
    assert_eq!(gate.dev_texts_hash, DevTexts::embedded().hash().to_string());
    assert_eq!(gate.reference_losses.len(), SELF_TEST_TEXTS);
    // A model that was hardly trained guesses among 320 tokens, about equally.
    let guess = 320_f64.ln() * 1e9;
    for loss in gate.reference_losses {
        assert!(NanoNats::new(loss).is_some() && (loss as f64 / guess - 1.0).abs() < 0.25, "{loss}");
    }
}

#[test]
fn texts_that_are_not_dev_texts_are_refused() {
    let world = World::new(&TINY);
    let texts = world.write("texts.txt", b"one line\n");
    world.refused(&["model", "chain", "--model", world.model(), "--dev-texts", &texts], "1 texts, expected 512");
}
