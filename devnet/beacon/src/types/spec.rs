//! The consensus specification's presets as types, so that every list's SSZ limit is known to the compiler.

use core::fmt::Debug;
use core::marker::PhantomData;

use pol_core::params::Preset;
use ssz_types::typenum::{U4, U8, U16, U32, U64, U128, U512, U2048, U4096, U8192, U65536, U16777216, U1099511627776, Unsigned};

/// A length known at compile time.
pub trait Size: Unsigned + Clone + Copy + Debug + Default + Eq + Ord + Send + Sync + 'static {}

impl<T: Unsigned + Clone + Copy + Debug + Default + Eq + Ord + Send + Sync + 'static> Size for T {}

/// `VALIDATOR_REGISTRY_LIMIT`.
pub type ValidatorRegistryLimit = U1099511627776;
/// `HISTORICAL_ROOTS_LIMIT`.
pub type HistoricalRootsLimit = U16777216;
/// `MAX_VALIDATORS_PER_COMMITTEE`.
pub type MaxValidatorsPerCommittee = U2048;

/// A preset, with the two limits that our chain and the official vectors do not share: `MAX_EXTRA_DATA_BYTES` and
/// `MAX_BLOB_COMMITMENTS_PER_BLOCK`. Both change the root of every body.
pub trait EthSpec: Clone + Copy + Debug + Default + Eq + Ord + Send + Sync + 'static {
    /// Name, shuffle rounds and slot counts.
    const PRESET: Preset;
    /// Committees of a slot, at most.
    const MAX_COMMITTEES_PER_SLOT: u64;
    /// Members that a committee should have before a slot gets another one.
    const TARGET_COMMITTEE_SIZE: u64;
    /// Epochs that a sync committee serves.
    const EPOCHS_PER_SYNC_COMMITTEE_PERIOD: u64;
    /// Epochs in which eth1 votes are counted together.
    const EPOCHS_PER_ETH1_VOTING_PERIOD: u64;
    /// Validators that one block looks at for withdrawals.
    const MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP: u64;

    /// `MAX_EXTRA_DATA_BYTES`: 512 on our chain, 32 in the official vectors.
    type MaxExtraDataBytes: Size;
    /// `MAX_BLOB_COMMITMENTS_PER_BLOCK`.
    type MaxBlobCommitmentsPerBlock: Size;
    /// `SLOTS_PER_HISTORICAL_ROOT`.
    type SlotsPerHistoricalRoot: Size;
    /// `EPOCHS_PER_ETH1_VOTING_PERIOD * SLOTS_PER_EPOCH`.
    type SlotsPerEth1VotingPeriod: Size;
    /// `EPOCHS_PER_HISTORICAL_VECTOR`.
    type EpochsPerHistoricalVector: Size;
    /// `EPOCHS_PER_SLASHINGS_VECTOR`.
    type EpochsPerSlashingsVector: Size;
    /// `SYNC_COMMITTEE_SIZE`.
    type SyncCommitteeSize: Size;
    /// `SYNC_COMMITTEE_SIZE / SYNC_COMMITTEE_SUBNET_COUNT`.
    type SyncSubcommitteeSize: Size;
    /// `MAX_WITHDRAWALS_PER_PAYLOAD`.
    type MaxWithdrawalsPerPayload: Size;

    /// `SLOTS_PER_EPOCH`.
    fn slots_per_epoch() -> u64 {
        Self::PRESET.slots_per_epoch()
    }
}

/// The preset `minimal`: 8 slots an epoch. `X` is MAX_EXTRA_DATA_BYTES, `B` MAX_BLOB_COMMITMENTS_PER_BLOCK.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinimalPreset<X, B>(PhantomData<fn() -> (X, B)>);

/// The preset `mainnet`: 32 slots an epoch. `X` is MAX_EXTRA_DATA_BYTES.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MainnetPreset<X>(PhantomData<fn() -> X>);

/// Our chain on `minimal`. Its blob limit is that of Lighthouse 5.3's `minimal`, with which it shares networks.
pub type Minimal = MinimalPreset<U512, U16>;
/// Our chain on `mainnet`.
pub type Mainnet = MainnetPreset<U512>;
/// `minimal` as in the official specification and its vectors.
pub type OfficialMinimal = MinimalPreset<U32, U4096>;
/// `mainnet` as in the official specification and its vectors.
pub type OfficialMainnet = MainnetPreset<U32>;

impl<X: Size, B: Size> EthSpec for MinimalPreset<X, B> {
    const PRESET: Preset = Preset::Minimal;
    const MAX_COMMITTEES_PER_SLOT: u64 = 4;
    const TARGET_COMMITTEE_SIZE: u64 = 4;
    const EPOCHS_PER_SYNC_COMMITTEE_PERIOD: u64 = 8;
    const EPOCHS_PER_ETH1_VOTING_PERIOD: u64 = 4;
    const MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP: u64 = 16;

    type MaxExtraDataBytes = X;
    type MaxBlobCommitmentsPerBlock = B;
    type SlotsPerHistoricalRoot = U64;
    type SlotsPerEth1VotingPeriod = U32;
    type EpochsPerHistoricalVector = U64;
    type EpochsPerSlashingsVector = U64;
    type SyncCommitteeSize = U32;
    type SyncSubcommitteeSize = U8;
    type MaxWithdrawalsPerPayload = U4;
}

impl<X: Size> EthSpec for MainnetPreset<X> {
    const PRESET: Preset = Preset::Mainnet;
    const MAX_COMMITTEES_PER_SLOT: u64 = 64;
    const TARGET_COMMITTEE_SIZE: u64 = 128;
    const EPOCHS_PER_SYNC_COMMITTEE_PERIOD: u64 = 256;
    const EPOCHS_PER_ETH1_VOTING_PERIOD: u64 = 64;
    const MAX_VALIDATORS_PER_WITHDRAWALS_SWEEP: u64 = 16_384;

    type MaxExtraDataBytes = X;
    type MaxBlobCommitmentsPerBlock = U4096;
    type SlotsPerHistoricalRoot = U8192;
    type SlotsPerEth1VotingPeriod = U2048;
    type EpochsPerHistoricalVector = U65536;
    type EpochsPerSlashingsVector = U8192;
    type SyncCommitteeSize = U512;
    type SyncSubcommitteeSize = U128;
    type MaxWithdrawalsPerPayload = U16;
}
