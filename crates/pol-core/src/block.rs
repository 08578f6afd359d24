//! When is a block valid? The two halves of section 9, each a pure function of the block and its ancestors.
//!
//! # What it does not protect against
//! What Ethereum's own rules protect against: those are the clients' to check, around these.

use crate::{
    Hash32, ModelHead, UpdateId,
    ack::{CertificateError, RawCertificate, VerifiedCertificate},
    bls::PublicKey,
    committee::{QuorumRule, ack_quorum},
    difficulty::{DifficultyError, DifficultyRule, ParentSeal},
    domains::Domains,
    extra_data::{ExtraData, ExtraDataError},
    header::Header,
    model_head,
    seal::{self, SealError},
    wire::{Wire, WireError, WireHead},
};

/// Why an execution header is refused. The proposer's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRuleError {
    /// Not a child of this parent.
    #[error("parent hash: found {found}, expected {expected}")]
    Parent {
        /// The header's.
        found: Hash32,
        /// The parent's own.
        expected: Hash32,
    },
    /// Layout, or a first half that is not the parent hash.
    #[error(transparent)]
    ExtraData(#[from] ExtraDataError),
    /// Timestamps or the difficulty rule.
    #[error(transparent)]
    Difficulty(#[from] DifficultyError),
    /// The proof of work does not reach the difficulty.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The execution half: parent hash, extraData layout, difficulty rule, seal. Cheapest first; the seal costs two hashes.
///
/// # Errors
/// [`HeaderRuleError`], each variant.
pub fn check_header(
    header: &Header,
    parent_hash: Hash32,
    parent: ParentSeal,
    rule: &DifficultyRule,
) -> Result<UpdateId, HeaderRuleError> {
    if header.parent_hash != parent_hash {
        return Err(HeaderRuleError::Parent { found: header.parent_hash, expected: parent_hash });
    }
    let extra_data = ExtraData::decode(&header.extra_data)?;
    extra_data.check(&header.parent_hash)?;
    rule.check(parent, header.timestamp, header.difficulty)?;
    seal::verify(&header.seal_hash(), header.nonce, header.difficulty)?;
    Ok(extra_data.update_id)
}

/// Why a beacon block's payload is refused. The proposer's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Layout of the wire form.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The first half is not the payload's parent hash.
    #[error(transparent)]
    ExtraData(#[from] ExtraDataError),
    /// The certificate: the one thing a proposer is slashable for (reason 1).
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A refused payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    pub error: BlockError,
    /// True when signing a block with this payload is reason 1 of section 11: it has 80 bytes, the right parent hash and names an
    /// update, and what follows is no valid certificate. All else makes the block invalid and nobody slashable.
    pub certificate_fault: bool,
}

/// What the beacon half needs besides the payload.
#[derive(Debug, Clone, Copy)]
pub struct BlockContext<'a, K> {
    /// `M` of the parent block, from the durable table.
    pub parent_head: ModelHead,
    /// Keys by seat of the committee of the block's epoch.
    pub committee: &'a [K],
    /// The chain's quorum.
    pub quorum: QuorumRule,
    /// The chain's domains.
    pub domains: &'a Domains,
}

/// A payload that passed the beacon half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedBlock {
    /// Head after this block: the row to store before the import.
    pub model_head: ModelHead,
    /// The certificate, None for an empty AI block.
    pub certificate: Option<VerifiedCertificate>,
}

/// The beacon half: wire layout, parent hash, and the certificate exactly when the block names an update.
///
/// Used at import for every block from any source, and by a proposer on its own payload before it is offered for signing.
///
/// # Errors
/// [`Refused`], with the answer to "is this slashable?".
pub fn check_payload<K: AsRef<PublicKey>>(
    extra_data: &[u8],
    payload_parent_hash: Hash32,
    context: &BlockContext<'_, K>,
) -> Result<CheckedBlock, Refused> {
    let innocent = |error: BlockError| Refused { error, certificate_fault: false };
    let head = WireHead::read(extra_data).map_err(|e| innocent(e.into()))?.extra_data;
    head.check(&payload_parent_hash).map_err(|e| innocent(e.into()))?;
    // From here on only the trailer can be wrong.
    check_trailer(extra_data, context).map_err(|error| Refused { error, certificate_fault: !head.is_empty() })
}

fn check_trailer<K: AsRef<PublicKey>>(extra_data: &[u8], context: &BlockContext<'_, K>) -> Result<CheckedBlock, BlockError> {
    let wire = Wire::decode(extra_data)?;
    let update_id = wire.head().extra_data.update_id;
    let certificate = if update_id.is_zero() {
        None
    } else {
        let quorum = ack_quorum(context.quorum, context.committee.len());
        let raw = RawCertificate::decode(wire.trailer())?;
        Some(raw.verify(update_id, context.parent_head, context.committee, quorum, context.domains)?)
    };
    Ok(CheckedBlock { model_head: model_head::child(context.parent_head, update_id), certificate })
}

#[cfg(test)]
mod tests;
