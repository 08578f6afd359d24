//! Fault votes of our own, votes of others, and slashings on their way into the chain.

use std::sync::{Arc, atomic::Ordering};

use pol_core::fault::{FaultRules, RawFaultVote, SlashingPair};
use pol_kit::exit::Exit;
use tokio::task::spawn_blocking;

use super::{
    beacon::BeaconError,
    dht::Outgoing,
    follow::FollowError,
    shared::{Chain, Shared, lock},
};
use crate::{
    faults::{Judged, Outcome, PlainState, Voted, judge},
    import::CertificateFault,
};

/// Votes against a block that failed our check, with every own key that has a seat.
pub(crate) async fn vote(shared: &Arc<Shared>, fault: CertificateFault) -> Result<(), FollowError> {
    let header = match shared.beacon.header(&format!("0x{}", fault.block_root())).await {
        Ok(header) => header.signed,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let proposer = header.header.proposer_index;
    let accused_key = lock(&shared.registry).by_index.get(&proposer).copied();
    let verified = header.verify(|index| lock(&shared.registry).key_of(index), &shared.chain.domains);
    let (Ok(accused), Some(accused_key)) = (verified, accused_key) else {
        tracing::warn!(target: "polai::quorum", root = %fault.block_root(), proposer, "no vote: the header is not signed by its proposer");
        return Ok(());
    };
    let epoch = shared.chain.epoch(header.header.slot);
    let members = shared.members();
    let Some(committee) = members.committee(epoch) else { return Ok(()) };
    let own = shared.own_keys();
    let seated: Vec<[u8; 48]> =
        committee.seats().iter().map(|seat| seat.key.to_bytes()).filter(|key| own.contains(key)).collect();
    let for_guard = Arc::clone(&shared.guard);
    let receipts = spawn_blocking(move || for_guard.fault_votes(&fault, &accused, &accused_key, &seated)).await??;
    for receipt in receipts.into_iter().flatten() {
        match shared.signer.fault_vote(receipt) {
            Ok(vote) => {
                shared.measured.signatures.inc("fault_vote");
                count(shared, vote.raw());
                shared.send(Outgoing::Fault(Box::new(*vote.raw())));
            }
            Err(error) => tracing::error!(target: "polai::quorum", %error, "no fault vote"),
        }
    }
    Ok(())
}

/// Counts a vote; with the one that completes a quorum the proof is on its way.
pub(crate) fn count(shared: &Shared, vote: &RawFaultVote) {
    let members = shared.members();
    let now = shared.current_slot();
    let (root, slot, proposer) = (vote.vote.block_root, vote.vote.slot, vote.vote.proposer_index);
    let key = lock(&shared.registry).key_of(proposer);
    let mut faults = lock(&shared.faults);
    match faults.pool.add(vote, &members, now, |_| key) {
        Ok(Voted::Repeated) => shared.measured.votes.inc("repeated"),
        Ok(voted) => {
            shared.measured.votes.inc("counted");
            // Later votes make the proof stronger; the newest one is posted.
            if let Ok(proof) = faults.pool.proof(root, slot, &members) {
                faults.poster.add_fault(&proof, shared.chain.preset);
            }
            if voted == Voted::Quorum {
                tracing::warn!(target: "polai::quorum", slot, %root, proposer, "fault proof complete");
            }
        }
        Err(error) => {
            shared.measured.votes.inc("refused");
            tracing::debug!(target: "polai::quorum", slot, %root, %error, "fault vote refused");
        }
    }
}

/// Once a slot: posts what is due.
pub(crate) async fn post(shared: Arc<Shared>) -> Result<(), Exit> {
    let mut slots = shared.slot.subscribe();
    let mut last = 0;
    loop {
        let now = *slots.borrow_and_update();
        if now > last {
            last = now;
            take_evidence(&shared, now);
            let due = {
                let mut faults = lock(&shared.faults);
                faults.pool.sweep(now);
                faults.poster.due(now)
            };
            for (id, accused, pair) in due {
                let outcome = post_one(&shared, now, accused, &pair).await;
                lock(&shared.faults).poster.report(id, now, outcome);
            }
        }
        if slots.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn take_evidence(shared: &Shared, now: u64) {
    let collector = lock(&shared.collector);
    let mut faults = lock(&shared.faults);
    for evidence in collector.evidence().values() {
        faults.poster.add_malfeasance(evidence, now);
    }
}

async fn post_one(shared: &Arc<Shared>, now: u64, accused: u64, pair: &SlashingPair) -> Outcome {
    match shared.beacon.is_slashed(accused).await {
        Ok(true) => {
            tracing::info!(target: "polai::quorum", validator = accused, "slashed");
            shared.measured.slashings.inc("slashed");
            lock(&shared.collector).take_evidence(accused);
            return Outcome::Slashed;
        }
        Ok(false) => {}
        Err(error) => {
            tracing::debug!(target: "polai::quorum", %error, "slashing not posted");
            return Outcome::Failed;
        }
    }
    if let Err(reason) = holds(shared, now, pair) {
        tracing::debug!(target: "polai::quorum", validator = accused, reason, "slashing not posted: it does not hold now");
        shared.measured.slashings.inc("withheld");
        return Outcome::Failed;
    }
    match shared.beacon.post_slashing(pair).await {
        Ok(()) => {
            tracing::warn!(target: "polai::quorum", validator = accused, "slashing posted");
            shared.measured.slashings.inc("taken");
            Outcome::Taken
        }
        Err(error) => {
            let refused = matches!(error, BeaconError::Status { .. });
            shared.measured.slashings.inc(if refused { "refused" } else { "failed" });
            tracing::warn!(target: "polai::quorum", validator = accused, %error, "slashing not taken; trying again");
            Outcome::Failed
        }
    }
}

/// Age, canonical block, signatures: what the beacon node will ask, on the state that we know.
fn holds(shared: &Shared, now: u64, pair: &SlashingPair) -> Result<(), String> {
    let slot = pair.first.header.slot;
    let members = shared.members();
    // Malfeasance asks for no committee; any will do.
    let epoch = if slot == 0 { members.current_epoch() } else { shared.chain.epoch(slot) };
    let committee = members.committee(epoch).ok_or("its committee is not known here")?;
    let canonical = shared.canonical_root(slot).map(|root| (slot, root.0));
    let key_of = |index| lock(&shared.registry).key_of(index);
    let state = PlainState { slot: now, canonical, committee, key_of };
    match judge(pair, &state, &shared.rules()) {
        Ok(Judged::Plain) => Err("a plain slashing".to_owned()),
        Ok(Judged::Fault { .. } | Judged::Malfeasance { .. }) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

impl Shared {
    pub(crate) const fn rules(&self) -> FaultRules {
        let Chain { spec, preset, domains, .. } = self.chain;
        FaultRules { preset, dev_slash_small: spec.parameters().dev_slash_small, domains }
    }

    /// Stops all signing: somebody else signs with our keys.
    pub(crate) fn stop_signing(&self) {
        self.signing_stopped.store(true, Ordering::Relaxed);
    }
}
