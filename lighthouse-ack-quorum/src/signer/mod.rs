//! Signatures, and nothing without the guard's receipt.
//!
//! # Contract
//! A [`Signer`] holds the secret keys of this machine's validators. Each of its functions spends a receipt of [`crate::guard`], whose row
//! is on disk. Keys come from EIP-2335 keystores ([`keystore`]), or on a devnet from GENESIS_SEED.
//!
//! # What it does not protect against
//! Whoever reads this process's memory or the keystores with their passwords. Keys that are also in another process with another guard:
//! a validator client beside us signs blocks and attestations with them under its own slashing protection; ACKs, fault votes and
//! identities are signed here alone.

pub mod keystore;
pub mod seal;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use pol_core::{
    Hash32,
    ack::{AckError, VerifiedAck},
    bls::{BlsError, SecretKey},
    domains::Domains,
    fault::VerifiedFaultVote,
    identity::GenesisSeed,
    record::{IdError, VerifiedIdRecord},
};

use crate::guard::{AckReceipt, IdReceipt, Key, StandardReceipt, VoteReceipt};

/// Why there is no signature. Ours: a receipt for a key that is not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The receipt names a key that this signer does not hold.
    #[error("signer: no secret key for 0x{}", hex::encode(key))]
    UnknownKey {
        /// The public key.
        key: Key,
    },
    /// Nothing to acknowledge.
    #[error(transparent)]
    Ack(#[from] AckError),
    /// A record that breaks its grammar.
    #[error(transparent)]
    Identity(#[from] IdError),
}

/// Messages of the consensus specification that nobody is slashed for, whatever they say: no guard row is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harmless {
    /// RANDAO reveal.
    Randao,
    /// Voluntary exit.
    VoluntaryExit,
    /// Selection proof of an aggregator.
    SelectionProof,
    /// Aggregate and proof.
    AggregateAndProof,
    /// Sync committee message.
    SyncCommittee,
    /// Selection proof of a sync committee's aggregator.
    SyncCommitteeSelectionProof,
    /// Contribution and proof.
    ContributionAndProof,
}

impl Harmless {
    const fn domain_type(self) -> [u8; 4] {
        match self {
            Self::Randao => [2, 0, 0, 0],
            Self::VoluntaryExit => [4, 0, 0, 0],
            Self::SelectionProof => [5, 0, 0, 0],
            Self::AggregateAndProof => [6, 0, 0, 0],
            Self::SyncCommittee => [7, 0, 0, 0],
            Self::SyncCommitteeSelectionProof => [8, 0, 0, 0],
            Self::ContributionAndProof => [9, 0, 0, 0],
        }
    }
}

/// The secret keys of this machine's validators.
pub struct Signer {
    keys: BTreeMap<Key, SecretKey>,
    domains: Domains,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

impl Signer {
    /// A signer with these keys, for one chain.
    pub fn new(keys: impl IntoIterator<Item = SecretKey>, domains: Domains) -> Self {
        Self { keys: keys.into_iter().map(|key| (key.public_key().to_bytes(), key)).collect(), domains }
    }

    /// A signer with the genesis validators `indices` of a devnet.
    ///
    /// # Errors
    /// [`BlsError`], which 32 bytes of seed never give.
    pub fn from_seed(seed: &GenesisSeed, indices: impl IntoIterator<Item = u32>, domains: Domains) -> Result<Self, BlsError> {
        let keys = indices.into_iter().map(|index| seed.validator_key(index)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(keys, domains))
    }

    /// The public keys, in byte order.
    pub fn keys(&self) -> Vec<Key> {
        self.keys.keys().copied().collect()
    }

    /// Whether this key is here.
    pub fn has(&self, key: &Key) -> bool {
        self.keys.contains_key(key)
    }

    fn secret(&self, key: &Key) -> Result<&SecretKey, SignError> {
        self.keys.get(key).ok_or(SignError::UnknownKey { key: *key })
    }

    /// Signs an ACK.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`], [`SignError::Ack`] for the zero update.
    pub fn ack(&self, receipt: AckReceipt) -> Result<VerifiedAck, SignError> {
        Ok(VerifiedAck::sign(receipt.data, self.secret(&receipt.key)?, &self.domains)?)
    }

    /// Signs a fault vote.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`].
    pub fn fault_vote(&self, receipt: VoteReceipt) -> Result<VerifiedFaultVote, SignError> {
        Ok(VerifiedFaultVote::sign(&receipt.accused, self.secret(&receipt.key)?, &self.domains))
    }

    /// Signs an identity record.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`], [`SignError::Identity`].
    pub fn identity(&self, receipt: IdReceipt) -> Result<VerifiedIdRecord, SignError> {
        let secret = self.secret(&receipt.data.public_key)?;
        Ok(receipt.data.sign(secret, &self.domains)?)
    }

    /// Signs a block or an attestation, by the signing root that the guard let pass.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`].
    pub fn standard(&self, receipt: StandardReceipt) -> Result<[u8; 96], SignError> {
        Ok(self.secret(&receipt.key)?.sign(receipt.signing_root).to_bytes())
    }

    /// Signs what nobody is slashed for. The domain is made here, so that no block, attestation or message of ours passes as such.
    ///
    /// # Errors
    /// [`SignError::UnknownKey`].
    pub fn harmless(&self, key: &Key, what: Harmless, fork_version: [u8; 4], object_root: Hash32) -> Result<[u8; 96], SignError> {
        let root = self.domains.genesis_validators_root();
        let domain = pol_core::ssz::compute_domain(what.domain_type(), fork_version, root);
        Ok(self.secret(key)?.sign(pol_core::ssz::signing_root(object_root, domain)).to_bytes())
    }
}
