//! The three bodies between header and signature (sections 14.1, 14.3, 14.4).

use super::{
    error::DeltaError,
    header::{Context, HEADER_BYTES, Header, SIGNATURE_BYTES},
    profile::RECORD_BYTES,
    record,
};
use crate::{
    ModelHead, UpdateId,
    params::MERGE_CHILDREN,
    state::{Shape, to_usize},
};

/// Bytes of one child of a merge: update id and weight.
const CHILD_BYTES: usize = 34;

/// The body of a container whose header was read; empty when there is none.
pub(super) fn of(container: &[u8]) -> &[u8] {
    let end = container.len().saturating_sub(SIGNATURE_BYTES);
    container.get(HEADER_BYTES..end).unwrap_or_default()
}

/// Bytes of the chunk bitmap.
pub(super) fn bitmap_bytes(shape: &Shape) -> usize {
    to_usize(shape.chunk_count().div_ceil(8))
}

pub(super) fn check_delta(header: &Header, container: &[u8], context: &Context) -> Result<(), DeltaError> {
    let chunks = context.shape.chunk_count();
    check_chunk_count(header, chunks)?;
    let count = header.record_count;
    if count == 0 || count > chunks {
        return Err(DeltaError::RecordCount { found: count, limit: chunks });
    }
    // At most 65,536 chunks, so the sum stays far below 2^31.
    let records = to_usize(count).saturating_mul(RECORD_BYTES);
    check_length(container, bitmap_bytes(&context.shape).saturating_add(records))?;
    let (bitmap, _) = split(of(container), &context.shape);
    let last = bitmap.last().copied().unwrap_or(0);
    let used = chunks % 8;
    if used != 0 && last.wrapping_shr(used) != 0 {
        return Err(DeltaError::SpareBits { found: last });
    }
    let found = bitmap.iter().fold(0_u32, |sum, byte| sum.wrapping_add(byte.count_ones()));
    if found != count {
        return Err(DeltaError::PopCount { found, expected: count });
    }
    for (chunk, bytes) in self::records(of(container), &context.shape) {
        record::check(context.profile, bytes, chunk, context.shape.chunk_len(chunk))?;
    }
    Ok(())
}

pub(super) fn check_merge(header: &Header, container: &[u8]) -> Result<(), DeltaError> {
    check_chunk_count(header, 0)?;
    let count = to_usize(header.record_count);
    if !MERGE_CHILDREN.contains(&count) {
        return Err(DeltaError::ChildCount { found: header.record_count });
    }
    check_length(container, count.saturating_mul(CHILD_BYTES))?;
    let mut previous = None;
    for (position, (id, weight)) in children(of(container)).enumerate() {
        if previous.is_some_and(|previous| previous >= id) {
            return Err(DeltaError::ChildOrder { position });
        }
        if weight == 0 {
            return Err(DeltaError::ChildWeight { position });
        }
        previous = Some(id);
    }
    Ok(())
}

pub(super) fn check_void(header: &Header, container: &[u8]) -> Result<(), DeltaError> {
    check_chunk_count(header, 0)?;
    if header.record_count != 1 {
        return Err(DeltaError::VoidCount { found: header.record_count });
    }
    check_length(container, 32)
}

const fn check_chunk_count(header: &Header, expected: u32) -> Result<(), DeltaError> {
    if header.chunk_count != expected {
        return Err(DeltaError::ChunkCount { found: header.chunk_count, expected });
    }
    Ok(())
}

const fn check_length(container: &[u8], body: usize) -> Result<(), DeltaError> {
    let expected = body.saturating_add(HEADER_BYTES + SIGNATURE_BYTES);
    if container.len() != expected {
        return Err(DeltaError::Length { found: container.len(), expected });
    }
    Ok(())
}

/// Children of a merge's body.
pub(super) fn children(body: &[u8]) -> impl ExactSizeIterator<Item = (UpdateId, u16)> {
    body.as_chunks::<CHILD_BYTES>().0.iter().map(|child| {
        let mut id = [0; 32];
        let mut weight = [0; 2];
        let (from_id, from_weight) = child.split_at(32);
        id.copy_from_slice(from_id);
        weight.copy_from_slice(from_weight);
        (UpdateId(id), u16::from_le_bytes(weight))
    })
}

/// The head a void's body names.
pub(super) fn target(body: &[u8]) -> ModelHead {
    body.first_chunk().map_or(ModelHead::ZERO, |head| ModelHead(*head))
}

fn split<'a>(body: &'a [u8], shape: &Shape) -> (&'a [u8], &'a [record::Bytes]) {
    let (bitmap, records) = body.split_at_checked(bitmap_bytes(shape)).unwrap_or_default();
    (bitmap, records.as_chunks().0)
}

/// The records of a delta's body, each with its chunk.
pub(super) fn records<'a>(body: &'a [u8], shape: &Shape) -> Records<'a> {
    let (bitmap, records) = split(body, shape);
    Records { bitmap: bitmap.iter(), byte: 0, base: 0, next_base: 0, records: records.iter() }
}

/// Pairs the ones of the bitmap with the records; ends with the shorter of both.
#[derive(Debug, Clone)]
pub(super) struct Records<'a> {
    bitmap: core::slice::Iter<'a, u8>,
    byte: u8,
    base: u32,
    next_base: u32,
    records: core::slice::Iter<'a, record::Bytes>,
}

impl<'a> Iterator for Records<'a> {
    type Item = (u32, &'a record::Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        while self.byte == 0 {
            self.byte = *self.bitmap.next()?;
            self.base = self.next_base;
            self.next_base = self.next_base.wrapping_add(8);
        }
        let chunk = self.base.wrapping_add(self.byte.trailing_zeros());
        self.byte &= self.byte.wrapping_sub(1);
        Some((chunk, self.records.next()?))
    }
}
