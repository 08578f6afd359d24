//! Whether a block is valid.

use std::sync::{Arc, PoisonError};

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_primitives::{Address, B256};
use reth_ai_exex::wire::HashedBlock;
use tracing::{debug, info};

use super::{Chain, Executed, ImportError};
use crate::{
    execute::Block,
    state::StateAt,
    store::BlockData,
    validate::{self, Invalid},
};

/// What became of a valid block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is kept now.
    New,
    /// It was there already.
    Known,
}

impl Chain {
    /// Checks, executes and keeps a block whose parent is here.
    ///
    /// # Errors
    /// [`ImportError`]. An invalid block is remembered by its hash.
    pub fn import(&self, hashed: HashedBlock<TxEnvelope>) -> Result<Imported, ImportError> {
        let (block, hash) = hashed.into_parts();
        let _changing = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let parent_hash = block.header.parent_hash;
        let parent = {
            let tree = self.tree();
            if tree.get(&hash).is_some() {
                return Ok(Imported::Known);
            }
            if let Some(latest_valid) = tree.condemned(&hash) {
                let error = Invalid::Again { hash };
                return Err(ImportError::Invalid { latest_valid, error });
            }
            tree.get(&parent_hash).cloned()
        };
        let Some(parent) = parent else { return self.without_parent(&block, hash) };
        match self.check(block, hash, &parent) {
            Ok((executed, diff)) => {
                self.0.store.put_block(&executed.data, &diff)?;
                let (number, transactions) = (executed.number_hash().number, executed.data.senders.len());
                info!(target: "polai::chain", number, %hash, transactions, "block imported");
                self.tree_mut().insert(executed);
                Ok(Imported::New)
            }
            Err(error) => {
                debug!(target: "polai::chain", %hash, %error, "invalid block");
                self.tree_mut().condemn(hash, parent_hash);
                Err(ImportError::Invalid { latest_valid: parent_hash, error })
            }
        }
    }

    fn without_parent(&self, block: &Block, hash: B256) -> Result<Imported, ImportError> {
        let parent = block.header.parent_hash;
        let latest_valid = self.tree().condemned(&parent);
        if let Some(latest_valid) = latest_valid {
            self.tree_mut().condemn(hash, latest_valid);
            return Err(ImportError::Invalid { latest_valid, error: Invalid::Parent { parent } });
        }
        // What is final and older than the tree's root was found valid when it was new.
        if self.0.store.canonical(block.header.number)? == Some(hash) {
            return Ok(Imported::Known);
        }
        Err(ImportError::UnknownParent { parent })
    }

    fn check(&self, block: Block, hash: B256, parent: &Executed) -> Result<(Executed, crate::state::StateDiff), Invalid> {
        let (executor, parent_header) = (self.executor(), &parent.data.block.header);
        let started = std::time::Instant::now();
        let checked = validate::check_header(
            &block.header,
            parent.data.hash,
            parent_header,
            executor.spec(),
            self.genesis().chain().difficulty(),
        );
        self.0.metrics.header_checked(checked.is_ok(), started.elapsed());
        checked?;
        validate::check_body(&block)?;
        let senders = senders(&block)?;
        let on = StateAt::new(parent.state.clone(), Arc::new(self.ancestors(parent.data.hash)));
        let outcome = executor.import(&block, &senders, &on)?;
        let state = parent.state.apply(&outcome.diff);
        validate::check_outcome(&block.header, &outcome, state.root())?;
        let data = Arc::new(BlockData { hash, block, senders, receipts: outcome.receipts });
        let touched = outcome.diff.touched();
        Ok((Executed { data, state, touched }, outcome.diff))
    }
}

fn senders(block: &Block) -> Result<Vec<Address>, Invalid> {
    let all = block.body.transactions.iter().enumerate();
    all.map(|(index, transaction)| transaction.recover_signer().map_err(|_| Invalid::Signature { index })).collect()
}
