//! Looks at the header of every page before the parquet crate does, so that no page makes it take more memory than is allowed.
//!
//! A page's header says how long its content will be once it is decompressed, and the crate believes it. A header is a Thrift
//! structure in the compact protocol; of `PageHeader` only fields 2 (uncompressed) and 3 (compressed size) matter here, but all of it is
//! gone through, since a later field of the same number would win.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::{io::Cursor, sync::Arc};

use crate::hub::ReadAt;

/// Bytes of a page, compressed or not, at most.
pub const PAGE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a page's header, at most; statistics in it hold whole texts.
const HEADER_BYTES_MAX: u64 = 1 << 20;
const HEADER_BYTES_FIRST: u64 = 4 << 10;
const NESTING_MAX: u32 = 16;

/// A source whose pages are bounded.
#[derive(Debug)]
pub(super) struct Guarded(pub(super) Arc<dyn ReadAt>);

impl Guarded {
    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        if start.checked_add(length).is_none_or(|end| end > self.0.size()) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of {}", self.0.size())));
        }
        let length = usize::try_from(length).map_err(|error| ParquetError::External(Box::new(error)))?;
        let mut bytes = vec![0; length];
        self.0.read_at(&mut bytes, start).map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(bytes)
    }
}

impl Length for Guarded {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl ChunkReader for Guarded {
    type T = Cursor<Vec<u8>>;

    /// The crate calls this for the header of each page.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let left = self.0.size().saturating_sub(start);
        let mut length = HEADER_BYTES_FIRST.min(left);
        loop {
            let bytes = self.read(start, length)?;
            match sizes(&bytes) {
                Some(found) if found.into_iter().all(|size| u64::try_from(size).is_ok_and(|size| size <= PAGE_BYTES_MAX)) => {
                    return Ok(Cursor::new(bytes));
                }
                Some(found) => {
                    return Err(ParquetError::General(format!("a page of {found:?} bytes, at most {PAGE_BYTES_MAX} are read")));
                }
                None if length < left.min(HEADER_BYTES_MAX) => length = (length * 16).min(left).min(HEADER_BYTES_MAX),
                None => return Err(ParquetError::General(format!("no header of a page at byte {start}"))),
            }
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if length as u64 > PAGE_BYTES_MAX {
            return Err(ParquetError::General(format!("a page of {length} bytes, at most {PAGE_BYTES_MAX} are read")));
        }
        Ok(self.read(start, length as u64)?.into())
    }
}

/// The greatest uncompressed and the greatest compressed size in a header; nothing when it is not whole, or is none.
fn sizes(header: &[u8]) -> Option<[i64; 2]> {
    let mut reader = Compact(header);
    let (mut sizes, mut id) = ([0; 2], 0_i64);
    loop {
        let (kind, next) = reader.field(id)?;
        id = next;
        match (kind, id) {
            (STOP, _) => return Some(sizes),
            (I32, 2) => sizes = [sizes[0].max(reader.signed()?), sizes[1]],
            (I32, 3) => sizes = [sizes[0], sizes[1].max(reader.signed()?)],
            _ => reader.skip(kind, NESTING_MAX)?,
        }
    }
}

const STOP: u8 = 0;
const I32: u8 = 5;

/// Thrift's compact protocol, as far as it takes to go past things.
struct Compact<'a>(&'a [u8]);

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn advance(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Zigzag.
    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Type and number of the next field.
    fn field(&mut self, before: i64) -> Option<(u8, i64)> {
        let byte = self.byte()?;
        let (delta, kind) = (byte >> 4, byte & 0x0f);
        match (kind, delta) {
            (STOP, _) => Some((STOP, before)),
            (_, 0) => Some((kind, self.signed()?)),
            _ => Some((kind, before.checked_add(delta.into())?)),
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // Truth values of fields are in their type.
            1 | 2 => Some(()),
            3 => self.advance(1),
            4..=6 => self.unsigned().map(drop),
            7 => self.advance(8),
            8 => {
                let length = self.unsigned()?;
                self.advance(length)
            }
            9 | 10 => self.skip_list(depth),
            12 => {
                let mut id = 0;
                loop {
                    let (kind, next) = self.field(id)?;
                    id = next;
                    if kind == STOP {
                        return Some(());
                    }
                    self.skip(kind, depth)?;
                }
            }
            // Maps are in no page header.
            _ => None,
        }
    }

    fn skip_list(&mut self, depth: u32) -> Option<()> {
        let byte = self.byte()?;
        let (short, kind) = (u64::from(byte >> 4), byte & 0x0f);
        let count = if short == 15 { self.unsigned()? } else { short };
        for _ in 0..count {
            // In lists truth values have a byte of their own.
            if matches!(kind, 1 | 2) { self.advance(1)? } else { self.skip(kind, depth)? }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: u64, to: &mut Vec<u8>) {
        while value >= 0x80 {
            to.push(value as u8 | 0x80);
            value >>= 7;
        }
        to.push(value as u8);
    }

    /// type = 0, uncompressed, compressed, then whatever follows.
    fn header(uncompressed: u64, compressed: u64, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x15, 0, 0x15];
        varint(uncompressed << 1, &mut bytes);
        bytes.push(0x15);
        varint(compressed << 1, &mut bytes);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn sizes_are_found_whatever_follows_them() {
        assert_eq!(sizes(&header(1_000_000, 300, &[0])), Some([1_000_000, 300]));
        // data_page_header (5): a struct with num_values, a truth value, a binary, a list of two numbers.
        let rest = [0x2c, 0x15, 8, 0x11, 0x18, 3, b'a', b'b', b'c', 0x19, 0x25, 2, 4, 0, 0];
        assert_eq!(sizes(&header(7, 8, &rest)), Some([7, 8]));
    }

    #[test]
    fn a_size_that_is_given_twice_counts_with_the_greater() {
        // Field 2 again, by its number.
        let mut rest = vec![0x05, 4];
        varint((1 << 31) << 1, &mut rest);
        rest.push(0);
        assert_eq!(sizes(&header(10, 10, &rest)), Some([1 << 31, 10]));
    }

    #[test]
    fn headers_that_are_not_whole_or_none_are_not_believed() {
        let whole = header(1_000, 300, &[0x2c, 0x15, 8, 0, 0]);
        assert!(sizes(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(sizes(&whole[..length]), None, "{length}");
        }
        assert_eq!(sizes(&[0x1c; 64]), None, "nested too deep");
        assert_eq!(sizes(&[0x1b, 1, 2]), None, "a map");
        assert_eq!(sizes(&[0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), None, "a length beyond all bytes");
        // A list of 2^60 structs is given up at the end of the bytes.
        assert_eq!(sizes(&[0x19, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]), None);
        // A list of 2^60 truth values, too.
        assert_eq!(sizes(&[0x19, 0xf1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]), None);
    }
}
