//! Engine payloads V1 to V3 in the wire form of section 4, in and out.
//!
//! In: [`split`] takes bytes 0..80 out of a payload's `extra_data`, [`SplitPayload::into_block`] converts the rest with alloy's own code, puts
//! header fields back and compares the block hash, which is over the 64-byte form. Each step takes what the one before returns. Out:
//! [`join`], with the certificate that came with the candidate.
//!
//! Every [`SplitError`] is answered with INVALID and latestValidHash null, and never remembered under the payload's hash: the hash does not
//! cover the wire form, so a good block may come under the same hash.
//!
//! # What it does not protect against
//! The trailer is not looked at: the beacon node's to judge. The header rules come after: [`crate::header::check_child`].

use alloy_consensus::{Block, Header, Transaction};
use alloy_eips::{Decodable2718, Encodable2718};
use alloy_primitives::{B256, Bytes, U256};
use alloy_rpc_types_engine::{ExecutionPayload, ExecutionPayloadSidecar, PayloadError};
use pol_core::{
    params::WIRE_HEAD_BYTES,
    wire::{self, WireError, WireHead},
};

use crate::header::{self, HeaderError};

/// Why a payload is no block. The producer's fault. Answer: INVALID, latestValidHash null, not remembered.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// Fewer than 80 bytes of `extra_data`.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A payload of a fork that this chain does not have.
    #[error("payload version: found V4, expected V1 to V3")]
    Version,
    /// Alloy's conversion: a transaction that is none, a base fee beyond 64 bits.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The header does not have this hash.
    #[error("block hash: found {found}, expected {expected} over the 64-byte extraData")]
    BlockHash {
        /// The payload's claim.
        found: B256,
        /// Hash of the header.
        expected: B256,
    },
}

/// Why a block has no wire form. Our own fault: the client joined a block that it did not seal, or another candidate's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// Not a header of this chain.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Certificate and update id do not belong together, or its length is none.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// A payload whose `extra_data` has been taken out: what remains is Ethereum's.
#[derive(Debug, Clone)]
pub struct SplitPayload {
    head: WireHead,
    trailer: Bytes,
    payload: ExecutionPayload,
}

/// Takes bytes 0..80 out of a payload.
///
/// # Errors
/// [`SplitError::Wire`], [`SplitError::Version`].
pub fn split(payload: impl Into<ExecutionPayload>) -> Result<SplitPayload, SplitError> {
    let mut payload = payload.into();
    if matches!(payload, ExecutionPayload::V4(_)) {
        return Err(SplitError::Version);
    }
    let extra_data = core::mem::take(&mut payload.as_v1_mut().extra_data);
    let head = WireHead::read(&extra_data)?;
    Ok(SplitPayload { head, trailer: extra_data.slice(WIRE_HEAD_BYTES..), payload })
}

impl SplitPayload {
    /// Bytes 0..80.
    pub const fn head(&self) -> &WireHead {
        &self.head
    }

    /// Everything from byte 80, unchecked.
    pub const fn trailer(&self) -> &Bytes {
        &self.trailer
    }

    /// The payload without `extra_data`.
    pub const fn payload(&self) -> &ExecutionPayload {
        &self.payload
    }

    /// The block, with transactions of type `T`, and the proof that its hash is the one that the payload claims.
    ///
    /// # Errors
    /// [`SplitError::Payload`], [`SplitError::BlockHash`].
    pub fn into_block<T: Decodable2718>(self, sidecar: &ExecutionPayloadSidecar) -> Result<HashedBlock<T>, SplitError> {
        let found = self.payload.block_hash();
        let mut block = self.payload.try_into_block_with_sidecar::<T>(sidecar)?;
        block.header.extra_data = Bytes::copy_from_slice(&self.head.extra_data.encode());
        block.header.nonce = self.head.nonce.into();
        block.header.difficulty = U256::from(self.head.difficulty);
        let hash = block.header.hash_slow();
        if hash == found { Ok(HashedBlock { block, hash }) } else { Err(SplitError::BlockHash { found, expected: hash }) }
    }
}

/// A block whose hash, over the 64-byte form, is known. Its header rules are not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedBlock<T> {
    block: Block<T>,
    hash: B256,
}

impl<T> HashedBlock<T> {
    /// The block.
    pub const fn block(&self) -> &Block<T> {
        &self.block
    }

    /// Its hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Both.
    pub fn into_parts(self) -> (Block<T>, B256) {
        (self.block, self.hash)
    }
}

/// The payload of a sealed block, as getPayload answers it: V3 for every block of this chain. `certificate` is the one that came with the
/// candidate, empty for an empty AI block.
///
/// # Errors
/// [`JoinError`].
pub fn join<T: Encodable2718 + Transaction>(
    block: &Block<T>,
    hash: B256,
    certificate: &[u8],
) -> Result<(ExecutionPayload, ExecutionPayloadSidecar), JoinError> {
    let extra_data = extra_data(&block.header, certificate)?;
    let (mut payload, sidecar) = ExecutionPayload::from_block_unchecked(hash, block);
    payload.set_extra_data(extra_data);
    Ok((payload, sidecar))
}

/// The wire form of a header's `extraData`: for clients that put it into the payload themselves.
///
/// # Errors
/// [`JoinError`].
pub fn extra_data(header: &Header, certificate: &[u8]) -> Result<Bytes, JoinError> {
    Ok(wire::encode(&header::to_core(header)?.wire_head(), certificate)?.into())
}

/// Bytes 0..80 alone, for an execution client that hands an imported block to itself or to another one: its certificate stayed in the beacon
/// block. Of an AI block no beacon node accepts this.
///
/// # Errors
/// [`JoinError::Header`].
pub fn head_only(header: &Header) -> Result<Bytes, JoinError> {
    Ok(Bytes::copy_from_slice(&header::to_core(header)?.wire_head().encode()))
}

#[cfg(test)]
mod tests;
