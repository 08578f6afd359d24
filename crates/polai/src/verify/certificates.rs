//! Payloads of beacon blocks, and the certificate of each AI block against the committee of its epoch.

use std::{collections::BTreeMap, sync::Arc};

use pol_core::{
    Hash32,
    block::{BlockContext, check_payload},
    bls::PublicKey,
    params::MAX_COMMITTEE,
    wire::WireHead,
};
use serde_json::Value;

use super::{Accepted, Block, Node, VerifyError, contradiction};
use crate::ask::{AskError, number};

/// A validator's key, and the epochs in which it is active. Both epochs are set once: the head's registry knows the active set of any epoch
/// that has begun.
#[derive(Debug)]
struct Member {
    key: Arc<PublicKey>,
    active: std::ops::Range<u64>,
}

/// The AI blocks with their certificates, the number of empty blocks, and of AI blocks that could not be checked.
pub(super) async fn check(node: &Node, blocks: &[Block]) -> Result<(Vec<Accepted>, usize, usize), VerifyError> {
    let parameters = node.spec.parameters();
    let (registry, domains) = (registry(node).await?, node.spec.domains());
    let mut committees = BTreeMap::<u64, Vec<Arc<PublicKey>>>::new();
    let (mut accepted, mut empty, mut unseen) = (Vec::new(), 0_usize, 0_usize);
    for block in blocks {
        let since = block.timestamp.saturating_sub(parameters.genesis_time);
        let slot = since.checked_div(parameters.slot_seconds).unwrap_or(0);
        let epoch = slot.checked_div(parameters.preset.slots_per_epoch()).unwrap_or(0);
        let (extra_data, parent_hash) = payload(node, block, slot).await?;
        let committee = committees.entry(epoch).or_insert_with(|| {
            registry.iter().filter(|member| member.active.contains(&epoch)).map(|member| Arc::clone(&member.key)).collect()
        });
        if committee.len() > MAX_COMMITTEE && !block.update_id.is_zero() {
            unseen = unseen.saturating_add(1);
            continue;
        }
        let parent_head = block.parent_head;
        let context = BlockContext { parent_head, committee, quorum: parameters.quorum, domains: &domains };
        let checked =
            check_payload(&extra_data, parent_hash, &context).map_err(|refused| contradiction(block.number, refused))?;
        match checked.certificate {
            Some(certificate) => accepted.push(Accepted { block: *block, certificate }),
            None => empty = empty.saturating_add(1),
        }
    }
    Ok((accepted, empty, unseen))
}

/// The wire form of a block's extraData, and its parent hash, as the beacon block of the slot carries them.
async fn payload(node: &Node, block: &Block, slot: u64) -> Result<(Vec<u8>, Hash32), VerifyError> {
    let url = node.beacon(&format!("/eth/v2/beacon/blocks/{slot}"));
    let found = node.ask.data(&url).await?;
    let found = found.ok_or_else(|| contradiction(block.number, format!("the beacon node has no block at slot {slot}")))?;
    let payload = found.pointer("/message/body/execution_payload");
    let field = |name: &str| payload.and_then(|payload| payload.get(name)?.as_str()?.strip_prefix("0x").map(str::to_owned));
    let wrong = |name: &str| VerifyError::Ask(AskError::Wrong { url: url.clone(), text: format!("no {name} in the payload") });
    let hash = |name: &str| field(name).and_then(|digits| digits.parse::<Hash32>().ok()).ok_or_else(|| wrong(name));
    let beacon_hash = hash("block_hash")?;
    if beacon_hash != block.hash {
        let what =
            format!("the beacon block of slot {slot} carries block {beacon_hash}, the execution client has {}", block.hash);
        return Err(contradiction(block.number, what));
    }
    let extra_data = field("extra_data").and_then(|digits| hex::decode(digits).ok()).ok_or_else(|| wrong("extra_data"))?;
    let head = WireHead::read(&extra_data).map_err(|error| contradiction(block.number, error))?;
    if head.extra_data.update_id != block.update_id {
        return Err(contradiction(
            block.number,
            format!("the payload names {}, the header {}", head.extra_data.update_id, block.update_id),
        ));
    }
    Ok((extra_data, hash("parent_hash")?))
}

/// The registry of the head.
async fn registry(node: &Node) -> Result<Vec<Member>, VerifyError> {
    let url = node.beacon("/eth/v1/beacon/states/head/validators");
    let wrong = || AskError::Wrong { url: url.clone(), text: "no list of validators".to_owned() };
    let list = node.ask.data(&url).await?.ok_or_else(wrong)?;
    let members: Option<Vec<Member>> = list.as_array().ok_or_else(wrong)?.iter().map(member).collect();
    Ok(members.ok_or_else(wrong)?)
}

fn member(entry: &Value) -> Option<Member> {
    let validator = entry.get("validator")?;
    let mut key = [0; 48];
    hex::decode_to_slice(validator.get("pubkey")?.as_str()?.strip_prefix("0x")?, &mut key).ok()?;
    let epoch = |name: &str| number(validator.get(name)?);
    let active = epoch("activation_epoch")?..epoch("exit_epoch")?;
    Some(Member { key: Arc::new(PublicKey::from_bytes(&key).ok()?), active })
}
