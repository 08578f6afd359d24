//! ACKs in, counted and bounded (sections 7 and 8).
//!
//! # Contract
//! [`Collector::add`] takes ACKs from anywhere, in any order, any number of times, and holds those that a member really signed: each
//! member once per (update, head), with the first result root it signed. All members sign the same message, so signatures over one
//! message are verified together, with random coefficients, and halved until the bad one is found. A second, contradictory ACK is kept
//! as evidence. Decoded points stay, so that a certificate is a sum of what is here ([`crate::quorum`]).
//!
//! # Limits
//! [`limits::ACKS`] in all (below 100 MB), [`limits::ACKS_PER_MEMBER`] of one member; an ACK lives as long as its record, and only for
//! as long as its model head may still matter ([`Collector::retain_heads`]). A candidate without a quorum after 30 s is dropped.
//!
//! # What it does not protect against
//! A committee of which a quorum signs for something bad; that is what quorums mean.

mod batch;
mod candidate;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    ack::{AckData, RawAck},
    bls::Signature,
    committee::QuorumRule,
    domains::Domains,
    fault::Malfeasance,
    params::{ACK_TIMEOUT_SECONDS, ACK_TTL_SECONDS},
};

pub(crate) use candidate::Candidate;

use crate::{
    limits,
    members::{Committee, Members},
};

/// An ACK and when it was first seen, unix milliseconds by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The record, its signature not looked at.
    pub ack: RawAck,
    /// When this machine first saw it.
    pub first_seen_ms: u64,
}

/// What became of the ACKs of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Added {
    /// Now counted.
    pub counted: usize,
    /// Held before, with the same result root.
    pub repeated: usize,
    /// By keys without a seat in the previous, current or next epoch.
    pub foreign: usize,
    /// Whose signature is no signature, or does not hold.
    pub bad: usize,
    /// Older than an ACK's life, or for a candidate that was dropped.
    pub late: usize,
    /// Contradicting what their member signed before; kept as evidence when it is the member's first.
    pub conflicting: usize,
    /// Candidates that have a quorum of the current epoch's committee now and had none before.
    pub new_quorums: Vec<AckData>,
}

/// ACKs of one node, in memory. Not shared: one task owns it, or a mutex does.
#[derive(Debug)]
pub struct Collector {
    domains: Domains,
    rule: QuorumRule,
    members: Arc<Members>,
    candidates: BTreeMap<(ModelHead, UpdateId), Candidate>,
    dropped: BTreeSet<(ModelHead, UpdateId)>,
    dropped_order: VecDeque<(ModelHead, UpdateId)>,
    by_member: BTreeMap<u64, VecDeque<(ModelHead, UpdateId)>>,
    evidence: BTreeMap<u64, Malfeasance>,
    held: usize,
}

/// An ACK whose member is known.
struct Known {
    index: u64,
    seen: Seen,
    signature: Signature,
}

impl Collector {
    /// An empty collector for one chain. Without members it counts nothing: see [`Self::set_members`].
    pub fn new(domains: Domains, rule: QuorumRule) -> Self {
        Self {
            domains,
            rule,
            members: Arc::default(),
            candidates: BTreeMap::new(),
            dropped: BTreeSet::new(),
            dropped_order: VecDeque::new(),
            by_member: BTreeMap::new(),
            evidence: BTreeMap::new(),
            held: 0,
        }
    }

    /// Who counts from now on. What is held stays; seats are asked when counting.
    pub fn set_members(&mut self, members: Arc<Members>) {
        self.members = members;
    }

    /// Who counts.
    pub const fn members(&self) -> &Arc<Members> {
        &self.members
    }

    /// ACKs held.
    pub const fn len(&self) -> usize {
        self.held
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes ACKs in. Costs about 0.3 ms for each on one core, less from [`limits::BATCH`] for one message together.
    pub fn add(&mut self, acks: &[Seen], now_ms: u64) -> Added {
        let mut added = Added::default();
        for chunk in acks.chunks(limits::BATCH) {
            self.add_chunk(chunk, now_ms, &mut added);
        }
        added
    }

    fn add_chunk(&mut self, chunk: &[Seen], now_ms: u64, added: &mut Added) {
        let members = Arc::clone(&self.members);
        let mut groups: BTreeMap<AckData, Vec<batch::Signed<'_>>> = BTreeMap::new();
        for seen in chunk {
            let data = seen.ack.data;
            let Some((index, key)) = members.member(&seen.ack.public_key) else {
                added.foreign += 1;
                continue;
            };
            if is_dead(seen, now_ms) || self.dropped.contains(&(data.model_head, data.update_id)) {
                added.late += 1;
            } else if self.root_of(index, &data) == Some(data.result_root) {
                added.repeated += 1;
            } else if self.root_of(index, &data).is_some() && self.evidence.contains_key(&index) {
                added.conflicting += 1;
            } else {
                match Signature::from_bytes(&seen.ack.signature) {
                    Ok(signature) => groups.entry(data).or_default().push(batch::Signed { index, key, seen, signature }),
                    Err(_) => added.bad += 1,
                }
            }
        }
        for (data, signed) in groups {
            let offered = signed.len();
            let held: Vec<Known> = batch::verify(data.signing_root(&self.domains), signed);
            added.bad += offered - held.len();
            held.into_iter().for_each(|known| self.insert(data, &known, added));
        }
    }

    /// The result root that a member signed for this update on this head.
    fn root_of(&self, index: u64, data: &AckData) -> Option<ResultRoot> {
        self.candidates.get(&(data.model_head, data.update_id))?.root_of(index)
    }

    fn insert(&mut self, data: AckData, known: &Known, added: &mut Added) {
        let name = (data.model_head, data.update_id);
        match self.root_of(known.index, &data) {
            Some(root) if root == data.result_root => {
                added.repeated += 1;
                return;
            }
            Some(root) => {
                added.conflicting += 1;
                self.keep_evidence(known, AckData { result_root: root, ..data });
                return;
            }
            None => {}
        }
        self.make_room(known.index);
        let candidate = self.candidates.entry(name).or_default();
        candidate.insert(known.index, data.result_root, known.signature, known.seen.first_seen_ms);
        self.by_member.entry(known.index).or_default().push_back(name);
        self.held += 1;
        added.counted += 1;
        if let Some(committee) = self.members.committee(self.members.current_epoch())
            && candidate.reaches(data.result_root, committee, committee.quorum(self.rule))
        {
            added.new_quorums.push(data);
        }
    }

    /// Both ACKs are verified: the first was when it was counted, the second just now. The evidence checks them once more, alone.
    fn keep_evidence(&mut self, second: &Known, first: AckData) {
        if self.evidence.len() >= limits::EVIDENCE || self.evidence.contains_key(&second.index) {
            return;
        }
        let public_key = second.seen.ack.public_key;
        let signature = self.candidates.get(&(first.model_head, first.update_id)).and_then(|held| held.signature(second.index));
        let Some(signature) = signature else { return };
        let first = RawAck { data: first, public_key, signature: signature.to_bytes() };
        let both = first.verify(&self.domains).and_then(|first| Ok((first, second.seen.ack.verify(&self.domains)?)));
        if let Ok((first, second_ack)) = both
            && let Ok(evidence) = Malfeasance::build(second.index, &first, &second_ack)
        {
            self.evidence.insert(second.index, evidence);
        }
    }

    fn make_room(&mut self, index: u64) {
        let full = self.held >= limits::ACKS;
        let Some(order) = self.by_member.get_mut(&index) else {
            if full {
                self.remove_greediest();
            }
            return;
        };
        if order.len() < limits::ACKS_PER_MEMBER && !full {
            return;
        }
        if let Some(name) = order.pop_front() {
            self.forget(name, index);
        }
    }

    /// The collector is full and a member without any ACK comes: whoever has most gives way.
    fn remove_greediest(&mut self) {
        let greediest = self.by_member.iter_mut().max_by_key(|(_, order)| order.len());
        if let Some((index, order)) = greediest
            && let Some(name) = order.pop_front()
        {
            let index = *index;
            self.forget(name, index);
        }
    }

    fn forget(&mut self, name: (ModelHead, UpdateId), index: u64) {
        if let Some(candidate) = self.candidates.get_mut(&name)
            && candidate.remove(index)
        {
            self.held -= 1;
            if candidate.is_empty() {
                self.candidates.remove(&name);
            }
        }
    }

    /// Drops what is too old at `now_ms`: ACKs whose life is over, and candidates without a quorum [`ACK_TIMEOUT_SECONDS`] after they
    /// were first seen. Call it about once a slot. Gives the candidates that were dropped for want of a quorum.
    pub fn sweep(&mut self, now_ms: u64) -> Vec<UpdateId> {
        let committee = self.members.committee(self.members.current_epoch()).cloned();
        let timeout = ACK_TIMEOUT_SECONDS * 1_000;
        let mut timed_out = Vec::new();
        let mut gone = Vec::new();
        let mut expired = 0;
        for (name, candidate) in &mut self.candidates {
            expired += candidate.expire(now_ms, ACK_TTL_SECONDS * 1_000);
            let quorum = committee.as_ref().is_some_and(|committee| candidate.has_quorum(committee, committee.quorum(self.rule)));
            if candidate.is_empty() {
                gone.push(*name);
            } else if !quorum && candidate.first_seen_ms().saturating_add(timeout) < now_ms {
                gone.push(*name);
                timed_out.push(*name);
            }
        }
        gone.iter().for_each(|name| drop(self.candidates.remove(name)));
        for name in &timed_out {
            if self.dropped.insert(*name) {
                self.dropped_order.push_back(*name);
            }
        }
        while self.dropped_order.len() > limits::DROPPED {
            if let Some(oldest) = self.dropped_order.pop_front() {
                self.dropped.remove(&oldest);
            }
        }
        if expired > 0 || !gone.is_empty() {
            self.recount();
        }
        timed_out.into_iter().map(|(_, update_id)| update_id).collect()
    }

    /// Forgets every candidate on a head for which `alive` says no: no block can build on it any more.
    pub fn retain_heads(&mut self, alive: impl Fn(&ModelHead) -> bool) {
        self.candidates.retain(|(head, _), _| alive(head));
        self.dropped.retain(|(head, _)| alive(head));
        self.dropped_order.retain(|(head, _)| alive(head));
        self.recount();
    }

    fn recount(&mut self) {
        let Self { candidates, by_member, held, .. } = self;
        for (index, order) in by_member.iter_mut() {
            order.retain(|name| candidates.get(name).is_some_and(|candidate| candidate.root_of(*index).is_some()));
        }
        by_member.retain(|_, order| !order.is_empty());
        *held = candidates.values().map(Candidate::len).sum();
    }

    /// Whether a candidate was dropped for want of a quorum in time.
    pub fn is_dropped(&self, model_head: ModelHead, update_id: UpdateId) -> bool {
        self.dropped.contains(&(model_head, update_id))
    }

    /// Whether a candidate of this update was dropped, on whatever head.
    pub fn was_dropped(&self, update_id: UpdateId) -> bool {
        self.dropped.iter().any(|(_, id)| *id == update_id)
    }

    /// Whether this very result has a quorum of the current epoch's committee.
    pub fn has_quorum(&self, data: &AckData) -> bool {
        let Some(committee) = self.members.committee(self.members.current_epoch()) else { return false };
        self.signers(data, committee).len() >= committee.quorum(self.rule)
    }

    /// Registry indices of the members whose ACK for this triple is held, with a seat in that committee, by seat.
    pub fn signers(&self, data: &AckData, committee: &Committee) -> Vec<u64> {
        let Some(candidate) = self.candidates.get(&(data.model_head, data.update_id)) else { return Vec::new() };
        candidate.seated(data.result_root, committee).map(|(seat, _)| committee.seats()[seat].index).collect()
    }

    /// Candidates on a model head.
    pub(crate) fn on_head(&self, head: ModelHead) -> impl Iterator<Item = (UpdateId, &Candidate)> {
        let all = (head, UpdateId::ZERO)..=(head, UpdateId([0xff; 32]));
        self.candidates.range(all).map(|((_, update_id), candidate)| (*update_id, candidate))
    }

    /// What is held of an update: (head, root, ACKs by whoever is a member) in order.
    pub fn tally(&self, update_id: UpdateId) -> Vec<(AckData, usize)> {
        let of_update = self.candidates.iter().filter(|((_, id), _)| *id == update_id);
        let data = |model_head, result_root| AckData { update_id, model_head, result_root };
        of_update.flat_map(|((head, _), candidate)| candidate.roots().map(|(root, n)| (data(*head, root), n))).collect()
    }

    /// Evidence of malfeasance, by the member's registry index. It stays until [`Self::take_evidence`].
    pub const fn evidence(&self) -> &BTreeMap<u64, Malfeasance> {
        &self.evidence
    }

    /// Takes the evidence against a member out, once it is slashed.
    pub fn take_evidence(&mut self, index: u64) -> Option<Malfeasance> {
        self.evidence.remove(&index)
    }
}

const fn is_dead(seen: &Seen, now_ms: u64) -> bool {
    seen.first_seen_ms.saturating_add(ACK_TTL_SECONDS * 1_000) <= now_ms
}
