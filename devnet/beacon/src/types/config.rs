//! What the consensus specification calls the configuration: numbers that are no part of any type.

use alloy_primitives::Address;
use pol_core::{
    domains::{Domains, Fork as CoreFork},
    fault::FaultRules,
    genesis::ChainSpec,
    params::Preset,
};

use super::{Epoch, Gwei, Version};

/// The five fork versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkVersions {
    /// GENESIS_FORK_VERSION.
    pub phase0: Version,
    /// ALTAIR_FORK_VERSION.
    pub altair: Version,
    /// BELLATRIX_FORK_VERSION.
    pub bellatrix: Version,
    /// CAPELLA_FORK_VERSION.
    pub capella: Version,
    /// DENEB_FORK_VERSION.
    pub deneb: Version,
}

/// The configuration of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// All forks are active from epoch 0.
    pub forks: ForkVersions,
    /// Seconds of a slot.
    pub slot_seconds: u64,
    /// MIN_VALIDATOR_WITHDRAWABILITY_DELAY.
    pub min_validator_withdrawability_delay: Epoch,
    /// SHARD_COMMITTEE_PERIOD: epochs of duty before a voluntary exit.
    pub shard_committee_period: Epoch,
    /// EJECTION_BALANCE. Gwei.
    pub ejection_balance: Gwei,
    /// MIN_PER_EPOCH_CHURN_LIMIT.
    pub min_per_epoch_churn_limit: u64,
    /// MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT.
    pub max_per_epoch_activation_churn_limit: u64,
    /// CHURN_LIMIT_QUOTIENT.
    pub churn_limit_quotient: u64,
    /// INACTIVITY_SCORE_BIAS.
    pub inactivity_score_bias: u64,
    /// INACTIVITY_SCORE_RECOVERY_RATE.
    pub inactivity_score_recovery_rate: u64,
    /// MAX_BLOBS_PER_BLOCK.
    pub max_blobs_per_block: u64,
    /// PROPOSER_SCORE_BOOST, percent of a slot's committee weight.
    pub proposer_score_boost: u64,
    /// ATTESTATION_DUE_BPS: a block later in its slot than this gets no boost. Basis points.
    pub attestation_due_bps: u64,
    /// ETH1_FOLLOW_DISTANCE, execution blocks.
    pub eth1_follow_distance: u64,
    /// SECONDS_PER_ETH1_BLOCK.
    pub seconds_per_eth1_block: u64,
    /// DEPOSIT_CHAIN_ID and DEPOSIT_NETWORK_ID.
    pub deposit_chain_id: u64,
    /// DEPOSIT_CONTRACT_ADDRESS.
    pub deposit_contract_address: Address,
    /// Our own two forms of a proposer slashing (docs/PROTOCOL.md section 11); None: the official rules alone.
    pub faults: Option<FaultRules>,
}

/// Execution blocks between the head and the newest one that deposits are read from: of both presets here, since a devnet's deposits
/// should not wait for 2,048 slots.
const ETH1_FOLLOW_DISTANCE: u64 = 16;

impl Config {
    /// The official configuration of a preset, as in the official vectors: without our slashings.
    pub fn official(preset: Preset) -> Self {
        let (tail, is_minimal) = match preset {
            Preset::Minimal => (1, true),
            Preset::Mainnet => (0, false),
        };
        let version = |fork| Version::from([fork, 0, 0, tail]);
        let forks = ForkVersions {
            phase0: version(0),
            altair: version(1),
            bellatrix: version(2),
            capella: version(3),
            deneb: version(4),
        };
        let pick = |minimal, mainnet| if is_minimal { minimal } else { mainnet };
        Self {
            forks,
            slot_seconds: pick(6, 12),
            min_validator_withdrawability_delay: 256,
            shard_committee_period: pick(64, 256),
            ejection_balance: 16_000_000_000,
            min_per_epoch_churn_limit: pick(2, 4),
            max_per_epoch_activation_churn_limit: pick(4, 8),
            churn_limit_quotient: pick(32, 65_536),
            inactivity_score_bias: 4,
            inactivity_score_recovery_rate: 16,
            max_blobs_per_block: 6,
            proposer_score_boost: 40,
            attestation_due_bps: 3_333,
            eth1_follow_distance: pick(16, 2_048),
            seconds_per_eth1_block: 14,
            deposit_chain_id: pick(5, 1),
            deposit_contract_address: Address::ZERO,
            faults: None,
        }
    }

    /// The configuration of a POL-AI chain: the preset's official numbers, the chain's own fork versions and times, our slashings.
    pub fn of_chain(chain: &ChainSpec, deposit_contract_address: Address) -> Self {
        let parameters = chain.parameters();
        let domains = chain.domains();
        Self {
            forks: ForkVersions::of_chain(&domains),
            slot_seconds: parameters.slot_seconds,
            eth1_follow_distance: ETH1_FOLLOW_DISTANCE,
            seconds_per_eth1_block: parameters.slot_seconds,
            deposit_chain_id: parameters.chain_id,
            deposit_contract_address,
            faults: Some(FaultRules { preset: parameters.preset, dev_slash_small: parameters.dev_slash_small, domains }),
            ..Self::official(parameters.preset)
        }
    }
}

impl ForkVersions {
    /// The versions of section 2, which carry the chain's name.
    pub fn of_chain(domains: &Domains) -> Self {
        let version = |fork| Version::from(domains.fork_version(fork));
        Self {
            phase0: version(CoreFork::Phase0),
            altair: version(CoreFork::Altair),
            bellatrix: version(CoreFork::Bellatrix),
            capella: version(CoreFork::Capella),
            deneb: version(CoreFork::Deneb),
        }
    }
}
