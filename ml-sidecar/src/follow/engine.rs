//! The follower without sockets: events and bytes in, states out.
//!
//! What the chain says and what is known of it are two things: the journal holds every canonical update at once, with the feed's cursor; the
//! state goes after them as the bytes come.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pol_api::convert::{ChainEvent, ChainUpdate, Cursor, Head};
use pol_core::{
    ModelHead, UpdateId,
    delta::{Change, Context, NORM_WINDOW},
    model_head,
    state::{Ancestry, FoldError, FollowError, Followed, Outcome, State, Transition, Undo, UndoError, ZeroReason, fold},
};

use super::{
    rows::{Step, UpdateRow},
    store::{Ends, Store, StoreError},
    tip::{Event, Point, Tip},
};
use crate::adapter::{StateFileError, read_state, write_state};

const JOURNAL: &str = "journal.redb";
/// Final updates after which the state file is written anew: a restart follows at most so many and those that are not final.
const BASE_INTERVAL: u64 = 64;
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
    /// The state is that of the chain's last update.
    UpToDate,
}

/// Bytes by update id, as far as they are here.
pub type Bytes<'a> = &'a dyn Fn(&UpdateId) -> Option<Vec<u8>>;

/// The state and its journal.
#[derive(Debug)]
pub struct Engine {
    pub(super) context: Context,
    folder: PathBuf,
    pub(super) store: Store,
    pub(super) ends: Ends,
    /// Shared with the last tip: a change makes a copy.
    pub(super) state: Arc<State>,
    /// Head of `state`.
    pub(super) head: ModelHead,
    norms: Vec<u64>,
    /// Updates up to this one are known not to be a void that helps; see [`super::voids`].
    pub(super) looked: u64,
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
        let mut engine = Self { context, folder, store, ends, state, head, norms: Vec::new(), looked: 0 };
        engine.redo()?;
        engine.head = engine.head_at(engine.ends.applied)?;
        engine.norms = engine.norms_at(engine.ends.applied)?;
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
            confirmed: true,
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

    /// Takes an event of the feed in, durably.
    ///
    /// # Errors
    /// [`EngineError::Feed`]: it is not taken in; open the feed again, from [`Self::cursor`]. The others end the process.
    pub fn take(&mut self, event: &ChainEvent) -> Result<Vec<Event>, EngineError> {
        let cursor = event.advance(self.ends.cursor);
        match event {
            ChainEvent::Update(update) => self.take_update(update, cursor),
            ChainEvent::Reverted(head) => self.take_revert(head, cursor),
            ChainEvent::Finalized(head) => self.take_finality(head.updates, head.model_head, cursor),
        }
    }

    fn take_update(&mut self, update: &ChainUpdate, cursor: Cursor) -> Result<Vec<Event>, EngineError> {
        let number = self.ends.updates.saturating_add(1);
        let head = model_head::child(self.head_at(self.ends.updates)?, update.update_id);
        if (update.number, update.model_head) != (number, head) {
            let (found, found_head) = (update.number, update.model_head);
            return Err(EngineError::Feed(format!("update {found} with head {found_head}, expected {number} with {head}")));
        }
        let row = UpdateRow { update_id: update.update_id, head, block: update.block, timestamp: update.timestamp };
        let finalized = if update.finalized { number } else { self.ends.finalized };
        self.store.append(number, &row, cursor, finalized)?;
        (self.ends.updates, self.ends.finalized, self.ends.cursor) = (number, finalized, Some(cursor));
        Ok(Vec::new())
    }

    fn take_revert(&mut self, to: &Head, cursor: Cursor) -> Result<Vec<Event>, EngineError> {
        let (number, ends) = (to.updates, self.ends);
        if number > ends.updates || self.head_at(number)? != to.model_head {
            return Err(EngineError::Feed(format!("a revert to update {number} with head {}, which is none", to.model_head)));
        }
        if number < ends.finalized {
            return Err(EngineError::Feed(format!("a revert to update {number}, but {} are final", ends.finalized)));
        }
        let mut applied = ends.applied;
        while applied > number {
            let step = self.store.step(applied)?;
            let old = self.store.undo(applied)?.ok_or(StoreError::Row { number: applied, what: "undo" })?;
            Arc::make_mut(&mut self.state).undo(&Undo::new(step.before, step.after, old)?)?;
            applied = step.from;
        }
        self.store.revert_to(number, cursor)?;
        self.ends = Ends { updates: number, applied, cursor: Some(cursor), ..ends };
        self.looked = 0;
        if applied == ends.applied {
            return Ok(Vec::new());
        }
        self.head = self.head_at(applied)?;
        self.norms = self.norms_at(applied)?;
        Ok(vec![Event::Reverted { to_head: self.head, number: applied }])
    }

    fn take_finality(&mut self, number: u64, head: ModelHead, cursor: Cursor) -> Result<Vec<Event>, EngineError> {
        if number > self.ends.updates || self.head_at(number)? != head {
            return Err(EngineError::Feed(format!("update {number} with head {head} is final, but it is none of the chain's")));
        }
        let before = self.ends.finalized;
        if number < before {
            return Ok(Vec::new());
        }
        self.store.finalize(number, cursor)?;
        (self.ends.finalized, self.ends.cursor) = (number, Some(cursor));
        self.finalized_events(before.saturating_add(1)..=number.min(self.ends.applied))
    }

    pub(super) fn finalized_events(&self, numbers: std::ops::RangeInclusive<u64>) -> Result<Vec<Event>, EngineError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let event = |(number, row): (u64, UpdateRow)| Event::Finalized { update_id: row.update_id, head: row.head, number };
        Ok(self.store.updates(numbers)?.into_iter().map(event).collect())
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
                None => Ok(Advanced::Missing(vec![])),
            },
            Ok(transition) => self.follow(number, &row, &transition, &[], used),
            Err(FoldError::Missing { id } | FoldError::WrongBytes { id, .. }) => self.look_ahead(id, bytes),
            Err(FoldError::UnknownAncestor { .. }) => Ok(Advanced::Missing(vec![])),
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
        let from = self.ends.applied;
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
        let mut events = vec![Event::Applied { update_id: row.update_id, head: row.head, number }];
        events.extend(self.finalized_events(number..=number.min(self.ends.finalized))?);
        Ok(Advanced::Applied { events, used, outcome: followed.outcome })
    }

    /// Writes the state file anew when many updates became final since: off every path that has a deadline.
    ///
    /// # Errors
    /// [`EngineError::Store`], [`EngineError::StateFile`].
    pub fn settle(&mut self) -> Result<bool, EngineError> {
        let number = self.on_path(self.ends.finalized.min(self.ends.applied))?;
        if number < self.ends.base.saturating_add(BASE_INTERVAL) {
            return Ok(false);
        }
        let (mut state, mut at) = (State::clone(&self.state), self.ends.applied);
        while at > number {
            let step = self.store.step(at)?;
            let old = self.store.undo(at)?.ok_or(StoreError::Row { number: at, what: "undo" })?;
            state.undo(&Undo::new(step.before, step.after, old)?)?;
            at = step.from;
        }
        write_state(&state, &state_file(&self.folder, number))?;
        self.store.set_base(number, number.saturating_sub(UNDOS_KEPT))?;
        let old = std::mem::replace(&mut self.ends.base, number);
        if old > 0 {
            // Only room on the disk hangs on it.
            let _ = fs::remove_file(state_file(&self.folder, old));
        }
        Ok(true)
    }

    /// The newest update up to `number` whose state was known: what a void jumped over was not.
    fn on_path(&self, number: u64) -> Result<u64, EngineError> {
        let mut at = self.ends.applied;
        while at > number {
            at = self.store.step(at)?.from;
        }
        Ok(at)
    }

    pub(super) fn head_at(&self, number: u64) -> Result<ModelHead, EngineError> {
        match number {
            0 => Ok(self.context.genesis_id.into()),
            number => Ok(self.store.update(number)?.head),
        }
    }

    fn norms_at(&self, number: u64) -> Result<Vec<u64>, EngineError> {
        let (mut norms, mut number) = (Vec::new(), number);
        while number > 0 && norms.len() < NORM_WINDOW {
            let step = self.store.step(number)?;
            norms.extend(step.norm);
            number = step.from;
        }
        norms.reverse();
        Ok(norms)
    }
}

fn log_zero(update_id: UpdateId, reason: &ZeroReason) {
    tracing::warn!(target: "polai::sidecar", %update_id, %reason, "an accepted update adds zero");
}

fn state_file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("state-{number}.pols"))
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
