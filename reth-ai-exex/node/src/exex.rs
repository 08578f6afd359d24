//! The execution extension: what became canonical and final goes into the model log, which the feed and `polai_*` read (section 13).
//!
//! Notifications only say where the chain stands; the blocks are read as headers from Reth's own store, also those from before this
//! process began. So nothing is lost when a notification is, and a reorg while the process was down is found at start.

use std::sync::Arc;

use alloy_consensus::Header;
use futures::StreamExt as _;
use pol_kit::tasks::Tasks;
use reth_ai_exex::{
    model_log::{ChainView, Heads, LogBlock},
    process::Ai,
};
use reth_chain_state::ForkChoiceSubscriptions as _;
use reth_ethereum::{
    EthPrimitives,
    exex::{ExExContext, ExExEvent, ExExNotification},
    node::api::{FullNodeComponents, NodeTypes},
    provider::{BlockIdReader as _, HeaderProvider},
};
use tokio::sync::watch;
use tracing::warn;

/// Reth's canonical chain, as the log asks for it.
struct View<P>(P);

impl<P: HeaderProvider<Header = Header> + Send + Sync + 'static> ChainView for View<P> {
    fn canonical(&self, number: u64) -> Option<LogBlock> {
        let header = self.0.sealed_header(number).ok().flatten()?;
        LogBlock::of(header.header(), header.hash()).ok()
    }
}

/// Starts to follow. The future runs until the node ends it; it never ends by itself, because that would end the node.
pub(crate) fn follow<N>(mut ctx: ExExContext<N>, ai: &Ai, tasks: &Tasks) -> impl Future<Output = eyre::Result<()>> + use<N>
where
    N: FullNodeComponents<Types: NodeTypes<Primitives = EthPrimitives>>,
{
    let finalized = ctx.provider().finalized_block_num_hash().unwrap_or_default();
    let (heads, told) = watch::channel(Heads { head: ctx.head, finalized });
    ai.follow(Arc::new(View(ctx.provider().clone())), told, tasks);
    let mut finalized = ctx.provider().finalized_block_stream();
    async move {
        loop {
            tokio::select! {
                notification = ctx.notifications.next() => match notification {
                    Some(Ok(notification)) => {
                        let head = match &notification {
                            ExExNotification::ChainCommitted { new } | ExExNotification::ChainReorged { new, .. } => new.tip().num_hash(),
                            ExExNotification::ChainReverted { old } => old.fork_block(),
                        };
                        heads.send_modify(|heads| heads.head = head);
                        // Headers are kept for ever, and nothing else is needed of a block.
                        let _ = ctx.events.send(ExExEvent::FinishedHeight(head));
                    }
                    Some(Err(error)) => warn!(target: "polai::exex", %error, "a notification is lost; the next one heals that"),
                    None => futures::future::pending().await,
                },
                Some(block) = finalized.next() => heads.send_modify(|heads| heads.finalized = Some(block.num_hash())),
            }
        }
    }
}
