//! From files to a chain: genesis, restart.

use std::{path::Path, sync::Arc};

use alloy_primitives::B256;
use lighthouse_ack_quorum::{
    guard::Guard,
    hooks::open_table,
    import::{Anchor, HeadTable, Importer, StoredBlock, TableError, update_of},
    signer::Signer,
};
use pol_core::{Hash32, genesis::ChainSpec};
use ssz::Decode as _;
use tree_hash::TreeHash as _;

use super::{
    ai::Ai, attestation_pool::AttestationPool, chain::Chain, deposits::DepositTree, error::DriverError, gate::CertificateGate,
    operation_pool::OperationPool, sync_pool::SyncPool,
};
use crate::{
    fork_choice::{BlockRefusal, ExecutionStatus, Store},
    storage::{Database, StorageError},
    transition::{StateError, VerifySignatures},
    types::{BeaconState, Config, EthSpec, HashedBlock},
};

/// Finalized blocks that are read at once while the table of model heads is rebuilt.
const REBUILD: usize = 1 << 20;

/// Why a node does not start. The operator's.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `genesis.ssz` is no state of this preset.
    #[error("genesis.ssz: no Deneb state of the preset that chain.toml names")]
    Decode,
    /// `genesis.ssz` and chain.toml are not of one chain.
    #[error("genesis.ssz is of another chain: {what} is {found}, chain.toml says {expected}")]
    Foreign {
        /// What differs.
        what: &'static str,
        /// Of genesis.ssz.
        found: String,
        /// Of chain.toml.
        expected: String,
    },
    /// The table of model heads.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The beacon database.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is stored cannot be taken up again.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl From<crate::fork_choice::ForkChoiceError> for SetupError {
    fn from(error: crate::fork_choice::ForkChoiceError) -> Self {
        Self::Driver(error.into())
    }
}

/// Reads `genesis.ssz` and compares it with chain.toml.
///
/// # Errors
/// [`SetupError::Decode`], [`SetupError::Foreign`].
pub fn read_genesis<E: EthSpec>(bytes: &[u8], spec: &ChainSpec, config: &Config) -> Result<BeaconState<E>, SetupError> {
    let state = BeaconState::<E>::from_ssz_bytes(bytes).map_err(|_| SetupError::Decode)?;
    let chain = spec.parameters();
    let payload = &state.latest_execution_payload_header;
    let pairs = [
        ("the genesis time", state.genesis_time.to_string(), chain.genesis_time.to_string()),
        ("the validators root", format!("{:x}", state.genesis_validators_root), chain.genesis_validators_root.to_string()),
        ("the execution genesis hash", format!("{:x}", payload.block_hash), chain.execution_genesis_hash.to_string()),
        ("the fork version", state.fork.current_version.to_string(), config.forks.deneb.to_string()),
        ("the slot", state.slot.to_string(), "0".to_owned()),
    ];
    match pairs.into_iter().find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(SetupError::Foreign { what, found, expected }),
        None => Ok(state),
    }
}

/// Root of the block that a genesis state stands for.
///
/// # Errors
/// [`StateError`]; ours.
pub fn genesis_root<E: EthSpec>(genesis: &BeaconState<E>) -> Result<B256, StateError> {
    let mut state = genesis.clone();
    let mut header = state.latest_block_header;
    if header.state_root == B256::ZERO {
        header.state_root = state.update_root()?;
    }
    Ok(header.tree_hash_root())
}

/// Opens a chain from a directory: what was stored there before, or genesis. `now_ms` is the clock.
///
/// # Errors
/// [`SetupError`].
pub fn open<E: EthSpec>(
    directory: &Path,
    spec: ChainSpec,
    config: Config,
    genesis: BeaconState<E>,
    guard: Arc<Guard>,
    signer: Arc<Signer>,
    now_ms: u64,
) -> Result<Chain<E>, SetupError> {
    let root = genesis_root(&genesis).map_err(DriverError::from)?;
    let database = Arc::new(Database::open(&directory.join("beacon.redb"), spec.genesis_id(), root, &genesis)?);
    let table = Arc::new(open_table(directory, spec.genesis_id())?);
    let (anchor, state) = database.anchor()?;
    restore_table(&table, &database, &spec, root, anchor, &state)?;
    let chain = spec.parameters();
    let importer = Importer::new(table, chain.quorum, spec.domains(), E::slots_per_epoch());
    let gate = CertificateGate::new(importer);
    let mut store = Store::new(state, config)?;
    if store.node(&anchor).is_none() {
        return Err(StorageError::Damaged { what: "anchor" }.into());
    }
    replay(&mut store, &database, &gate)?;
    let stored_votes = database.votes()?;
    stored_votes.iter().for_each(|vote| store.restore(*vote));
    store.on_tick(now_ms)?;
    let deposits = DepositTree::new(database.deposits()?);
    let mut chain = Chain {
        spec,
        config,
        head: store.head()?,
        store,
        gate,
        database,
        attestations: AttestationPool::default(),
        sync: SyncPool::default(),
        operations: OperationPool::default(),
        deposits,
        ai: Ai::new(&spec, guard, signer),
        genesis: Arc::new(genesis),
        genesis_root: root,
        advanced: std::sync::Mutex::default(),
        anchor,
        uncounted: Vec::new(),
        stored_votes,
        refused: std::collections::BTreeMap::new(),
        happened: Vec::new(),
    };
    chain.finalize()?;
    chain.take_events();
    // ACKs come as soon as the DHT is connected, before the first slot and before genesis: without members none would count, and none comes twice.
    let state = chain.head_state_at(chain.store.current_slot())?;
    chain.ai.enter(&state, &chain.gate)?;
    Ok(chain)
}

/// The table has the anchor's row, or is made anew from the blocks on disk.
fn restore_table<E: EthSpec>(
    table: &HeadTable,
    database: &Database<E>,
    spec: &ChainSpec,
    genesis_root: B256,
    anchor: B256,
    state: &BeaconState<E>,
) -> Result<(), SetupError> {
    if table.row(Hash32(anchor.0))?.is_some() {
        return Ok(());
    }
    table.anchor(Anchor { root: Hash32(genesis_root.0), model_head: spec.genesis_head() }, 0)?;
    let mut blocks = Vec::new();
    for (slot, root) in database.canonical_down(state.slot, REBUILD)?.into_iter().rev().filter(|(slot, _)| *slot > 0) {
        let (block, _) = database.block(&root)?.ok_or(StorageError::Damaged { what: "block" })?;
        let update_id = update_of(&block.message.body.execution_payload.extra_data);
        blocks.push(StoredBlock { root: Hash32(root.0), parent_root: Hash32(block.message.parent_root.0), slot, update_id });
    }
    if !blocks.is_empty() {
        tracing::warn!(target: "polai::beacon", blocks = blocks.len(), "the table of model heads was lost; made anew from the blocks");
        table.rebuild(blocks)?;
    }
    Ok(())
}

/// Imports again what was imported since the anchor.
fn replay<E: EthSpec>(store: &mut Store<E>, database: &Database<E>, gate: &CertificateGate) -> Result<(), SetupError> {
    let mut count = 0_usize;
    for root in database.since_anchor()? {
        let Some((block, execution)) = database.block(&root)? else { continue };
        if execution == ExecutionStatus::Invalid {
            continue;
        }
        let block = HashedBlock::from(block);
        let slot = block.message().slot;
        let time_ms = (*store.nodes()).first().and_then(|node| node.state.time_at_slot(slot, store.config()).ok()).unwrap_or(0);
        store.on_tick(time_ms.saturating_mul(1_000))?;
        match store.check_block(block, gate, VerifySignatures::No) {
            Ok(checked) => {
                store.import(checked, execution)?;
                count = count.saturating_add(1);
            }
            // On a branch that finality left behind, or on one that the execution client called INVALID.
            Err(
                BlockRefusal::UnknownParent { .. }
                | BlockRefusal::InvalidParent { .. }
                | BlockRefusal::Finalized { .. }
                | BlockRefusal::NotDescendant { .. },
            ) => {}
            Err(refusal) => return Err(DriverError::Replay { root, slot, reason: refusal.to_string() }.into()),
        }
    }
    if count > 0 {
        tracing::info!(target: "polai::beacon", blocks = count, "imported again what was stored");
    }
    Ok(())
}
