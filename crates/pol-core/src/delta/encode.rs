//! Making containers: the reference encoder (section 14.2), merges and voids.

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::{
    body, choose,
    decode::RawDelta,
    header::{Claims, Context, HEADER_BYTES, Header, Kind, SIGNATURE_BYTES, TRAINER_AT},
    profile::{Profile, RECORD_BYTES},
    record, signature,
};
use crate::{
    GenesisId, ModelHead, UpdateId,
    params::{DELTA_MAX_BYTES, MERGE_CHILDREN},
    state::{CHUNK_VALUES, Shape, to_usize},
};

/// Why there is no container to make. Our fault or our input's, never a peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The change is not one value per value of the adapter.
    #[error("change: {found} values, expected {expected}")]
    Length {
        /// Values given.
        found: usize,
        /// Values of the shape.
        expected: usize,
    },
    /// The changes of a chunk are not what one record can say exactly.
    #[error("chunk {chunk}: no record holds exactly these changes")]
    Inexact {
        /// The chunk.
        chunk: u32,
    },
    /// No chunk has as many non-zero values as a record holds.
    #[error("change: no chunk has {needed} non-zero values")]
    Empty {
        /// Values of a record.
        needed: usize,
    },
    /// More records than fit a container.
    #[error("change: {found} records, expected at most {room}")]
    TooMany {
        /// Chunks with changes.
        found: usize,
        /// Records that fit.
        room: usize,
    },
    /// A merge of fewer than 2 or more than 8 children.
    #[error("children: found {found}, expected 2..=8")]
    ChildCount {
        /// Children given.
        found: usize,
    },
    /// Update ids do not strictly increase.
    #[error("child {position}: update ids do not strictly increase")]
    ChildOrder {
        /// The later child, from 0.
        position: usize,
    },
    /// A child without weight.
    #[error("child {position}: weight is 0, expected 1 or more")]
    ChildWeight {
        /// The child, from 0.
        position: usize,
    },
}

/// A whole container but for key and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned(Vec<u8>);

impl Unsigned {
    /// Puts the key's public half into the header and the signature at the end.
    pub fn sign(self, key: &SigningKey) -> RawDelta {
        let mut bytes = self.0;
        let trainer = key.verifying_key().to_bytes();
        if let Some(place) = bytes.get_mut(TRAINER_AT..).and_then(<[u8]>::first_chunk_mut) {
            *place = trainer;
        }
        let digest = Sha256::digest(&bytes).into();
        bytes.extend(key.sign(&signature::message(&digest)).to_bytes());
        RawDelta::signed(bytes)
    }

    /// Drops the signature of any container, so that a test can sign it anew.
    #[cfg(test)]
    pub(super) fn from_container(bytes: &[u8]) -> Self {
        Self(bytes.split_last_chunk::<SIGNATURE_BYTES>().unwrap().0.to_vec())
    }

    fn new(header: &Header, profile: Profile, body: usize) -> Self {
        let mut bytes = Vec::with_capacity(body.saturating_add(HEADER_BYTES + SIGNATURE_BYTES));
        bytes.extend(header.to_bytes(profile));
        Self(bytes)
    }
}

/// A delta of the largest changes (section 14.2). `change` holds units, one per value of the adapter.
///
/// What is left out (values beyond the record of their chunk, rounding) is the caller's to keep: decode the container and subtract.
///
/// # Errors
/// [`EncodeError::Length`], [`EncodeError::Empty`].
pub fn encode(context: &Context, claims: &Claims, change: &[i32]) -> Result<Unsigned, EncodeError> {
    let shape = &context.shape;
    let expected = to_usize(shape.value_count());
    if change.len() != expected {
        return Err(EncodeError::Length { found: change.len(), expected });
    }
    let mut chosen: Vec<Candidate> = Vec::new();
    let mut chooser = choose::Chooser::default();
    for (chunk, values) in (0_u32..).zip(change.chunks(to_usize(CHUNK_VALUES))) {
        let found = match context.profile {
            Profile::F16x20 => chooser.largest::<20>(values).map(|picked| (choose::f16x20(&picked), picked.energy)),
            Profile::Q2x48 => chooser.largest::<48>(values).map(|picked| (choose::q2x48(&picked), picked.energy)),
        };
        chosen.extend(found.map(|(record, energy)| Candidate { energy, chunk, record }));
    }
    let room = room(shape);
    if chosen.len() > room {
        chosen.sort_unstable_by(|a, b| b.energy.cmp(&a.energy).then(a.chunk.cmp(&b.chunk)));
        chosen.truncate(room);
        chosen.sort_unstable_by_key(|candidate| candidate.chunk);
    }
    let records: Vec<(u32, record::Bytes)> = chosen.into_iter().map(|candidate| (candidate.chunk, candidate.record)).collect();
    assemble(context, claims, &records)
}

/// The delta that carries exactly these changes, (flat index, units) by increasing index: what [`super::CheckedDelta::changes`] gives.
/// As every change has one container, decoding and encoding again gives the same bytes.
///
/// # Errors
/// [`EncodeError::Inexact`] names the first chunk that has not exactly a record's number of changes, in order, within the adapter and
/// each a value of the profile; [`EncodeError::Empty`] without changes; [`EncodeError::TooMany`] beyond DELTA_MAX_BYTES.
pub fn encode_exact(context: &Context, claims: &Claims, changes: &[(u32, i32)]) -> Result<Unsigned, EncodeError> {
    let mut records: Vec<(u32, record::Bytes)> = Vec::new();
    let mut next_chunk = 0;
    for group in changes.chunk_by(|a, b| a.0 / CHUNK_VALUES == b.0 / CHUNK_VALUES) {
        let chunk = group.first().map_or(0, |(index, _)| index / CHUNK_VALUES);
        let length = context.shape.chunk_len(chunk);
        let record = record::exact(context.profile, group, chunk, length).filter(|_| chunk >= next_chunk);
        records.push((chunk, record.ok_or(EncodeError::Inexact { chunk })?));
        next_chunk = chunk.saturating_add(1);
    }
    let room = room(&context.shape);
    if records.len() > room {
        return Err(EncodeError::TooMany { found: records.len(), room });
    }
    assemble(context, claims, &records)
}

/// Header, bitmap and records, which are in chunk order.
fn assemble(context: &Context, claims: &Claims, records: &[(u32, record::Bytes)]) -> Result<Unsigned, EncodeError> {
    let Ok(record_count @ 1..) = u32::try_from(records.len()) else {
        return Err(EncodeError::Empty { needed: context.profile.positions() });
    };
    let header = header(Kind::Delta, context.genesis_id, claims, context.shape.chunk_count(), record_count);
    let mut bitmap = vec![0_u8; body::bitmap_bytes(&context.shape)];
    for (chunk, _) in records {
        if let Some(byte) = bitmap.get_mut(to_usize(chunk / 8)) {
            *byte |= 1_u8.wrapping_shl(chunk % 8);
        }
    }
    let body = bitmap.len().saturating_add(records.len().saturating_mul(RECORD_BYTES));
    let mut unsigned = Unsigned::new(&header, context.profile, body);
    unsigned.0.extend(bitmap);
    for (_, record) in records {
        unsigned.0.extend(record);
    }
    Ok(unsigned)
}

/// Records that fit a container.
fn room(shape: &Shape) -> usize {
    DELTA_MAX_BYTES.saturating_sub(HEADER_BYTES + SIGNATURE_BYTES).saturating_sub(body::bitmap_bytes(shape)) / RECORD_BYTES
}

/// A merge of deltas with their weights, by strictly increasing update id (section 14.3).
///
/// # Errors
/// [`EncodeError`] of the children's number, order or weight.
pub fn encode_merge(genesis_id: &GenesisId, claims: &Claims, children: &[(UpdateId, u16)]) -> Result<Unsigned, EncodeError> {
    let found = children.len();
    let Some(count) = u32::try_from(found).ok().filter(|_| MERGE_CHILDREN.contains(&found)) else {
        return Err(EncodeError::ChildCount { found });
    };
    let header = header(Kind::Merge, *genesis_id, claims, 0, count);
    let mut unsigned = Unsigned::new(&header, Profile::F16x20, found.saturating_mul(34));
    let mut previous = None;
    for (position, (id, weight)) in children.iter().enumerate() {
        if previous.is_some_and(|previous| previous >= id) {
            return Err(EncodeError::ChildOrder { position });
        }
        if *weight == 0 {
            return Err(EncodeError::ChildWeight { position });
        }
        unsigned.0.extend(id.as_bytes());
        unsigned.0.extend(weight.to_le_bytes());
        previous = Some(id);
    }
    Ok(unsigned)
}

/// A return to an ancestor head (section 14.4).
pub fn encode_void(genesis_id: &GenesisId, claims: &Claims, target: &ModelHead) -> Unsigned {
    let header = header(Kind::Void, *genesis_id, claims, 0, 1);
    let mut unsigned = Unsigned::new(&header, Profile::F16x20, 32);
    unsigned.0.extend(target.as_bytes());
    unsigned
}

const fn header(kind: Kind, genesis_id: GenesisId, claims: &Claims, chunk_count: u32, record_count: u32) -> Header {
    Header { kind, genesis_id, claims: *claims, trainer: [0; 32], chunk_count, record_count }
}

struct Candidate {
    energy: u128,
    chunk: u32,
    record: record::Bytes,
}
