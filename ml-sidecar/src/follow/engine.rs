//! The follower without sockets: events and bytes in, states out.
//!
//! What the chain says and what is known of it are two things: the journal holds every canonical update at once, with the feed's cursor; the
//! state goes after them as the bytes come.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pol_api::convert::Cursor;
use pol_core::{
    ModelHead, UpdateId,
    delta::{Change, Context, NORM_WINDOW},
    state::{Ancestry, FoldError, FollowError, Followed, Outcome, Shape, State, Transition, Undo, UndoError, ZeroReason, fold},
};

use super::{
    joined::Doubt,
    rows::{Step, UpdateRow},
    store::{Ends, Store, StoreError},
    tip::{Event, Point, Tip},
};
use crate::adapter::{StateFileError, read_state};

const JOURNAL: &str = "journal.redb";
/// Final updates after which the state file is written anew: a restart follows at most so many and those that are not final.
pub(super) const BASE_INTERVAL: u64 = 64;
/// Final updates whose undos are kept: how far back a void may return. 0.4 GB for a model of 1.5 B.
pub const UNDOS_KEPT: u64 = 1_024;

/// Why the follower cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal: the disk's fault, or the operator's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state file: the disk's fault.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// The folder: the operator's.
    #[error("{path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The journal's values do not give the journal's roots: a damaged disk, or a defect of ours.
    #[error("journal: {0}; remove the folder, everything is folded anew")]
    Undo(#[from] UndoError),
    /// As above.
    #[error("journal: {0}; remove the folder, everything is folded anew")]
    Follow(#[from] FollowError),
    /// The feed contradicts itself or what it said before: the execution client's fault, or another chain's. Nothing was taken in.
    #[error("feed: {0}")]
    Feed(String),
}

/// What trying to go on gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advanced {
    /// An update was followed; `used` are the containers that decided it.
    Applied {
        /// What to tell.
        events: Vec<Event>,
        /// Ids of the containers.
        used: Vec<UpdateId>,
        /// What it did, for people.
        outcome: Outcome,
    },
    /// These bytes are missing; the first ones decide.
    Missing(Vec<UpdateId>),
    /// The bytes are here, but they are a void to a state that is not known here: a later snapshot helps, or a reorg.
    OutOfReach,
    /// The state is that of the chain's last update.
    UpToDate,
}

/// Bytes by update id, as far as they are here.
pub type Bytes<'a> = &'a dyn Fn(&UpdateId) -> Option<Vec<u8>>;

/// The state and its journal.
#[derive(Debug)]
pub struct Engine {
    pub(super) context: Context,
    pub(super) folder: PathBuf,
    pub(super) store: Store,
    pub(super) ends: Ends,
    /// Shared with the last tip: a change makes a copy.
    pub(super) state: Arc<State>,
    /// Head of `state`.
    pub(super) head: ModelHead,
    pub(super) norms: Vec<u64>,
    /// Why this node must not ACK; see [`super::joined`].
    pub(super) doubt: Option<Doubt>,
    /// Updates up to this one are known not to be a void that helps; see [`super::voids`].
    pub(super) looked: u64,
    /// Where the last void leads that cannot be followed: it is said once.
    pub(super) out_of_reach: Option<ModelHead>,
}

impl Engine {
    /// Opens the journal in a folder and takes the state up again.
    ///
    /// # Errors
    /// [`EngineError`]; never [`EngineError::Feed`].
    pub fn open(folder: &Path, context: Context) -> Result<Self, EngineError> {
        let failed = |source| EngineError::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        pol_kit::fs::remove_unfinished(folder).map_err(failed)?;
        let store = Store::open(&folder.join(JOURNAL), context.genesis_id)?;
        let ends = store.ends()?;
        let state = match ends.base {
            0 => State::initial(&context.genesis_id, context.shape),
            base => read_state(&state_file(folder, base))?,
        };
        let (folder, head) = (folder.to_owned(), context.genesis_id.into());
        let state = Arc::new(state);
        let (norms, doubt, looked, out_of_reach) = (Vec::new(), None, 0, None);
        let mut engine = Self { context, folder, store, ends, state, head, norms, doubt, looked, out_of_reach };
        engine.redo()?;
        engine.head = engine.head_at(engine.ends.applied)?;
        engine.norms = engine.norms_at(engine.ends.applied)?;
        engine.doubt = engine.count_doubt()?;
        Ok(engine)
    }

    /// From the state file's update to the last one that was followed.
    fn redo(&mut self) -> Result<(), EngineError> {
        let (mut steps, mut number) = (Vec::new(), self.ends.applied);
        while number > self.ends.base {
            let step = self.store.step(number)?;
            steps.push((number, step));
            number = step.from;
        }
        for (number, step) in steps.into_iter().rev() {
            // The way forth is an undo in the other direction.
            Arc::make_mut(&mut self.state).undo(&Undo::new(step.after, step.before, self.store.redo(number)?)?)?;
        }
        Ok(())
    }

    /// The adapter's shape.
    pub const fn shape(&self) -> Shape {
        self.context.shape
    }

    /// Where the feed goes on.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.ends.cursor
    }

    /// What to tell.
    pub fn tip(&self) -> Result<Tip, EngineError> {
        let cursor = match self.ends.applied {
            0 => None,
            number => Some(self.store.update(number)?.block),
        };
        let number = self.ends.finalized.min(self.ends.applied);
        let number = self.on_path(number)?;
        Ok(Tip {
            context: self.context,
            head: self.head,
            number: self.ends.applied,
            cursor,
            finalized: Point { head: self.head_at(number)?, number },
            root: self.state.root(),
            state: Arc::clone(&self.state),
            norms: self.norms.clone(),
            behind: self.ends.updates.saturating_sub(self.ends.applied),
            missing: None,
            chain_head: self.head_at(self.ends.updates)?,
            confirmed: self.doubt.is_none(),
        })
    }

    /// The updates that are part of the state, the newest `most` of them.
    pub fn known(&self, most: u64) -> Result<Vec<(u64, UpdateId)>, EngineError> {
        let from = self.ends.applied.saturating_sub(most).saturating_add(1);
        let rows = self.store.updates(from..=self.ends.applied.max(from))?;
        Ok(rows.into_iter().filter(|(number, _)| *number <= self.ends.applied).map(|(n, row)| (n, row.update_id)).collect())
    }

    /// Whether the update that is followed next is final.
    pub const fn next_is_final(&self) -> bool {
        self.ends.finalized > self.ends.applied
    }

    /// Follows the next update, if its bytes are here.
    ///
    /// # Errors
    /// [`EngineError`]; never [`EngineError::Feed`].
    pub fn advance(&mut self, bytes: Bytes<'_>) -> Result<Advanced, EngineError> {
        let number = self.ends.applied.saturating_add(1);
        if number > self.ends.updates {
            return Ok(Advanced::UpToDate);
        }
        let row = self.store.update(number)?;
        let (mut used, mut history) = (vec![row.update_id], None);
        let transition = {
            let child = |id: &UpdateId| {
                used.push(*id);
                bytes(id)
            };
            let ancestry = |target: &ModelHead| match self.store.number_of(*target) {
                Ok(found) if found.is_some_and(|found| found < number - 1) || *target == self.context.genesis_id.into() => {
                    Ancestry::Proper
                }
                Ok(_) => Ancestry::Not,
                Err(error) => {
                    history = Some(error);
                    Ancestry::Unknown
                }
            };
            fold(&self.context, &self.head, &row.update_id, bytes(&row.update_id).as_deref(), child, ancestry)
        };
        if let Some(error) = history {
            return Err(error.into());
        }
        match transition {
            Ok(Transition::ReturnTo(target)) => match self.back_to(target)? {
                Some(back) => self.follow(number, &row, &Transition::ReturnTo(target), &back, used),
                None => Ok(Advanced::OutOfReach),
            },
            Ok(transition) => self.follow(number, &row, &transition, &[], used),
            Err(FoldError::Missing { id } | FoldError::WrongBytes { id, .. }) => self.look_ahead(id, bytes),
            Err(FoldError::UnknownAncestor { .. }) => Ok(Advanced::OutOfReach),
        }
    }

    pub(super) fn follow(
        &mut self,
        number: u64,
        row: &UpdateRow,
        transition: &Transition,
        back: &[Undo],
        used: Vec<UpdateId>,
    ) -> Result<Advanced, EngineError> {
        let (from, parent) = (self.ends.applied, self.head_at(number.saturating_sub(1))?);
        let followed = match (transition, back) {
            // A void over updates that nobody has can return to the very state that is here.
            (Transition::ReturnTo(_), []) => {
                let root = self.state.root();
                Followed { outcome: Outcome::Returned, root, undo: Undo::new(root, root, Vec::new())? }
            }
            _ => Arc::make_mut(&mut self.state).follow(transition, back)?,
        };
        let norm = match (&followed.outcome, transition) {
            (Outcome::Added { .. }, Transition::Add(change)) => Some(Change::norm(change)),
            _ => None,
        };
        let values = self.state.values();
        let now = |(index, _): &(u32, i32)| Some((*index, *values.get(*index as usize)?));
        let redo: Vec<(u32, i32)> = followed.undo.old().iter().filter_map(now).collect();
        let step = Step { from, before: followed.undo.before(), after: followed.root, norm };
        self.store.put_step(number, &step, followed.undo.old(), &redo)?;
        (self.ends.applied, self.head, self.looked) = (number, row.head, 0);
        self.norms.extend(norm);
        let surplus = self.norms.len().saturating_sub(NORM_WINDOW);
        self.norms.drain(..surplus);
        if let Outcome::Zero(reason) = &followed.outcome {
            log_zero(row.update_id, reason);
        }
        let (root, certified) = (followed.root, self.store.certified(number)?);
        self.compare(number, root, certified)?;
        let mut events = vec![Event::Applied { update_id: row.update_id, parent, head: row.head, number, root, certified }];
        events.extend(self.finalized_events(number..=number.min(self.ends.finalized))?);
        Ok(Advanced::Applied { events, used, outcome: followed.outcome })
    }
}

fn log_zero(update_id: UpdateId, reason: &ZeroReason) {
    tracing::warn!(target: "polai::sidecar", %update_id, %reason, "an accepted update adds zero");
}

pub(super) fn state_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("state-{number}.pols"))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub(super) mod tests;
