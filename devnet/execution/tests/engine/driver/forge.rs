//! A producer who cheats: any header field, sealed anew.

use alloy_consensus::{Block, Header, TxEnvelope};
use alloy_primitives::B64;
use alloy_rpc_types_engine::{CancunPayloadFields, ExecutionPayloadSidecar};
use pol_core::seal;
use reth_ai_exex::{header, wire};

use super::Payload;

/// The block of a payload.
pub fn block(payload: &Payload) -> Block<TxEnvelope> {
    let sidecar = ExecutionPayloadSidecar::v3(CancunPayloadFields::new(payload.beacon_root, vec![]));
    let block = wire::split(payload.inner.clone()).unwrap().into_block::<TxEnvelope>(&sidecar).unwrap();
    block.into_parts().0
}

/// The payload with another block, its hash right, its seal as it is.
pub fn unsealed(payload: &Payload, change: impl FnOnce(&mut Block<TxEnvelope>)) -> Payload {
    let mut block = block(payload);
    change(&mut block);
    wrap(&block, payload)
}

/// The payload with another header, its seal searched anew and its hash right.
pub fn sealed(payload: &Payload, change: impl FnOnce(&mut Header)) -> Payload {
    let mut block = block(payload);
    change(&mut block.header);
    block.header.nonce = B64::ZERO;
    let core = header::to_core(&block.header).unwrap();
    let hash = core.seal_hash();
    let nonce = (0..).find(|nonce: &u64| seal::verify(&hash, *nonce, core.difficulty).is_ok()).unwrap();
    block.header.nonce = nonce.into();
    wrap(&block, payload)
}

fn wrap(block: &Block<TxEnvelope>, payload: &Payload) -> Payload {
    let named = !header::update_id(&block.header).unwrap().is_zero();
    // Only that it has the length of a certificate: execution clients do not look at it.
    let certificate = if named { [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0xff], &[0x33; 96]].concat() } else { vec![] };
    let (inner, _) = wire::join(block, block.header.hash_slow(), &certificate).unwrap();
    Payload::of(inner, block.header.parent_beacon_block_root.unwrap_or(payload.beacon_root))
}
