//! What a whole node takes in a slot, and what it holds after many: `cargo bench -p pol-beacon --bench node`.
//!
//! Eight validators on the minimal preset against a scripted execution client in the same process, by a clock that moves when told to.

#![allow(
    clippy::disallowed_methods,
    dead_code,
    unreachable_pub,
    reason = "the world of the tests, of which a bench needs a part"
)]

#[path = "../../examples/devnet/mod.rs"]
mod devnet;
#[path = "../../tests/node/engine.rs"]
mod engine;
#[path = "../../tests/node/world.rs"]
mod world;

use std::time::{Duration, Instant};

use world::World;

const SLOTS: u64 = 5_000;
/// 5 % of a slot of 3 s, on one core.
const WORK: Duration = Duration::from_millis(150);
const RESIDENT: u64 = 300;

/// CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn row(what: &str, measured: &str, target: &str, met: bool) {
    println!("| {what} | {measured} | {target} | {} |", if met { "yes" } else { "NO" });
}

#[tokio::main]
async fn main() {
    println!("| what | measured | target | met |\n| --- | --- | --- | --- |");
    let world = World::new(8).await;
    let (start, before) = (Instant::now(), cpu_time());
    world.slots(0..=SLOTS).await;
    let slots = u32::try_from(SLOTS).unwrap();
    let (wall, cpu) = (start.elapsed() / slots, (cpu_time() - before) / slots);
    assert_eq!(world.head_slot(), SLOTS);
    let share = cpu.as_secs_f64() / 3.0 * 100.0;
    row("CPU time of a slot, 8 validators", &format!("{cpu:.2?} ({wall:.2?} wall), {share:.2} % of 3 s"), "<= 5 %", cpu <= WORK);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let mib = resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024;
    row("resident memory after 5,000 slots", &format!("{mib} MiB"), "<= 300 MiB", mib <= RESIDENT);
}
