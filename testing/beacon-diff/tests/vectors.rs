//! The committed vectors of the official specification. The table makes the tests: a file that is not listed fails the last one.

#[path = "vectors/epochs.rs"]
mod epochs;
#[path = "vectors/operations.rs"]
mod operations;
#[path = "vectors/recorded.rs"]
mod recorded;

use std::path::PathBuf;

use alloy_primitives::B256;
use pol_beacon::{transition::TransitionError, types::BeaconState, types::EthSpec};
use pol_vectors::Object;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn open(name: &str) -> Object {
    pol_vectors::open_in(&folder(), name)
}

/// Compares what became of a state with a case's `root` or `error`.
fn judge<E: EthSpec>(case: &mut Object, result: Result<BeaconState<E>, TransitionError>) {
    let refused = case.has("error") && case.flag("error");
    match result {
        Ok(mut state) => {
            assert!(!refused, "{}: accepted", case.name());
            let root = state.update_root().expect("a root");
            assert_eq!(root, B256::from(case.bytes::<32>("root")), "{}", case.name());
        }
        Err(error) => assert!(refused, "{}: refused: {error}", case.name()),
    }
}

macro_rules! files {
    ($($file:ident => $check:path),+ $(,)?) => {
        const FILES: &[&str] = &[$(stringify!($file)),+];

        $(
            #[test]
            fn $file() {
                $check(open(stringify!($file)));
            }
        )+
    };
}

files! {
    committees => epochs::committees,
    epoch => epochs::epoch,
    finality => recorded::recorded,
    fork_choice => recorded::recorded,
    mainnet => recorded::recorded,
    operations => operations::operations,
}

#[test]
fn every_vector_file_is_read() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder of vectors")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    let listed: Vec<String> = FILES.iter().map(|name| format!("{name}.json")).collect();
    assert_eq!(found, listed, "files on the left, tests on the right");
}
