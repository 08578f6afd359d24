//! Candidates that wait for the gate, cheapest checks first.
//!
//! # Contract
//! Bounded whatever is announced: one open candidate per trainer and head, few heads per trainer, few judgements per trainer and head. Trainers
//! that a validator vouches for come first. A candidate that cannot get its ACK in time is dropped.

use std::collections::BTreeMap;

use pol_api::convert::Candidate;
use pol_core::{ModelHead, UpdateId, params::ACK_TIMEOUT_SECONDS};

/// Candidates that wait, at most.
pub(crate) const QUEUE: usize = 256;
/// Heads on which one trainer may have a candidate here: the current one and, around a reorg, its neighbours.
const HEADS_PER_TRAINER: usize = 4;
/// Judgements that one trainer gets on one head: it may correct itself, not keep the gate busy.
pub(crate) const JUDGED_PER_TRAINER: u32 = 4;
/// How long a candidate may wait, milliseconds.
const LIFE_MS: u64 = ACK_TIMEOUT_SECONDS * 1_000;

/// What became of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits.
    Taken,
    /// It waits already.
    Known,
    /// The trainer has announced a later one.
    Outdated,
    /// Nobody waits for its ACK any more.
    Late,
    /// The trainer has had its judgements on this head, or has too many heads open.
    Limit,
    /// Others come first.
    Full,
}

impl Offered {
    /// Its name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Known => "known",
            Self::Outdated => "outdated",
            Self::Late => "late",
            Self::Limit => "limit",
            Self::Full => "full",
        }
    }
}

/// A candidate that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    candidate: Candidate,
    /// Its bytes are not to be asked for before this, unix milliseconds.
    not_before_ms: u64,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<(ModelHead, [u8; 32]), Waiting>,
    judged: BTreeMap<(ModelHead, [u8; 32]), (u32, u64)>,
}

const fn ends_ms(candidate: &Candidate) -> u64 {
    candidate.first_seen_unix_ms.saturating_add(LIFE_MS)
}

impl Queue {
    /// Takes an announcement.
    pub(crate) fn offer(&mut self, candidate: Candidate, now_ms: u64) -> Offered {
        self.forget(now_ms);
        let key = (candidate.announcement.model_head, candidate.trainer);
        if ends_ms(&candidate) <= now_ms {
            return Offered::Late;
        }
        if self.judged.get(&key).is_some_and(|(count, _)| *count >= JUDGED_PER_TRAINER) {
            return Offered::Limit;
        }
        if let Some(other) = self.waiting.get_mut(&key) {
            let (held, new) = (other.candidate.announcement.sequence, candidate.announcement.sequence);
            if held == new && other.candidate.announcement == candidate.announcement {
                other.candidate = candidate;
                return Offered::Known;
            }
            if new <= held {
                return Offered::Outdated;
            }
        } else {
            if self.waiting.keys().filter(|(_, trainer)| *trainer == candidate.trainer).count() >= HEADS_PER_TRAINER {
                return Offered::Limit;
            }
            if self.waiting.len() >= QUEUE && !self.make_room(&candidate) {
                return Offered::Full;
            }
        }
        self.waiting.insert(key, Waiting { candidate, not_before_ms: 0 });
        Offered::Taken
    }

    /// Takes the next one for a head, that with a trainer who is vouched for and seen first.
    pub(crate) fn next(&mut self, head: ModelHead, now_ms: u64) -> Option<Candidate> {
        self.forget(now_ms);
        let ready = self.of_head(head).filter(|(_, waiting)| waiting.not_before_ms <= now_ms);
        let (key, _) = ready.min_by_key(|(_, waiting)| rank(&waiting.candidate))?;
        let key = *key;
        let candidate = self.waiting.remove(&key)?.candidate;
        let judged = self.judged.entry(key).or_insert((0, now_ms));
        judged.0 = judged.0.saturating_add(1);
        Some(candidate)
    }

    /// Puts one back whose bytes are not here yet.
    pub(crate) fn put_back(&mut self, candidate: Candidate, not_before_ms: u64) {
        let key = (candidate.announcement.model_head, candidate.trainer);
        if let Some((count, _)) = self.judged.get_mut(&key) {
            *count = count.saturating_sub(1);
        }
        if self.waiting.len() < QUEUE {
            self.waiting.entry(key).or_insert(Waiting { candidate, not_before_ms });
        }
    }

    /// When the next one of a head can be tried, unix milliseconds.
    pub(crate) fn next_at_ms(&self, head: ModelHead) -> Option<u64> {
        self.of_head(head).map(|(_, waiting)| waiting.not_before_ms).min()
    }

    /// Candidates that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn of_head(&self, head: ModelHead) -> impl Iterator<Item = (&(ModelHead, [u8; 32]), &Waiting)> {
        self.waiting.range((head, [0; 32])..=(head, [0xff; 32]))
    }

    fn forget(&mut self, now_ms: u64) {
        self.waiting.retain(|_, waiting| ends_ms(&waiting.candidate) > now_ms);
        // As long as an announcement may live, and no longer.
        self.judged.retain(|_, (_, since)| since.saturating_add(pol_core::params::ANN_TTL_SECONDS * 1_000) > now_ms);
    }

    /// Drops the last one in line if it stands behind this one.
    fn make_room(&mut self, candidate: &Candidate) -> bool {
        let last = self.waiting.iter().max_by_key(|(_, waiting)| rank(&waiting.candidate));
        let Some((key, _)) = last.filter(|(_, last)| rank(&last.candidate) > rank(candidate)) else { return false };
        let key = *key;
        self.waiting.remove(&key).is_some()
    }
}

/// Smaller comes first. Nothing in it is what an announcer merely says.
const fn rank(candidate: &Candidate) -> (bool, u64, UpdateId) {
    (!candidate.verified, candidate.first_seen_unix_ms, candidate.announcement.update_id)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
