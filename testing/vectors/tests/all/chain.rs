//! Sections 2.1 and 6: chain.toml, genesis ids, model heads.

use pol_core::{
    ModelHead, UpdateId,
    genesis::{ChainSpec, GenesisError},
    model_head,
    state::ShapeError,
};
use pol_vectors::{agree, cases};

pub(crate) fn genesis(file: &str) {
    cases(file, |case| {
        let (result, error) = (ChainSpec::parse(&case.text("toml")), case.error());
        if let Some(spec) = agree(case.name(), result, error.as_deref(), words) {
            assert_eq!(spec.canonical(), case.hex("canonical"), "{}", case.name());
            assert_eq!(spec.genesis_id().0, case.bytes("genesis_id"), "{}", case.name());
            assert_eq!(ChainSpec::parse(&spec.to_toml()), Ok(spec));
        }
    });
}

fn words(error: &GenesisError) -> &'static [&'static str] {
    match error {
        GenesisError::Toml(e) if e.message().contains("missing field") => &["missing_key"],
        GenesisError::Toml(e) if e.message().contains("unknown field") => &["unknown_key"],
        GenesisError::Toml(e) if e.message().contains("invalid type") => &["wrong_type"],
        GenesisError::Toml(e) if e.message().contains("invalid value") => &["out_of_range"],
        GenesisError::Toml(_) => &["syntax", "wrong_type", "out_of_range"],
        GenesisError::Shape(ShapeError::Values { .. }) => &["shape_too_large"],
        GenesisError::Hex(_) => &["bad_hash"],
        GenesisError::ReferenceLosses { .. } => &["wrong_count"],
        GenesisError::Range { .. }
        | GenesisError::Name { .. }
        | GenesisError::Fixed { .. }
        | GenesisError::Shape(_)
        | GenesisError::Difficulty(_)
        | GenesisError::Loss { .. } => &["out_of_range"],
        GenesisError::TooLong { .. } => &[],
    }
}

pub(crate) fn model_head(file: &str) {
    cases(file, |case| {
        let mut head = ModelHead(case.bytes("genesis_id"));
        let (updates, heads) = (case.list("updates"), case.list("heads"));
        assert_eq!(updates.len(), heads.len());
        for (update, expected) in updates.iter().zip(heads) {
            let update: UpdateId = update.as_str().unwrap().parse().unwrap();
            head = model_head::child(head, update);
            assert_eq!(head.to_string(), expected.as_str().unwrap(), "{}", case.name());
        }
    });
}
