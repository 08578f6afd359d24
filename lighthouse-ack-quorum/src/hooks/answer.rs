//! What a patched node's own HTTP server tells: `GET /lighthouse/ai/...`. The service `ack-quorum` reads it.
//!
//! | path | what |
//! | --- | --- |
//! | `status` | chain, head, committee, quorum |
//! | `quorum/ROOT` | update, model head and certificate of a block |
//! | `faults` | blocks that were refused as slashable |
//! | `blocks/ROOT`, `headers/ROOT` | one of these, in the Beacon API's form |

use pol_core::{committee::ack_quorum, params::MAX_COMMITTEE};
use serde_json::{Value, json};

use super::{RefusedBlock, chain, model_head, split_wire};

/// What only the node knows of its head.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Root.
    pub root: [u8; 32],
    /// Slot.
    pub slot: u64,
    /// Active validators of its epoch.
    pub active: usize,
    /// Finalized epoch of its state.
    pub finalized_epoch: u64,
}

/// The answer for a path below `/lighthouse/ai/`; `stored` gives slot and payload's `extra_data` of an imported block.
///
/// # Errors
/// The text of a 404.
pub fn answer(path: &str, head: &Head, stored: impl FnOnce([u8; 32]) -> Option<(u64, Vec<u8>)>) -> Result<Value, String> {
    let refused = chain().map_err(|error| error.to_string())?.refused.all();
    let (what, root) = path.split_once('/').unwrap_or((path, ""));
    let mut bytes = [0; 32];
    let is_root = hex::decode_to_slice(root.strip_prefix("0x").unwrap_or(root), &mut bytes).is_ok();
    let named = refused.iter().find(|block| is_root && block.root == bytes);
    let data = match (what, named) {
        ("status", _) => status(head, refused.len())?,
        ("faults", _) => refused.iter().map(fault).collect(),
        ("quorum", Some(block)) => quorum(bytes, block.header.slot, &block.extra_data, true)?,
        ("quorum", None) if is_root => {
            let (slot, extra_data) = stored(bytes).ok_or("no such block")?;
            quorum(bytes, slot, &extra_data, false)?
        }
        ("blocks", Some(block)) => signed_block(block),
        ("headers", Some(block)) => signed_header(block),
        _ => return Err(format!("/lighthouse/ai/{}: no such thing", path.chars().take(80).collect::<String>())),
    };
    Ok(json!({ "data": data }))
}

fn hex0x(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn status(head: &Head, refused: usize) -> Result<Value, String> {
    let spec = &chain().map_err(|error| error.to_string())?.spec;
    let model_head = model_head(head.root).map_err(|error| error.to_string())?;
    let seats = head.active.min(MAX_COMMITTEE);
    Ok(json!({
        "genesis_id": hex0x(&spec.genesis_id().0), "head": { "root": hex0x(&head.root), "slot": head.slot.to_string() },
        "model_head": model_head.map(|head| hex0x(&head)), "finalized_epoch": head.finalized_epoch.to_string(),
        "seats": seats.to_string(), "quorum": ack_quorum(spec.parameters().quorum, seats).to_string(),
        "blocks_refused": refused.to_string(),
    }))
}

fn quorum(root: [u8; 32], slot: u64, extra_data: &[u8], refused: bool) -> Result<Value, String> {
    let model_head = model_head(root).map_err(|error| error.to_string())?;
    Ok(json!({
        "root": hex0x(&root), "slot": slot.to_string(), "refused": refused,
        "update_id": hex0x(extra_data.get(32..64).unwrap_or_default()), "model_head": model_head.map(|head| hex0x(&head)),
        "certificate": hex0x(split_wire(extra_data).trailer),
    }))
}

fn fault(block: &RefusedBlock) -> Value {
    json!({
        "block_root": hex0x(&block.root), "slot": block.header.slot.to_string(),
        "proposer_index": block.header.proposer_index.to_string(), "reason": block.reason,
    })
}

fn signed_block(block: &RefusedBlock) -> Value {
    let header = &block.header;
    json!({ "signature": hex0x(&header.signature), "message": {
        "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
        "parent_root": hex0x(&header.parent_root), "state_root": hex0x(&header.state_root),
        "body": { "execution_payload": {
            "parent_hash": hex0x(&block.payload_parent_hash), "block_hash": hex0x(&block.payload_hash),
            "extra_data": hex0x(&block.extra_data),
        } },
    } })
}

fn signed_header(block: &RefusedBlock) -> Value {
    let header = &block.header;
    json!({ "root": hex0x(&block.root), "canonical": false, "header": {
        "message": {
            "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
            "parent_root": hex0x(&header.parent_root), "state_root": hex0x(&header.state_root),
            "body_root": hex0x(&header.body_root),
        },
        "signature": hex0x(&header.signature),
    } })
}
