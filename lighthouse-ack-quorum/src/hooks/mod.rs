//! Hook -> call, for a beacon node that shares no type with us: plain arrays, slices and integers only.
//!
//! | hook in the node | call |
//! | --- | --- |
//! | start, once | [`init`] |
//! | block hash of a payload, where a node computes it itself | [`split_wire`] |
//! | before a block is imported, on the parent state advanced to its slot | [`before_import`]; when slashable [`remember_refused`] |
//! | own payload, before it is offered for signing | [`own_payload`]; on a refusal [`clear_candidate`], ask once more |
//! | a `ProposerSlashing`, before the specification's own checks | [`decode_slashing`], [`Slashing::check`] |
//! | its signature sets | [`Slashing::signatures`] |
//! | packing a `ProposerSlashing` into a block | [`Slashing::check`] again |
//! | finalized checkpoint | [`finalized`] |
//! | its own HTTP server, below `/lighthouse/ai/` | [`answer`] |
//!
//! # Contract
//! [`init`] once per process; every other function that needs the chain answers [`HookError::NotStarted`] before. None of them waits for
//! the network; [`before_import`] writes one row to disk.
//!
//! # What it does not protect against
//! A patch that forgets one of the rows of this table: patches/lighthouse tests each.

mod answer;
mod engine;
mod refused;
mod slashing;

#[cfg(all(test, feature = "service"))]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use pol_core::{
    GenesisId, Hash32,
    block::CheckedBlock,
    committee::QuorumRule,
    fault::FaultRules,
    genesis::{ChainSpec, GenesisError},
    params::EXTRA_DATA_BYTES,
    wire::WireHead,
};

pub use answer::{Head, answer};
pub use engine::{METHOD, clear_candidate};
pub use refused::RefusedBlock;
use refused::RefusedBlocks;
pub use slashing::{HeaderFields, SignatureSet, Slashing, SlashingState, decode_slashing};

use crate::{
    import::{Anchor, BlockView, CheckpointError, HeadTable, ImportError, Importer, StoredBlock, TableError, update_of},
    members::{Committee, Keys, MembersError, Validator},
};

/// Why a hook gave no answer. Ours or the operator's, never a peer's: peers' faults are [`Gate::Refuse`].
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// [`init`] was not called. The patch's defect.
    #[error("ack-quorum: used before init")]
    NotStarted,
    /// [`init`] was called twice. The patch's defect.
    #[error("ack-quorum: init called twice")]
    Twice,
    /// `--ai-quorum` is not what genesis fixed. The operator's.
    #[error("ack-quorum: found quorum {found}, expected {expected} as in chain.toml")]
    Quorum {
        /// What the operator said.
        found: String,
        /// What genesis says.
        expected: String,
    },
    /// chain.toml. The operator's.
    #[error("chain.toml: {0}")]
    Genesis(#[from] GenesisError),
    /// The checkpoint's text. The operator's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The table of model heads.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Validators of the state. The patch's defect.
    #[error(transparent)]
    Members(#[from] MembersError),
    /// The parent was not imported with us: give stored blocks to [`rebuild`] first.
    #[error("ack-quorum: {0}")]
    Import(ImportError),
}

/// The header as the execution side hashes it, from a payload's `extra_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireParts<'a> {
    /// `extra_data` of the header.
    pub extra_data: &'a [u8],
    /// Its nonce.
    pub nonce: u64,
    /// Its difficulty.
    pub difficulty: u64,
    /// The certificate, or nothing.
    pub trailer: &'a [u8],
}

/// Splits a payload's `extra_data`. What is shorter than 80 bytes is no wire form (genesis has none): all of it is header, nonce and
/// difficulty are zero, as Ethereum hashes it.
pub fn split_wire(extra_data: &[u8]) -> WireParts<'_> {
    let plain = WireParts { extra_data, nonce: 0, difficulty: 0, trailer: &[] };
    let Ok(head) = WireHead::read(extra_data) else { return plain };
    let (header, rest) = extra_data.split_at(EXTRA_DATA_BYTES);
    let trailer = rest.get(16..).unwrap_or_default();
    WireParts { extra_data: header, nonce: head.nonce, difficulty: head.difficulty, trailer }
}

struct Chain {
    spec: ChainSpec,
    importer: Importer,
    rules: FaultRules,
    keys: Mutex<Keys>,
    refused: RefusedBlocks,
}

static CHAIN: OnceLock<Chain> = OnceLock::new();

fn chain() -> Result<&'static Chain, HookError> {
    CHAIN.get().ok_or(HookError::NotStarted)
}

/// What [`init`] is told.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Text of chain.toml.
    pub chain_toml: &'a str,
    /// `--ai-quorum`, `auto` or a number; only to notice a contradiction, it is fixed at genesis.
    pub quorum: Option<&'a str>,
    /// Folder of the table of model heads.
    pub folder: &'a Path,
    /// Root of the genesis block.
    pub genesis_root: [u8; 32],
    /// `--ai-checkpoint`: `ROOT:M`, and the slot of that block.
    pub checkpoint: Option<(&'a str, u64)>,
}

/// Starts; until then every other hook answers [`HookError::NotStarted`].
///
/// # Errors
/// [`HookError`]; end the process with it.
pub fn init(start: &Start<'_>) -> Result<(), HookError> {
    if CHAIN.get().is_some() {
        return Err(HookError::Twice);
    }
    let spec = ChainSpec::parse(start.chain_toml)?;
    let (parameters, genesis_id, domains) = (spec.parameters(), spec.genesis_id(), spec.domains());
    let expected = quorum_text(parameters.quorum);
    if let Some(found) = start.quorum.filter(|found| *found != expected) {
        return Err(HookError::Quorum { found: found.to_owned(), expected });
    }
    let table = Arc::new(open_table(start.folder, genesis_id)?);
    table.anchor(Anchor { root: Hash32(start.genesis_root), model_head: spec.genesis_head() }, 0)?;
    if let Some((text, slot)) = start.checkpoint {
        table.anchor(text.parse()?, slot)?;
    }
    let slots = parameters.preset.slots_per_epoch();
    let rules = FaultRules { preset: parameters.preset, dev_slash_small: parameters.dev_slash_small, domains };
    let importer = Importer::new(table, parameters.quorum, domains, slots);
    let started = Chain { spec, importer, rules, keys: Mutex::default(), refused: RefusedBlocks::default() };
    CHAIN.set(started).map_err(|_| HookError::Twice)
}

fn quorum_text(rule: QuorumRule) -> String {
    match rule {
        QuorumRule::Auto => "auto".to_owned(),
        QuorumRule::Fixed(number) => number.to_string(),
    }
}

/// Root of a checkpoint's text `ROOT:M`, so that the node can look up its slot.
///
/// # Errors
/// [`HookError::Checkpoint`].
pub fn checkpoint_root(text: &str) -> Result<[u8; 32], HookError> {
    Ok(text.parse::<Anchor>()?.root.0)
}

/// Whether [`init`] was called: a node without our flags asks nothing else.
pub fn is_started() -> bool {
    CHAIN.get().is_some()
}

/// The table of model heads in its folder.
///
/// # Errors
/// [`TableError`].
pub fn open_table(folder: &Path, genesis_id: GenesisId) -> Result<HeadTable, TableError> {
    HeadTable::open(&folder.join("heads.redb"), genesis_id)
}

/// A block on its way into the chain.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Its root.
    pub root: [u8; 32],
    /// Its parent's root.
    pub parent_root: [u8; 32],
    /// Its slot.
    pub slot: u64,
    /// `extra_data` of its payload.
    pub extra_data: &'a [u8],
    /// `parent_hash` of its payload.
    pub payload_parent_hash: [u8; 32],
}

/// Active validators of the block's epoch, as the parent state advanced to its slot has them.
#[derive(Debug, Clone, Copy)]
pub struct Epoch<'a> {
    /// Registry index and compressed key, by strictly increasing index.
    pub active: &'a [(u64, [u8; 48])],
    /// `get_seed(state, epoch, DOMAIN_BEACON_ATTESTER)`.
    pub seed: [u8; 32],
}

/// May the block be imported?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Yes; its row is on disk.
    Import {
        /// Model head after it.
        model_head: [u8; 32],
        /// The update that it names and the ACKs in its certificate; none for an empty AI block.
        update: Option<([u8; 32], usize)>,
    },
    /// No, for ever: the proposer's fault.
    Refuse {
        /// Which rule, for the log.
        reason: String,
        /// The proposer is slashable for having signed it.
        slashable: bool,
    },
}

impl Epoch<'_> {
    fn committee(&self, epoch: u64, chain: &Chain) -> Result<Committee, MembersError> {
        let active: Vec<Validator> =
            self.active.iter().map(|(index, public_key)| Validator { index: *index, public_key: *public_key }).collect();
        let mut keys = chain.keys.lock().unwrap_or_else(PoisonError::into_inner);
        Committee::draw(epoch, &active, Hash32(self.seed), chain.rules.preset, &mut keys)
    }
}

/// Registry indices by seat of an epoch's committee.
///
/// # Errors
/// [`HookError`].
pub fn committee(epoch: u64, validators: &Epoch<'_>) -> Result<Vec<u64>, HookError> {
    Ok(validators.committee(epoch, chain()?)?.indices())
}

/// Asked for every block from any source, before it is imported; stores the block's row.
///
/// # Errors
/// [`HookError`]: do not import, and do not blame the peer.
pub fn before_import(block: &Block<'_>, epoch: &Epoch<'_>) -> Result<Gate, HookError> {
    let chain = chain()?;
    let committee = epoch.committee(block.slot / chain.rules.preset.slots_per_epoch(), chain)?;
    let Block { root, parent_root, slot, extra_data, payload_parent_hash } = *block;
    let view = BlockView { root, parent_root, slot, extra_data, payload_parent_hash };
    gate(chain.importer.check(&view, &committee))
}

/// Asked of the own payload before it is offered for signing; stores nothing. `block.root` is not looked at.
///
/// # Errors
/// [`HookError`]: do not sign.
pub fn own_payload(block: &Block<'_>, epoch: &Epoch<'_>) -> Result<Gate, HookError> {
    let chain = chain()?;
    let committee = epoch.committee(block.slot / chain.rules.preset.slots_per_epoch(), chain)?;
    let checked =
        chain.importer.check_own(block.parent_root, block.slot, block.extra_data, block.payload_parent_hash, &committee);
    gate(checked.map(|payload| *payload.checked()))
}

fn gate(answer: Result<CheckedBlock, ImportError>) -> Result<Gate, HookError> {
    match answer {
        Ok(checked) => {
            let update = checked.certificate.map(|one| (one.data().update_id.0, one.raw().seats.count()));
            Ok(Gate::Import { model_head: checked.model_head.0, update })
        }
        Err(ImportError::Refused { refused, .. }) => {
            Ok(Gate::Refuse { reason: refused.to_string(), slashable: refused.certificate_fault })
        }
        Err(ImportError::Table(error)) => Err(error.into()),
        Err(error) => Err(HookError::Import(error)),
    }
}

/// Says which block is final; rows below it go.
///
/// # Errors
/// [`HookError`].
pub fn finalized(root: [u8; 32]) -> Result<(), HookError> {
    chain()?.importer.table().finalize(Hash32(root))?;
    Ok(())
}

/// Fills the table from blocks that the node has stored, parents first, as after the folder was lost. `root` and the other fields are as
/// in [`before_import`]; certificates were checked when the blocks were imported.
///
/// # Errors
/// [`HookError`].
pub fn rebuild<'a>(blocks: impl IntoIterator<Item = Block<'a>>) -> Result<u64, HookError> {
    let stored = blocks.into_iter().map(|block| StoredBlock {
        root: Hash32(block.root),
        parent_root: Hash32(block.parent_root),
        slot: block.slot,
        update_id: update_of(block.extra_data),
    });
    Ok(chain()?.importer.table().rebuild(stored)?)
}

/// Model head after an imported block; none when the table does not know it.
///
/// # Errors
/// [`HookError`].
pub fn model_head(root: [u8; 32]) -> Result<Option<[u8; 32]>, HookError> {
    Ok(chain()?.importer.table().row(Hash32(root))?.map(|row| row.model_head.0))
}

/// Keeps a block that [`before_import`] refused as slashable, for [`answer`]; the oldest give way.
///
/// # Errors
/// [`HookError`].
pub fn remember_refused(block: RefusedBlock) -> Result<(), HookError> {
    chain()?.refused.add(block);
    Ok(())
}
