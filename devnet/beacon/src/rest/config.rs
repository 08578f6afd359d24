//! Genesis and configuration: what the chain was made with.

use axum::extract::State;
use serde_json::{Map, Value, json};
use ssz_types::typenum::Unsigned as _;

use super::{Answer, Api, data};
use crate::types::*;

pub(super) async fn genesis<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let snapshot = api.node.snapshot();
    let config = api.node.read(|chain| *chain.store().config()).await?;
    data(json!({
        "genesis_time": snapshot.genesis.genesis_time.to_string(),
        "genesis_validators_root": snapshot.genesis.genesis_validators_root,
        "genesis_fork_version": config.forks.phase0,
    }))
}

pub(super) async fn fork_schedule<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let forks = api.node.read(|chain| chain.store().config().forks).await?;
    let versions = [forks.phase0, forks.altair, forks.bellatrix, forks.capella, forks.deneb];
    let previous = core::iter::once(&forks.phase0).chain(&versions);
    let fork = |(current, previous): (&Version, &Version)| json!({ "previous_version": previous, "current_version": current, "epoch": "0" });
    data(versions.iter().zip(previous).map(fork).collect::<Vec<_>>())
}

pub(super) async fn deposit_contract<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let config = api.node.read(|chain| *chain.store().config()).await?;
    data(json!({ "chain_id": config.deposit_chain_id.to_string(), "address": config.deposit_contract_address }))
}

pub(super) async fn spec<E: EthSpec>(State(api): State<Api<E>>) -> Answer {
    let config = api.node.read(|chain| *chain.store().config()).await?;
    let mut spec = Map::new();
    numbers(&mut spec, &preset::<E>());
    numbers(&mut spec, &COMMON);
    numbers(&mut spec, &of_config(&config));
    let versions = [
        ("GENESIS", config.forks.phase0),
        ("ALTAIR", config.forks.altair),
        ("BELLATRIX", config.forks.bellatrix),
        ("CAPELLA", config.forks.capella),
        ("DENEB", config.forks.deneb),
    ];
    for (fork, version) in versions {
        spec.insert(format!("{fork}_FORK_VERSION"), json!(version));
        if fork != "GENESIS" {
            spec.insert(format!("{fork}_FORK_EPOCH"), json!("0"));
        }
    }
    let domains = [
        ("BEACON_PROPOSER", DomainType::BeaconProposer),
        ("BEACON_ATTESTER", DomainType::BeaconAttester),
        ("RANDAO", DomainType::Randao),
        ("DEPOSIT", DomainType::Deposit),
        ("VOLUNTARY_EXIT", DomainType::VoluntaryExit),
        ("SELECTION_PROOF", DomainType::SelectionProof),
        ("AGGREGATE_AND_PROOF", DomainType::AggregateAndProof),
        ("SYNC_COMMITTEE", DomainType::SyncCommittee),
        ("SYNC_COMMITTEE_SELECTION_PROOF", DomainType::SyncCommitteeSelectionProof),
        ("CONTRIBUTION_AND_PROOF", DomainType::ContributionAndProof),
        ("BLS_TO_EXECUTION_CHANGE", DomainType::BlsToExecutionChange),
    ];
    for (name, kind) in domains {
        spec.insert(format!("DOMAIN_{name}"), json!(format!("0x{}", hex::encode(kind.bytes()))));
    }
    spec.insert("PRESET_BASE".to_owned(), json!(E::PRESET.name()));
    spec.insert("CONFIG_NAME".to_owned(), json!("pol-ai"));
    spec.insert("DEPOSIT_CONTRACT_ADDRESS".to_owned(), json!(config.deposit_contract_address));
    data(spec)
}

fn numbers(spec: &mut Map<String, Value>, pairs: &[(&str, u64)]) {
    spec.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value.to_string()))));
}

fn preset<E: EthSpec>() -> [(&'static str, u64); 15] {
    [
        ("SLOTS_PER_EPOCH", E::slots_per_epoch()),
        ("SHUFFLE_ROUND_COUNT", u64::from(E::PRESET.shuffle_rounds())),
        ("MAX_COMMITTEES_PER_SLOT", E::MAX_COMMITTEES_PER_SLOT),
        ("TARGET_COMMITTEE_SIZE", E::TARGET_COMMITTEE_SIZE),
        ("EPOCHS_PER_SYNC_COMMITTEE_PERIOD", E::EPOCHS_PER_SYNC_COMMITTEE_PERIOD),
        ("EPOCHS_PER_ETH1_VOTING_PERIOD", E::EPOCHS_PER_ETH1_VOTING_PERIOD),
        ("MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP", E::MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP),
        ("MAX_EXTRA_DATA_BYTES", E::MaxExtraDataBytes::U64),
        ("MAX_BLOB_COMMITMENTS_PER_BLOCK", E::MaxBlobCommitmentsPerBlock::U64),
        ("SLOTS_PER_HISTORICAL_ROOT", E::SlotsPerHistoricalRoot::U64),
        ("EPOCHS_PER_HISTORICAL_VECTOR", E::EpochsPerHistoricalVector::U64),
        ("EPOCHS_PER_SLASHINGS_VECTOR", E::EpochsPerSlashingsVector::U64),
        ("SYNC_COMMITTEE_SIZE", E::SyncCommitteeSize::U64),
        ("MAX_WITHDRAWALS_PER_PAYLOAD", E::MaxWithdrawalsPerPayload::U64),
        ("VALIDATOR_REGISTRY_LIMIT", ValidatorRegistryLimit::U64),
    ]
}

/// Numbers that both presets share.
const COMMON: [(&str, u64); 41] = [
    ("MAX_VALIDATORS_PER_COMMITTEE", 2_048),
    ("HYSTERESIS_QUOTIENT", HYSTERESIS_QUOTIENT),
    ("HYSTERESIS_DOWNWARD_MULTIPLIER", HYSTERESIS_DOWNWARD_MULTIPLIER),
    ("HYSTERESIS_UPWARD_MULTIPLIER", HYSTERESIS_UPWARD_MULTIPLIER),
    ("MIN_DEPOSIT_AMOUNT", MIN_DEPOSIT_AMOUNT),
    ("MAX_EFFECTIVE_BALANCE", MAX_EFFECTIVE_BALANCE),
    ("EFFECTIVE_BALANCE_INCREMENT", EFFECTIVE_BALANCE_INCREMENT),
    ("MIN_ATTESTATION_INCLUSION_DELAY", MIN_ATTESTATION_INCLUSION_DELAY),
    ("MIN_SEED_LOOKAHEAD", MIN_SEED_LOOKAHEAD),
    ("MAX_SEED_LOOKAHEAD", MAX_SEED_LOOKAHEAD),
    ("MIN_EPOCHS_TO_INACTIVITY_PENALTY", MIN_EPOCHS_TO_INACTIVITY_PENALTY),
    ("HISTORICAL_ROOTS_LIMIT", 16_777_216),
    ("BASE_REWARD_FACTOR", BASE_REWARD_FACTOR),
    ("WHISTLEBLOWER_REWARD_QUOTIENT", WHISTLEBLOWER_REWARD_QUOTIENT),
    ("PROPOSER_REWARD_QUOTIENT", 8),
    ("INACTIVITY_PENALTY_QUOTIENT_BELLATRIX", INACTIVITY_PENALTY_QUOTIENT),
    ("MIN_SLASHING_PENALTY_QUOTIENT_BELLATRIX", MIN_SLASHING_PENALTY_QUOTIENT),
    ("PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX", PROPORTIONAL_SLASHING_MULTIPLIER),
    ("MAX_PROPOSER_SLASHINGS", 16),
    ("MAX_ATTESTER_SLASHINGS", 2),
    ("MAX_ATTESTATIONS", 128),
    ("MAX_DEPOSITS", MAX_DEPOSITS),
    ("MAX_VOLUNTARY_EXITS", 16),
    ("MAX_BLS_TO_EXECUTION_CHANGES", 16),
    ("MAX_BYTES_PER_TRANSACTION", 1_073_741_824),
    ("MAX_TRANSACTIONS_PER_PAYLOAD", 1_048_576),
    ("BYTES_PER_LOGS_BLOOM", 256),
    ("TIMELY_SOURCE_WEIGHT", 14),
    ("TIMELY_TARGET_WEIGHT", 26),
    ("TIMELY_HEAD_WEIGHT", 14),
    ("SYNC_REWARD_WEIGHT", SYNC_REWARD_WEIGHT),
    ("PROPOSER_WEIGHT", PROPOSER_WEIGHT),
    ("WEIGHT_DENOMINATOR", WEIGHT_DENOMINATOR),
    ("SYNC_COMMITTEE_SUBNET_COUNT", SYNC_COMMITTEE_SUBNET_COUNT),
    ("TARGET_AGGREGATORS_PER_COMMITTEE", TARGET_AGGREGATORS_PER_COMMITTEE),
    ("TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE", TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE),
    ("SAFE_SLOTS_TO_IMPORT_OPTIMISTICALLY", 0),
    ("GENESIS_DELAY", 0),
    ("TERMINAL_TOTAL_DIFFICULTY", 0),
    ("DEPOSIT_CONTRACT_TREE_DEPTH", 32),
    ("BLOB_SIDECAR_SUBNET_COUNT", 6),
];

const fn of_config(config: &Config) -> [(&'static str, u64); 15] {
    [
        ("SECONDS_PER_SLOT", config.slot_seconds),
        ("MIN_VALIDATOR_WITHDRAWABILITY_DELAY", config.min_validator_withdrawability_delay),
        ("SHARD_COMMITTEE_PERIOD", config.shard_committee_period),
        ("EJECTION_BALANCE", config.ejection_balance),
        ("MIN_PER_EPOCH_CHURN_LIMIT", config.min_per_epoch_churn_limit),
        ("MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT", config.max_per_epoch_activation_churn_limit),
        ("CHURN_LIMIT_QUOTIENT", config.churn_limit_quotient),
        ("INACTIVITY_SCORE_BIAS", config.inactivity_score_bias),
        ("INACTIVITY_SCORE_RECOVERY_RATE", config.inactivity_score_recovery_rate),
        ("MAX_BLOBS_PER_BLOCK", config.max_blobs_per_block),
        ("PROPOSER_SCORE_BOOST", config.proposer_score_boost),
        ("ETH1_FOLLOW_DISTANCE", config.eth1_follow_distance),
        ("SECONDS_PER_ETH1_BLOCK", config.seconds_per_eth1_block),
        ("DEPOSIT_CHAIN_ID", config.deposit_chain_id),
        ("DEPOSIT_NETWORK_ID", config.deposit_chain_id),
    ]
}
