//! The Rust rules against the independent Python programs, file by file.
//!
//! The table below makes the tests, so a file that is listed is read whole; a file that is not listed fails the first test.

#[path = "all/chain.rs"]
mod chain;
#[path = "all/names.rs"]
mod names;
#[path = "all/seals.rs"]
mod seals;

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
    committee => names::committee,
    difficulty => seals::difficulty,
    extra_data => seals::extra_data,
    genesis => chain::genesis,
    header_goerli => seals::header_goerli,
    identity => names::identity,
    model_head => chain::model_head,
    seal => seals::seal,
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
