//! Which of the valid blocks is the head.

use std::sync::{Arc, PoisonError};

use alloy_primitives::B256;
use tracing::info;

use super::{Chain, Executed, ForkchoiceError};
use crate::store::{BlockData, HeadsUpdate};

/// What the consensus client asks for. Zero hashes (none yet) are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadsRequest {
    /// The head.
    pub head: B256,
    /// The safe block.
    pub safe: Option<B256>,
    /// The final block.
    pub finalized: Option<B256>,
}

/// A change of the canonical chain.
#[derive(Debug, Clone)]
pub struct ChainEvent {
    /// Canonical no more, newest last.
    pub reverted: Vec<Arc<Executed>>,
    /// Canonical now, in chain order.
    pub committed: Vec<Arc<Executed>>,
    /// The head.
    pub head: Arc<Executed>,
}

/// Everything a change of heads needs, found out while nothing else changes.
struct Plan {
    event: ChainEvent,
    safe: Option<B256>,
    finalized: Option<B256>,
    /// From above the root to what becomes the root.
    path: Vec<Arc<Executed>>,
}

impl Chain {
    /// Moves head, safe block and finality.
    ///
    /// # Errors
    /// [`ForkchoiceError`]; nothing moved then.
    pub fn set_heads(&self, request: HeadsRequest) -> Result<Arc<Executed>, ForkchoiceError> {
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.plan(request)?;
        let head = Arc::clone(&plan.event.head);
        let (losers, folded) = {
            let tree = self.tree();
            // The same again, as consensus clients do: no reason to wait for the disk, and memory must not run ahead of it.
            if (tree.head, tree.safe, tree.finalized) == (request.head, plan.safe, plan.finalized) {
                return Ok(head);
            }
            (tree.losers(&plan.path), tree.too_old(&plan.path, head.number_hash().number, self.0.history))
        };
        let datas = |blocks: &[Arc<Executed>]| blocks.iter().map(|block| Arc::clone(&block.data)).collect::<Vec<_>>();
        let (reverted, committed) = (datas(&plan.event.reverted), datas(&plan.event.committed));
        self.0.store.set_heads(&HeadsUpdate {
            reverted: &reverted.iter().map(Arc::as_ref).collect::<Vec<&BlockData>>(),
            committed: &committed.iter().map(Arc::as_ref).collect::<Vec<&BlockData>>(),
            head: request.head,
            safe: plan.safe,
            finalized: plan.finalized,
            dropped: &losers,
            folded: &folded,
        })?;
        let heads = {
            let mut tree = self.tree_mut();
            (tree.head, tree.safe, tree.finalized) = (request.head, plan.safe, plan.finalized);
            tree.advance(&plan.path, &losers, &folded);
            tree.heads()
        };
        self.0.heads.send_if_modified(|old| core::mem::replace(old, heads) != heads);
        if !plan.event.committed.is_empty() || !plan.event.reverted.is_empty() {
            let (number, hash) = (head.number_hash().number, head.data.hash);
            info!(target: "polai::chain", number, %hash, reverted = reverted.len(), finalized = ?heads.finalized.map(|block| block.number), "new head");
            // Without listeners there is nobody to tell.
            let _ = self.0.events.send(Arc::new(plan.event));
        }
        Ok(head)
    }

    fn plan(&self, request: HeadsRequest) -> Result<Plan, ForkchoiceError> {
        let tree = self.tree();
        let HeadsRequest { head, safe, finalized } = request;
        let Some(new) = tree.branch(&head) else {
            return Err(match tree.condemned(&head) {
                Some(latest_valid) => ForkchoiceError::InvalidHead { head, latest_valid },
                None if self.is_past(&head, tree.root_number()) => {
                    ForkchoiceError::Inconsistent { role: "head", found: head, head }
                }
                None => ForkchoiceError::UnknownHead { head },
            });
        };
        let old = tree.branch(&tree.head).unwrap_or_default();
        let common = old.iter().zip(&new).take_while(|(old, new)| old.data.hash == new.data.hash).count();
        let at = tree.get(&head).ok_or(ForkchoiceError::UnknownHead { head })?;
        let root = tree.heads().finalized.map_or(self.genesis().chain().genesis_hash(), |block| block.hash);
        // Where a hash stands on the way to the head; 0 is the root, none what is final and older: a consensus client that restarts may
        // begin with old ones.
        let place = |role: &'static str, hash: &B256| {
            let above = new.iter().position(|block| block.data.hash == *hash).map(|index| index.saturating_add(1));
            let place = above.or((root == *hash).then_some(0));
            if place.is_none() && !self.is_past(hash, tree.root_number()) {
                return Err(ForkchoiceError::Inconsistent { role, found: *hash, head });
            }
            Ok(place)
        };
        let safe_place = safe.map(|hash| place("safe", &hash)).transpose()?.flatten();
        let final_place = finalized.map(|hash| place("finalized", &hash)).transpose()?.flatten();
        let path = final_place.unwrap_or(0);
        let (safe, finalized) = (safe_place.and(safe), final_place.and(finalized).or(tree.finalized));
        let event = ChainEvent {
            reverted: old.get(common..).unwrap_or_default().to_vec(),
            committed: new.get(common..).unwrap_or_default().to_vec(),
            head: Arc::clone(at),
        };
        Ok(Plan { event, safe: safe.or(tree.safe), finalized, path: new.get(..path).unwrap_or_default().to_vec() })
    }

    /// Whether a block is final and older than the tree's root. Takes the root's height, because the caller holds the tree.
    fn is_past(&self, hash: &B256, root: u64) -> bool {
        let number = self.0.store.block(hash).ok().flatten().map(|data| data.block.header.number);
        number.is_some_and(|number| number < root && self.0.store.canonical(number).is_ok_and(|found| found == Some(*hash)))
    }
}
