//! From bytes of anyone to a record that may be stored and served (section 7).
//!
//! # Contract
//! Stages are types: [`RawRecord`] (bounded, its key parsed) -> [`OpenedRecord`] (envelope and layout right, alive, under its own key)
//! -> [`VerifiedRecord`] (membership and BLS signatures). Only the last can be stored. Cheap checks come first, pairings last, and a
//! value that is already held costs none.
//!
//! # What it does not protect against
//! Floods of well-formed bytes: see [`crate::quota`]. While the validator set is empty every well-signed record passes, marked
//! [`Standing::Unverified`]: such records must never be counted.

mod error;

pub use error::{Blame, Unavailable, VerifyError};

use std::ops::Range;

use pol_core::{
    GenesisId,
    ack::{RawAck, VerifiedAck},
    fault::{FaultVoteError, RawFaultVote},
    identity::PeerId,
    params::{ACK_TTL_SECONDS, ANN_TTL_SECONDS, ENVELOPE_BYTES_MAX, FAULT_TTL_SECONDS, ID_TTL_SECONDS, SEALED_AHEAD_SECONDS_MAX},
    record::{Announcement, Envelope, EnvelopeError, RawIdRecord, RecordKey, Topic, VerifiedIdRecord},
    sha256,
};

use crate::validators::ValidatorSet;
/// A held value is only worth verifying again when its seal is this much newer, seconds.
pub const RESEAL_SECONDS: u64 = 60;

/// Seconds that records under this key live (section 7).
pub const fn life_seconds(key: &RecordKey) -> u64 {
    match key {
        RecordKey::Ack { .. } => ACK_TTL_SECONDS,
        RecordKey::Ann { .. } => ANN_TTL_SECONDS,
        RecordKey::Fault { .. } => FAULT_TTL_SECONDS,
        RecordKey::Id { .. } | RecordKey::Update(_) | RecordKey::Snapshot(_) => ID_TTL_SECONDS,
    }
}

/// How much a record's writer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Well signed, but this node cannot tell whether by a validator.
    Unverified,
    /// Written by, or for, a validator of the previous, current or next epoch.
    Member,
}

/// What is already held of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Seal of the held envelope, unix seconds.
    pub sealed_at: u64,
    /// Standing it is held with.
    pub standing: Standing,
}

/// What verification asks the store.
pub trait Known {
    /// Validators whose stored identity record, taken as [`Standing::Member`], names this trainer.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn validators_naming(&self, trainer: &[u8; 32], now: u64) -> Result<Vec<PeerId>, Unavailable>;

    /// What is held of exactly this value; `entry` is `H(key || value)`.
    ///
    /// # Errors
    /// [`Unavailable`].
    fn held(&self, key: &RecordKey, entry: &[u8; 32], now: u64) -> Result<Option<Held>, Unavailable>;
}

/// Where a record claims to belong.
#[derive(Debug, Clone, Copy)]
enum Claim {
    Key(RecordKey),
    Topic(Topic),
}

/// Bytes of anyone: length-bounded, the key parsed, nothing else known.
#[derive(Debug, Clone)]
pub struct RawRecord {
    claim: Claim,
    envelope: Vec<u8>,
}

fn bounded(envelope: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::TooLong { found: envelope.len() });
    }
    Ok(envelope.to_vec())
}

impl RawRecord {
    /// Takes a Kademlia record.
    ///
    /// # Errors
    /// [`VerifyError::Key`], [`VerifyError::ProviderKey`], [`VerifyError::Envelope`] for an oversize envelope.
    pub fn new(key: &[u8], envelope: &[u8]) -> Result<Self, VerifyError> {
        match RecordKey::parse(key)? {
            RecordKey::Update(_) | RecordKey::Snapshot(_) => Err(VerifyError::ProviderKey),
            key => Ok(Self { claim: Claim::Key(key), envelope: bounded(envelope)? }),
        }
    }

    /// Takes a gossip message: an envelope alone, whose key follows from the topic and the value.
    ///
    /// # Errors
    /// [`VerifyError::Envelope`] for an oversize envelope.
    pub fn gossiped(topic: Topic, envelope: &[u8]) -> Result<Self, VerifyError> {
        Ok(Self { claim: Claim::Topic(topic), envelope: bounded(envelope)? })
    }

    /// Opens the envelope and reads the value. `now` in unix seconds.
    ///
    /// # Errors
    /// `Envelope`, `Ack`, `Announcement`, `Identity`, `Fault` (layout and key), `Future`, `Expired`.
    pub fn open(self, genesis_id: GenesisId, now: u64) -> Result<OpenedRecord, VerifyError> {
        let Envelope { signer, sealed_at, value } = Envelope::open(&self.envelope, genesis_id)?;
        let body = match self.claim {
            Claim::Key(key @ RecordKey::Ack { .. }) => RawBody::Ack(RawAck::decode_at(&key, &value)?),
            Claim::Key(key @ RecordKey::Id { .. }) => RawBody::Identity(RawIdRecord::decode_at(&key, &value)?),
            Claim::Key(key @ RecordKey::Fault { .. }) => RawBody::Fault(RawFaultVote::decode_at(&key, &value)?),
            Claim::Key(key) => RawBody::Announcement(Announcement::decode_at(&key, signer, &value)?),
            Claim::Topic(Topic::Ack) => RawBody::Ack(RawAck::decode(&value)?),
            Claim::Topic(Topic::Ann) => RawBody::Announcement(Announcement::decode(&value)?),
            Claim::Topic(Topic::Fault) => RawBody::Fault(RawFaultVote::decode(&value)?),
        };
        let key = match self.claim {
            Claim::Key(key) => key,
            Claim::Topic(_) => body.key(signer),
        };
        let expires_at = expiry(&key, sealed_at, now)?;
        let entry = entry_hash(&key, &value);
        // The value lies in the envelope in one piece; every kind of value is longer than nothing.
        let start = self.envelope.windows(value.len().max(1)).position(|part| part == value).ok_or(EnvelopeError::Encoding)?;
        let value = start..start.saturating_add(value.len());
        Ok(OpenedRecord { key, body, envelope: self.envelope, value, sealed_at, expires_at, signer, entry })
    }
}

/// `H(key || value)`: names a value under its key, whatever envelope it lies in.
pub fn entry_hash(key: &RecordKey, value: &[u8]) -> [u8; 32] {
    sha256(&[key.to_string().as_bytes(), value])
}

/// The moment a record dies at this receiver, which counts from its seal but never from its future.
fn expiry(key: &RecordKey, sealed_at: u64, now: u64) -> Result<u64, VerifyError> {
    let ahead = sealed_at.saturating_sub(now);
    if ahead > SEALED_AHEAD_SECONDS_MAX {
        return Err(VerifyError::Future { ahead, allowed: SEALED_AHEAD_SECONDS_MAX });
    }
    let life = life_seconds(key);
    let expires_at = sealed_at.min(now).saturating_add(life);
    if expires_at <= now { Err(VerifyError::Expired { age: now.saturating_sub(sealed_at), life }) } else { Ok(expires_at) }
}

#[derive(Debug, Clone)]
enum RawBody {
    Ack(RawAck),
    Announcement(Announcement),
    Identity(RawIdRecord),
    Fault(RawFaultVote),
}

impl RawBody {
    fn key(&self, signer: [u8; 32]) -> RecordKey {
        match self {
            Self::Ack(ack) => ack.key(),
            Self::Announcement(announcement) => RecordKey::ann(announcement.model_head, signer),
            Self::Identity(id) => id.key(),
            Self::Fault(vote) => vote.key(),
        }
    }
}

/// A record whose envelope and layout are right. Its BLS signatures and its writer's membership were not checked.
#[derive(Debug, Clone)]
pub struct OpenedRecord {
    key: RecordKey,
    body: RawBody,
    envelope: Vec<u8>,
    value: Range<usize>,
    sealed_at: u64,
    expires_at: u64,
    signer: [u8; 32],
    entry: [u8; 32],
}

impl OpenedRecord {
    /// The record's key.
    pub const fn key(&self) -> &RecordKey {
        &self.key
    }

    /// Ed25519 key that signed the envelope.
    pub const fn signer(&self) -> [u8; 32] {
        self.signer
    }

    /// Checks membership, then what is held, then the BLS signatures. `now` in unix seconds.
    ///
    /// # Errors
    /// `NotMember`, `UnknownTrainer`, `Known`, `Unavailable`; `Ack`, `Identity`, `Fault` for BLS keys and signatures.
    pub fn verify(self, set: &ValidatorSet, known: &impl Known, now: u64) -> Result<VerifiedRecord, VerifyError> {
        let (owner, standing) = self.standing(set, known, now)?;
        if let Some(held) = known.held(&self.key, &self.entry, now)?
            && held.standing >= standing
            && self.sealed_at < held.sealed_at.saturating_add(RESEAL_SECONDS)
        {
            return Err(VerifyError::Known);
        }
        let body = match self.body {
            RawBody::Announcement(announcement) => Body::Announcement(announcement),
            RawBody::Ack(ack) => {
                let key = set.decode_key(&ack.public_key).map_err(pol_core::ack::AckError::Bls)?;
                Body::Ack(ack.verify_with(&key, set.domains())?)
            }
            RawBody::Identity(id) => Body::Identity(id.verify(set.domains())?),
            RawBody::Fault(vote) => Body::Fault(verify_vote(vote, set)?),
        };
        Ok(VerifiedRecord {
            key: self.key,
            body,
            envelope: self.envelope,
            value: self.value,
            sealed_at: self.sealed_at,
            expires_at: self.expires_at,
            signer: self.signer,
            standing,
            owner,
            entry: self.entry,
        })
    }

    fn trainer_standing(&self, set: &ValidatorSet, known: &impl Known, now: u64) -> Result<Standing, VerifyError> {
        if set.is_empty() {
            return Ok(Standing::Unverified);
        }
        let named_by = known.validators_naming(&self.signer, now)?;
        let by_member = named_by.into_iter().any(|peer| set.by_peer(peer).next().is_some());
        if by_member { Ok(Standing::Member) } else { Err(VerifyError::UnknownTrainer) }
    }

    fn standing(&self, set: &ValidatorSet, known: &impl Known, now: u64) -> Result<(PeerId, Standing), VerifyError> {
        let public_key = match &self.body {
            RawBody::Ack(ack) => &ack.public_key,
            RawBody::Identity(id) => &id.data.public_key,
            RawBody::Fault(vote) => &vote.public_key,
            RawBody::Announcement(_) => return Ok((trainer_owner(&self.signer), self.trainer_standing(set, known, now)?)),
        };
        let owner = PeerId::of_bytes(public_key);
        if set.is_empty() {
            return Ok((owner, Standing::Unverified));
        }
        if !set.contains_key(public_key) {
            return Err(VerifyError::NotMember);
        }
        match &self.body {
            RawBody::Fault(vote) if set.by_index(vote.vote.proposer_index).is_none() => Ok((owner, Standing::Unverified)),
            _ => Ok((owner, Standing::Member)),
        }
    }
}

/// A trainer counts for itself: counted for a validator, any other validator that names it too could use its share up.
fn trainer_owner(trainer: &[u8; 32]) -> PeerId {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[trainer]);
    PeerId([a, b, c, d, e, f, g, h])
}

/// The voter's signature always; the accused's when its key is known.
fn verify_vote(vote: RawFaultVote, set: &ValidatorSet) -> Result<RawFaultVote, VerifyError> {
    if let Some(accused) = set.by_index(vote.vote.proposer_index) {
        vote.verify(|_| set.decode_key(&accused).ok(), set.domains())?;
        return Ok(vote);
    }
    let voter = set.decode_key(&vote.public_key).map_err(FaultVoteError::Voter)?;
    let signature = pol_core::bls::Signature::from_bytes(&vote.signature).map_err(FaultVoteError::Voter)?;
    signature.verify(vote.vote.signing_root(set.domains()), &voter).map_err(FaultVoteError::Voter)?;
    Ok(vote)
}

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An ACK whose signature holds.
    Ack(VerifiedAck),
    /// An announcement signed by its trainer.
    Announcement(Announcement),
    /// An identity that its validator signed.
    Identity(VerifiedIdRecord),
    /// A fault vote that its voter signed; the accused's signature was checked when the standing is [`Standing::Member`].
    Fault(RawFaultVote),
}

/// A record that may be stored and served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecord {
    pub(crate) key: RecordKey,
    pub(crate) body: Body,
    pub(crate) envelope: Vec<u8>,
    /// Where the value lies in the envelope.
    pub(crate) value: Range<usize>,
    pub(crate) sealed_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) signer: [u8; 32],
    pub(crate) standing: Standing,
    pub(crate) owner: PeerId,
    pub(crate) entry: [u8; 32],
}

impl VerifiedRecord {
    /// The record's key.
    pub const fn key(&self) -> &RecordKey {
        &self.key
    }

    /// The checked value.
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// The envelope's bytes, to be served and forwarded as they came.
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// The value's bytes inside the envelope.
    pub fn value(&self) -> &[u8] {
        self.envelope.get(self.value.clone()).unwrap_or_default()
    }

    /// Its seal, unix seconds; up to [`SEALED_AHEAD_SECONDS_MAX`] ahead of this node's clock.
    pub const fn sealed_at(&self) -> u64 {
        self.sealed_at
    }

    /// When it dies at this node, unix seconds.
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Ed25519 key that signed the envelope.
    pub const fn signer(&self) -> [u8; 32] {
        self.signer
    }

    /// What the writer is worth.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whom it counts for: the writer's `peerID`, or the first 8 bytes of `H(trainer)`. A mere label while unverified.
    pub const fn owner(&self) -> PeerId {
        self.owner
    }

    /// `H(key || value)`.
    pub const fn entry(&self) -> &[u8; 32] {
        &self.entry
    }
}

#[cfg(test)]
mod tests;
