//! A chain left alone: what it reaches, and what it uses.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use e2e::{up::Up, usage};

const PATIENCE: Duration = Duration::from_secs(600);
/// All processes of a node with the embedded model.
const NODE_KIB: u64 = 2 << 20;
/// Of one core, without training.
const IDLE_PERCENT: f64 = 15.0;

#[test]
fn long_fifty_updates_become_final_with_a_falling_loss_and_memory_that_stays() {
    let mut up = Up::new();
    let start = Instant::now();
    // With great steps the model has learned what the built-in corpus can teach it after some 25 updates.
    up.start(&up.with_ai(2, &["--learning-rate", "0.0002"]));
    let first = up.until("updates", 1, PATIENCE);
    println!("first AI block after {:.1} s: {first}", start.elapsed().as_secs_f64());
    let loss = first["losses"]["before"].as_f64().expect("a loss");
    up.until("updates", 10, PATIENCE);
    let warm = usage::memory(&up);
    let mut most: BTreeMap<&str, u64> = warm.clone();
    let last = loop {
        for (part, kib) in usage::memory(&up) {
            let most = most.entry(part).or_default();
            *most = kib.max(*most);
        }
        let status = up.status();
        if status["finalized_updates"].as_u64() >= Some(50) {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(1_740), "{status}");
        thread::sleep(Duration::from_secs(1));
    };
    println!("50 final updates after {:.1} s: {last}", start.elapsed().as_secs_f64());
    println!("KiB after 10 updates {warm:?}, at most {most:?}, at the end {:?}", usage::memory(&up));
    let after = last["losses"]["after"].as_f64().expect("a loss");
    assert!(after < loss * 0.95, "from {loss} to {after}");
    assert_eq!(last["missed_slots"], 0, "{last}");
    assert!(most.values().sum::<u64>() <= NODE_KIB, "{most:?}");
    for (part, kib) in &most {
        assert!(*kib <= warm[part] * 3 / 2 + (64 << 10), "{part} grows: {warm:?} -> {most:?}");
    }
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    println!("{text}");
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
}

#[test]
fn long_a_node_that_does_not_train_is_idle() {
    let mut up = Up::new();
    up.start(&up.with_ai(3, &["--no-train"]));
    up.until("block", 5, PATIENCE);
    let percent = usage::cpu_percent(&up, Duration::from_secs(60));
    let sum: f64 = percent.values().sum();
    println!("{sum:.1} % of a core: {percent:.2?}; KiB {:?}", usage::memory(&up));
    assert!(percent.len() == 4 && sum <= IDLE_PERCENT, "{percent:?}");
    assert_eq!(up.status()["missed_slots"], 0);
}
