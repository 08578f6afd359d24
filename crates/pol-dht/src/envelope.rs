//! Sealing with a libp2p key. The envelope itself is a rule of the protocol and lives in pol-core, where a trainer finds it too.

use ed25519_dalek::SigningKey;
use libp2p::identity::Keypair;
use pol_core::{GenesisId, record::Envelope};

/// This node's key cannot seal. Ours: nodes have Ed25519 keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node's key is not an Ed25519 key")]
pub struct SealError;

/// Seals a value as the node with this key pair. `now` in unix seconds.
///
/// # Errors
/// [`SealError`].
pub fn seal(keypair: &Keypair, genesis_id: GenesisId, now: u64, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let key = keypair.clone().try_into_ed25519().map_err(|_| SealError)?;
    let secret: [u8; 32] = key.secret().as_ref().try_into().map_err(|_| SealError)?;
    Ok(Envelope::seal(&SigningKey::from_bytes(&secret), genesis_id, now, value))
}

#[cfg(test)]
mod tests {
    use libp2p::core::SignedEnvelope;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn our_envelope_is_libp2ps_byte_for_byte(value in proptest::collection::vec(any::<u8>(), 0..700), now: u64, chain: [u8; 32]) {
            let keypair = Keypair::ed25519_from_bytes([7; 32]).unwrap();
            let chain = GenesisId(chain);
            let payload = [&now.to_le_bytes(), value.as_slice()].concat();
            let domain = format!("pol-ai/record/v1/{chain}");
            let theirs = SignedEnvelope::new(&keypair, domain, b"/pol-ai/record/1".to_vec(), payload).unwrap();
            let ours = seal(&keypair, chain, now, &value).unwrap();
            prop_assert_eq!(&ours, &theirs.into_protobuf_encoding());
            let opened = Envelope::open(&ours, chain).unwrap();
            prop_assert_eq!((opened.sealed_at, opened.value), (now, value));
        }
    }
}
