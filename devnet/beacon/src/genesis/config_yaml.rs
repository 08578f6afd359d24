//! `config.yaml`: what a beacon node is told of the network. Keys without a default in Lighthouse 5.3, and those whose default is wrong
//! here; no Electra key, since this chain ends at Deneb.

use core::fmt::{Display, Write as _};

use alloy_primitives::B256;
use pol_core::genesis::ChainParameters;

use crate::types::{Config, FAR_FUTURE_EPOCH};

struct Yaml(String);

impl Yaml {
    fn line(&mut self, key: &str, value: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{key}: {value}");
    }
}

pub(super) fn write(config: &Config, chain: &ChainParameters, validators: u32) -> String {
    let mut yaml = Yaml(String::new());
    yaml.line("PRESET_BASE", format_args!("'{}'", chain.preset.name()));
    yaml.line("CONFIG_NAME", "'pol-ai'");
    // The merge lies behind: the genesis payload header is not empty.
    yaml.line("TERMINAL_TOTAL_DIFFICULTY", 0);
    yaml.line("TERMINAL_BLOCK_HASH", B256::ZERO);
    yaml.line("TERMINAL_BLOCK_HASH_ACTIVATION_EPOCH", FAR_FUTURE_EPOCH);
    yaml.line("SAFE_SLOTS_TO_IMPORT_OPTIMISTICALLY", 0);
    yaml.line("MIN_GENESIS_ACTIVE_VALIDATOR_COUNT", validators);
    yaml.line("MIN_GENESIS_TIME", chain.genesis_time);
    yaml.line("GENESIS_DELAY", 0);
    yaml.line("GENESIS_FORK_VERSION", config.forks.phase0);
    let forks = [
        ("ALTAIR", config.forks.altair),
        ("BELLATRIX", config.forks.bellatrix),
        ("CAPELLA", config.forks.capella),
        ("DENEB", config.forks.deneb),
    ];
    for (fork, version) in forks {
        yaml.line(&format!("{fork}_FORK_VERSION"), version);
        yaml.line(&format!("{fork}_FORK_EPOCH"), 0);
    }
    yaml.line("SECONDS_PER_SLOT", config.slot_seconds);
    yaml.line("SECONDS_PER_ETH1_BLOCK", config.seconds_per_eth1_block);
    yaml.line("MIN_VALIDATOR_WITHDRAWABILITY_DELAY", config.min_validator_withdrawability_delay);
    yaml.line("SHARD_COMMITTEE_PERIOD", config.shard_committee_period);
    yaml.line("ETH1_FOLLOW_DISTANCE", config.eth1_follow_distance);
    yaml.line("INACTIVITY_SCORE_BIAS", config.inactivity_score_bias);
    yaml.line("INACTIVITY_SCORE_RECOVERY_RATE", config.inactivity_score_recovery_rate);
    yaml.line("EJECTION_BALANCE", config.ejection_balance);
    yaml.line("MIN_PER_EPOCH_CHURN_LIMIT", config.min_per_epoch_churn_limit);
    yaml.line("MAX_PER_EPOCH_ACTIVATION_CHURN_LIMIT", config.max_per_epoch_activation_churn_limit);
    yaml.line("CHURN_LIMIT_QUOTIENT", config.churn_limit_quotient);
    // Absent means no boost in Lighthouse.
    yaml.line("PROPOSER_SCORE_BOOST", config.proposer_score_boost);
    yaml.line("DEPOSIT_CHAIN_ID", config.deposit_chain_id);
    yaml.line("DEPOSIT_NETWORK_ID", config.deposit_chain_id);
    yaml.line("DEPOSIT_CONTRACT_ADDRESS", format_args!("{:#x}", config.deposit_contract_address));
    yaml.0
}
