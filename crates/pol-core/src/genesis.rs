//! chain.toml and the name of a chain (section 2.1).
//!
//! # Contract
//! `polai genesis` writes the file once; every process reads it and refuses flags, variables and data directories that contradict it.
//! [`ChainSpec::genesis_id`] hashes a fixed list of fields, not the text, so comments and layout do not matter.

mod file;
mod model;

use core::num::NonZeroU16;

pub use model::BaseModel;

use crate::{
    GenesisId, Hash32, ModelHead,
    committee::QuorumRule,
    delta::{Context, Profile},
    difficulty::{DifficultyError, DifficultyRule},
    domains::Domains,
    gate::NanoNats,
    params::{LORA_ALPHA, LORA_DROPOUT_PPM, LORA_RANK, LORA_TARGETS, Preset, SELF_TEST_TEXTS},
    sha256,
    state::{Shape, ShapeError},
    text::HexError,
};

const TAG: &[u8] = b"pol-ai/genesis/v1";
/// Longest chain.toml that is looked at, bytes.
pub const CHAIN_TOML_BYTES_MAX: usize = 65_536;
const GENESIS_TIME_MAX: u64 = 1 << 40;
const SLOT_SECONDS_MAX: u64 = 3_600;
const CHAIN_ID_MAX: u64 = (1 << 53) - 1;

/// Why a text is no chain.toml; whoever reads a file names it. The operator's fault; never transient. Copy the file from the node that made
/// the genesis.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GenesisError {
    /// Longer than any chain.toml.
    #[error("found {found} bytes, expected at most {CHAIN_TOML_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not TOML, or a key that is missing, unknown or of the wrong type; the message names line and key.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A number out of range.
    #[error("{field} is {found}, expected {least} to {most}")]
    Range {
        /// The key.
        field: &'static str,
        /// Value found.
        found: u64,
        /// Smallest value allowed.
        least: u64,
        /// Largest value allowed.
        most: u64,
    },
    /// A name that is none of the known ones.
    #[error("{field} is not one of: {expected}")]
    Name {
        /// The key.
        field: &'static str,
        /// The known names.
        expected: &'static str,
    },
    /// A value that this version of the protocol fixes.
    #[error("{field} is not {expected}, the only value of protocol version 1")]
    Fixed {
        /// The key.
        field: &'static str,
        /// The value.
        expected: &'static str,
    },
    /// A hash.
    #[error("{0}")]
    Hex(#[from] HexError),
    /// The adapter's shape.
    #[error("{0}")]
    Shape(#[from] ShapeError),
    /// Slot seconds or floor.
    #[error("{0}")]
    Difficulty(#[from] DifficultyError),
    /// Not exactly 32 reference losses.
    #[error("gate.reference_losses has {found} numbers, expected {SELF_TEST_TEXTS}")]
    ReferenceLosses {
        /// Numbers found.
        found: usize,
    },
    /// A loss that is negative or above 1,000 nats.
    #[error("gate.reference_losses[{position}] is {found}, expected 0 to 1000000000000 nano-nats")]
    Loss {
        /// Place in the list, from 0.
        position: usize,
        /// Value found.
        found: i64,
    },
}

/// Parameters of a chain that are free at genesis. A value of this type is in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainSpec {
    genesis_time: u64,
    preset: Preset,
    chain_id: u64,
    genesis_validators_root: Hash32,
    execution_genesis_hash: Hash32,
    quorum: QuorumRule,
    difficulty: DifficultyRule,
    slot_seconds: u64,
    manifest_hash: Hash32,
    shape: Shape,
    dev_texts_hash: Hash32,
    reference_losses: [NanoNats; SELF_TEST_TEXTS],
    profile: Profile,
    dev_slash_small: bool,
}

/// The same parameters, free to be anything: what `polai genesis` fills in. [`ChainSpec::new`] checks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainParameters {
    /// Unix seconds of slot 0 and of the execution genesis.
    pub genesis_time: u64,
    /// Consensus preset.
    pub preset: Preset,
    /// Seconds of a slot.
    pub slot_seconds: u64,
    /// Chain id of transactions.
    pub chain_id: u64,
    /// Root of the genesis validator list.
    pub genesis_validators_root: Hash32,
    /// Hash of the execution genesis block.
    pub execution_genesis_hash: Hash32,
    /// How many ACKs make a quorum.
    pub quorum: QuorumRule,
    /// Smallest difficulty; the ceiling is four times it.
    pub difficulty_floor: u64,
    /// Hash of the base model's manifest.
    pub manifest_hash: Hash32,
    /// Shape of the adapter.
    pub shape: Shape,
    /// Hash of the gate's texts.
    pub dev_texts_hash: Hash32,
    /// Losses of the first texts on the base model.
    pub reference_losses: [NanoNats; SELF_TEST_TEXTS],
    /// Record layout of deltas.
    pub profile: Profile,
    /// Whether committees of fewer than four others may slash. Devnets only.
    pub dev_slash_small: bool,
}

const fn in_range(field: &'static str, found: u64, least: u64, most: u64) -> Result<(), GenesisError> {
    if found >= least && found <= most { Ok(()) } else { Err(GenesisError::Range { field, found, least, most }) }
}

impl ChainSpec {
    /// Checks the ranges of section 2.1.
    ///
    /// # Errors
    /// [`GenesisError::Range`], [`GenesisError::Difficulty`].
    pub fn new(p: &ChainParameters) -> Result<Self, GenesisError> {
        in_range("genesis_time", p.genesis_time, 1, GENESIS_TIME_MAX)?;
        in_range("slot_seconds", p.slot_seconds, 1, SLOT_SECONDS_MAX)?;
        in_range("chain_id", p.chain_id, 1, CHAIN_ID_MAX)?;
        if let QuorumRule::Fixed(n) = p.quorum {
            in_range("quorum", u64::from(n.get()), 1, 512)?;
        }
        Ok(Self {
            genesis_time: p.genesis_time,
            preset: p.preset,
            chain_id: p.chain_id,
            genesis_validators_root: p.genesis_validators_root,
            execution_genesis_hash: p.execution_genesis_hash,
            quorum: p.quorum,
            difficulty: DifficultyRule::new(p.slot_seconds, p.difficulty_floor)?,
            slot_seconds: p.slot_seconds,
            manifest_hash: p.manifest_hash,
            shape: p.shape,
            dev_texts_hash: p.dev_texts_hash,
            reference_losses: p.reference_losses,
            profile: p.profile,
            dev_slash_small: p.dev_slash_small,
        })
    }

    /// Reads chain.toml.
    ///
    /// # Errors
    /// [`GenesisError`], each variant.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        file::parse(text)
    }

    /// Its base model.
    pub const fn model(&self) -> BaseModel {
        let Self { manifest_hash, shape, dev_texts_hash, reference_losses, .. } = *self;
        BaseModel { manifest_hash, shape, dev_texts_hash, reference_losses }
    }

    /// Writes chain.toml.
    pub fn to_toml(&self) -> String {
        file::write(self)
    }

    /// The bytes that [`Self::genesis_id`] hashes: the fixed list of section 2.1.
    pub fn canonical(&self) -> Vec<u8> {
        let quorum = match self.quorum {
            QuorumRule::Auto => 0,
            QuorumRule::Fixed(n) => n.get(),
        };
        let mut bytes = Vec::with_capacity(512);
        bytes.extend(self.genesis_time.to_le_bytes());
        bytes.push(self.preset.byte());
        bytes.extend(self.slot_seconds.to_le_bytes());
        bytes.extend(self.chain_id.to_le_bytes());
        bytes.extend(self.genesis_validators_root.0);
        bytes.extend(self.execution_genesis_hash.0);
        bytes.extend(quorum.to_le_bytes());
        bytes.extend(self.difficulty.floor().to_le_bytes());
        bytes.extend(self.manifest_hash.0);
        let s = &self.shape;
        for number in [s.layers(), s.hidden(), s.query(), s.key_value(), s.intermediate()] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.dev_texts_hash.0);
        for loss in self.reference_losses {
            bytes.extend(loss.get().to_le_bytes());
        }
        bytes.extend(LORA_RANK.to_le_bytes());
        bytes.extend(LORA_ALPHA.to_le_bytes());
        bytes.extend(LORA_DROPOUT_PPM.to_le_bytes());
        bytes.push(LORA_TARGETS);
        bytes.push(self.profile.byte());
        bytes.push(u8::from(self.dev_slash_small));
        bytes
    }

    /// `H("pol-ai/genesis/v1" || canonical)`.
    pub fn genesis_id(&self) -> GenesisId {
        GenesisId(sha256(&[TAG, &self.canonical()]))
    }

    /// `M_0`.
    pub fn genesis_head(&self) -> ModelHead {
        self.genesis_id().into()
    }

    /// What makes this chain's signatures its own.
    pub fn domains(&self) -> Domains {
        Domains::new(self.genesis_id(), self.genesis_validators_root)
    }

    /// What a delta decoder must know of this chain.
    pub fn delta_context(&self) -> Context {
        Context { genesis_id: self.genesis_id(), shape: self.shape, profile: self.profile }
    }

    /// The parameters.
    pub const fn parameters(&self) -> ChainParameters {
        ChainParameters {
            genesis_time: self.genesis_time,
            preset: self.preset,
            slot_seconds: self.slot_seconds,
            chain_id: self.chain_id,
            genesis_validators_root: self.genesis_validators_root,
            execution_genesis_hash: self.execution_genesis_hash,
            quorum: self.quorum,
            difficulty_floor: self.difficulty.floor(),
            manifest_hash: self.manifest_hash,
            shape: self.shape,
            dev_texts_hash: self.dev_texts_hash,
            reference_losses: self.reference_losses,
            profile: self.profile,
            dev_slash_small: self.dev_slash_small,
        }
    }

    /// The chain's difficulty rule.
    pub const fn difficulty(&self) -> &DifficultyRule {
        &self.difficulty
    }
}

/// A quorum rule from `AI_QUORUM` or chain.toml: 0 stands for `auto` in the canonical bytes only.
pub(crate) fn fixed_quorum(found: u64) -> Result<QuorumRule, GenesisError> {
    in_range("quorum", found, 1, 512)?;
    let number = u16::try_from(found).ok().and_then(NonZeroU16::new);
    number.map(QuorumRule::Fixed).ok_or(GenesisError::Range { field: "quorum", found, least: 1, most: 512 })
}

#[cfg(test)]
mod tests;
