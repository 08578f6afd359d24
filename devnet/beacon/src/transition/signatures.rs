//! A block's signatures, collected while it is processed and verified together at the end.
//!
//! # Why this is exact
//! Which keys and domains a signature is checked with is decided where the specification checks it, from the state at that moment.
//! Only the pairing waits: nothing in block processing depends on its outcome, and one refusal refuses the block either way.

use alloy_primitives::B256;
use pol_core::{
    Hash32,
    bls::{BlsError, Claim, PublicKey, Signature, verify_all},
};

use super::{SignatureOf, StateError, TransitionError};
use crate::types::SignatureBytes;

/// Whether a block's signatures are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifySignatures {
    /// Every one: for blocks from others.
    Yes,
    /// None but those of deposits and of section 11, which decide what becomes of the state: for blocks that this node has verified
    /// before, or builds.
    No,
}

pub(crate) struct Signatures {
    verify: VerifySignatures,
    claims: Vec<Claim>,
    of: Vec<SignatureOf>,
}

impl Signatures {
    pub(crate) const fn new(verify: VerifySignatures) -> Self {
        Self { verify, claims: Vec::new(), of: Vec::new() }
    }

    /// All of `keys` signed `root`.
    pub(crate) fn add<'k>(
        &mut self,
        of: SignatureOf,
        root: B256,
        keys: impl IntoIterator<Item = Result<&'k PublicKey, StateError>>,
        signature: &SignatureBytes,
    ) -> Result<(), TransitionError> {
        if self.verify == VerifySignatures::No {
            return Ok(());
        }
        let keys: Vec<&PublicKey> = keys.into_iter().collect::<Result<_, _>>()?;
        let refused = |error: BlsError| TransitionError::Signature { of, error };
        let signature = Signature::from_bytes(&signature.0).map_err(refused)?;
        self.claims.push(Claim::new(Hash32(root.0), keys, signature).map_err(refused)?);
        self.of.push(of);
        Ok(())
    }

    pub(crate) fn verify(self) -> Result<(), TransitionError> {
        verify_all(&self.claims).map_err(|position| TransitionError::Signature {
            of: self.of.get(position).copied().unwrap_or(SignatureOf::Block),
            error: BlsError::Mismatch,
        })
    }
}
