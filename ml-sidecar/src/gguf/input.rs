//! Bytes at a place, and a reader over them that never believes a length.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
};

use super::error::GgufError;

/// Something with a length that can be read anywhere. Files are read, not mapped: one that shrinks meanwhile is an error, not a signal.
pub trait ReadAt: std::fmt::Debug {
    /// Its length, bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` from place `at`.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` when it ends before.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, at)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let tail = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let Some(bytes) = tail.get(..buffer.len()) else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

/// A [`ReadAt`] from its beginning on.
struct Sequential<'a, S> {
    source: &'a S,
    at: u64,
    end: u64,
}

impl<S: ReadAt> Read for Sequential<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let Some(place) = buffer.get_mut(..count) else { return Ok(0) };
        self.source.read_exact_at(place, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// Reads little-endian numbers and counted strings; every length is compared with what is left before memory is taken.
pub(super) struct Input<'a, S> {
    inner: BufReader<Sequential<'a, S>>,
    at: u64,
    end: u64,
}

impl<'a, S: ReadAt> Input<'a, S> {
    /// Reads `source`, at most up to `end`.
    pub(super) fn new(source: &'a S, end: u64) -> Self {
        Self { inner: BufReader::with_capacity(1 << 16, Sequential { source, at: 0, end }), at: 0, end }
    }

    /// Where the next byte is.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Bytes left.
    pub(super) const fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
    }

    /// Refuses to go on when fewer than `needed` bytes are left.
    pub(super) const fn need(&self, what: &'static str, needed: u64) -> Result<(), GgufError> {
        let available = self.left();
        if needed <= available { Ok(()) } else { Err(GgufError::Truncated { what, at: self.at, needed, available }) }
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
        self.need(what, N as u64)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.at = self.at.saturating_add(N as u64);
        Ok(bytes)
    }

    /// A count of things of which each needs at least `least` bytes, at most `most` of them; what it returns fits into memory.
    pub(super) fn count(&mut self, what: &'static str, least: u64, most: u64) -> Result<usize, GgufError> {
        let found = self.u64(what)?;
        if found > most {
            return Err(GgufError::Limit { what, found, most });
        }
        self.need(what, found.saturating_mul(least))?;
        usize::try_from(found).map_err(|_| GgufError::Limit { what, found, most })
    }

    /// A string with its length before it.
    pub(super) fn text(&mut self, what: &'static str, most: u64) -> Result<String, GgufError> {
        let length = self.count(what, 1, most)?;
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        let at = self.at;
        self.at = self.at.saturating_add(length as u64);
        String::from_utf8(bytes).map_err(|_| GgufError::Utf8 { what, at })
    }
}

macro_rules! numbers {
    ($($name:ident: $bytes:literal),+) => {
        impl<S: ReadAt> Input<'_, S> {
            $(
                /// The next number.
                pub(super) fn $name(&mut self, what: &'static str) -> Result<$name, GgufError> {
                    Ok($name::from_le_bytes(self.array::<$bytes>(what)?))
                }
            )+

            /// Four bytes as they are.
            pub(super) fn magic(&mut self) -> Result<[u8; 4], GgufError> {
                self.array("magic")
            }
        }
    };
}

numbers!(u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 8, i64: 8, f32: 4, f64: 8);
