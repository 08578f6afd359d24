//! One update's way through the execution side: pushed, chosen, sealed, sent as a payload, checked by another node, logged.
//!
//! `cargo run -p reth-ai-exex --example one_block`

use core::num::NonZeroUsize;
use std::{error::Error, sync::Arc};

use alloy_consensus::{Block, BlockBody, Header, TxEnvelope};
use alloy_primitives::{B256, Bytes};
use pol_core::{
    UpdateId,
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    identity::GenesisSeed,
    params::Preset,
    state::Shape,
};
use pol_kit::clock::{Clock as _, System};
use reth_ai_exex::{
    candidate::{Mode, Push, Register},
    chain::{Chain, hash32},
    genesis::{ExecutionGenesis, GenesisDraft, GenesisParameters},
    header,
    metrics::Metrics,
    model_log::{LogBlock, ModelLog},
    sealer::{Cancel, SealJob, Sealer},
    wire,
};

fn main() -> Result<(), Box<dyn Error>> {
    let clock = Arc::new(System::new());
    let genesis = genesis(clock.unix_seconds() - 600)?;
    let (chain, parent) = (*genesis.chain(), genesis.header());
    println!("chain    {}  genesis block {}", chain.genesis_id(), chain.genesis_hash());

    // The proposer: a candidate is pushed, a payload job asks for it, the client assembles a header, the sealer finishes it.
    let metrics = Metrics::new();
    let register = Register::new(chain, clock.clone(), Mode::Enabled, metrics.clone());
    let sealer = Sealer::start(NonZeroUsize::MIN, &chain, clock, metrics.clone())?;
    let slot = register.current_slot() + 1;
    let update_id = UpdateId([0xab; 32]);
    register.push(&Push { parent_hash: chain.genesis_hash(), slot, update_id, certificate: certificate() })?;
    let timestamp = chain.slot_start(slot);
    let chosen = register.choose(chain.genesis_hash(), timestamp).candidate;
    let (update_id, certificate) =
        chosen.map_or((UpdateId::ZERO, Bytes::new()), |candidate| (candidate.update_id(), candidate.certificate().clone()));
    let draft = assemble(parent, chain.genesis_hash(), timestamp);
    let job = SealJob::new(draft, chain.genesis_hash(), parent, update_id, chain.difficulty())?;
    let sealed = sealer.seal(job, &Cancel::new())?;
    println!("sealed   {}  {} hashes at difficulty {}", sealed.hash(), sealed.hashes(), sealed.difficulty());
    let (head, hash) = sealed.into_parts();
    let body = BlockBody::<TxEnvelope> { transactions: vec![], ommers: vec![], withdrawals: Some(Default::default()) };
    let (payload, sidecar) = wire::join(&Block { header: head, body }, hash, &certificate)?;
    println!("payload  extra_data of {} bytes", payload.as_v1().extra_data.len());

    // Another node: split, hash, rules. Ethereum's own checks run on the masked copy.
    let (block, hash) = wire::split(payload)?.into_block::<TxEnvelope>(&sidecar)?.into_parts();
    let named = header::check_child(&block.header, chain.genesis_hash(), parent, chain.difficulty())?;
    assert!(header::masked(&block.header).difficulty.is_zero());
    println!("checked  names update {named}");

    // Both: what is canonical, and then final, moves the model head.
    let directory = tempfile::tempdir()?;
    let log = ModelLog::open(directory.path(), &chain, metrics)?;
    let tip = log.commit(&[LogBlock::of(&block.header, hash)?])?;
    log.finalize(tip.block)?;
    println!("head     {} -> {} after update {}", chain.genesis_head(), tip.model_head, tip.updates);
    Ok(())
}

/// What a client's EVM does between choosing and sealing; an empty block here, and no state.
fn assemble(parent: &Header, parent_hash: B256, timestamp: u64) -> Header {
    Header { parent_hash, number: parent.number + 1, timestamp, ..parent.clone() }
}

/// Well-formed; a real one comes from ack-quorum.
fn certificate() -> Bytes {
    [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0xff], &[0x33; 96]].concat().into()
}

/// What `polai genesis` does for the execution side.
fn genesis(genesis_time: u64) -> Result<ExecutionGenesis, Box<dyn Error>> {
    let (chain_id, difficulty_floor) = (1_337_001, 4_096);
    let seed = GenesisSeed::from_bytes([7; 32]);
    let draft = GenesisDraft::build(&GenesisParameters { seed, genesis_time, chain_id, difficulty_floor })?;
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time,
        preset: Preset::Minimal,
        slot_seconds: 6,
        chain_id,
        genesis_validators_root: Default::default(),
        execution_genesis_hash: hash32(draft.hash()),
        quorum: QuorumRule::Auto,
        difficulty_floor,
        manifest_hash: Default::default(),
        shape: Shape::new(2, 64, 64, 32, 96)?,
        dev_texts_hash: Default::default(),
        reference_losses: [NanoNats::new(1).ok_or("a loss")?; 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    })?;
    let genesis = draft.finish(&spec)?;
    assert_eq!(*genesis.chain(), Chain::of(&spec));
    Ok(genesis)
}
