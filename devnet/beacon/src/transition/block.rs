//! `process_block`, apart from the operations.

use alloy_primitives::B256;
use pol_core::sha256;
use ssz_types::typenum::Unsigned as _;
use tree_hash::TreeHash as _;

use super::{
    SignatureOf, StateError, TransitionError, VerifySignatures,
    math::{Checked, length, place},
    operations,
    signatures::Signatures,
    slots::advance,
    sync_aggregate::process_sync_aggregate,
    withdrawals::process_withdrawals,
};
use crate::types::{
    BeaconBlock, BeaconBlockBody, BeaconBlockHeader, BeaconState, Config, DomainType, Eth1Data, EthSpec, HashedBlock,
    SigningData, signing_root,
};

/// `state_transition` without a check of the state root: advances a copy of `state` to the block's slot and processes the block. What
/// a proposer does with the block it builds, to learn its state root.
///
/// # Errors
/// [`TransitionError`].
pub fn apply_unsigned<E: EthSpec>(
    state: &BeaconState<E>,
    block: &BeaconBlock<E>,
    config: &Config,
) -> Result<BeaconState<E>, TransitionError> {
    let mut state = advance(state, block.slot, config)?;
    let mut signatures = Signatures::new(VerifySignatures::No);
    process_block(&mut state, block, block.to_header(), config, &mut signatures)?;
    Ok(state)
}

/// `state_transition`: the state after a block, from the state after its parent.
///
/// The payload is checked as far as the beacon chain can; whether it executes is the execution client's to say.
///
/// # Errors
/// [`TransitionError`], each variant.
pub fn state_transition<E: EthSpec>(
    state: &BeaconState<E>,
    block: &HashedBlock<E>,
    config: &Config,
    verify: VerifySignatures,
) -> Result<BeaconState<E>, TransitionError> {
    let state = advance(state, block.message().slot, config)?;
    apply_block(state, block, config, verify)
}

/// The rest of [`state_transition`], on a state that stands at the block's slot.
///
/// # Errors
/// [`TransitionError`], all but `Slots`.
pub fn apply_block<E: EthSpec>(
    mut state: BeaconState<E>,
    block: &HashedBlock<E>,
    config: &Config,
    verify: VerifySignatures,
) -> Result<BeaconState<E>, TransitionError> {
    let mut signatures = Signatures::new(verify);
    let message = block.message();
    let domain = state.domain(DomainType::BeaconProposer, state.current_epoch());
    let root = SigningData { object_root: block.root(), domain }.tree_hash_root();
    let proposer = state.public_key(message.proposer_index);
    signatures.add(SignatureOf::Block, root, [proposer], &block.signed().signature)?;

    process_block(&mut state, message, *block.header(), config, &mut signatures)?;
    signatures.verify()?;
    let expected = state.update_root()?;
    if message.state_root != expected {
        return Err(TransitionError::StateRoot { found: message.state_root, expected });
    }
    Ok(state)
}

fn process_block<E: EthSpec>(
    state: &mut BeaconState<E>,
    block: &BeaconBlock<E>,
    header: BeaconBlockHeader,
    config: &Config,
    signatures: &mut Signatures,
) -> Result<(), TransitionError> {
    process_block_header(state, header)?;
    process_withdrawals(state, &block.body.execution_payload.withdrawals)?;
    process_execution_payload(state, &block.body, config)?;
    process_randao(state, &block.body, signatures)?;
    process_eth1_data(state, block.body.eth1_data)?;
    operations::process_operations(state, &block.body, config, signatures)?;
    process_sync_aggregate(state, &block.body.sync_aggregate, signatures)?;
    Ok(state.apply_pending()?)
}

fn process_block_header<E: EthSpec>(state: &mut BeaconState<E>, header: BeaconBlockHeader) -> Result<(), TransitionError> {
    if header.slot != state.slot {
        return Err(TransitionError::BlockSlot { found: header.slot, expected: state.slot });
    }
    if header.slot <= state.latest_block_header.slot {
        return Err(TransitionError::NotNewer { found: header.slot, latest: state.latest_block_header.slot });
    }
    let expected = state.proposer_index(state.slot)?;
    if header.proposer_index != expected {
        return Err(TransitionError::Proposer { found: header.proposer_index, expected });
    }
    let expected = state.latest_block_header.tree_hash_root();
    if header.parent_root != expected {
        return Err(TransitionError::Parent { found: header.parent_root, expected });
    }
    // Its state root is written by the next slot.
    state.latest_block_header = BeaconBlockHeader { state_root: B256::ZERO, ..header };
    if state.validator(header.proposer_index)?.slashed {
        return Err(TransitionError::ProposerSlashed { index: header.proposer_index });
    }
    Ok(())
}

fn process_execution_payload<E: EthSpec>(
    state: &mut BeaconState<E>,
    body: &BeaconBlockBody<E>,
    config: &Config,
) -> Result<(), TransitionError> {
    let payload = &body.execution_payload;
    let expected = state.latest_execution_payload_header.block_hash;
    if payload.parent_hash != expected {
        return Err(TransitionError::PayloadParent { found: payload.parent_hash, expected });
    }
    let expected = state.randao_mix(state.current_epoch());
    if payload.prev_randao != expected {
        return Err(TransitionError::PayloadRandao { found: payload.prev_randao, expected });
    }
    let expected = state.time_at_slot(state.slot, config)?;
    if payload.timestamp != expected {
        return Err(TransitionError::PayloadTimestamp { found: payload.timestamp, expected });
    }
    let found = body.blob_kzg_commitments.len();
    if length(found) > config.max_blobs_per_block {
        return Err(TransitionError::Blobs { found, most: config.max_blobs_per_block });
    }
    state.latest_execution_payload_header = payload.to_header();
    Ok(())
}

fn process_randao<E: EthSpec>(
    state: &mut BeaconState<E>,
    body: &BeaconBlockBody<E>,
    signatures: &mut Signatures,
) -> Result<(), TransitionError> {
    let epoch = state.current_epoch();
    let root = signing_root(&epoch, state.domain(DomainType::Randao, epoch));
    let proposer = state.public_key(state.proposer_index(state.slot)?);
    signatures.add(SignatureOf::Randao, root, [proposer], &body.randao_reveal)?;

    let at = place(epoch.modulo(E::EpochsPerHistoricalVector::U64)?);
    let mix = state.randao_mix(epoch) ^ B256::from(sha256(&[&body.randao_reveal.0]));
    if let Some(slot) = state.randao_mixes.get_mut(at) {
        *slot = mix;
    }
    Ok(())
}

fn process_eth1_data<E: EthSpec>(state: &mut BeaconState<E>, vote: Eth1Data) -> Result<(), StateError> {
    state.eth1_data_votes.push(vote)?;
    let votes = length(state.eth1_data_votes.iter().filter(|other| **other == vote).count());
    if votes.times(2)? > E::SlotsPerEth1VotingPeriod::U64 {
        state.eth1_data = vote;
    }
    Ok(())
}
