//! Circuit breaker of the AI path (docs/PROTOCOL.md section 10, point 4).
//!
//! Purpose: blocks come first. When the AI path keeps failing it is switched off, so that proposers stop paying for it, and tried
//! again later with one slot. Contract: before a slot's AI work the caller asks [`Breaker::allows`]; where the answer was yes it
//! reports what became of it with [`Breaker::record`]. Limits: 3 failed slots in a row, or 8 among the last 32 slots, or
//! [`Breaker::trip`], open it for 2 epochs of slots; then one slot is tried. Why this way: a pure function of slot numbers, so
//! that every node and every test sees the same. What it does not protect against: a caller that calls its own mistakes
//! AI-caused, and failures that nobody reports while the breaker is closed.

use crate::limits::{BREAKER_FAILURES, BREAKER_OPEN_EPOCHS, BREAKER_ROW, BREAKER_WINDOW_SLOTS};

/// What became of the AI path in a slot that allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked for, an empty AI block for want of candidates not counted.
    Success,
    /// It failed, lied or was late, through no fault of the block path.
    Failure,
    /// It was not needed, so nothing is known.
    Unused,
}

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The AI path may be used.
    Closed,
    /// It is off in every slot before `until`.
    Open {
        /// The first slot that may be tried.
        until: u64,
    },
    /// One slot is being tried; what becomes of it decides.
    Trial {
        /// That slot.
        slot: u64,
    },
}

/// The breaker of one process. Small and `Copy`: keep it behind a mutex, or in the task that proposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    open_slots: u64,
    state: State,
    /// Failed slots in a row, by order of report.
    row: u32,
    /// Bit i: slot `latest - i` failed.
    window: u32,
    latest: u64,
}

impl Breaker {
    /// A closed breaker for a chain with so many slots per epoch.
    pub const fn new(slots_per_epoch: u64) -> Self {
        let open_slots = slots_per_epoch.saturating_mul(BREAKER_OPEN_EPOCHS);
        Self { open_slots, state: State::Closed, row: 0, window: 0, latest: 0 }
    }

    /// Where it stands, as of the last call.
    pub const fn state(&self) -> State {
        self.state
    }

    /// May the AI path be used in this slot? Asking again for the same slot gives the same answer until its outcome is recorded.
    /// A trial whose outcome nobody recorded by the time a later slot asks counts as failed.
    pub fn allows(&mut self, slot: u64) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } if slot < until => false,
            State::Open { .. } => {
                self.state = State::Trial { slot };
                true
            }
            State::Trial { slot: trial } if slot <= trial => slot == trial,
            State::Trial { slot: trial } => {
                self.trip(trial);
                self.allows(slot)
            }
        }
    }

    /// Takes in what became of a slot. A slot fails once, however often that is said, and never succeeds afterwards. What is said
    /// about another slot than the one on trial, while the breaker is not closed, is stale and ignored.
    pub fn record(&mut self, slot: u64, outcome: Outcome) {
        match (self.state, outcome) {
            (State::Closed, Outcome::Success) => {
                if !self.failed(slot) {
                    self.row = 0;
                }
            }
            (State::Closed, Outcome::Failure) => self.fail(slot),
            (State::Trial { slot: trial }, _) if trial != slot => {}
            (State::Trial { .. }, Outcome::Success) => *self = Self { open_slots: self.open_slots, ..Self::new(0) },
            (State::Trial { .. }, Outcome::Failure) => self.trip(slot),
            // Not needed: the next slot is tried instead.
            (State::Trial { .. }, Outcome::Unused) => self.state = State::Open { until: slot.saturating_add(1) },
            (State::Open { .. }, _) | (State::Closed, Outcome::Unused) => {}
        }
    }

    /// Opens the breaker for two epochs after `slot`, whatever was recorded; for causes from outside, such as three epochs
    /// without finality. Never shortens the time that it is open anyway.
    pub fn trip(&mut self, slot: u64) {
        let after = slot.saturating_add(1).saturating_add(self.open_slots);
        let until = match self.state {
            State::Open { until } => until.max(after),
            State::Closed | State::Trial { .. } => after,
        };
        *self = Self { state: State::Open { until }, open_slots: self.open_slots, ..Self::new(0) };
    }

    const fn failed(&self, slot: u64) -> bool {
        match self.latest.checked_sub(slot) {
            Some(age) if age < 32 => self.window & (1 << age) != 0,
            _ => false,
        }
    }

    fn fail(&mut self, slot: u64) {
        if self.failed(slot) {
            return;
        }
        if slot > self.latest {
            let newer = u32::try_from(slot.abs_diff(self.latest)).unwrap_or(u32::MAX);
            self.window = self.window.checked_shl(newer).unwrap_or(0);
            self.latest = slot;
        }
        let age = u32::try_from(self.latest.abs_diff(slot)).unwrap_or(u32::MAX);
        if age >= BREAKER_WINDOW_SLOTS {
            return;
        }
        self.window |= 1_u32.checked_shl(age).unwrap_or(0);
        self.row = self.row.saturating_add(1);
        if self.row >= BREAKER_ROW || self.window.count_ones() >= BREAKER_FAILURES {
            self.trip(self.latest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const EPOCH: u64 = 8;

    fn failing(slots: impl IntoIterator<Item = u64>) -> Breaker {
        let mut breaker = Breaker::new(EPOCH);
        slots.into_iter().for_each(|slot| breaker.record(slot, Outcome::Failure));
        breaker
    }

    #[test]
    fn two_failures_in_a_row_leave_it_closed_and_the_third_opens_it() {
        assert_eq!(failing([5, 90]).state(), State::Closed);
        assert_eq!(failing([5, 90, 400]).state(), State::Open { until: 417 });
    }

    #[test]
    fn a_success_ends_the_row_and_an_unused_slot_does_not() {
        let mut breaker = failing([1, 2]);
        breaker.record(3, Outcome::Success);
        breaker.record(4, Outcome::Failure);
        breaker.record(5, Outcome::Failure);
        breaker.record(6, Outcome::Unused);
        assert_eq!(breaker.state(), State::Closed);
        breaker.record(7, Outcome::Failure);
        assert_eq!(breaker.state(), State::Open { until: 24 });
    }

    #[test]
    fn eight_failures_in_32_slots_open_it_and_in_33_do_not() {
        for (last, opens) in [(131, true), (132, false)] {
            let mut breaker = Breaker::new(EPOCH);
            for slot in [100, 102, 104, 106, 108, 110, 112, last] {
                assert_eq!(breaker.state(), State::Closed);
                breaker.record(slot, Outcome::Failure);
                breaker.record(slot + 1, Outcome::Success);
            }
            assert_eq!(breaker.state() != State::Closed, opens, "{last}");
        }
    }

    #[test]
    fn one_slot_fails_once_however_often_it_is_said() {
        let mut breaker = failing([9, 9, 9, 9]);
        assert_eq!(breaker.state(), State::Closed);
        breaker.record(9, Outcome::Success);
        breaker.record(10, Outcome::Failure);
        breaker.record(11, Outcome::Failure);
        assert_ne!(breaker.state(), State::Closed, "a success for a failed slot ended the row");
    }

    #[test]
    fn it_stays_open_for_exactly_two_epochs_then_tries_one_slot() {
        let mut breaker = failing([1, 2, 3]);
        assert!((4..4 + 2 * EPOCH).all(|slot| !breaker.allows(slot)));
        let trial = 4 + 2 * EPOCH;
        assert!(breaker.allows(trial) && breaker.allows(trial));
        assert_eq!(breaker.state(), State::Trial { slot: trial });
        assert!(!breaker.allows(trial - 1));
        assert!(!breaker.allows(trial + 1), "a second slot while the trial is undecided");
    }

    #[test]
    fn a_trial_closes_it_or_opens_it_again_and_silence_counts_as_failure() {
        let at_trial = || {
            let mut breaker = failing([1, 2, 3]);
            assert!(breaker.allows(30));
            breaker
        };
        let mut breaker = at_trial();
        breaker.record(30, Outcome::Success);
        assert_eq!(breaker, Breaker::new(EPOCH));
        let mut breaker = at_trial();
        breaker.record(30, Outcome::Failure);
        assert_eq!(breaker.state(), State::Open { until: 47 });
        let mut breaker = at_trial();
        assert!(!breaker.allows(31));
        assert_eq!(breaker.state(), State::Open { until: 47 });
        let mut breaker = at_trial();
        assert!(breaker.allows(47), "silence, and its two epochs are over");
        let mut breaker = at_trial();
        breaker.record(30, Outcome::Unused);
        assert!(!breaker.allows(30) && breaker.allows(31), "a slot that needed no AI proves nothing");
    }

    #[test]
    fn what_is_said_about_another_slot_does_not_decide_a_trial() {
        let mut breaker = failing([1, 2, 3]);
        assert!(breaker.allows(30));
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unused] {
            breaker.record(3, outcome);
            breaker.record(31, outcome);
            assert_eq!(breaker.state(), State::Trial { slot: 30 });
        }
    }

    #[test]
    fn an_outside_cause_opens_it_and_never_shortens_the_time() {
        let mut breaker = Breaker::new(EPOCH);
        breaker.trip(100);
        breaker.trip(50);
        assert_eq!(breaker.state(), State::Open { until: 117 });
        breaker.trip(101);
        assert_eq!(breaker.state(), State::Open { until: 118 });
    }

    #[test]
    fn the_last_slot_of_all_does_not_overflow() {
        let mut breaker = failing([u64::MAX - 1, u64::MAX, 0]);
        breaker.record(u64::MAX - 2, Outcome::Failure);
        assert_eq!(breaker.state(), State::Open { until: u64::MAX });
        assert!(breaker.allows(u64::MAX));
        breaker.record(u64::MAX, Outcome::Unused);
        assert_eq!(Breaker::new(u64::MAX).open_slots, u64::MAX);
    }

    /// The promise in words of its own: whole histories in sets and lists instead of bits and counters.
    #[derive(Default)]
    struct Model {
        open_slots: u64,
        failed: BTreeSet<u64>,
        row: Vec<u64>,
        off_until: Option<u64>,
        trial: Option<u64>,
    }

    impl Model {
        fn new(slots_per_epoch: u64) -> Self {
            Self { open_slots: 2 * slots_per_epoch, ..Self::default() }
        }

        fn open_until(&mut self, until: Option<u64>) {
            *self = Self { open_slots: self.open_slots, off_until: until, ..Self::default() };
        }

        fn open(&mut self, slot: u64) {
            self.open_until(Some(slot + 1 + self.open_slots));
        }

        fn allows(&mut self, slot: u64) -> bool {
            if let Some(trial) = self.trial {
                if slot <= trial {
                    return slot == trial;
                }
                self.open(trial);
            }
            let Some(until) = self.off_until else { return true };
            if slot >= until {
                (self.trial, self.off_until) = (Some(slot), None);
            }
            slot >= until
        }

        fn record(&mut self, slot: u64, outcome: Outcome) {
            if let Some(trial) = self.trial.filter(|trial| *trial == slot) {
                match outcome {
                    Outcome::Success => self.open_until(None),
                    Outcome::Failure => self.open(trial),
                    Outcome::Unused => self.open_until(Some(trial + 1)),
                }
            } else if self.trial.is_none() && self.off_until.is_none() {
                let newest = self.failed.last().copied().unwrap_or(0);
                let known = self.failed.contains(&slot) && slot + 32 > newest;
                match outcome {
                    Outcome::Success if !known => self.row.clear(),
                    Outcome::Failure if !known && slot + 32 > newest => {
                        self.failed.insert(slot);
                        self.row.push(slot);
                        let newest = newest.max(slot);
                        let in_window = self.failed.iter().filter(|failed| **failed + 32 > newest).count();
                        if self.row.len() >= 3 || in_window >= 8 {
                            self.open(newest);
                        }
                    }
                    _ => {}
                }
            }
        }

        fn state(&self) -> State {
            match (self.trial, self.off_until) {
                (Some(slot), _) => State::Trial { slot },
                (None, Some(until)) => State::Open { until },
                (None, None) => State::Closed,
            }
        }
    }

    fn outcome(number: u64) -> Outcome {
        [Outcome::Success, Outcome::Failure, Outcome::Unused][number as usize % 3]
    }

    #[test]
    fn every_history_of_eleven_slots_matches_the_promise_in_words() {
        for history in 0..4_u64.pow(11) {
            let (mut breaker, mut model) = (Breaker::new(2), Model::new(2));
            for step in 0..11 {
                let (slot, what) = (2 * step, history >> (2 * step) & 3);
                assert_eq!(breaker.allows(slot), model.allows(slot), "history {history:#x}, slot {slot}");
                if what < 3 {
                    breaker.record(slot, outcome(what));
                    model.record(slot, outcome(what));
                }
                assert_eq!(breaker.state(), model.state(), "history {history:#x}, slot {slot}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_order_of_calls_matches_the_promise_in_words(
            calls in prop::collection::vec((0_u64..4, 0_u64..60, 0_u64..3), 1..200),
        ) {
            let (mut breaker, mut model) = (Breaker::new(EPOCH), Model::new(EPOCH));
            let mut now = 0_u64;
            for (what, jump, back) in calls {
                now += jump / 8;
                let slot = now.saturating_sub(back * (jump % 8));
                if what == 3 {
                    prop_assert_eq!(breaker.allows(slot), model.allows(slot));
                } else {
                    breaker.record(slot, outcome(what));
                    model.record(slot, outcome(what));
                }
                prop_assert_eq!(breaker.state(), model.state());
            }
        }
    }
}
