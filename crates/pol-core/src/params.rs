//! Constants of the protocol (section 2) and of the two presets. Nothing here is a flag.

/// Bytes of `extraData` in every execution header, genesis too.
pub const EXTRA_DATA_BYTES: usize = 64;
/// SSZ limit of `ExecutionPayload.extra_data` on this chain (Ethereum: 32).
pub const MAX_EXTRA_DATA_BYTES: usize = 512;
/// Bytes of the wire form before the trailer: `extraData`, nonce, difficulty (section 4).
pub const WIRE_HEAD_BYTES: usize = 80;
/// Local policy: a candidate without a quorum this long after this node saw it is dropped. Seconds.
pub const ACK_TIMEOUT_SECONDS: u64 = 30;
/// Life of an ACK record in the DHT. Seconds.
pub const ACK_TTL_SECONDS: u64 = 3_600;
/// Life of an announcement. Seconds.
pub const ANN_TTL_SECONDS: u64 = 600;
/// Life of a fault vote record. Seconds.
pub const FAULT_TTL_SECONDS: u64 = 600;
/// Life of an identity or provider record, renewed by its owner. Seconds.
pub const ID_TTL_SECONDS: u64 = 86_400;
/// Seats of a committee at most.
pub const MAX_COMMITTEE: usize = 512;
/// Whole PLD1 container, signature included.
pub const DELTA_MAX_BYTES: usize = 150_000;
/// Texts of the loss gate.
pub const GATE_TEXTS: usize = 512;
/// Unicode scalar values per gate text, at most.
pub const GATE_TEXT_CHARS: usize = 256;
/// Texts of the gate's self-test: the first ones of `DEV_TEXTS`.
pub const SELF_TEST_TEXTS: usize = 32;
/// Tokens that a gate on a prefix of the texts needs at least.
pub const GATE_PREFIX_TOKENS_MIN: u64 = 2_000;
/// Children of a merge: at least, at most.
pub const MERGE_CHILDREN: core::ops::RangeInclusive<usize> = 2..=8;
/// Accepted updates between two snapshots.
pub const SNAPSHOT_INTERVAL: u64 = 256;
/// Later updates that must have given the roots of their certificates, the first of them included, before who joined from a snapshot ACKs.
pub const SNAPSHOT_CONFIRMATIONS: u64 = 8;
/// Signed envelope of a record, at most.
pub const ENVELOPE_BYTES_MAX: usize = 1_024;
/// How far in the future a record's `sealed_at` may lie. Seconds.
pub const SEALED_AHEAD_SECONDS_MAX: u64 = 60;
/// Trainer keys in one identity record, at most.
pub const TRAINERS_PER_VALIDATOR: usize = 4;

/// LoRA rank r.
pub const LORA_RANK: u16 = 8;
/// LoRA scale numerator alpha; the adapter's output is scaled by alpha / r.
pub const LORA_ALPHA: u16 = 16;
/// LoRA dropout in millionths, training only.
pub const LORA_DROPOUT_PPM: u32 = 50_000;
/// LoRA targets, one bit each, in the order q k v o gate up down.
pub const LORA_TARGETS: u8 = 0x7f;

/// Prefix of the hash of which the fork versions carry three bytes.
pub const FORK_TAG: &[u8] = b"pol-ai/fork/v1";

/// Domain type of ACKs.
pub const DOMAIN_AI_ACK: [u8; 4] = [0x41, 0x49, 0x41, 0x01];
/// Domain type of fault votes.
pub const DOMAIN_AI_FAULT: [u8; 4] = [0x41, 0x49, 0x46, 0x01];
/// Domain type of identity records.
pub const DOMAIN_AI_ID: [u8; 4] = [0x41, 0x49, 0x49, 0x01];
/// Domain type of beacon block headers (consensus specification).
pub const DOMAIN_BEACON_PROPOSER: [u8; 4] = [0, 0, 0, 0];

/// The two sets of consensus constants a chain can be built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// The consensus specification's `minimal`: 8 slots an epoch. For devnets.
    Minimal,
    /// The consensus specification's `mainnet`: 32 slots an epoch.
    Mainnet,
}

impl Preset {
    /// Rounds of `compute_shuffled_index`.
    pub const fn shuffle_rounds(self) -> u8 {
        match self {
            Self::Minimal => 10,
            Self::Mainnet => 90,
        }
    }

    /// Slots of an epoch.
    pub const fn slots_per_epoch(self) -> u64 {
        match self {
            Self::Minimal => 8,
            Self::Mainnet => 32,
        }
    }

    /// Length of `state.block_roots`.
    pub const fn slots_per_historical_root(self) -> u64 {
        match self {
            Self::Minimal => 64,
            Self::Mainnet => 8_192,
        }
    }

    /// Byte in the canonical genesis (section 2.1).
    pub const fn byte(self) -> u8 {
        match self {
            Self::Minimal => 0,
            Self::Mainnet => 1,
        }
    }

    /// Name in `chain.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Mainnet => "mainnet",
        }
    }
}
