//! Time as a parameter.
//!
//! Purpose: rules take `u64` times, services take a [`Clock`], tests take a [`Manual`] one. Contract: this is the only place of
//! the repository that reads the system's clock. What it does not protect against: a wrong system clock; nobody here asks NTP.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970; 0 on a clock set before that. May jump in either direction.
    fn unix_millis(&self) -> u64;

    /// Time since this clock was made. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Seconds since 1970, rounded down.
    fn unix_seconds(&self) -> u64 {
        self.unix_millis() / 1_000
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct System {
    made: Instant,
}

impl System {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { made: Instant::now() }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place where the repository reads the system's clock")]
    fn unix_millis(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.made.elapsed()
    }
}

/// A clock that moves only when told to. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct Manual {
    unix_millis: AtomicU64,
    monotonic_millis: AtomicU64,
}

impl Manual {
    /// A clock that stands at `unix_seconds`, with a monotonic time of 0.
    pub const fn at(unix_seconds: u64) -> Self {
        Self { unix_millis: AtomicU64::new(unix_seconds.saturating_mul(1_000)), monotonic_millis: AtomicU64::new(0) }
    }

    /// Moves both times on, in whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        for time in [&self.unix_millis, &self.monotonic_millis] {
            time.update(Ordering::Relaxed, Ordering::Relaxed, |now| now.saturating_add(millis));
        }
    }

    /// Sets the wall clock, as an operator does who corrects it: the monotonic time stays.
    pub fn set_unix_millis(&self, millis: u64) {
        self.unix_millis.store(millis, Ordering::Relaxed);
    }
}

impl Clock for Manual {
    fn unix_millis(&self) -> u64 {
        self.unix_millis.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_millis.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told_to() {
        let clock = Manual::at(1_700_000_000);
        assert_eq!((clock.unix_seconds(), clock.monotonic()), (1_700_000_000, Duration::ZERO));
        clock.advance(Duration::from_millis(1_500));
        assert_eq!((clock.unix_millis(), clock.monotonic()), (1_700_000_001_500, Duration::from_millis(1_500)));
        assert_eq!(clock.unix_seconds(), 1_700_000_001);
    }

    #[test]
    fn a_corrected_wall_clock_leaves_the_monotonic_time_alone() {
        let clock = Manual::at(100);
        clock.advance(Duration::from_secs(5));
        clock.set_unix_millis(7);
        assert_eq!((clock.unix_millis(), clock.monotonic()), (7, Duration::from_secs(5)));
    }

    #[test]
    fn a_manual_clock_stops_at_the_end_of_time() {
        let clock = Manual::at(u64::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.unix_millis(), u64::MAX);
    }

    #[test]
    fn the_system_clock_is_past_2024_and_runs() {
        let clock = System::new();
        assert!(clock.unix_seconds() > 1_704_067_200);
        let before = clock.monotonic();
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.monotonic() > before);
    }
}
