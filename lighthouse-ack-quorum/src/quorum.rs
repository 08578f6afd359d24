//! The candidate for a slot, with its certificate (sections 8 and 10).
//!
//! # Contract
//! [`certify`] picks on one model head: the candidate with the most ACKs among those with a quorum of the slot's committee, ties to the
//! smaller id. The certificate is built from decoded points and then checked by the rule that every other node will apply: what leaves
//! here verifies.
//!
//! # What it does not protect against
//! A quorum of members that approve of something bad.

use core::cmp::Reverse;

use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    ack::{self, AckData, CertificateError, RawCertificate, VerifiedCertificate},
    bls::Signature,
    committee::{QuorumRule, SeatBits},
    domains::Domains,
};

use crate::{
    collector::{Candidate, Collector},
    members::Committee,
};

/// A candidate that may stand in a block of the committee's epoch, on the head it was picked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    certificate: VerifiedCertificate,
    acks: usize,
}

impl Certified {
    /// Update, head and result root.
    pub const fn data(&self) -> &AckData {
        self.certificate.data()
    }

    /// ACKs in the certificate.
    pub const fn acks(&self) -> usize {
        self.acks
    }

    /// The trailer of the block's wire form.
    pub fn trailer(&self) -> Vec<u8> {
        self.certificate.raw().encode()
    }
}

/// The candidate for a slot whose parent block has model head `head`, if one has a quorum of `committee`, that of the slot's epoch.
///
/// # Errors
/// [`CertificateError`] when the built certificate does not verify: our defect, since every ACK in it was verified. Treat it as "none".
pub fn certify(
    collector: &Collector,
    head: ModelHead,
    committee: &Committee,
    rule: QuorumRule,
    domains: &Domains,
) -> Result<Option<Certified>, CertificateError> {
    let quorum = committee.quorum(rule);
    let Some(Counted { update_id, candidate, root, acks }) = best(collector, head, committee, quorum) else { return Ok(None) };
    let raw = build(candidate, root, committee)?;
    let certificate = raw.verify(update_id, head, committee.seats(), quorum, domains)?;
    Ok(Some(Certified { certificate, acks }))
}

/// A candidate with a quorum of seats.
struct Counted<'a> {
    update_id: UpdateId,
    candidate: &'a Candidate,
    root: ResultRoot,
    acks: usize,
}

/// The candidate to take. Counting seats walks over all ACKs, so only those are counted that could still be picked.
fn best<'a>(collector: &'a Collector, head: ModelHead, committee: &Committee, quorum: usize) -> Option<Counted<'a>> {
    let mut candidates: Vec<(UpdateId, &Candidate)> = collector.on_head(head).collect();
    candidates.sort_by_key(|(_, candidate)| Reverse(candidate.most()));
    let mut picked: Option<Counted<'_>> = None;
    for (update_id, candidate) in candidates {
        let is_picked = |before: &Option<Counted<'_>>, acks| {
            let before = before.iter().map(|counted| (counted.update_id, counted.acks));
            ack::pick(before.chain([(update_id, acks)]), quorum) == Some(update_id)
        };
        if is_picked(&picked, candidate.most())
            && let Some((root, acks)) = candidate.best(committee, quorum)
            && is_picked(&picked, acks)
        {
            picked = Some(Counted { update_id, candidate, root, acks });
        }
    }
    picked
}

fn build(candidate: &Candidate, result_root: ResultRoot, committee: &Committee) -> Result<RawCertificate, CertificateError> {
    let mut seats = SeatBits::new(committee.len())?;
    let mut signatures = Vec::new();
    for (seat, signature) in candidate.seated(result_root, committee) {
        seats.set(seat);
        signatures.push(signature);
    }
    Ok(RawCertificate { result_root, seats, signature: Signature::aggregate(&signatures)?.to_bytes() })
}
