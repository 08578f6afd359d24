//! The table of what a whole node is held to: `bench-e2e [UPDATES]`. Exit code 1 when a target is missed.

use std::{env, process::ExitCode};

use e2e::bench::{self, Row};

fn main() -> ExitCode {
    let updates = env::args().nth(1).map_or(Ok(50), |number| number.parse());
    let Ok(updates) = updates else {
        eprintln!("bench-e2e: expected a number of updates");
        return ExitCode::from(2);
    };
    println!("{}\n\n| what | found | target | met |\n| --- | --- | --- | --- |", bench::machine());
    let mut missed = false;
    let mut show = |rows: Vec<Row>| {
        for row in rows {
            missed |= row.is_missed();
            println!("{row}");
        }
    };
    show(bench::idle());
    show(bench::training(updates));
    println!("\nload at the end: {}", bench::load());
    if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
