//! Constants that both presets share (consensus specification, phase 0 to Deneb).

use super::{Epoch, Gwei};

/// "Never".
pub const FAR_FUTURE_EPOCH: Epoch = u64::MAX;
/// The first epoch.
pub const GENESIS_EPOCH: Epoch = 0;
/// Depth of the deposit contract's tree, without the length.
pub const DEPOSIT_CONTRACT_TREE_DEPTH: usize = 32;

/// Effective balances are multiples of this. Gwei.
pub const EFFECTIVE_BALANCE_INCREMENT: Gwei = 1_000_000_000;
/// Effective balance of a full validator. Gwei.
pub const MAX_EFFECTIVE_BALANCE: Gwei = 32_000_000_000;
/// Smallest deposit that the deposit contract takes. Gwei.
pub const MIN_DEPOSIT_AMOUNT: Gwei = 1_000_000_000;
/// Hysteresis of effective balances: denominator.
pub const HYSTERESIS_QUOTIENT: u64 = 4;
/// Hysteresis of effective balances: downward.
pub const HYSTERESIS_DOWNWARD_MULTIPLIER: u64 = 1;
/// Hysteresis of effective balances: upward.
pub const HYSTERESIS_UPWARD_MULTIPLIER: u64 = 5;

/// Slots before an attestation can be included.
pub const MIN_ATTESTATION_INCLUSION_DELAY: u64 = 1;
/// Epochs between a seed and its use.
pub const MIN_SEED_LOOKAHEAD: u64 = 1;
/// Epochs between an activation or exit and its effect, less one.
pub const MAX_SEED_LOOKAHEAD: u64 = 4;
/// Epochs without finality until the leak begins.
pub const MIN_EPOCHS_TO_INACTIVITY_PENALTY: u64 = 4;

/// Scale of rewards.
pub const BASE_REWARD_FACTOR: u64 = 64;
/// Share of a slashed balance that its discoverer gets: one in this.
pub const WHISTLEBLOWER_REWARD_QUOTIENT: u64 = 512;
/// `INACTIVITY_PENALTY_QUOTIENT_BELLATRIX`.
pub const INACTIVITY_PENALTY_QUOTIENT: u64 = 16_777_216;
/// `MIN_SLASHING_PENALTY_QUOTIENT_BELLATRIX`.
pub const MIN_SLASHING_PENALTY_QUOTIENT: u64 = 32;
/// `PROPORTIONAL_SLASHING_MULTIPLIER_BELLATRIX`.
pub const PROPORTIONAL_SLASHING_MULTIPLIER: u64 = 3;

/// Participation flag: the source was right and in time.
pub const TIMELY_SOURCE_FLAG: usize = 0;
/// Participation flag: so was the target.
pub const TIMELY_TARGET_FLAG: usize = 1;
/// Participation flag: so was the head.
pub const TIMELY_HEAD_FLAG: usize = 2;
/// Reward weight of each participation flag.
pub const PARTICIPATION_FLAG_WEIGHTS: [u64; 3] = [14, 26, 14];
/// Reward weight of sync committees.
pub const SYNC_REWARD_WEIGHT: u64 = 2;
/// Reward weight of proposers.
pub const PROPOSER_WEIGHT: u64 = 8;
/// Sum of all reward weights.
pub const WEIGHT_DENOMINATOR: u64 = 64;

/// Deposits of a block, at most.
pub const MAX_DEPOSITS: u64 = 16;
/// Subcommittees of a sync committee.
pub const SYNC_COMMITTEE_SUBNET_COUNT: u64 = 4;
/// Aggregators that a committee should have.
pub const TARGET_AGGREGATORS_PER_COMMITTEE: u64 = 16;
/// Aggregators that a sync subcommittee should have.
pub const TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE: u64 = 16;

/// First byte of credentials that name a BLS key.
pub const BLS_WITHDRAWAL_PREFIX: u8 = 0;
/// First byte of credentials that name an account.
pub const ETH1_ADDRESS_WITHDRAWAL_PREFIX: u8 = 1;
