//! Keeping the execution client on our head: it may be away, start empty, or lose its newest blocks.

use std::sync::Arc;

use alloy_primitives::B256;

use super::{error::DriverError, node::Node, produce::forkchoice};
use crate::{
    engine::{EngineError, Verdict},
    fork_choice::ExecutionStatus,
    types::{EthSpec, HashedBlock},
};

/// Blocks that are fed in one go; the next slot goes on.
const AT_ONCE: usize = 64;
/// Blocks back that are looked at.
const FAR: usize = 1 << 17;
/// Blocks of the deposit log that are read in one slot, in thousands.
const LOG_PAGES: usize = 8;

impl<E: EthSpec> Node<E> {
    /// Tells the execution client of the head. When it does not know it, feeds it the blocks that it lacks.
    ///
    /// # Errors
    /// [`DriverError`]; an execution client that gives no answer is none.
    pub async fn follow_head(&self) -> Result<(), DriverError> {
        if let Err(error) = self.try_follow().await? {
            self.link.failed(&error);
        }
        Ok(())
    }

    async fn try_follow(&self) -> Result<Result<(), EngineError>, DriverError> {
        // More than one round only when a head turns out INVALID.
        for _ in 0..4 {
            let (head, state) = self.read(|chain| (chain.head, forkchoice(&chain.store, &chain.head))).await?;
            let verdict = match self.engine.forkchoice_updated(state, None).await {
                Ok((verdict, _)) => verdict,
                Err(error) => return Ok(Err(error)),
            };
            let verdict = match verdict {
                Verdict::Syncing => match self.feed().await? {
                    Ok(true) => continue,
                    Ok(false) => Verdict::Syncing,
                    Err(error) => return Ok(Err(error)),
                },
                other => other,
            };
            self.link.says(&verdict);
            let status = match verdict {
                Verdict::Valid => ExecutionStatus::Valid,
                Verdict::Syncing => return Ok(Ok(())),
                Verdict::Invalid { latest_valid, .. } => {
                    self.invalidate(head, latest_valid).await?;
                    continue;
                }
            };
            self.with(move |chain| if chain.head_is_valid() { Ok(()) } else { chain.set_execution(&head, status) }).await??;
            return Ok(Ok(()));
        }
        Ok(Ok(()))
    }

    /// Feeds blocks, oldest unknown first. True when the head was among them, so that it is worth asking again.
    async fn feed(&self) -> Result<Result<bool, EngineError>, DriverError> {
        let roots = self.read(|chain| chain.head_chain(FAR)).await??;
        if roots.is_empty() {
            return Ok(Ok(false));
        }
        let unknown = match self.count_unknown(&roots).await? {
            Ok(Some(unknown)) => unknown,
            Ok(None) => return Ok(Ok(true)),
            Err(error) => return Ok(Err(error)),
        };
        let mut fed = 0_usize;
        for root in roots.get(..unknown).unwrap_or_default().iter().rev().take(AT_ONCE) {
            match self.ask(root).await? {
                Ok(Verdict::Valid) => fed = fed.saturating_add(1),
                Ok(Verdict::Syncing) => return Ok(Ok(false)),
                Ok(Verdict::Invalid { latest_valid, .. }) => {
                    self.invalidate(*root, latest_valid).await?;
                    return Ok(Ok(true));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        tracing::info!(target: "polai::beacon", blocks = fed, left = unknown.saturating_sub(fed), "fed the execution client");
        Ok(Ok(fed >= unknown))
    }

    /// How many of the newest blocks the execution client lacks; none when one of them turned out INVALID. Back in growing steps until one
    /// is known, then between the last two by halves, so that feeding begins with the oldest that is missing.
    async fn count_unknown(&self, roots: &[B256]) -> Result<Result<Option<usize>, EngineError>, DriverError> {
        // Everything below `unknown` is unknown, everything from `known` on is known: genesis, which is not in the list, at least.
        let (mut unknown, mut known, mut step) = (0_usize, roots.len(), 1_usize);
        let mut place = 0_usize;
        while unknown < known {
            let Some(root) = roots.get(place) else { break };
            match self.ask(root).await? {
                Ok(Verdict::Valid) => known = place,
                Ok(Verdict::Syncing) => unknown = place.saturating_add(1),
                Ok(Verdict::Invalid { latest_valid, .. }) => {
                    self.invalidate(*root, latest_valid).await?;
                    return Ok(Ok(None));
                }
                Err(error) => return Ok(Err(error)),
            }
            let growing = place.saturating_add(step);
            step = step.saturating_mul(2);
            place = if growing < known { growing } else { usize::midpoint(unknown, known) };
        }
        Ok(Ok(Some(unknown)))
    }

    async fn ask(&self, root: &B256) -> Result<Result<Verdict, EngineError>, DriverError> {
        let of = *root;
        let block: Option<Arc<HashedBlock<E>>> = self.read(move |chain| chain.block(&of)).await??;
        let Some(block) = block else { return Ok(Ok(Verdict::Syncing)) };
        let message = block.message();
        Ok(self.engine.new_payload(&message.body.execution_payload, message.parent_root).await)
    }

    /// Takes an INVALID block out of the choice, with what it descends from down to the newest valid one.
    async fn invalidate(&self, root: B256, latest_valid: Option<B256>) -> Result<(), DriverError> {
        let done = self.with(move |chain| {
            let mut worst = root;
            let mut node = chain.store.node(&root);
            // Without a word about ancestors this block alone is known to be bad.
            while let (Some(this), Some(valid)) = (node, latest_valid) {
                let hash = this.state.latest_execution_payload_header.block_hash;
                if hash == valid || this.execution == ExecutionStatus::Valid {
                    break;
                }
                worst = this.root;
                node = chain.store.node(&this.parent_root);
            }
            tracing::error!(target: "polai::beacon", root = %worst, "INVALID by the execution client: the block and all on it are left");
            chain.set_execution(&worst, ExecutionStatus::Invalid)
        });
        done.await?
    }

    /// Reads the deposit log on, a few pages a slot.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn follow_deposits(&self) -> Result<(), DriverError> {
        for _ in 0..LOG_PAGES {
            let (range, contract) = self.read(|chain| (chain.deposit_range(), chain.config.deposit_contract_address)).await?;
            let Some((from, to)) = range? else { return Ok(()) };
            match self.engine.deposit_logs(contract, from, to).await {
                Ok(logs) => self.with(move |chain| chain.add_deposits(to, &logs)).await??,
                Err(error) => {
                    // The head's own calls say when it is away; a log that is refused is read later.
                    tracing::debug!(target: "polai::beacon", %error, "deposit log not read");
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
