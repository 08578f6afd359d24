//! What the `polai_*` methods take and give, as JSON.

use alloy_primitives::{B256, Bytes, U64};
use serde::{Deserialize, Serialize};

use crate::{
    candidate::{Candidate, Push},
    model_log::Entry,
    sealer::Sealer,
};

/// An accepted update in its block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateJson {
    /// Its id.
    pub update_id: B256,
    /// Height of the block.
    pub height: U64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Unix seconds of the block.
    pub timestamp: U64,
    /// Model head after it.
    pub model_head: B256,
    /// Which update of the chain it is, from 1.
    pub number: U64,
    /// Whether the block is final.
    pub finalized: bool,
}

impl UpdateJson {
    pub(super) fn new(entry: &Entry, finalized: bool) -> Self {
        Self {
            update_id: B256::new(entry.update_id.0),
            height: U64::from(entry.block.number),
            block_hash: entry.block.hash,
            timestamp: U64::from(entry.timestamp),
            model_head: B256::new(entry.model_head.0),
            number: U64::from(entry.updates),
            finalized,
        }
    }
}

/// A block and the model head after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadJson {
    /// Height of the block.
    pub height: U64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Model head after it.
    pub model_head: B256,
    /// Accepted updates up to it.
    pub updates: U64,
}

impl From<&Entry> for HeadJson {
    fn from(entry: &Entry) -> Self {
        Self {
            height: U64::from(entry.block.number),
            block_hash: entry.block.hash,
            model_head: B256::new(entry.model_head.0),
            updates: U64::from(entry.updates),
        }
    }
}

/// What a sealer has done since it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealJson {
    /// Threads of a search.
    pub threads: U64,
    /// Name of the Keccak in use.
    pub engine: String,
    /// Hashes per second, as measured at start.
    pub hash_rate: U64,
    /// Sealed blocks.
    pub sealed: U64,
    /// Searches that gave no block.
    pub cancelled: U64,
    /// Hashes of all sealed blocks.
    pub hashes: U64,
    /// Time of all sealed blocks, microseconds.
    pub total_micros: U64,
    /// Longest of them, microseconds.
    pub longest_micros: U64,
    /// Difficulty of the last one.
    pub last_difficulty: U64,
    /// Time of the last one, microseconds.
    pub last_micros: U64,
}

impl From<&Sealer> for SealJson {
    fn from(sealer: &Sealer) -> Self {
        let statistics = sealer.statistics();
        let micros = |time: core::time::Duration| U64::from(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Self {
            threads: U64::from(u64::try_from(sealer.threads()).unwrap_or(u64::MAX)),
            engine: sealer.engine().to_owned(),
            hash_rate: U64::from(sealer.rate()),
            sealed: U64::from(statistics.sealed),
            cancelled: U64::from(statistics.cancelled),
            hashes: U64::from(statistics.hashes),
            total_micros: micros(statistics.time),
            longest_micros: micros(statistics.longest),
            last_difficulty: U64::from(statistics.last_difficulty),
            last_micros: micros(statistics.last),
        }
    }
}

/// A candidate as it is pushed, and as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CandidateJson {
    /// Hash of the block that the payload will stand on.
    pub parent_hash: B256,
    /// Slot of the payload.
    pub slot: U64,
    /// The update; zero: clear.
    pub update_id: B256,
    /// Its certificate; empty for zero.
    pub certificate: Bytes,
}

impl From<CandidateJson> for Push {
    fn from(json: CandidateJson) -> Self {
        Self {
            parent_hash: json.parent_hash,
            slot: json.slot.to(),
            update_id: pol_core::UpdateId(json.update_id.0),
            certificate: json.certificate,
        }
    }
}

impl From<&Candidate> for CandidateJson {
    fn from(candidate: &Candidate) -> Self {
        Self {
            parent_hash: candidate.parent_hash(),
            slot: U64::from(candidate.slot()),
            update_id: B256::new(candidate.update_id().0),
            certificate: candidate.certificate().clone(),
        }
    }
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushJson {
    /// `held`, `dry_run` or `cleared`.
    pub status: String,
}

/// A change of mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeJson {
    /// The mode now.
    pub mode: String,
    /// The mode before.
    pub before: String,
}

/// How the AI engine stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusJson {
    /// `enabled`, `dry_run` or `disabled`.
    pub mode: String,
    /// The chain's name.
    pub genesis_id: B256,
    /// Hash of the execution genesis block.
    pub genesis_hash: B256,
    /// Slot by this machine's clock.
    pub slot: U64,
    /// Candidates that are held.
    pub candidates: Vec<CandidateJson>,
    /// The canonical head, as far as the model log has followed it.
    pub head: HeadJson,
    /// The final block, likewise.
    pub finalized: HeadJson,
    /// The sealer; null on a node that does not propose.
    pub sealer: Option<SealJson>,
}
