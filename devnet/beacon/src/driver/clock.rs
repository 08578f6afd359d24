//! When what is due: the phases of a slot.

use core::time::Duration;
use std::sync::Arc;

use tokio::time::sleep;

use super::{error::DriverError, node::Node};
use crate::types::{EthSpec, Slot};

/// A wall clock that differs from the monotonic one by more than this has been set. Milliseconds.
const JUMP_MS: u64 = 500;
/// Longest sleep, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_millis(250);

/// A part of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From its start on: propose.
    Start,
    /// From a third on: attest.
    Attest,
    /// From two thirds on: prepare the next one.
    Prepare,
}

/// Slots and phases by unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct SlotClock {
    genesis_ms: u64,
    slot_ms: u64,
}

impl SlotClock {
    /// The clock of a chain; both in seconds.
    pub const fn new(genesis_time: u64, slot_seconds: u64) -> Self {
        let slot_ms = slot_seconds.saturating_mul(1_000);
        Self { genesis_ms: genesis_time.saturating_mul(1_000), slot_ms: if slot_ms == 0 { 1 } else { slot_ms } }
    }

    /// Slot and phase at a time; None before genesis.
    pub fn at(&self, now_ms: u64) -> Option<(Slot, Phase)> {
        let since = now_ms.checked_sub(self.genesis_ms)?;
        let (slot, into) = (since.checked_div(self.slot_ms)?, since.checked_rem(self.slot_ms)?);
        let third = self.slot_ms.checked_div(3)?;
        let phase = if into < third {
            Phase::Start
        } else if into < third.saturating_mul(2) {
            Phase::Attest
        } else {
            Phase::Prepare
        };
        Some((slot, phase))
    }

    /// When a phase begins, unix milliseconds.
    pub fn begins(&self, slot: Slot, phase: Phase) -> u64 {
        let thirds = match phase {
            Phase::Start => 0,
            Phase::Attest => 1,
            Phase::Prepare => 2,
        };
        let third = self.slot_ms.checked_div(3).unwrap_or_default();
        self.genesis_ms.saturating_add(slot.saturating_mul(self.slot_ms)).saturating_add(third.saturating_mul(thirds))
    }

    /// What is to be done after `done`, at `now_ms`: the next phase of the same slot however late it is, or the newest slot's start.
    pub fn next(&self, done: Option<(Slot, Phase)>, now_ms: u64) -> (Slot, Phase) {
        let (now, _) = self.at(now_ms).unwrap_or((0, Phase::Start));
        match done {
            Some((slot, Phase::Start)) if slot >= now => (slot, Phase::Attest),
            Some((slot, Phase::Attest)) if slot >= now => (slot, Phase::Prepare),
            Some((slot, Phase::Prepare)) if slot >= now => (slot.saturating_add(1), Phase::Start),
            _ => (now, Phase::Start),
        }
    }
}

/// Does a node's work by the clock, until it fails or is dropped.
///
/// # Errors
/// [`DriverError`].
pub async fn run<E: EthSpec>(node: Arc<Node<E>>) -> Result<(), DriverError> {
    let slots = node.slots();
    let mut done = None;
    let mut drift = node.clock().drift();
    loop {
        let now_ms = node.clock().unix_millis();
        let (slot, phase) = slots.next(done, now_ms);
        let begins = slots.begins(slot, phase);
        if begins > now_ms {
            sleep(Duration::from_millis(begins.saturating_sub(now_ms)).min(NAP)).await;
            drift = watch(drift, node.clock().drift());
            // A clock that was set back must not hold a slot up for ever.
            if let Some((of, _)) = done
                && slots.at(node.clock().unix_millis()).is_some_and(|(now, _)| now.saturating_add(1) < of)
            {
                done = None;
            }
            continue;
        }
        if let Some((last, _)) = done
            && slot > last.saturating_add(1)
        {
            tracing::warn!(target: "polai::beacon", from = last.saturating_add(1), to = slot, "slots skipped: this machine slept, or is too slow");
        }
        node.work(slot, phase).await?;
        done = Some((slot, phase));
    }
}

/// Says when the wall clock was set.
fn watch(before: i64, now: i64) -> i64 {
    let by = now.saturating_sub(before);
    if by.unsigned_abs() > JUMP_MS {
        tracing::warn!(target: "polai::beacon", milliseconds = by, "the wall clock was set: slots follow it; is time synchronization on?");
        return now;
    }
    before
}

trait Drift {
    fn drift(&self) -> i64;
}

impl Drift for Arc<dyn pol_kit::clock::Clock> {
    /// Wall clock less monotonic time, in milliseconds: it changes only when somebody sets the clock.
    fn drift(&self) -> i64 {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let monotonic = u64::try_from(self.monotonic().as_millis()).unwrap_or(u64::MAX);
        signed(self.unix_millis()).saturating_sub(signed(monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_three_phases_and_none_before_genesis() {
        let clock = SlotClock::new(100, 3);
        assert_eq!(clock.at(99_999), None);
        assert_eq!(clock.at(100_000), Some((0, Phase::Start)));
        assert_eq!(clock.at(104_000), Some((1, Phase::Attest)));
        assert_eq!(clock.at(105_000), Some((1, Phase::Prepare)));
        assert_eq!(clock.begins(1, Phase::Prepare), 105_000);
    }

    #[test]
    fn a_late_phase_is_made_up_for_and_a_missed_slot_is_not() {
        let clock = SlotClock::new(100, 3);
        assert_eq!(clock.next(None, 100_000), (0, Phase::Start));
        assert_eq!(clock.next(Some((0, Phase::Start)), 102_900), (0, Phase::Attest));
        assert_eq!(clock.next(Some((0, Phase::Prepare)), 102_900), (1, Phase::Start));
        assert_eq!(clock.next(Some((0, Phase::Start)), 103_100), (1, Phase::Start));
        assert_eq!(clock.next(Some((0, Phase::Attest)), 160_000), (20, Phase::Start));
    }
}
