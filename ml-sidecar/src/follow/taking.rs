//! Events of the feed, taken in: what is canonical, what is gone, what is final.

use std::sync::Arc;

use pol_api::convert::{ChainEvent, ChainUpdate, Cursor, Head};
use pol_core::{ModelHead, model_head, state::Undo};

use super::{
    engine::{Engine, EngineError},
    rows::UpdateRow,
    store::{Ends, StoreError},
    tip::Event,
};

impl Engine {
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
        self.store.append(number, &row, cursor, finalized, update.result_root)?;
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
        self.revise_doubt()?;
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
}
