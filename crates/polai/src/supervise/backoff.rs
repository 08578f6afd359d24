//! How long a part that ended is left alone.

use std::time::Duration;

/// Pause after the first end; it doubles with each further one.
pub const FIRST: Duration = Duration::from_millis(250);
/// Longest pause.
pub const LONGEST: Duration = Duration::from_secs(30);
/// Who ran for so long is well: the next pause is the first again.
pub const WELL: Duration = Duration::from_secs(60);
/// Ends in a row with exit code 2 (something an operator has to mend) after which a part is given up. Not the first: a lock or port of a
/// process that was just killed may take a moment.
pub const USAGE_MAX: u32 = 2;

/// What is remembered of a part's ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    ends: u32,
    usage: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again after this pause.
    Again(Duration),
    /// Leave it: only an operator can mend it.
    GiveUp,
}

impl Backoff {
    /// A part ended that ran for `ran`, with exit code 2 or not.
    pub fn ended(&mut self, ran: Duration, usage: bool) -> Next {
        if ran >= WELL {
            *self = Self::default();
        }
        self.usage = if usage { self.usage.saturating_add(1) } else { 0 };
        if self.usage >= USAGE_MAX {
            return Next::GiveUp;
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(self.ends.min(16))).min(LONGEST);
        self.ends = self.ends.saturating_add(1);
        Next::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Next> = (0..9).map(|_| backoff.ended(Duration::ZERO, false)).collect();
        let expected = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].map(Duration::from_millis).map(Next::Again);
        assert_eq!(pauses, expected);
        assert_eq!(backoff.ended(WELL, false), Next::Again(FIRST));
        for _ in 0..100 {
            assert!(matches!(backoff.ended(Duration::ZERO, false), Next::Again(_)), "a crash is never given up");
        }
    }

    #[test]
    fn an_operators_mistake_is_given_up_and_a_crash_between_two_is_forgiven() {
        let mut backoff = Backoff::default();
        assert!(matches!(backoff.ended(Duration::ZERO, true), Next::Again(_)));
        assert!(matches!(backoff.ended(Duration::ZERO, false), Next::Again(_)));
        assert!(matches!(backoff.ended(Duration::ZERO, true), Next::Again(_)));
        assert_eq!(backoff.ended(Duration::ZERO, true), Next::GiveUp);
    }
}
