//! The Rust rules against the independent Python programs, file by file.
//!
//! The table below makes the tests, so a file that is listed is read whole; a file that is not listed fails the first test.

#[path = "all/chain.rs"]
mod chain;
#[path = "all/execution.rs"]
mod execution;
#[path = "all/faults.rs"]
mod faults;
#[path = "all/gates.rs"]
mod gates;
#[path = "all/names.rs"]
mod names;
#[path = "all/pld1.rs"]
mod pld1;
#[path = "all/records.rs"]
mod records;
#[path = "all/seals.rs"]
mod seals;
#[path = "all/states.rs"]
mod states;

macro_rules! files {
    ($($file:ident => $check:path),+ $(,)?) => {
        const FILES: &[&str] = &[$(stringify!($file)),+];

        $(
            #[test]
            fn $file() {
                $check(stringify!($file));
            }
        )+
    };
}

files! {
    ack => records::records,
    aggregate => states::aggregate,
    certificate => faults::certificate,
    committee => names::committee,
    deposit => execution::deposit,
    difficulty => seals::difficulty,
    envelope => records::envelopes,
    execution => execution::genesis,
    extra_data => seals::extra_data,
    fault => faults::fault,
    gate => gates::gate,
    genesis => chain::genesis,
    header_goerli => seals::header_goerli,
    identity => names::identity,
    keys => records::keys,
    model_head => chain::model_head,
    pld1_merge => pld1::merges,
    pld1_profile1 => pld1::profile,
    pld1_profile2 => pld1::profile,
    pld1_signature => pld1::containers,
    pld1_void => pld1::containers,
    record => records::records,
    seal => seals::seal,
    signing => records::signing,
    state => states::state,
    wire => seals::wire,
}

#[test]
fn every_vector_file_is_read() {
    let mut found: Vec<String> = std::fs::read_dir(pol_vectors::folder())
        .expect("the folder of vectors")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    let listed: Vec<String> = FILES.iter().map(|name| format!("{name}.json")).collect();
    assert_eq!(found, listed, "files on the left, tests on the right");
}
