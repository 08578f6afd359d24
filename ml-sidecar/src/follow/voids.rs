//! Voids: back to an ancestor's state, also over updates whose bytes nobody has (sections 13, 14.4).

use pol_core::{
    ModelHead, UpdateId,
    delta::{Checked, decode},
    state::{Transition, Undo},
};

use super::engine::{Advanced, Bytes, Engine, EngineError};

/// Updates after a missing one that are looked at at once.
const AHEAD: u64 = 16;

impl Engine {
    /// The undos that lead from the state to that of an ancestor, newest first. None: that state is not known any more, or never was.
    pub(super) fn back_to(&mut self, target: ModelHead) -> Result<Option<Vec<Undo>>, EngineError> {
        let goal = self.store.number_of(target)?.unwrap_or_default();
        let (mut back, mut at) = (Vec::new(), self.ends.applied);
        while at > goal {
            if at == self.ends.joined {
                self.say_out_of_reach(at, target, "before the snapshot that this node joined from");
                return Ok(None);
            }
            let step = self.store.step(at)?;
            let Some(old) = self.store.undo(at)? else {
                self.say_out_of_reach(at, target, "further back than undos are kept");
                return Ok(None);
            };
            back.push(Undo::new(step.before, step.after, old)?);
            at = step.from;
        }
        Ok((at == goal).then_some(back))
    }

    /// Once for each such void: it is looked at again and again.
    fn say_out_of_reach(&mut self, update: u64, target: ModelHead, whereto: &str) {
        if self.out_of_reach.replace(target) != Some(target) {
            tracing::error!(target: "polai::sidecar", update, %target, "a void returns to {whereto}: a later snapshot is waited for");
        }
    }

    /// The next update's bytes are missing. If a later one is a void that returns to a state that is known, what lies between need not be.
    pub(super) fn look_ahead(&mut self, missing: UpdateId, bytes: Bytes<'_>) -> Result<Advanced, EngineError> {
        let next = self.ends.applied.saturating_add(1);
        let mut wanted = vec![missing];
        let from = self.looked.max(next).saturating_add(1);
        let to = from.saturating_add(AHEAD).min(self.ends.updates);
        if from > to {
            return Ok(Advanced::Missing(wanted));
        }
        let mut parent = self.head_at(from.saturating_sub(1))?;
        for (number, row) in self.store.updates(from..=to)? {
            match bytes(&row.update_id) {
                None => wanted.push(row.update_id),
                Some(container) => {
                    if let Some(back) = self.jump(&container, &row.update_id, parent, number)? {
                        let target = Transition::ReturnTo(row.head);
                        return self.follow(number, &row, &target, &back, vec![row.update_id]);
                    }
                    if number == self.looked.max(next).saturating_add(1) {
                        self.looked = number;
                    }
                }
            }
            parent = row.head;
        }
        Ok(Advanced::Missing(wanted))
    }

    /// The way back, when these bytes are a void on `parent` to a head before the missing update.
    fn jump(
        &mut self,
        container: &[u8],
        id: &UpdateId,
        parent: ModelHead,
        number: u64,
    ) -> Result<Option<Vec<Undo>>, EngineError> {
        let Ok(Checked::Void(void)) = decode(container, &self.context) else { return Ok(None) };
        let target = void.target();
        if void.update_id() != *id || void.header().claims.model_head != parent || target == parent {
            return Ok(None);
        }
        let is_ancestor = match self.store.number_of(target)? {
            Some(found) => found < number.saturating_sub(1),
            None => target == self.context.genesis_id.into(),
        };
        if is_ancestor { self.back_to(target) } else { Ok(None) }
    }
}
