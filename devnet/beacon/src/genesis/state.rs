//! The state at slot 0.

use alloy_primitives::{Address, B256, U256};
use milhouse::{List, Vector};
use pol_core::{
    Hash32,
    header::Header,
    identity::{GenesisSeed, withdrawal_credentials},
    params::EXTRA_DATA_BYTES,
    sha256,
};
use ssz_types::{BitVector, FixedVector, VariableList};
use tree_hash::TreeHash as _;

use super::{GENESIS_VALIDATORS_MAX, GenesisError, GenesisInputs};
use crate::{
    transition::{Caches, StateError, next_sync_committee},
    types::{
        BeaconBlockBody, BeaconBlockHeader, BeaconState, Checkpoint, DEPOSIT_CONTRACT_TREE_DEPTH, Eth1Data, EthSpec,
        ExecutionPayloadHeader, FAR_FUTURE_EPOCH, Fork, GENESIS_EPOCH, MAX_EFFECTIVE_BALANCE, PublicKeyBytes, SyncCommittee,
        Transactions, Validator, ValidatorRegistryLimit, Version, Withdrawals,
    },
};

type Registry = List<Validator, ValidatorRegistryLimit>;

/// The genesis registry: validator i has key i of the seed, and withdraws to the funded account.
fn registry(seed: &GenesisSeed, validators: u32) -> Result<Registry, GenesisError> {
    if !(1..=GENESIS_VALIDATORS_MAX).contains(&validators) {
        return Err(GenesisError::Validators { found: validators });
    }
    let withdrawal_credentials = B256::from(withdrawal_credentials(seed.funded_account()?.address()));
    let validator = |index: u32| {
        Ok(Validator {
            pubkey: PublicKeyBytes::from(seed.validator_key(index)?.public_key().to_bytes()),
            withdrawal_credentials,
            effective_balance: MAX_EFFECTIVE_BALANCE,
            slashed: false,
            activation_eligibility_epoch: GENESIS_EPOCH,
            activation_epoch: GENESIS_EPOCH,
            exit_epoch: FAR_FUTURE_EPOCH,
            withdrawable_epoch: FAR_FUTURE_EPOCH,
        })
    };
    let list = (0..validators).map(validator).collect::<Result<Vec<_>, GenesisError>>()?;
    Ok(List::try_from_iter(list).map_err(StateError::from)?)
}

/// `genesis_validators_root` for chain.toml: it follows from the seed and the number of validators, whatever the preset.
///
/// # Errors
/// `Validators`, `Key`, `Account`.
pub fn validators_root(seed: &GenesisSeed, validators: u32) -> Result<Hash32, GenesisError> {
    Ok(Hash32(registry(seed, validators)?.tree_hash_root().0))
}

/// Root of a body with nothing in it: what the genesis block header names. It depends on both limits of [`EthSpec`]; with a wrong one
/// a real Lighthouse looks for a genesis block that does not exist.
pub fn empty_body_root<E: EthSpec>() -> B256 {
    BeaconBlockBody::<E>::default_values().tree_hash_root()
}

/// Root of a deposit tree without deposits: `count 0` makes the first real deposit number 0.
fn empty_deposit_root() -> B256 {
    let root = (0..DEPOSIT_CONTRACT_TREE_DEPTH).fold([0; 32], |node, _| sha256(&[&node, &node]));
    B256::from(sha256(&[&root, &[0; 32]]))
}

fn check_execution(inputs: &GenesisInputs<'_>) -> Result<(), GenesisError> {
    let (chain, header) = (inputs.chain.parameters(), inputs.execution);
    let expected = header.block_hash();
    if chain.execution_genesis_hash != expected {
        return Err(GenesisError::ExecutionHash { found: chain.execution_genesis_hash, expected });
    }
    if header.extra_data != [0; EXTRA_DATA_BYTES] {
        return Err(GenesisError::ExtraData);
    }
    let fixed = [
        ("timestamp", header.timestamp, chain.genesis_time),
        ("difficulty", header.difficulty, chain.difficulty_floor),
        ("nonce", header.nonce, 0),
        ("number", header.number, 0),
        ("gasUsed", header.gas_used, 0),
        ("blobGasUsed", header.blob_gas_used, 0),
        ("excessBlobGas", header.excess_blob_gas, 0),
    ];
    match fixed.into_iter().find(|(_, found, expected)| found != expected) {
        Some((field, found, expected)) => Err(GenesisError::ExecutionHeader { field, found, expected }),
        None => Ok(()),
    }
}

/// The genesis block's payload header. Its `extra_data` is the 64 bytes of the execution header, not the wire form.
fn payload_header<E: EthSpec>(header: &Header) -> Result<ExecutionPayloadHeader<E>, StateError> {
    let too_long = |error: ssz_types::Error| StateError::List(error.to_string());
    Ok(ExecutionPayloadHeader {
        parent_hash: B256::from(header.parent_hash.0),
        fee_recipient: Address::from(header.beneficiary),
        state_root: B256::from(header.state_root.0),
        receipts_root: B256::from(header.receipts_root.0),
        logs_bloom: FixedVector::new(header.logs_bloom.to_vec()).map_err(too_long)?,
        prev_randao: B256::from(header.mix_hash.0),
        block_number: header.number,
        gas_limit: header.gas_limit,
        gas_used: header.gas_used,
        timestamp: header.timestamp,
        extra_data: VariableList::new(header.extra_data.to_vec()).map_err(too_long)?,
        base_fee_per_gas: U256::from(header.base_fee_per_gas),
        block_hash: B256::from(header.block_hash().0),
        transactions_root: Transactions::default().tree_hash_root(),
        withdrawals_root: Withdrawals::<E>::default().tree_hash_root(),
        blob_gas_used: header.blob_gas_used,
        excess_blob_gas: header.excess_blob_gas,
    })
}

fn vector<T, N>(value: T) -> Result<Vector<T, N>, StateError>
where
    T: milhouse::Value + Send + Sync,
    N: crate::types::Size,
{
    Ok(Vector::from_elem(value)?)
}

/// The state at slot 0, Deneb from the first slot, with a payload header that makes the merge count as done.
///
/// # Errors
/// [`GenesisError`], each variant.
pub fn genesis_state<E: EthSpec>(inputs: &GenesisInputs<'_>) -> Result<BeaconState<E>, GenesisError> {
    check_execution(inputs)?;
    let chain = inputs.chain.parameters();
    let validators = registry(inputs.seed, inputs.validators)?;
    let root = validators.tree_hash_root();
    if chain.genesis_validators_root.0 != root {
        return Err(GenesisError::ValidatorsRoot { found: chain.genesis_validators_root, expected: Hash32(root.0) });
    }
    let mut state = blank::<E>(inputs.execution, validators)?;
    state.genesis_time = chain.genesis_time;
    state.genesis_validators_root = root;
    let version = Version::from(inputs.chain.domains().fork_version(pol_core::domains::Fork::Deneb));
    state.fork = Fork { previous_version: version, current_version: version, epoch: GENESIS_EPOCH };
    let committee = next_sync_committee(&state)?;
    state.current_sync_committee = committee.clone();
    state.next_sync_committee = committee;
    Ok(state)
}

fn blank<E: EthSpec>(execution: &Header, validators: Registry) -> Result<BeaconState<E>, StateError> {
    let count = validators.len();
    let block_hash = B256::from(execution.block_hash().0);
    let nobody = SyncCommittee { pubkeys: FixedVector::default(), aggregate_pubkey: PublicKeyBytes::default() };
    Ok(BeaconState {
        genesis_time: 0,
        genesis_validators_root: B256::ZERO,
        slot: 0,
        fork: Fork::default(),
        latest_block_header: BeaconBlockHeader { body_root: empty_body_root::<E>(), ..BeaconBlockHeader::default() },
        block_roots: vector(B256::ZERO)?,
        state_roots: vector(B256::ZERO)?,
        historical_roots: List::empty(),
        eth1_data: Eth1Data { deposit_root: empty_deposit_root(), deposit_count: 0, block_hash },
        eth1_data_votes: List::empty(),
        eth1_deposit_index: 0,
        validators,
        balances: List::repeat(MAX_EFFECTIVE_BALANCE, count)?,
        randao_mixes: vector(block_hash)?,
        slashings: vector(0)?,
        previous_epoch_participation: List::repeat(0, count)?,
        current_epoch_participation: List::repeat(0, count)?,
        justification_bits: BitVector::default(),
        previous_justified_checkpoint: Checkpoint::default(),
        current_justified_checkpoint: Checkpoint::default(),
        finalized_checkpoint: Checkpoint::default(),
        inactivity_scores: List::repeat(0, count)?,
        current_sync_committee: nobody.clone(),
        next_sync_committee: nobody,
        latest_execution_payload_header: payload_header(execution)?,
        next_withdrawal_index: 0,
        next_withdrawal_validator_index: 0,
        historical_summaries: List::empty(),
        caches: Caches::default(),
    })
}
