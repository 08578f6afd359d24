//! A `ProposerSlashing` through the eyes of a beacon node: plain fields in, checks and signature sets out.

use pol_core::{
    Hash32,
    fault::{FaultProof, KindError, Malfeasance, SignedHeader, SlashingKind, SlashingPair},
    params::Preset,
    ssz::BeaconBlockHeader,
};

use super::{HookError, chain};

/// `SignedBeaconBlockHeader` as plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderFields {
    /// Slot.
    pub slot: u64,
    /// Registry index.
    pub proposer_index: u64,
    /// Parent root.
    pub parent_root: [u8; 32],
    /// State root.
    pub state_root: [u8; 32],
    /// Body root.
    pub body_root: [u8; 32],
    /// Compressed signature.
    pub signature: [u8; 96],
}

impl From<&HeaderFields> for SignedHeader {
    fn from(fields: &HeaderFields) -> Self {
        let header = BeaconBlockHeader {
            slot: fields.slot,
            proposer_index: fields.proposer_index,
            parent_root: Hash32(fields.parent_root),
            state_root: Hash32(fields.state_root),
            body_root: Hash32(fields.body_root),
        };
        Self { header, signature: fields.signature }
    }
}

/// What a `ProposerSlashing` is. Only [`Slashing::Plain`] goes through the specification's own checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slashing {
    /// Two headers of one slot.
    Plain,
    /// A fault proof: [`Self::check`] and [`Self::signatures`] instead of the specification's, then slashable and slash as usual.
    Fault(FaultProof),
    /// Committee malfeasance: likewise.
    Malfeasance(Malfeasance),
}

/// Reads a `ProposerSlashing`.
///
/// # Errors
/// A line for the log when it carries our tags but is neither of our forms: refuse it, it is no plain slashing either.
pub fn decode_slashing(first: &HeaderFields, second: &HeaderFields) -> Result<Slashing, String> {
    let pair = SlashingPair { first: first.into(), second: second.into() };
    match pair.kind().map_err(|error: KindError| error.to_string())? {
        SlashingKind::Plain => Ok(Slashing::Plain),
        SlashingKind::Fault => FaultProof::decode(&pair).map(Slashing::Fault).map_err(|error| error.to_string()),
        SlashingKind::Malfeasance => Malfeasance::decode(&pair).map(Slashing::Malfeasance).map_err(|error| error.to_string()),
    }
}

/// What of the state a fault proof is checked against.
#[derive(Debug, Clone, Copy)]
pub struct SlashingState<'a> {
    /// Slot of the state.
    pub slot: u64,
    /// `state.block_roots[header_1.slot mod SLOTS_PER_HISTORICAL_ROOT]`.
    pub canonical_root: [u8; 32],
    /// Registry indices by seat of the committee of header_1's epoch ([`super::committee`]).
    pub committee: &'a [u64],
}

/// One signature to verify: aggregate of all `signers` over `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureSet {
    /// Signing root.
    pub root: [u8; 32],
    /// Compressed signature.
    pub signature: [u8; 96],
    /// Registry indices.
    pub signers: Vec<u64>,
}

impl Slashing {
    /// Age and canonical block alone, which cost nothing: asked before a committee is computed for a stranger's message.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_age(&self, slot: u64, canonical_root: [u8; 32]) -> Result<Result<(), String>, HookError> {
        let Self::Fault(proof) = self else { return Ok(Ok(())) };
        let view = View { slot, canonical: (proof.accused().header.slot, canonical_root) };
        Ok(proof.check_age(&view, chain()?.rules.preset).map_err(|error| error.to_string()))
    }

    /// Everything but the signatures: age, canonical block, committee, quorum. Nothing for a plain slashing and for malfeasance, which
    /// are never too old.
    ///
    /// # Errors
    /// [`HookError`]; the inner error is a line for the log: refuse the slashing.
    pub fn check(&self, state: &SlashingState<'_>) -> Result<Result<(), String>, HookError> {
        let Self::Fault(proof) = self else { return Ok(Ok(())) };
        let dev_slash_small = chain()?.rules.dev_slash_small;
        Ok(self
            .check_age(state.slot, state.canonical_root)?
            .and_then(|()| proof.check_votes(state.committee, dev_slash_small).map_err(|error| error.to_string())))
    }

    /// The two signatures, for the node's own bulk verification; `committee` as in [`SlashingState`]. None for a plain slashing, whose
    /// sets are the specification's.
    ///
    /// # Errors
    /// [`HookError`].
    pub fn signatures(&self, committee: &[u64]) -> Result<Option<[SignatureSet; 2]>, HookError> {
        let domains = &chain()?.rules.domains;
        Ok(match self {
            Self::Plain => None,
            Self::Fault(proof) => {
                let accused = proof.accused();
                let voters = committee.iter().enumerate().filter(|(seat, _)| proof.voters().get(*seat)).map(|(_, index)| *index);
                let signers = vec![accused.header.proposer_index];
                let first = SignatureSet { root: accused.signing_root(domains).0, signature: accused.signature, signers };
                let root = proof.signing_root(domains).0;
                let signature = proof.to_pair().second.signature;
                Some([first, SignatureSet { root, signature, signers: voters.collect() }])
            }
            Self::Malfeasance(evidence) => {
                let pair = evidence.to_pair();
                let [first, second] = evidence.signing_roots(domains);
                let set = |root: Hash32, signed: &SignedHeader| SignatureSet {
                    root: root.0,
                    signature: signed.signature,
                    signers: vec![evidence.member()],
                };
                Some([set(first, &pair.first), set(second, &pair.second)])
            }
        })
    }

    /// Slots after which a fault proof is too old to be packed, in this preset.
    pub const fn age_slots_max(preset: Preset) -> u64 {
        crate::faults::age_slots_max(preset)
    }
}

/// Age and canonical tests ask for nothing else.
struct View {
    slot: u64,
    canonical: (u64, [u8; 32]),
}

impl pol_core::fault::StateView for View {
    type Key = pol_core::bls::PublicKey;

    fn slot(&self) -> u64 {
        self.slot
    }

    fn public_key(&self, _index: u64) -> Option<Self::Key> {
        None
    }

    fn block_root(&self, slot: u64) -> Option<Hash32> {
        (slot == self.canonical.0).then_some(Hash32(self.canonical.1))
    }

    fn committee(&self, _epoch: u64) -> Option<Vec<u64>> {
        None
    }
}
