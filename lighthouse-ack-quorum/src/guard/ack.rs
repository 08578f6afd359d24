//! May this ACK be signed? (section 8)

use std::collections::BTreeSet;

use pol_core::{
    ModelHead, UpdateId,
    ack::AckData,
    aggregate::near_copy,
    delta::{Checked, CheckedDelta, RawDelta, decode},
};
use redb::{ReadableTable as _, Table, WriteTransaction};

use super::{AckReceipt, Guard, GuardError, Key, Refusal, tables};
use crate::limits;

/// An update that passed the gate, with its container's bytes: whoever ACKs has them.
#[derive(Debug, Clone)]
pub struct Candidate {
    container: Checked,
}

impl Candidate {
    /// Decodes a container and checks its signature.
    ///
    /// # Errors
    /// [`Refusal::Container`].
    pub fn decode(guard: &Guard, update_id: UpdateId, bytes: Vec<u8>) -> Result<Self, Refusal> {
        let container = RawDelta::new(bytes).and_then(|raw| raw.check(&guard.context));
        container.map(|container| Self { container }).map_err(|error| Refusal::Container { update_id, error })
    }
}

impl From<Checked> for Candidate {
    fn from(container: Checked) -> Self {
        Self { container }
    }
}

impl Guard {
    /// May these keys ACK a candidate with this result? One answer per key, in their order; the rows of those that may are on disk, all
    /// with one sync. Signing the same ACK again is allowed.
    ///
    /// A void is ACKed by the rules that only the sidecar can ask (section 8): its verdict answers them.
    ///
    /// # Errors
    /// [`GuardError`]; then nothing may be signed.
    pub fn acks(
        &self,
        candidate: &Candidate,
        data: &AckData,
        keys: &[Key],
    ) -> Result<Vec<Result<AckReceipt, Refusal>>, GuardError> {
        let update_id = data.update_id;
        let header = candidate.container.header();
        if header.claims.model_head != data.model_head || candidate.container.update_id() != update_id {
            let refusal = Refusal::Head { update_id, model_head: data.model_head };
            return Ok(keys.iter().map(|_| Err(refusal.clone())).collect());
        }
        let write = self.database.begin_write()?;
        let answers = self.decide(&write, candidate, data, keys)?;
        if answers.iter().any(Result::is_ok) {
            write.commit()?;
        } else {
            write.abort()?;
        }
        let receipt = |key: &Key| AckReceipt { data: *data, key: *key };
        Ok(answers.into_iter().zip(keys).map(|(answer, key)| answer.map(|()| receipt(key))).collect())
    }

    fn decide(
        &self,
        write: &WriteTransaction,
        candidate: &Candidate,
        data: &AckData,
        keys: &[Key],
    ) -> Result<Vec<Result<(), Refusal>>, GuardError> {
        let (update_id, model_head) = (data.update_id, data.model_head);
        if write.open_table(tables::CLOSED)?.get(&model_head.0)?.is_some() {
            return Ok(keys.iter().map(|_| Err(Refusal::ClosedHead { update_id, model_head })).collect());
        }
        let mut deltas = write.open_table(tables::DELTAS)?;
        let (copied, kept) = match &candidate.container {
            Checked::Delta(delta) => self.near_copies(&deltas, model_head, delta)?,
            Checked::Merge(_) | Checked::Void(_) => (BTreeSet::new(), 0),
        };
        let mut acks = write.open_table(tables::ACKS)?;
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            let answer = ack_by(&acks, data, key, &copied)?;
            if answer.is_ok() {
                acks.insert((key, &model_head.0, &update_id.0), &data.result_root.0)?;
            }
            answers.push(answer);
        }
        if let Checked::Delta(delta) = &candidate.container
            && answers.iter().any(Result::is_ok)
            && deltas.get((&model_head.0, &update_id.0))?.is_none()
        {
            if kept >= limits::GUARDED_DELTAS {
                return Ok(keys.iter().map(|_| Err(Refusal::TooMany { update_id, found: kept })).collect());
            }
            deltas.insert((&model_head.0, &update_id.0), delta.as_bytes())?;
        }
        Ok(answers)
    }

    /// Updates on this head whose kept delta the candidate nearly copies, and how many deltas are kept.
    fn near_copies(
        &self,
        deltas: &Table<'_, (&'static [u8; 32], &'static [u8; 32]), &'static [u8]>,
        head: ModelHead,
        candidate: &CheckedDelta,
    ) -> Result<(BTreeSet<UpdateId>, usize), GuardError> {
        let damaged = GuardError::Damaged { table: "deltas" };
        let (mut copied, mut kept) = (BTreeSet::new(), 0);
        for row in deltas.range((&head.0, &[0; 32])..=(&head.0, &[0xff; 32]))? {
            let (_, bytes) = row?;
            kept += 1;
            let Ok(Checked::Delta(delta)) = decode(bytes.value(), &self.context) else { return Err(damaged) };
            if delta.update_id() != candidate.update_id() && near_copy(&delta, candidate) {
                copied.insert(delta.update_id());
            }
        }
        Ok((copied, kept))
    }
}

fn ack_by(
    acks: &Table<'_, tables::AckKey, &'static [u8; 32]>,
    data: &AckData,
    key: &Key,
    copied: &BTreeSet<UpdateId>,
) -> Result<Result<(), Refusal>, GuardError> {
    let (update_id, head) = (data.update_id, &data.model_head.0);
    if let Some(signed) = acks.get((key, head, &update_id.0))?.map(|root| pol_core::ResultRoot(*root.value())) {
        let found = data.result_root;
        return Ok(if signed == found { Ok(()) } else { Err(Refusal::SecondRoot { update_id, signed, found }) });
    }
    for other in copied {
        if acks.get((key, head, &other.0))?.is_some() {
            return Ok(Err(Refusal::NearCopy { update_id, copied: *other }));
        }
    }
    Ok(Ok(()))
}
