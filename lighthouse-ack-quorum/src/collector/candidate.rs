//! The ACKs of one update on one head.

use std::collections::BTreeMap;

use pol_core::{ResultRoot, bls::Signature};

use crate::members::Committee;

/// One member's ACK; its message is the candidate's and the root's.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Place in [`Candidate::roots`].
    root: u16,
    first_seen_ms: u64,
    signature: Signature,
}

#[derive(Debug)]
pub(crate) struct Candidate {
    acks: BTreeMap<u64, Entry>,
    /// Result roots that members signed, and how many ACKs each has. At most one per member, so the place fits 16 bits.
    roots: Vec<(ResultRoot, usize)>,
    /// When this process first counted an ACK for it: what it replays after a restart gets its time again.
    since_ms: u64,
    announced: Option<ResultRoot>,
}

impl Candidate {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self { acks: BTreeMap::new(), roots: Vec::new(), since_ms: now_ms, announced: None }
    }

    pub(super) fn insert(&mut self, index: u64, root: ResultRoot, signature: Signature, first_seen_ms: u64) {
        let place = self.roots.iter().position(|(known, _)| *known == root).unwrap_or_else(|| {
            self.roots.push((root, 0));
            self.roots.len() - 1
        });
        let Ok(at) = u16::try_from(place) else { return };
        if self.acks.insert(index, Entry { root: at, first_seen_ms, signature }).is_none()
            && let Some((_, count)) = self.roots.get_mut(place)
        {
            *count += 1;
        }
    }

    pub(super) fn remove(&mut self, index: u64) -> bool {
        let Some(entry) = self.acks.remove(&index) else { return false };
        if let Some((_, count)) = self.roots.get_mut(usize::from(entry.root)) {
            *count -= 1;
        }
        true
    }

    /// Removes what is older than `life_ms`; how many those were.
    pub(super) fn expire(&mut self, now_ms: u64, life_ms: u64) -> usize {
        let dead: Vec<u64> = self
            .acks
            .iter()
            .filter(|(_, e)| e.first_seen_ms.saturating_add(life_ms) <= now_ms)
            .map(|(index, _)| *index)
            .collect();
        dead.iter().filter(|index| self.remove(**index)).count()
    }

    pub(super) fn root_of(&self, index: u64) -> Option<ResultRoot> {
        let entry = self.acks.get(&index)?;
        self.roots.get(usize::from(entry.root)).map(|(root, _)| *root)
    }

    pub(super) fn signature(&self, index: u64) -> Option<Signature> {
        self.acks.get(&index).map(|entry| entry.signature)
    }

    pub(super) const fn since_ms(&self) -> u64 {
        self.since_ms
    }

    pub(super) fn is_empty(&self) -> bool {
        self.acks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.acks.len()
    }

    /// Roots with their number of ACKs, seats not asked.
    pub(crate) fn roots(&self) -> impl Iterator<Item = (ResultRoot, usize)> {
        self.roots.iter().copied().filter(|(_, count)| *count > 0)
    }

    /// ACKs of the root that has the most of them, seats not asked: no committee counts more.
    pub(crate) fn most(&self) -> usize {
        self.roots().map(|(_, count)| count).max().unwrap_or(0)
    }

    /// (seat, signature) of the ACKs for a root by those with a seat.
    ///
    /// Seats and ACKs are both in index order, so one walk over each is enough: picking asks this of every candidate.
    pub(crate) fn seated<'a>(
        &'a self,
        root: ResultRoot,
        committee: &'a Committee,
    ) -> impl Iterator<Item = (usize, Signature)> + 'a {
        let place = self.roots.iter().position(|(known, _)| *known == root);
        let mut acks = self.acks.iter().peekable();
        committee.seats().iter().enumerate().filter_map(move |(seat, member)| {
            while acks.next_if(|(index, _)| **index < member.index).is_some() {}
            let (_, entry) = acks.next_if(|(index, _)| **index == member.index)?;
            (Some(usize::from(entry.root)) == place).then_some((seat, entry.signature))
        })
    }

    /// The root with the most ACKs that count (ties: the smaller root), if it has a quorum.
    pub(crate) fn best(&self, committee: &Committee, quorum: usize) -> Option<(ResultRoot, usize)> {
        let promising = self.roots().filter(|(_, count)| *count >= quorum.max(1));
        let counted = promising.map(|(root, _)| (root, self.seated(root, committee).count()));
        counted.filter(|(_, n)| *n >= quorum.max(1)).min_by_key(|(root, n)| (core::cmp::Reverse(*n), *root))
    }

    pub(super) fn has_quorum(&self, committee: &Committee, quorum: usize) -> bool {
        self.best(committee, quorum).is_some()
    }

    /// Whether this root has a quorum now; true once per root.
    pub(super) fn reaches(&mut self, root: ResultRoot, committee: &Committee, quorum: usize) -> bool {
        if self.announced == Some(root) || self.best(committee, quorum).map(|(best, _)| best) != Some(root) {
            return false;
        }
        self.announced = Some(root);
        true
    }
}
