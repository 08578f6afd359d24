//! Log queries.

use alloy_consensus::BlockHeader as _;
use alloy_eips::BlockHashOrNumber;
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee::core::RpcResult;

use super::{
    Eth, convert,
    error::{LIMIT, NOT_FOUND, params, refusal},
};
use crate::{chain::Chain, limits, store::BlockData, store::StoreError};

/// Blocks of the canonical chain since one that a client has seen.
#[derive(Debug)]
pub(super) struct Since {
    /// Canonical no more, newest first, and the parent of each.
    pub(super) reverted: Vec<(B256, B256)>,
    /// The newest canonical block that the client has seen.
    pub(super) common: B256,
    /// Canonical now, oldest first.
    pub(super) committed: Vec<B256>,
}

impl Eth {
    /// The logs that a filter names.
    pub(super) fn find_logs(&self, filter: &Filter) -> RpcResult<Vec<Log>> {
        let (from_block, to_block) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let data = self.chain.block(&hash)?.ok_or_else(|| refusal(NOT_FOUND, "unknown block"))?;
                return Ok(matching(filter, &data, false));
            }
            FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
        };
        let head = self.chain.head().number_hash().number;
        let number = |tag: Option<alloy_eips::BlockNumberOrTag>| -> RpcResult<u64> {
            Ok(match self.place(tag.unwrap_or_default().into()) {
                BlockHashOrNumber::Number(number) => number,
                BlockHashOrNumber::Hash(hash) => self.chain.block(&hash)?.map_or(head, |data| data.block.header.number()),
            })
        };
        let (from, to) = (number(from_block)?, number(to_block)?.min(head));
        if from_block.is_some() && to_block.is_some() && from > number(to_block)? {
            return Err(params("invalid block range params"));
        }
        if to.saturating_sub(from) >= limits::LOG_BLOCKS {
            return Err(refusal(LIMIT, format!("query exceeds max block range {}", limits::LOG_BLOCKS)));
        }
        let mut logs = Vec::new();
        for number in from..=to {
            let Some(data) = self.chain.canonical_block(number)? else { break };
            logs.extend(matching(filter, &data, false));
            if logs.len() > limits::LOGS {
                return Err(refusal(LIMIT, format!("query returned more than {} results", limits::LOGS)));
            }
        }
        Ok(logs)
    }
}

/// The logs of a block that a filter names, wherever it looks.
pub(super) fn matching(filter: &Filter, data: &BlockData, removed: bool) -> Vec<Log> {
    if !filter.matches_bloom(data.block.header.logs_bloom) {
        return Vec::new();
    }
    convert::logs(data, removed).into_iter().filter(|log| filter.matches(&log.inner)).collect()
}

/// What happened since `seen` was the head, of the oldest [`limits::LOG_BLOCKS`] blocks. None when that cannot be said any more: it lost
/// against what became final.
pub(super) fn since(chain: &Chain, seen: B256) -> Result<Option<Since>, StoreError> {
    let (mut common, mut reverted) = (seen, Vec::new());
    let number = loop {
        let Some(data) = chain.block(&common)? else { return Ok(None) };
        if chain.is_canonical(data.number_hash())? {
            break data.block.header.number;
        }
        let parent = data.block.header.parent_hash;
        reverted.push((common, parent));
        common = parent;
    };
    let last = chain.head().number_hash().number.min(number.saturating_add(limits::LOG_BLOCKS));
    let mut committed = Vec::new();
    for number in number.saturating_add(1)..=last {
        let Some(hash) = chain.canonical_hash(number)? else { break };
        committed.push(hash);
    }
    Ok(Some(Since { reverted, common, committed }))
}
