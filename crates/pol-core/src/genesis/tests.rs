#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

use super::*;

fn parameters() -> ChainParameters {
    ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 3,
        chain_id: 7_777,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 16_384,
        manifest_hash: Hash32([3; 32]),
        shape: Shape::new(4, 128, 128, 64, 352).unwrap(),
        dev_texts_hash: Hash32([4; 32]),
        reference_losses: core::array::from_fn(|i| NanoNats::new(i as i64 * 1_000_000_000).unwrap()),
        profile: Profile::F16x20,
        dev_slash_small: false,
    }
}

fn changed(change: impl FnOnce(&mut ChainParameters)) -> ChainParameters {
    let mut p = parameters();
    change(&mut p);
    p
}

#[test]
fn a_chain_survives_its_file() {
    let quorum = QuorumRule::Fixed(NonZeroU16::new(5).unwrap());
    for p in [parameters(), changed(|p| p.quorum = quorum), changed(|p| p.dev_slash_small = true)] {
        let spec = ChainSpec::new(&p).unwrap();
        let text = spec.to_toml();
        assert_eq!(ChainSpec::parse(&text), Ok(spec));
        assert_eq!(ChainSpec::parse(&format!("# a comment\n{text}\n\n")).unwrap().genesis_id(), spec.genesis_id());
    }
}

#[test]
fn a_base_model_survives_its_own_file_and_what_is_none_is_refused() {
    let model = ChainSpec::new(&parameters()).unwrap().model();
    let text = model.to_toml();
    assert_eq!(BaseModel::parse(&text), Ok(model));
    let bad = |from: &str, to: &str| BaseModel::parse(&text.replace(from, to)).unwrap_err();
    assert!(matches!(bad("layers = 4", "layers = 0"), GenesisError::Shape(_)));
    assert!(matches!(bad("0303", "03"), GenesisError::Hex(_)));
    assert!(matches!(bad("[gate]", "[gates]"), GenesisError::Toml(_)));
    assert!(matches!(bad("reference_losses = [0,", "reference_losses = ["), GenesisError::ReferenceLosses { found: 31 }));
    assert!(matches!(bad("31000000000", "-1"), GenesisError::Loss { position: 31, found: -1 }));
    assert!(matches!(BaseModel::parse(&"#".repeat(65_537)), Err(GenesisError::TooLong { found: 65_537 })));
}

#[test]
fn every_parameter_is_part_of_the_name() {
    let specs = [
        parameters(),
        changed(|p| p.genesis_time += 1),
        changed(|p| p.preset = Preset::Mainnet),
        changed(|p| p.slot_seconds = 12),
        changed(|p| p.chain_id += 1),
        changed(|p| p.genesis_validators_root = Hash32([9; 32])),
        changed(|p| p.execution_genesis_hash = Hash32([9; 32])),
        changed(|p| p.quorum = QuorumRule::Fixed(NonZeroU16::new(1).unwrap())),
        changed(|p| p.difficulty_floor += 1),
        changed(|p| p.manifest_hash = Hash32([9; 32])),
        changed(|p| p.shape = Shape::new(5, 128, 128, 64, 352).unwrap()),
        changed(|p| p.shape = Shape::new(4, 128, 64, 128, 352).unwrap()),
        changed(|p| p.dev_texts_hash = Hash32([9; 32])),
        changed(|p| p.reference_losses[31] = NanoNats::MAX),
        changed(|p| p.profile = Profile::Q2x48),
        changed(|p| p.dev_slash_small = true),
    ];
    let names: std::collections::BTreeSet<_> = specs.iter().map(|p| ChainSpec::new(p).unwrap().genesis_id()).collect();
    assert_eq!(names.len(), specs.len());
}

#[test]
fn numbers_out_of_range_are_refused_with_their_key() {
    let cases = [
        ("genesis_time", changed(|p| p.genesis_time = 0)),
        ("genesis_time", changed(|p| p.genesis_time = (1 << 40) + 1)),
        ("slot_seconds", changed(|p| p.slot_seconds = 0)),
        ("slot_seconds", changed(|p| p.slot_seconds = 3_601)),
        ("chain_id", changed(|p| p.chain_id = 0)),
        ("chain_id", changed(|p| p.chain_id = 1 << 53)),
        ("quorum", changed(|p| p.quorum = QuorumRule::Fixed(NonZeroU16::new(513).unwrap()))),
    ];
    for (key, p) in cases {
        assert!(matches!(ChainSpec::new(&p), Err(GenesisError::Range { field, .. }) if field == key), "{key}");
    }
    for floor in [0, 1 << 62, u64::MAX] {
        assert!(matches!(ChainSpec::new(&changed(|p| p.difficulty_floor = floor)), Err(GenesisError::Difficulty(_))));
    }
}

#[test]
fn a_file_with_missing_unknown_or_wrong_keys_is_refused() {
    let text = ChainSpec::new(&parameters()).unwrap().to_toml();
    for line in text.lines().filter(|l| l.contains('=')) {
        let without = text.replacen(&format!("{line}\n"), "", 1);
        assert!(ChainSpec::parse(&without).is_err(), "without {line}");
        let renamed = text.replacen(line, &format!("x{line}"), 1);
        assert!(ChainSpec::parse(&renamed).is_err(), "renamed {line}");
    }
    for (from, to) in [
        ("rank = 8", "rank = 16"),
        ("\"up\", ", ""),
        ("dropout_ppm = 50000", "dropout_ppm = 0"),
        ("alpha = 16", "alpha = 8"),
        ("preset = \"minimal\"", "preset = \"gnosis\""),
        ("quorum = \"auto\"", "quorum = \"half\""),
        ("quorum = \"auto\"", "quorum = 0"),
        ("profile = 1", "profile = 3"),
        ("profile = 1", "profile = 257"),
        ("genesis_time = 1800000000", "genesis_time = -1"),
        ("layers = 4", "layers = 0"),
        ("[0, 1000000000", "[1000000000"),
        ("[0, 1000000000", "[-1, 1000000000"),
        ("0101", "0A01"),
        ("0101", "01010"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from}");
        assert!(ChainSpec::parse(&bad).is_err(), "{to}");
    }
    assert!(matches!(ChainSpec::parse(&"#".repeat(65_537)), Err(GenesisError::TooLong { found: 65_537 })));
}
