//! The fuzz bodies on stable, bounded: the same number of cases every time, from a fixed seed.

use std::{fs, path::Path};

use pol_fuzz::{Rng, mutate, targets};

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder).expect("a seed corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

/// Every seed as it is, then `cases` mutants; prints the input that failed.
fn run(name: &str, cases: u64) {
    let seeds = seeds(name);
    let attempt = |input: &[u8], what: &str| {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pol_fuzz::run(name, input)));
        assert!(outcome.is_ok(), "{name}, {what}: {input:02x?}");
    };
    for (i, seed) in seeds.iter().enumerate() {
        attempt(seed, &format!("seed {i}"));
    }
    let mut rng = Rng(0x0070_6f6c_6169);
    let mut input = Vec::new();
    for case in 0..cases {
        input.clear();
        input.extend_from_slice(&seeds[rng.below(seeds.len())]);
        mutate(&mut input, &mut rng);
        attempt(&input, &format!("case {case}"));
    }
}

macro_rules! bounded {
    ($($promise:ident, $cases:expr => [$($name:ident),+ $(,)?];)+) => {
        const BOUNDED: &[&str] = &[$($(stringify!($name)),+),+];

        $(mod $promise {
            $(
                #[test]
                fn $name() {
                    super::run(stringify!($name), $cases);
                }
            )+
        })+
    };
}

bounded! {
    a_million_mutants_do_not_break, 1_000_000 => [
        extra_data, wire, header, record_key, ack_value, announcement, id_record, fault_vote, certificate, fault_proof, delta,
        snapshot, chain_toml,
    ];
    a_hundred_thousand_mutants_do_not_break, 100_000 => [
        alloy_header, engine_payload, engine_api, transaction, ai_engine, watch_updates, genesis_json,
    ];
    a_thousand_mutants_do_not_break, 1_000 => [bls_points, certificate_check];
}

#[test]
fn every_target_has_seeds_a_bounded_test_and_a_cargo_fuzz_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in targets() {
        assert!(!seeds(name).is_empty());
        let program = root.join("cargo-fuzz/fuzz_targets").join(format!("{name}.rs"));
        assert!(program.is_file(), "{} is missing", program.display());
        assert!(BOUNDED.contains(name), "{name} has no bounded test");
    }
}
