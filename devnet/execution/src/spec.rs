//! The fork schedule of this chain, as the executor asks for it: everything up to Cancun from the first block on.

use alloy_eips::eip7840::BlobParams;
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};
use reth_ai_exex::genesis::ExecutionGenesis;

/// What Ethereum's own rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    chain_id: u64,
    deposit_contract: Option<Address>,
}

impl Spec {
    /// Of a checked genesis, which has exactly this schedule.
    pub const fn of(genesis: &ExecutionGenesis) -> Self {
        let config = &genesis.genesis().config;
        Self { chain_id: config.chain_id, deposit_contract: config.deposit_contract_address }
    }

    /// Chain id of transactions.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Bounds and prices of blobs.
    pub const fn blobs(&self) -> BlobParams {
        BlobParams::cancun()
    }
}

impl EthereumHardforks for Spec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        use EthereumHardfork as F;
        match fork {
            F::Shanghai | F::Cancun => ForkCondition::Timestamp(0),
            // Merged from genesis on, without total difficulty.
            F::Paris => ForkCondition::TTD { activation_block_number: 0, fork_block: Some(0), total_difficulty: U256::ZERO },
            // Not mainnet's history: no irregular change of state.
            F::Dao => ForkCondition::Never,
            fork if fork < F::Paris => ForkCondition::Block(0),
            _ => ForkCondition::Never,
        }
    }
}

impl EthExecutorSpec for Spec {
    fn deposit_contract_address(&self) -> Option<Address> {
        self.deposit_contract
    }
}
