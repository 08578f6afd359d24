//! Writes docs/METRICS.md from what a running node serves.

use std::{error::Error, fs, time::Duration};

use e2e::{metrics, up::Up};

/// What a machine of two cores needs for the embedded model, if nobody has made it before.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> Result<(), Box<dyn Error>> {
    let mut up = Up::new();
    up.start(&["up", "--slot-seconds", "2", "--difficulty-floor", "64"].map(str::to_owned));
    up.until("updates", 1, PATIENCE);
    fs::write(metrics::path(), metrics::document(&up))?;
    println!("{}", metrics::path().display());
    Ok(())
}
