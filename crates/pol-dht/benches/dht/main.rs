//! Every target that `pol-dht` has, measured in one run: `just bench-dht [records|ack|delta|http|start] [--nodes 10] [--quick]`.
//!
//! Exit code 1 when a target is missed. `--quick` takes seconds, compares with nothing, and is what `tests/bench.rs` runs.

mod suite;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let options = suite::Options::parse();
    println!("{}\n", suite::machine());
    let rows = suite::run(&options);
    suite::table::print(&rows);
    println!("\nload average over the run: {}", suite::load());
    let missed = rows.iter().filter(|row| row.met == Some(false)).count();
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
