//! What `model chain` says is what `polai genesis --model FILE` reads and what the gate then trusts.

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use ml_sidecar::{checkpoint::Checkpoint, local, texts::DevTexts};
use pol_core::genesis::BaseModel;
use support::{TINY, World};

#[test]
fn what_a_chain_must_know_of_a_model_is_said_in_the_keys_that_genesis_reads() {
    let world = World::new(&TINY);
    let said = world.done(&["model", "chain", "--model", world.model()]);
    let file = world.path("model.toml");
    assert_eq!(world.done(&["model", "chain", "--model", world.model(), "--output", &file]), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), said, "measured twice, the same");

    let base = BaseModel::parse(&said).unwrap();
    let folder = Path::new(world.model());
    assert_eq!(base.manifest_hash, local::manifest_hash(folder).unwrap());
    assert_eq!(base.shape, Checkpoint::open(folder).unwrap().config.shape);
    assert_eq!(base.dev_texts_hash, DevTexts::embedded().hash());
    // A model that was hardly trained guesses among 320 tokens, about equally.
    let guess = 320_f64.ln() * 1e9;
    for loss in base.reference_losses {
        assert!((loss.get() as f64 / guess - 1.0).abs() < 0.25, "{loss:?}");
    }
}

#[test]
fn texts_that_are_not_dev_texts_are_refused() {
    let world = World::new(&TINY);
    let texts = world.write("texts.txt", b"one line\n");
    world.refused(&["model", "chain", "--model", world.model(), "--dev-texts", &texts], "1 texts, expected 512");
}
