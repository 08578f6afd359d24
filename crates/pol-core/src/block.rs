//! When is a block valid? The two halves of section 9, each a pure function of the block and its ancestors.
//!
//! # What it does not protect against
//! What Ethereum's own rules protect against: those are the clients' to check, around these.

use crate::{
    Hash32, ModelHead, UpdateId,
    ack::{CertificateError, RawCertificate, VerifiedCertificate},
    bls::PublicKey,
    difficulty::{DifficultyError, DifficultyRule, ParentSeal},
    extra_data::{ExtraData, ExtraDataError},
    header::Header,
    model_head,
    seal::{self, SealError},
    wire::{Wire, WireError, WireHead},
};

/// Why an execution header is refused. The proposer's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRuleError {
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

/// The execution half: extraData layout, difficulty rule, seal. Cheapest first; the seal costs two hashes.
///
/// # Errors
/// [`HeaderRuleError`], each variant.
pub fn check_header(header: &Header, parent: ParentSeal, rule: &DifficultyRule) -> Result<UpdateId, HeaderRuleError> {
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

impl BlockError {
    /// True when signing a block with this `extra_data` and this error is reason 1 of section 11: it names an update, and the
    /// certificate is missing, short or invalid. Any other error makes the block invalid, but nobody slashable.
    pub fn is_certificate_fault(&self, extra_data: &[u8]) -> bool {
        let names_update = WireHead::read(extra_data).is_ok_and(|head| !head.extra_data.is_empty());
        let about_certificate = matches!(
            self,
            Self::Certificate(_) | Self::Wire(WireError::CertificateMissing { .. } | WireError::TrailerLength { .. })
        );
        names_update && about_certificate
    }
}

/// What the beacon half needs besides the payload.
#[derive(Debug, Clone, Copy)]
pub struct BlockContext<'a, K> {
    /// `M` of the parent block, from the durable table.
    pub parent_head: ModelHead,
    /// Keys by seat of the committee of the block's epoch.
    pub committee: &'a [K],
    /// ACKs needed, from [`crate::committee::ack_quorum`].
    pub quorum: usize,
    /// The chain's genesis validators root.
    pub genesis_validators_root: Hash32,
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
/// [`BlockError`], each variant.
pub fn check_payload<K: AsRef<PublicKey>>(
    extra_data: &[u8],
    payload_parent_hash: Hash32,
    context: &BlockContext<'_, K>,
) -> Result<CheckedBlock, BlockError> {
    let wire = Wire::decode(extra_data)?;
    let head = wire.head().extra_data;
    head.check(&payload_parent_hash)?;
    let certificate = if head.is_empty() {
        None
    } else {
        let raw = RawCertificate::decode(wire.trailer())?;
        let verified =
            raw.verify(head.update_id, context.parent_head, context.committee, context.quorum, context.genesis_validators_root)?;
        Some(verified)
    };
    Ok(CheckedBlock { model_head: model_head::child(context.parent_head, head.update_id), certificate })
}

#[cfg(test)]
mod tests;
