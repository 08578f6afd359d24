//! Reading a database whose disk takes no writes.
//!
//! redb must write to open a file that was not closed cleanly, and after one failed write it answers nothing until it is opened anew.
//! Here what it writes stays in memory, so that a full or read-only disk still serves what was on it.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{self, ErrorKind},
    ops::Bound,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Unit of what is kept in memory, bytes.
const BLOCK: usize = 4_096;
/// Blocks kept: what a repair writes, many times over.
const BLOCKS_MAX: usize = 16_384;

#[derive(Debug)]
struct Written {
    length: u64,
    blocks: BTreeMap<u64, Box<[u8; BLOCK]>>,
}

/// A database file and what was written over it in memory; the file itself is never changed.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    file_length: u64,
    written: Mutex<Written>,
}

fn past_the_end() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "a read past the end of the record database")
}

/// The blocks that `offset..offset + length` touches: number, start within the block, bytes.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let block = u64::try_from(BLOCK).unwrap_or(u64::MAX);
    let (mut at, mut left) = (offset, length);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let within = usize::try_from(at.checked_rem(block)?).ok()?;
        let bytes = BLOCK.saturating_sub(within).min(left);
        let piece = (at.checked_div(block)?, within, bytes);
        at = at.saturating_add(u64::try_from(bytes).ok()?);
        left = left.saturating_sub(bytes);
        Some(piece)
    })
}

impl Overlay {
    /// Opens the file, and takes redb's lock on it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path) -> Result<Self, redb::DatabaseError> {
        let file = OpenOptions::new().read(true).write(true).open(path).or_else(|_| OpenOptions::new().read(true).open(path))?;
        let file_length = file.metadata()?.len();
        let written = Written { length: file_length, blocks: BTreeMap::new() };
        Ok(Self { file: FileBackend::new(file)?, file_length, written: Mutex::new(written) })
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as the file has it, zeros behind its end.
    fn of_file(&self, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut block = Box::new([0; BLOCK]);
        let start = number.saturating_mul(u64::try_from(BLOCK).unwrap_or(u64::MAX));
        let left = self.file_length.saturating_sub(start);
        let bytes = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        if let Some(part) = block.get_mut(..bytes).filter(|part| !part.is_empty()) {
            self.file.read(start, part)?;
        }
        Ok(block)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.lock();
        let end = offset.saturating_add(u64::try_from(out.len()).unwrap_or(u64::MAX));
        if end > written.length {
            return Err(past_the_end());
        }
        let mut rest = out;
        for (number, within, bytes) in pieces(offset, rest.len()) {
            let (part, behind) = rest.split_at_mut_checked(bytes).ok_or_else(past_the_end)?;
            let whole = within.saturating_add(bytes);
            match written.blocks.get(&number) {
                Some(block) => part.copy_from_slice(block.get(within..whole).ok_or_else(past_the_end)?),
                None => part.copy_from_slice(self.of_file(number)?.get(within..whole).ok_or_else(past_the_end)?),
            }
            rest = behind;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut written = self.lock();
        if length < written.length {
            // What grows again must be zeros: nothing that redb does here needs it, and keeping it simple keeps it right.
            return Err(io::Error::new(ErrorKind::StorageFull, "the record database is open for reading only"));
        }
        written.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.lock();
        let mut rest = data;
        for (number, within, bytes) in pieces(offset, data.len()) {
            if !written.blocks.contains_key(&number) {
                if written.blocks.len() >= BLOCKS_MAX {
                    return Err(io::Error::new(ErrorKind::StorageFull, "the record database is open for reading only"));
                }
                let block = self.of_file(number)?;
                written.blocks.insert(number, block);
            }
            let (part, behind) = rest.split_at_checked(bytes).ok_or_else(past_the_end)?;
            let block = written.blocks.get_mut(&number).and_then(|block| block.get_mut(within..within.saturating_add(bytes)));
            block.ok_or_else(past_the_end)?.copy_from_slice(part);
            rest = behind;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::scratch::Scratch;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_overlay_reads_as_a_file_that_was_written_to(
            file in proptest::collection::vec(any::<u8>(), 0..20_000),
            grown in 0..20_000_usize,
            writes in proptest::collection::vec((0..30_000_usize, proptest::collection::vec(any::<u8>(), 0..9_000)), 0..8),
            reads in proptest::collection::vec((0..45_000_usize, 0..9_000_usize), 1..16),
        ) {
            let dir = Scratch::new();
            let path = dir.path().join("file");
            fs::write(&path, &file).unwrap();
            let overlay = Overlay::open(&path).unwrap();
            let mut model = file.clone();
            model.resize(file.len() + grown, 0);
            overlay.set_len(u64::try_from(model.len()).unwrap()).unwrap();
            for (at, bytes) in writes {
                if at + bytes.len() <= model.len() {
                    model[at..at + bytes.len()].copy_from_slice(&bytes);
                    overlay.write(u64::try_from(at).unwrap(), &bytes).unwrap();
                }
            }
            for (at, length) in reads {
                let mut found = vec![0; length];
                let result = overlay.read(u64::try_from(at).unwrap(), &mut found);
                match model.get(at..at + length) {
                    Some(expected) => prop_assert!(result.is_ok() && found == expected),
                    None => prop_assert!(result.is_err()),
                }
            }
            prop_assert_eq!(fs::read(&path).unwrap(), file, "the file is as it was");
        }
    }
}
