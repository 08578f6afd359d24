//! The bench in seconds, so that it never rots. Timings are for `just bench-dht` to judge, on a quiet machine.

#[path = "../benches/dht/suite/mod.rs"]
mod suite;

use clap::Parser as _;

#[test]
fn the_bench_runs_in_its_quick_form() {
    let rows = suite::run(&suite::Options::parse_from(["bench-dht", "--quick"]));
    let judged = rows.iter().filter(|row| !row.target.is_empty()).count();
    assert_eq!(judged, 10, "{rows:#?}");
    assert!(rows.iter().all(|row| row.met.is_none() && !row.measured.is_empty()), "{rows:#?}");
}
