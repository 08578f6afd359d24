//! The candidate for a slot, with its certificate (sections 8 and 10).
//!
//! # Contract
//! [`certify`] picks on one model head: the candidate with the most ACKs among those with a quorum of the slot's committee, ties to the
//! smaller id. The certificate is built from decoded points and then checked by the rule that every other node will apply: what leaves
//! here verifies.
//!
//! # What it does not protect against
//! A quorum of members that approve of something bad.

use std::collections::BTreeMap;

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
    let with_quorum: BTreeMap<UpdateId, (&Candidate, ResultRoot, usize)> = collector
        .on_head(head)
        .filter_map(|(id, candidate)| candidate.best(committee, quorum).map(|(root, acks)| (id, (candidate, root, acks))))
        .collect();
    let picked = ack::pick(with_quorum.iter().map(|(id, (_, _, acks))| (*id, *acks)), quorum);
    let Some((update_id, (candidate, root, acks))) = picked.and_then(|id| Some((id, with_quorum.get(&id)?))) else {
        return Ok(None);
    };
    let raw = build(candidate, *root, committee)?;
    let certificate = raw.verify(update_id, head, committee.seats(), quorum, domains)?;
    Ok(Some(Certified { certificate, acks: *acks }))
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
