//! What a new validator set makes of the records that were stored without one.

use std::sync::Arc;

use pol_core::{ack::RawAck, fault::RawFaultVote, record::RawIdRecord, record::RecordKey};

use crate::{
    shared::Shared,
    store::{Store, StoreError, StoredRecord},
    validators::ValidatorSet,
    verify::Known as _,
};

/// Unverified records looked at in one go.
const PAGE: usize = 1_024;

enum Fate {
    Promote,
    Remove,
    Leave,
}

/// Whether a validator of the set names this trainer in an identity that is held.
///
/// # Errors
/// The store gave no answer.
pub(crate) fn is_named(
    store: &Store,
    set: &ValidatorSet,
    trainer: &[u8; 32],
    now: u64,
) -> Result<bool, crate::verify::Unavailable> {
    if set.is_empty() {
        return Ok(false);
    }
    let namers = store.validators_naming(trainer, now)?;
    Ok(namers.into_iter().any(|peer| set.by_peer(peer).next().is_some()))
}

const fn member(is_member: bool) -> Fate {
    if is_member { Fate::Promote } else { Fate::Remove }
}

/// The writer's signature was checked when the record came; what the set adds is membership, and the accused's key.
fn fate(store: &Store, set: &ValidatorSet, record: &StoredRecord, now: u64) -> Fate {
    match &record.key {
        RecordKey::Ack { .. } => member(RawAck::decode(&record.value).is_ok_and(|ack| set.contains_key(&ack.public_key))),
        RecordKey::Id { .. } => member(RawIdRecord::decode(&record.value).is_ok_and(|id| set.contains_key(&id.data.public_key))),
        RecordKey::Ann { trainer, .. } => is_named(store, set, trainer, now).map_or(Fate::Leave, member),
        RecordKey::Fault { .. } => {
            let Ok(vote) = RawFaultVote::decode(&record.value) else { return Fate::Remove };
            if !set.contains_key(&vote.public_key) {
                return Fate::Remove;
            }
            let Some(accused) = set.by_index(vote.vote.proposer_index) else { return Fate::Leave };
            member(vote.verify(|_| set.decode_key(&accused).ok(), set.domains()).is_ok())
        }
        RecordKey::Update(_) | RecordKey::Snapshot(_) => Fate::Leave,
    }
}

/// One walk over what is unverified; identities alone, or everything else.
fn walk(store: &Store, set: &ValidatorSet, identities: bool, now: u64) -> Result<(), StoreError> {
    let mut from = 0;
    loop {
        let page = store.unverified(from, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.number.saturating_add(1);
        let (mut promoted, mut removed) = (Vec::new(), Vec::new());
        for record in page.iter().filter(|record| matches!(record.key, RecordKey::Id { .. }) == identities) {
            match fate(store, set, record, now) {
                Fate::Promote => promoted.push(record.key),
                Fate::Remove => removed.push(record.key),
                Fate::Leave => {}
            }
        }
        store.promote(&promoted, now)?;
        store.remove_all(&removed, now)?;
    }
}

/// Puts a set in force, judges what is unverified by it, then tells the watchers. Blocking.
///
/// # Errors
/// [`StoreError`]; the set is in force all the same.
pub(super) fn set_validators(shared: &Shared, set: ValidatorSet) -> Result<(), StoreError> {
    let set = Arc::new(set);
    shared.set_validators(Arc::clone(&set));
    let now = shared.now();
    // Identities first: they say whose trainers announcements come from.
    let judged = if set.is_empty() {
        Ok(())
    } else {
        walk(&shared.store, &set, true, now).and_then(|()| walk(&shared.store, &set, false, now))
    };
    shared.set_judged(set);
    judged
}
