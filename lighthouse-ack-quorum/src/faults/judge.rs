//! What a beacon node asks of a `ProposerSlashing`, and its bytes.

use std::sync::Arc;

use pol_core::{
    Hash32,
    bls::PublicKey,
    fault::{
        FaultProof, FaultProofError, FaultRules, KindError, Malfeasance, MalfeasanceError, SignedHeader, SlashingKind,
        SlashingPair, StateView,
    },
    ssz::{BEACON_BLOCK_HEADER_BYTES, BeaconBlockHeader},
};

use crate::members::Committee;

/// SSZ bytes of a `ProposerSlashing`: two signed headers.
pub const SLASHING_BYTES: usize = 2 * SIGNED_HEADER_BYTES;
const SIGNED_HEADER_BYTES: usize = BEACON_BLOCK_HEADER_BYTES + 96;

/// What a slashing turned out to be, with everything of ours checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Two headers of one slot: the specification's own checks decide, all of them.
    Plain,
    /// A fault proof that holds; slash this proposer if it is slashable.
    Fault {
        /// Registry index.
        proposer_index: u64,
    },
    /// Evidence that holds; slash this member if it is slashable.
    Malfeasance {
        /// Registry index.
        member: u64,
    },
}

/// Why a slashing is refused. The poster's fault; `Fault(Age)` with a slot not reached heals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlashingError {
    /// Our tags in a place where none belongs.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// A fault proof that does not hold.
    #[error(transparent)]
    Fault(#[from] FaultProofError),
    /// Evidence that does not hold.
    #[error(transparent)]
    Malfeasance(#[from] MalfeasanceError),
}

/// Classifies a slashing and checks it when it is ours. Call it at gossip, in a block, and again when packing one: age and the canonical
/// root change with the state.
///
/// # Errors
/// [`SlashingError`].
pub fn judge(pair: &SlashingPair, state: &impl StateView, rules: &FaultRules) -> Result<Judged, SlashingError> {
    Ok(match pair.kind()? {
        SlashingKind::Plain => Judged::Plain,
        SlashingKind::Fault => Judged::Fault { proposer_index: FaultProof::decode(pair)?.verify(state, rules)?.proposer_index() },
        SlashingKind::Malfeasance => {
            let evidence = Malfeasance::decode(pair)?;
            Judged::Malfeasance { member: evidence.verify(|index| state.public_key(index), &rules.domains)?.member() }
        }
    })
}

/// A state as far as one proof asks about it, as plain values.
#[derive(Debug, Clone, Copy)]
pub struct PlainState<'a, F> {
    /// Slot of the state.
    pub slot: u64,
    /// Slot of the accused header, and `block_roots` of the state there.
    pub canonical: Option<(u64, [u8; 32])>,
    /// Committee of the accused header's epoch.
    pub committee: &'a Committee,
    /// The registry.
    pub key_of: F,
}

impl<F: Fn(u64) -> Option<Arc<PublicKey>>> StateView for PlainState<'_, F> {
    type Key = Arc<PublicKey>;

    fn slot(&self) -> u64 {
        self.slot
    }

    fn public_key(&self, index: u64) -> Option<Arc<PublicKey>> {
        (self.key_of)(index)
    }

    fn block_root(&self, slot: u64) -> Option<Hash32> {
        self.canonical.filter(|(of, _)| *of == slot).map(|(_, root)| Hash32(root))
    }

    fn committee(&self, epoch: u64) -> Option<Vec<u64>> {
        (self.committee.epoch() == epoch).then(|| self.committee.indices())
    }
}

/// SSZ of a `ProposerSlashing`.
pub fn to_ssz(pair: &SlashingPair) -> [u8; SLASHING_BYTES] {
    let mut bytes = [0; SLASHING_BYTES];
    for (half, signed) in bytes.chunks_exact_mut(SIGNED_HEADER_BYTES).zip([&pair.first, &pair.second]) {
        let (header, signature) = half.split_at_mut(BEACON_BLOCK_HEADER_BYTES);
        header.copy_from_slice(&signed.header.to_bytes());
        signature.copy_from_slice(&signed.signature);
    }
    bytes
}

/// Reads SSZ of a `ProposerSlashing`: every 416 bytes are one.
pub fn from_ssz(bytes: &[u8; SLASHING_BYTES]) -> SlashingPair {
    let signed = |half: &[u8]| {
        let (mut header, mut signature) = ([0; BEACON_BLOCK_HEADER_BYTES], [0; 96]);
        header.copy_from_slice(&half[..BEACON_BLOCK_HEADER_BYTES]);
        signature.copy_from_slice(&half[BEACON_BLOCK_HEADER_BYTES..]);
        SignedHeader { header: BeaconBlockHeader::from_bytes(&header), signature }
    };
    let (first, second) = bytes.split_at(SIGNED_HEADER_BYTES);
    SlashingPair { first: signed(first), second: signed(second) }
}
