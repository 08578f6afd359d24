//! A chain without a consensus client: this process plays it too, through the same Engine API.
//!
//! # Contract
//! A block per slot, final after [`FINAL_AFTER`] blocks. The chain is made anew when the data directory has none.
//!
//! # What it does not protect against
//! Anything: the default seed is everybody's.

use core::time::Duration;
use std::{collections::VecDeque, io, path::Path, sync::Arc};

use alloy_primitives::{B256, hex, keccak256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes, PayloadStatus};
use pol_core::{
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    params::Preset,
    state::Shape,
};
use pol_kit::{
    clock::Clock,
    exit::{Exit, OrUsage as _},
    fs::{self, Access},
    tasks::Tasks,
};
use reth_ai_exex::{
    chain::hash32,
    genesis::{ExecutionGenesis, GenesisDraft, GenesisParameters},
};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    args::{Args, DevArgs},
    engine::EngineApiServer as _,
    node::{self, Node},
};

/// Blocks until one is final; half of them until it is safe.
pub const FINAL_AFTER: usize = 32;
/// Difficulty floor: any machine seals in time, a busy one too.
const DIFFICULTY_FLOOR: u64 = 256;

/// The genesis of the data directory, made when there is none.
///
/// # Errors
/// The operator's, exit code 2.
pub fn genesis(args: &Args, dev: &DevArgs, clock: &dyn Clock) -> Result<ExecutionGenesis, Exit> {
    let path = args.genesis();
    if !path.exists() {
        let genesis = new_genesis(dev, clock.unix_seconds())?;
        fs::create_private_directory(path.parent().unwrap_or(Path::new(".")))?;
        fs::write_durably(&path, genesis.to_json().or_usage()?.as_bytes(), Access::Everybody)?;
    }
    node::genesis(args)
}

/// The genesis of a chain of one node: no validators, no model.
///
/// # Errors
/// The operator's: a seed without an account.
pub fn new_genesis(dev: &DevArgs, genesis_time: u64) -> Result<ExecutionGenesis, Exit> {
    let (chain_id, difficulty_floor) = (dev.chain_id, DIFFICULTY_FLOOR);
    let seed = dev.seed.clone();
    let draft = GenesisDraft::build(&GenesisParameters { seed, genesis_time, chain_id, difficulty_floor }).or_usage()?;
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time,
        preset: Preset::Minimal,
        slot_seconds: dev.block_time,
        chain_id,
        genesis_validators_root: Default::default(),
        execution_genesis_hash: hash32(draft.hash()),
        quorum: QuorumRule::Auto,
        difficulty_floor,
        manifest_hash: Default::default(),
        shape: Shape::new(1, 8, 8, 8, 8).or_usage()?,
        dev_texts_hash: Default::default(),
        reference_losses: [NanoNats::new(0).ok_or_else(|| Exit::failure("zero is a loss"))?; 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    });
    draft.finish(&spec.or_usage()?).or_usage()
}

/// Starts the blocks of a node.
///
/// # Errors
/// The seed's: the operator's.
pub fn start(node: &Node, dev: &DevArgs, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<(), Exit> {
    let account = dev.seed.funded_account().or_usage()?;
    let key = hex::encode_prefixed(account.secret());
    info!(target: "polai::dev", address = %alloy_primitives::Address::from(account.address()), %key, "the funded account (of a chain made with this seed)");
    tasks.child("dev").spawn_until_stopped("blocks", blocks(node.clone(), clock));
    Ok(())
}

async fn blocks(node: Node, clock: Arc<dyn Clock>) -> Result<(), Exit> {
    let rules = *node.chain.genesis().chain();
    let mut recent = VecDeque::from([node.chain.head().data.hash]);
    loop {
        let next = rules.slot_start(rules.slot_at(clock.unix_seconds()).saturating_add(1));
        sleep(Duration::from_millis(next.saturating_mul(1_000).saturating_sub(clock.unix_millis()))).await;
        match block(&node, &recent, next).await {
            Ok(hash) => {
                recent.push_front(hash);
                recent.truncate(FINAL_AFTER);
            }
            Err(error) => warn!(target: "polai::dev", %error, "no block in this slot"),
        }
    }
}

/// One slot as a proposer's consensus client does it.
async fn block(node: &Node, recent: &VecDeque<B256>, timestamp: u64) -> Result<B256, Exit> {
    let attributes = PayloadAttributes {
        timestamp,
        prev_randao: keccak256(timestamp.to_be_bytes()),
        suggested_fee_recipient: Default::default(),
        withdrawals: Some(vec![]),
        parent_beacon_block_root: Some(keccak256(timestamp.to_le_bytes())),
        slot_number: None,
        target_gas_limit: None,
    };
    let beacon_root = attributes.parent_beacon_block_root.unwrap_or_default();
    let head = node.chain.head().data.hash;
    let state = |head| ForkchoiceState {
        head_block_hash: head,
        safe_block_hash: recent.get(FINAL_AFTER / 2).copied().unwrap_or_default(),
        finalized_block_hash: recent.get(FINAL_AFTER.saturating_sub(1)).copied().unwrap_or_default(),
    };
    let begun = node.engine.forkchoice_updated_v3(state(head), Some(attributes)).await?;
    let id = begun.payload_id.ok_or_else(|| Exit::failure("this machine may not propose, see above"))?;
    let payload = node.engine.get_payload_v3(id).await?.execution_payload;
    let hash = payload.payload_inner.payload_inner.block_hash;
    valid(&node.engine.new_payload_v3(payload, vec![], beacon_root).await?)?;
    valid(&node.engine.forkchoice_updated_v3(state(hash), None).await?.payload_status)?;
    Ok(hash)
}

fn valid(status: &PayloadStatus) -> Result<(), Exit> {
    if status.is_valid() { Ok(()) } else { Err(Exit::failure(io::Error::other(format!("the engine says {status:?}")))) }
}
