//! A connection to another process that comes and goes: one log line when it goes, one when it is back, pauses that grow.

use std::{fmt, time::Duration};

use tokio::time::sleep;

use crate::metrics::{Condition, Health};

/// First pause after a failure; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// One of the processes that this one talks to, by the name it has in health and logs.
#[derive(Debug)]
pub struct Link {
    name: &'static str,
    health: Health,
    up: Option<bool>,
    pause: Duration,
}

impl Link {
    /// Not tried yet.
    pub const fn new(name: &'static str, health: Health) -> Self {
        Self { name, health, up: None, pause: PAUSE_FIRST }
    }

    /// It answered.
    pub fn works(&mut self) {
        self.pause = PAUSE_FIRST;
        if self.up != Some(true) {
            self.up = Some(true);
            self.health.set(self.name, Condition::Ok);
            tracing::info!(target: "polai::link", peer = self.name, "connected");
        }
    }

    /// It did not answer, or not well. Waits before the next try.
    pub async fn failed(&mut self, error: &impl fmt::Display) {
        if self.up != Some(false) {
            self.up = Some(false);
            self.health.set(self.name, Condition::Degraded(error.to_string()));
            tracing::warn!(target: "polai::link", peer = self.name, %error, "away; trying again");
        }
        sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Status;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// Counts what is logged.
    struct Lines(Arc<AtomicUsize>);

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            if event.metadata().target() == "polai::link" {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_goes_is_one_line_however_often_it_is_tried_and_one_when_it_is_back() {
        let lines = Arc::new(AtomicUsize::new(0));
        let _guard = tracing::subscriber::set_default(Lines(Arc::clone(&lines)));
        let mut link = Link::new("dht", Health::new());
        for expected in [2, 4] {
            for _ in 0..100 {
                link.failed(&"down").await;
            }
            link.works();
            link.works();
            assert_eq!(lines.load(Ordering::Relaxed), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_bound_and_begin_anew_after_success() {
        let health = Health::new();
        let mut link = Link::new("dht", health.clone());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let start = tokio::time::Instant::now();
            link.failed(&"down").await;
            pauses.push(start.elapsed().as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
        assert_eq!(health.report().status, Status::Degraded);
        link.works();
        assert_eq!((health.report().status, link.pause), (Status::Ok, PAUSE_FIRST));
    }
}
