//! When which slashing is posted. A pure schedule by slots: whoever owns it does the posting and says what came of it.

use std::collections::BTreeMap;

use pol_core::{
    Hash32,
    fault::{FaultProof, Malfeasance, SlashingPair},
    params::Preset,
};

use super::age_slots_max;
use crate::limits;

/// Longest pause between two tries, in slots.
const PAUSE_SLOTS_MAX: u64 = 16;
/// Pause after the beacon node took it: pools forget, and blocks may be reorganized away.
const RECHECK_SLOTS: u64 = 4;

/// What a slashing is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobId {
    /// A fault proof against this block.
    Fault(Hash32),
    /// Malfeasance of this member.
    Malfeasance(u64),
}

/// What came of posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The beacon node's pool has it.
    Taken,
    /// Refused, or the beacon node is away: again after a longer pause.
    Failed,
    /// The accused is slashed: done.
    Slashed,
}

#[derive(Debug, Clone, Copy)]
struct Job {
    pair: SlashingPair,
    accused: u64,
    next: u64,
    last: u64,
    failures: u32,
    taken: bool,
}

/// Slashings that are on their way into the chain.
#[derive(Debug, Default)]
pub struct Poster {
    jobs: BTreeMap<JobId, Job>,
}

impl Poster {
    /// No slashings.
    pub const fn new() -> Self {
        Self { jobs: BTreeMap::new() }
    }

    /// A proof that holds. It is posted from the slot after the accused block's on. With more votes it may be given again: the newer one
    /// is posted.
    pub fn add_fault(&mut self, proof: &FaultProof, preset: Preset) {
        let header = proof.accused().header;
        let last = header.slot.saturating_add(age_slots_max(preset));
        self.add(JobId::Fault(header.root()), proof.to_pair(), header.proposer_index, header.slot.saturating_add(1), last);
    }

    /// Evidence that holds, found at `now` (slot). It does not age; it is tried for a day of mainnet slots.
    pub fn add_malfeasance(&mut self, evidence: &Malfeasance, now: u64) {
        self.add(JobId::Malfeasance(evidence.member()), evidence.to_pair(), evidence.member(), now, now.saturating_add(7_200));
    }

    fn add(&mut self, id: JobId, pair: SlashingPair, accused: u64, next: u64, last: u64) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.pair = pair;
            return;
        }
        if self.jobs.len() < limits::FAULT_CASES + limits::EVIDENCE {
            self.jobs.insert(id, Job { pair, accused, next, last, failures: 0, taken: false });
        }
    }

    /// What is to be posted in this slot, with the accused's index: first see whether it is slashed already. Too old ones are gone.
    pub fn due(&mut self, now: u64) -> Vec<(JobId, u64, SlashingPair)> {
        self.jobs.retain(|_, job| job.last >= now);
        self.jobs.iter().filter(|(_, job)| job.next <= now).map(|(id, job)| (*id, job.accused, job.pair)).collect()
    }

    /// Says what came of it.
    pub fn report(&mut self, id: JobId, now: u64, outcome: Outcome) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match outcome {
            Outcome::Slashed => drop(self.jobs.remove(&id)),
            Outcome::Taken => {
                (job.taken, job.failures) = (true, 0);
                job.next = now.saturating_add(RECHECK_SLOTS);
            }
            Outcome::Failed => {
                let pause = 1_u64.checked_shl(job.failures).unwrap_or(PAUSE_SLOTS_MAX).min(PAUSE_SLOTS_MAX);
                job.failures = job.failures.saturating_add(1);
                job.next = now.saturating_add(pause);
            }
        }
    }

    /// Slashings on their way: what, the accused's index, the container, and whether a beacon node's pool took it.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = (JobId, u64, &SlashingPair, bool)> {
        self.jobs.iter().map(|(id, job)| (*id, job.accused, &job.pair, job.taken))
    }
}
