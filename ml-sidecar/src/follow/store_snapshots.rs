//! The journal's side of snapshots: what was joined from, what certificates said, what is doubted.

use pol_core::ResultRoot;
use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::{BASE, CERTIFIED, DOUBT, JOINED, NORMS, NUMBERS, REDO, REFUSED, STEPS, Store, StoreError, UNDO};
use crate::follow::rows::Step;

impl Store {
    /// The root that an update's certificate names; None: the feed did not say.
    pub(in crate::follow) fn certified(&self, number: u64) -> Result<Option<ResultRoot>, StoreError> {
        let roots = self.database.begin_read()?.open_table(CERTIFIED)?;
        Ok(roots.get(number)?.map(|root| ResultRoot(*root.value())))
    }

    /// The root after an update; None: it was not followed, or jumped over.
    pub(in crate::follow) fn root_after(&self, number: u64) -> Result<Option<ResultRoot>, StoreError> {
        let steps = self.database.begin_read()?.open_table(STEPS)?;
        Ok(steps.get(number)?.map(|step| Step::of_bytes(step.value()).after))
    }

    /// The norms that came with a snapshot, oldest first.
    pub(in crate::follow) fn joined_norms(&self) -> Result<Vec<u64>, StoreError> {
        let norms = self.database.begin_read()?.open_table(NORMS)?;
        let all = norms.iter()?.map(|row| row.map(|(_, norm)| norm.value()));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// Roots of snapshots that turned out to be wrong.
    pub(in crate::follow) fn refused(&self) -> Result<Vec<ResultRoot>, StoreError> {
        let refused = self.database.begin_read()?.open_table(REFUSED)?;
        let all = refused.iter()?.map(|row| row.map(|(root, _)| ResultRoot(*root.value())));
        Ok(all.collect::<Result<_, _>>()?)
    }

    /// The state file holds the state after this update, which came with a snapshot: everything that was followed before is forgotten.
    pub(in crate::follow) fn join(&self, number: u64, norms: &[u64]) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        forget_followed(&write)?;
        {
            let mut numbers = write.open_table(NUMBERS)?;
            for name in [BASE, JOINED, DOUBT] {
                numbers.insert(name, number)?;
            }
            let mut rows = write.open_table(NORMS)?;
            for (place, norm) in (0_u64..).zip(norms) {
                rows.insert(place, norm)?;
            }
        }
        Ok(write.commit()?)
    }

    /// Back to the chain's first state; that snapshot is not taken again.
    pub(in crate::follow) fn abandon(&self, refused: ResultRoot) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        forget_followed(&write)?;
        {
            let mut numbers = write.open_table(NUMBERS)?;
            for name in [BASE, JOINED, DOUBT] {
                numbers.remove(name)?;
            }
            write.open_table(REFUSED)?.insert(&refused.0, ())?;
        }
        Ok(write.commit()?)
    }

    /// From which update on certificates have to agree before this node ACKs; None: it may.
    pub(in crate::follow) fn set_doubt(&self, since: Option<u64>) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        {
            let mut numbers = write.open_table(NUMBERS)?;
            match since {
                Some(number) => numbers.insert(DOUBT, number)?,
                None => numbers.remove(DOUBT)?,
            };
        }
        Ok(write.commit()?)
    }
}

fn forget_followed(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(STEPS)?.retain(|_, _| false)?;
    write.open_table(UNDO)?.retain(|_, _| false)?;
    write.open_table(REDO)?.retain(|_, _| false)?;
    write.open_table(NORMS)?.retain(|_, _| false)?;
    Ok(())
}
