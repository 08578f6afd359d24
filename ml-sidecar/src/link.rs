//! A connection to another process that comes and goes: one log line when it goes, one when it is back, pauses that grow.

use std::{fmt, time::Duration};

use pol_kit::metrics::{Condition, Health};
use tokio::time::sleep;

/// First pause after a failure; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// One of the processes that this one talks to.
#[derive(Debug)]
pub(crate) struct Link {
    name: &'static str,
    health: Health,
    up: Option<bool>,
    pause: Duration,
}

impl Link {
    /// Not tried yet.
    pub(crate) const fn new(name: &'static str, health: Health) -> Self {
        Self { name, health, up: None, pause: PAUSE_FIRST }
    }

    /// It answered.
    pub(crate) fn works(&mut self) {
        self.pause = PAUSE_FIRST;
        if self.up != Some(true) {
            self.up = Some(true);
            self.health.set(self.name, Condition::Ok);
            tracing::info!(target: "polai::sidecar", peer = self.name, "connected");
        }
    }

    /// It did not answer, or not well. Waits before the next try.
    pub(crate) async fn failed(&mut self, error: &impl fmt::Display) {
        if self.up != Some(false) {
            self.up = Some(false);
            self.health.set(self.name, Condition::Degraded(error.to_string()));
            tracing::warn!(target: "polai::sidecar", peer = self.name, %error, "away; trying again");
        }
        sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pol_kit::metrics::Status;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_bound_and_begin_anew_after_success() {
        let health = Health::new();
        let mut link = Link::new("dht", health.clone());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let start = tokio::time::Instant::now();
            link.failed(&"down").await;
            pauses.push(start.elapsed().as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(health.report().status, Status::Degraded);
        link.works();
        assert_eq!((health.report().status, link.pause), (Status::Ok, PAUSE_FIRST));
    }
}
