//! When an optional task may start again.

use crate::limits::{RESTART_BACKOFF, RESTART_WINDOW, RESTARTS_MAX};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// The restarts of one task within the window.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    recent: VecDeque<Instant>,
}

impl Restarts {
    /// The pause before the next restart, after a failure at `now`; none when the window has had all of its restarts.
    pub(super) fn next(&mut self, now: Instant) -> Option<Duration> {
        while self.recent.front().is_some_and(|restart| now.saturating_duration_since(*restart) >= RESTART_WINDOW) {
            self.recent.pop_front();
        }
        if self.recent.len() >= RESTARTS_MAX {
            return None;
        }
        let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        let pause = RESTART_BACKOFF.saturating_mul(2_u32.saturating_pow(doublings));
        self.recent.push_back(now.checked_add(pause).unwrap_or(now));
        Some(pause)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn five_restarts_double_their_pause_and_the_sixth_is_refused() {
        let (mut restarts, now) = (Restarts::default(), Instant::now());
        let pauses: Vec<_> = (0..6).map(|_| restarts.next(now).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(400), Some(800), Some(1600), None]);
    }

    #[test]
    fn a_restart_is_forgotten_after_a_minute_and_not_before() {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        for _ in 0..5 {
            restarts.next(start).unwrap();
        }
        let first = start + Duration::from_millis(100);
        assert_eq!(restarts.next(first + RESTART_WINDOW - Duration::from_millis(1)), None);
        assert_eq!(restarts.next(first + RESTART_WINDOW), Some(Duration::from_millis(1_600)));
        assert_eq!(restarts.next(first + RESTART_WINDOW), None);
        assert_eq!(restarts.next(first + RESTART_WINDOW * 10), Some(Duration::from_millis(100)));
    }
}
