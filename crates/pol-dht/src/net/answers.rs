//! What this node answers to an exchange. Every answer is bounded by a page.

use pol_core::{ModelHead, ResultRoot, UpdateId, record::RecordKey};

use super::{
    exchange::{Answer, Ask, AskSnapshot, Chunk, KeyEntry, Keys, Records, Request, Response, SnapshotPart, WireRecord},
    limits::{CHUNK_BYTES, SNAPSHOT_PART_BYTES, SYNC_KEYS_MAX, SYNC_RECORDS_MAX},
    sync,
};
use crate::{
    shared::Shared,
    store::{SnapshotName, StoreError},
};

/// Units a request costs its sender's quota.
pub(crate) fn cost(request: &Request) -> u32 {
    match &request.ask {
        Some(Ask::Records(ask)) => u32::try_from(ask.keys.len().min(SYNC_RECORDS_MAX)).unwrap_or(u32::MAX).div_ceil(8).max(1),
        Some(Ask::Chunk(_) | Ask::Keys(_) | Ask::Snapshot(_)) => 4,
        Some(Ask::Digests(_)) => 8,
        None => 1,
    }
}

fn chunk(shared: &Shared, update_id: &[u8], offset: u32) -> Option<Answer> {
    let id = UpdateId(update_id.try_into().ok()?);
    let bytes = shared.store.deltas().get(&id).ok()??;
    let offset = usize::try_from(offset).ok()?;
    let end = offset.checked_add(CHUNK_BYTES)?.min(bytes.len());
    let part = bytes.get(offset..end)?.to_vec();
    Some(Answer::Chunk(Chunk { size: u32::try_from(bytes.len()).ok()?, bytes: part }))
}

fn snapshot(shared: &Shared, ask: &AskSnapshot) -> Option<Answer> {
    let (head, snapshots) = (ModelHead(ask.model_head.as_slice().try_into().ok()?), shared.store.snapshots());
    let name = match ask.root.as_slice() {
        // Of several the one that was made here last is as good as any.
        [] => snapshots.of(head).last()?.name,
        root => SnapshotName { head, root: ResultRoot(root.try_into().ok()?) },
    };
    let (_, bytes) = snapshots.read(&name, ask.offset, SNAPSHOT_PART_BYTES).ok()??;
    Some(Answer::Snapshot(SnapshotPart { root: name.root.0.to_vec(), bytes }))
}

fn keys(shared: &Shared, bucket: u32, after: &[u8]) -> Result<Option<Answer>, StoreError> {
    let Ok(bucket) = u8::try_from(bucket) else { return Ok(None) };
    let after = if after.is_empty() { None } else { RecordKey::parse(after).ok() };
    let page = shared.store.digest_page(bucket, after.as_ref(), SYNC_KEYS_MAX)?;
    let more = page.len() == SYNC_KEYS_MAX;
    let entry = |(key, short): (RecordKey, [u8; 8])| KeyEntry { key: key.to_bytes(), short_hash: u64::from_le_bytes(short) };
    Ok(Some(Answer::Keys(Keys { entries: page.into_iter().map(entry).collect(), more })))
}

fn records(shared: &Shared, keys: Vec<Vec<u8>>) -> Result<Option<Answer>, StoreError> {
    let now = shared.now();
    let mut found = Vec::new();
    for key in keys.into_iter().take(SYNC_RECORDS_MAX) {
        let Ok(parsed) = RecordKey::parse(&key) else { continue };
        for envelope in shared.store.envelopes(&parsed, now)? {
            found.push(WireRecord { key: key.clone(), envelope });
        }
    }
    Ok(Some(Answer::Records(Records { records: found })))
}

/// The answer to a request; "not here" for whatever this node lacks or cannot read.
pub(crate) fn answer(shared: &Shared, request: Request) -> Response {
    let answer = match request.ask {
        Some(Ask::Chunk(ask)) => Ok(chunk(shared, &ask.update_id, ask.offset)),
        Some(Ask::Digests(_)) => shared.store.digest().map(|digest| Some(Answer::Digests(sync::digests(&digest)))),
        Some(Ask::Keys(ask)) => keys(shared, ask.bucket, &ask.after),
        Some(Ask::Records(ask)) => records(shared, ask.keys),
        Some(Ask::Snapshot(ask)) => Ok(snapshot(shared, &ask)),
        None => Ok(None),
    };
    Response { answer: answer.ok().flatten() }
}
