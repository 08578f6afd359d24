//! Blocks of the beacon node: found, checked, remembered; the bad ones accused.

use std::sync::Arc;

use pol_core::{Hash32, ModelHead};
use pol_kit::{
    exit::Exit,
    link::Link,
    metrics::Condition,
    telemetry::{self, Stage},
};
use tokio::{sync::mpsc, task::spawn_blocking, time::sleep};

use super::{
    accuse,
    beacon::{BeaconError, Block},
    epochs::{self, EpochError},
    shared::{Imported, Shared, lock},
};
use crate::{
    guard::GuardError,
    import::{BlockView, CertificateFault, ImportError, StoredBlock, TableError, update_of},
};

/// Blocks that one catch-up walks back at most; beyond that a checkpoint is faster and as safe.
const CATCH_UP: usize = 65_536;

/// Why a block was not looked at to the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The beacon node; heals.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// Its validators.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// It has no block that connects to what we know. The operator's.
    #[error(
        "no block of the beacon node connects to the table of model heads within {CATCH_UP} blocks: start with --ai-checkpoint ROOT:M"
    )]
    TooFar,
    /// Our own disk: the process ends.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Likewise.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// A calculation panicked. Ours.
    #[error("a calculation was aborted: {0}")]
    Aborted(#[from] tokio::task::JoinError),
}

impl FollowError {
    /// Nothing that another try could heal.
    const fn is_fatal(&self) -> bool {
        matches!(self, Self::Table(_) | Self::Guard(_) | Self::Aborted(_))
    }
}

/// What became of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Imported(Imported),
    Refused,
    /// The node has it no more, or not yet.
    Missing,
}

/// Follows the head by events and, at every slot, by asking.
pub(crate) async fn run(shared: Arc<Shared>, mut wanted: mpsc::Receiver<Hash32>) -> Result<(), Exit> {
    let mut link = Link::new("beacon", shared.health.clone());
    let mut slots = shared.slot.subscribe();
    let mut checked_chain = false;
    loop {
        let step = async {
            if !checked_chain {
                return start(&shared).await;
            }
            tokio::select! {
                Some(root) = wanted.recv() => import(&shared, root).await.map(drop).map(Ok),
                _ = slots.changed() => follow_head(&shared).await.map(Ok),
            }
        };
        match step.await {
            Ok(Ok(())) => {
                checked_chain = true;
                link.works();
            }
            Ok(Err(other_chain)) => return Err(Exit::usage(other_chain)),
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => link.failed(&error).await,
        }
    }
}

/// Once, before anything is believed: the same chain, its genesis block, the validators.
async fn start(shared: &Arc<Shared>) -> Result<Result<(), String>, FollowError> {
    if let Err(other_chain) = epochs::check_chain(shared).await? {
        return Ok(Err(other_chain));
    }
    if shared.importer.table().is_empty()? {
        let genesis = shared.beacon.header("genesis").await?;
        let model_head = shared.chain.spec.genesis_head();
        shared.importer.table().anchor(crate::import::Anchor { root: genesis.root, model_head }, 0)?;
    }
    follow_head(shared).await.map(Ok)
}

async fn follow_head(shared: &Arc<Shared>) -> Result<(), FollowError> {
    let epoch = shared.chain.epoch(shared.current_slot());
    let members = shared.members();
    if members.is_empty() || members.current_epoch() != epoch {
        epochs::refresh(shared, epoch).await?;
    }
    let root = shared.beacon.header("head").await?.root;
    let standing = import(shared, root).await?;
    {
        let mut view = lock(&shared.view);
        view.head_refused = standing == Standing::Refused;
        if let Standing::Imported(head) = standing {
            view.head = Some(head);
        }
    }
    let condition = match standing {
        Standing::Refused => Condition::Degraded(format!("the beacon node's head {root} is not valid by our rules")),
        _ => Condition::Ok,
    };
    shared.health.set("chain", condition);
    shared.changed.notify_one();
    for root in shared.beacon.refused_roots().await? {
        let is_known = lock(&shared.view).is_refused(root);
        if !is_known {
            import(shared, root).await?;
        }
    }
    finality(shared).await
}

async fn finality(shared: &Arc<Shared>) -> Result<(), FollowError> {
    let finality = shared.beacon.finality().await?;
    {
        let mut view = lock(&shared.view);
        if finality.epoch <= view.finalized_epoch {
            return Ok(());
        }
        view.finalized_epoch = finality.epoch;
    }
    let table = Arc::clone(shared.importer.table());
    let guard = Arc::clone(&shared.guard);
    let closed: Vec<ModelHead> = spawn_blocking(move || {
        let closed = table.finalize(finality.root)?;
        guard.close_heads(&closed)?;
        Ok::<_, FollowError>(closed)
    })
    .await??;
    lock(&shared.collector).retain_heads(|head| !closed.contains(head));
    Ok(())
}

/// A block and all its ancestors that are not known yet.
async fn import(shared: &Arc<Shared>, root: Hash32) -> Result<Standing, FollowError> {
    let mut chain: Vec<(Hash32, Block)> = Vec::new();
    let mut at = root;
    let table = shared.importer.table();
    let row = loop {
        if let Some(row) = table.row(at)? {
            break row;
        }
        if lock(&shared.view).is_refused(at) {
            let mut view = lock(&shared.view);
            chain.iter().for_each(|(root, block)| view.refuse(block.slot, *root));
            return Ok(Standing::Refused);
        }
        if chain.len() >= CATCH_UP {
            return Err(FollowError::TooFar);
        }
        match shared.beacon.block(at).await {
            Ok(block) => {
                let parent = block.parent_root;
                chain.push((at, block));
                at = parent;
            }
            Err(error) if error.is_missing() && chain.is_empty() => return Ok(Standing::Missing),
            Err(error) if error.is_missing() => return Err(FollowError::TooFar),
            Err(error) => return Err(error.into()),
        }
    };
    if chain.is_empty() {
        return known(shared, root, row.slot, row.model_head).await;
    }
    let oldest_checked = fold_old(shared, &mut chain).await?;
    let mut last = oldest_checked.map_or(Standing::Missing, Standing::Imported);
    while let Some((root, block)) = chain.pop() {
        last = apply(shared, root, block).await?;
        if last == Standing::Refused {
            let mut view = lock(&shared.view);
            chain.iter().for_each(|(root, block)| view.refuse(block.slot, *root));
            return Ok(Standing::Refused);
        }
    }
    Ok(last)
}

/// A block of an earlier run: only its payload's hash is to be learned again.
async fn known(shared: &Arc<Shared>, root: Hash32, slot: u64, model_head: ModelHead) -> Result<Standing, FollowError> {
    if let Some(known) = lock(&shared.view).recent(slot, root) {
        return Ok(Standing::Imported(known));
    }
    let payload_hash = match shared.beacon.block(root).await {
        Ok(block) => block.payload_hash,
        Err(error) if error.is_missing() => return Ok(Standing::Missing),
        Err(error) => return Err(error.into()),
    };
    let imported = Imported { root, slot, payload_hash, model_head };
    lock(&shared.view).remember(imported);
    Ok(Standing::Imported(imported))
}

/// Blocks older than the committees that we know: their heads are folded, their certificates were the beacon node's to check.
async fn fold_old(shared: &Arc<Shared>, chain: &mut Vec<(Hash32, Block)>) -> Result<Option<Imported>, FollowError> {
    let members = shared.members();
    let is_old = |block: &Block| members.committee(shared.chain.epoch(block.slot)).is_none();
    let newest_old = chain.iter().position(|(_, block)| is_old(block));
    let Some(from) = newest_old else { return Ok(None) };
    let old = chain.split_off(from);
    let Some((root, newest)) = old.first().cloned() else { return Ok(None) };
    let stored: Vec<StoredBlock> = old
        .iter()
        .rev()
        .map(|(root, block)| StoredBlock {
            root: *root,
            parent_root: block.parent_root,
            slot: block.slot,
            update_id: update_of(&block.extra_data),
        })
        .collect();
    shared.measured.blocks.add("folded", stored.len());
    tracing::info!(target: "polai::quorum", blocks = stored.len(), "caught up without checking certificates of past epochs");
    let table = Arc::clone(shared.importer.table());
    let row = spawn_blocking(move || {
        table.rebuild(stored)?;
        table.row(root)
    })
    .await??;
    let imported =
        row.map(|row| Imported { root, slot: row.slot, payload_hash: newest.payload_hash, model_head: row.model_head });
    if let Some(imported) = imported {
        lock(&shared.view).remember(imported);
    }
    Ok(imported)
}

async fn apply(shared: &Arc<Shared>, root: Hash32, block: Block) -> Result<Standing, FollowError> {
    let epoch = shared.chain.epoch(block.slot);
    let Some(committee) = shared.members().committee(epoch).cloned() else { return Ok(Standing::Missing) };
    let importer = shared.importer.clone();
    let (payload_hash, slot) = (block.payload_hash, block.slot);
    let checked = spawn_blocking(move || {
        let view = BlockView {
            root: root.0,
            parent_root: block.parent_root.0,
            slot: block.slot,
            extra_data: &block.extra_data,
            payload_parent_hash: block.payload_parent_hash.0,
        };
        importer.check(&view, &committee)
    })
    .await?;
    match checked {
        Ok(checked) => {
            let imported = Imported { root, slot, payload_hash, model_head: checked.model_head };
            lock(&shared.view).remember(imported);
            match checked.certificate {
                Some(certificate) => {
                    let (id, acks) = (certificate.data().update_id, certificate.raw().seats.count());
                    shared.measured.blocks.inc("accepted");
                    tracing::info!(target: "polai::quorum", slot, %root, update_id = %id, acks, outcome = "accepted", "ACK quorum");
                    telemetry::update(Stage::Imported, &id.0);
                }
                None => shared.measured.blocks.inc("empty"),
            }
            Ok(Standing::Imported(imported))
        }
        Err(ImportError::Refused { refused, fault, .. }) => {
            refuse(shared, slot, root, &refused.to_string(), fault).await?;
            Ok(Standing::Refused)
        }
        Err(ImportError::Table(error)) => Err(error.into()),
        // The parent's row went between two looks: it was final history. The next head leads on.
        Err(ImportError::UnknownParent { .. } | ImportError::Committee { .. }) => Ok(Standing::Missing),
    }
}

async fn refuse(
    shared: &Arc<Shared>,
    slot: u64,
    root: Hash32,
    reason: &str,
    fault: Option<CertificateFault>,
) -> Result<(), FollowError> {
    lock(&shared.view).refuse(slot, root);
    shared.measured.blocks.inc("refused");
    let slashable = fault.is_some();
    tracing::warn!(target: "polai::quorum", slot, %root, slashable, outcome = "refused", reason, "ACK quorum");
    match fault {
        Some(fault) => accuse::vote(shared, fault).await,
        None => Ok(()),
    }
}

/// Hands the blocks that the event stream names to [`run`]. A node without events is followed by the slot.
pub(crate) async fn events(shared: Arc<Shared>) -> Result<(), Exit> {
    let pause = core::time::Duration::from_millis(250).min(core::time::Duration::from_secs(shared.chain.slot_seconds) / 8);
    let mut link = Link::new("beacon-events", shared.health.clone());
    loop {
        match shared.beacon.events().await {
            Ok(mut events) => {
                link.works();
                loop {
                    match events.next().await {
                        Ok(Some(event)) => {
                            if let Some(root) = event.block_root() {
                                // A full queue loses nothing: the head leads to every block that counts.
                                let _ = shared.blocks.try_send(Hash32(root));
                            }
                            if event.topic == "head" {
                                shared.slot.send_modify(|_| ());
                            }
                        }
                        Ok(None) => break,
                        Err(error) => {
                            tracing::debug!(target: "polai::quorum", %error, "event stream ended");
                            break;
                        }
                    }
                }
                sleep(pause).await;
            }
            Err(error) => link.failed(&error).await,
        }
    }
}
