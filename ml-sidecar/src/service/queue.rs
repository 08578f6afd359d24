//! Candidates that wait for the gate, cheapest checks first.
//!
//! # Contract
//! Bounded whatever is announced: one open candidate per trainer and head, few heads per trainer, few judgements and few fruitless tries to
//! fetch per trainer and head. Trainers that a validator vouches for come first. A candidate that cannot get its ACK in time is dropped.

use std::collections::BTreeMap;

use pol_api::convert::Candidate;
use pol_core::{ModelHead, UpdateId, params::ACK_TIMEOUT_SECONDS};

/// Candidates that wait, at most.
pub(crate) const QUEUE: usize = 256;
/// Heads on which one trainer may have a candidate here: the current one and, around a reorg, its neighbours.
const HEADS_PER_TRAINER: usize = 4;
/// Judgements that one trainer gets on one head: it may correct itself, not keep the gate busy.
pub(crate) const JUDGED_PER_TRAINER: u32 = 4;
/// Tries to fetch that may give nothing, of one trainer on one head. With the pauses between them they last as long as a candidate may wait.
pub(crate) const FRUITLESS_PER_TRAINER: u32 = 8;
/// Pauses after such a try, milliseconds: the first, the longest.
const PAUSES_MS: (u64, u64) = (300, 5_000);
/// Trainers and heads of which is known what they had, at most. Keys are free: who has thousands gets more with each in any case.
const HISTORY: usize = 4_096;
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

/// For whose candidates there is room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All.
    Everybody,
    /// Those of trainers that a validator vouches for.
    Vouched,
    /// None.
    Nobody,
}

impl Room {
    const fn is_for(self, candidate: &Candidate) -> bool {
        match self {
            Self::Everybody => true,
            Self::Vouched => candidate.verified,
            Self::Nobody => false,
        }
    }
}

/// What one trainer had on one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Had {
    judged: u32,
    fruitless: u32,
    since_ms: u64,
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
    had: BTreeMap<(ModelHead, [u8; 32]), Had>,
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
        let is_enough = |had: &Had| had.judged >= JUDGED_PER_TRAINER || had.fruitless >= FRUITLESS_PER_TRAINER;
        if self.had.get(&key).is_some_and(is_enough) {
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

    /// Takes the next one for a head, that with a trainer who is vouched for and seen first. It counts as judged.
    pub(crate) fn next(&mut self, head: ModelHead, room: Room, now_ms: u64) -> Option<Candidate> {
        self.forget(now_ms);
        let ready = self.of_head(head).filter(|(_, waiting)| waiting.not_before_ms <= now_ms && room.is_for(&waiting.candidate));
        let (key, _) = ready.min_by_key(|(_, waiting)| rank(&waiting.candidate))?;
        let key = *key;
        let candidate = self.waiting.remove(&key)?.candidate;
        let had = self.had(key, now_ms);
        had.judged = had.judged.saturating_add(1);
        Some(candidate)
    }

    /// Puts one back that was not judged, through no fault of its trainer's.
    pub(crate) fn put_back(&mut self, candidate: Candidate, now_ms: u64, not_before_ms: u64) {
        let key = (candidate.announcement.model_head, candidate.trainer);
        let had = self.had(key, now_ms);
        had.judged = had.judged.saturating_sub(1);
        if self.waiting.len() < QUEUE {
            self.waiting.entry(key).or_insert(Waiting { candidate, not_before_ms });
        }
    }

    /// Puts one back whose bytes are not here yet, for later; or drops it: they never come, as far as that trainer's word went on this head.
    pub(crate) fn fruitless(&mut self, candidate: Candidate, now_ms: u64) {
        let had = self.had((candidate.announcement.model_head, candidate.trainer), now_ms);
        let pause_ms = PAUSES_MS.0.checked_shl(had.fruitless).map_or(PAUSES_MS.1, |pause| pause.min(PAUSES_MS.1));
        had.fruitless = had.fruitless.saturating_add(1);
        if had.fruitless < FRUITLESS_PER_TRAINER {
            self.put_back(candidate, now_ms, now_ms.saturating_add(pause_ms));
        }
    }

    /// When the next one of a head can be tried, unix milliseconds.
    pub(crate) fn next_at_ms(&self, head: ModelHead, room: Room) -> Option<u64> {
        self.of_head(head).filter(|(_, waiting)| room.is_for(&waiting.candidate)).map(|(_, waiting)| waiting.not_before_ms).min()
    }

    /// Candidates that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn of_head(&self, head: ModelHead) -> impl Iterator<Item = (&(ModelHead, [u8; 32]), &Waiting)> {
        self.waiting.range((head, [0; 32])..=(head, [0xff; 32]))
    }

    fn had(&mut self, key: (ModelHead, [u8; 32]), now_ms: u64) -> &mut Had {
        if self.had.len() >= HISTORY && !self.had.contains_key(&key) {
            let oldest = self.had.iter().min_by_key(|(_, had)| had.since_ms).map(|(key, _)| *key);
            oldest.and_then(|oldest| self.had.remove(&oldest));
        }
        self.had.entry(key).or_insert(Had { judged: 0, fruitless: 0, since_ms: now_ms })
    }

    fn forget(&mut self, now_ms: u64) {
        self.waiting.retain(|_, waiting| ends_ms(&waiting.candidate) > now_ms);
        // As long as an announcement may live, and no longer.
        self.had.retain(|_, had| had.since_ms.saturating_add(pol_core::params::ANN_TTL_SECONDS * 1_000) > now_ms);
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
pub(crate) const fn rank(candidate: &Candidate) -> (bool, u64, UpdateId) {
    (!candidate.verified, candidate.first_seen_unix_ms, candidate.announcement.update_id)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
