//! The cache on disk: a folder of files in blocks, bounded as a whole.
//!
//! `blocks/HASH/` holds one file of the hub: `data`, sparse, with whichever blocks have come, and `journal`, a record of 36 bytes for each: its
//! number and the SHA-256 of its content. A record or a block that does not fit, whatever the reason, counts as not there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pol_core::sha256;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

use super::error::{HubError, at};

/// Bytes of a block: what is fetched, checked and thrown away as one.
pub const BLOCK_BYTES: u64 = 1 << 20;
const RECORD_BYTES: usize = 36;
const JOURNAL: &str = "journal";
const DATA: &str = "data";
const VERIFIED: &str = "verified";

/// The folder of all files, and how much they may hold together.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    most: u64,
}

impl Store {
    pub(super) fn new(root: PathBuf, most: u64) -> Result<Self, HubError> {
        fs::create_dir_all(&root).map_err(at(&root))?;
        Ok(Self { root, most })
    }

    /// Opens the place of a file with this name, new or known.
    pub(super) fn open(&self, name: &str, size: u64) -> Result<Blocks, HubError> {
        let folder = self.root.join(name);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let open = |file: &str| {
            let path = folder.join(file);
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(at(&path))
        };
        let (data, journal) = (open(DATA)?, open(JOURNAL)?);
        data.set_len(size).map_err(at(&folder))?;
        // Whoever has a file open holds this lock: nobody evicts it meanwhile, in whatever process.
        data.lock_shared().map_err(at(&folder))?;
        // The time of the journal is the time of the last use. A file system that cannot keep it evicts in another order.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let _ = rustix::fs::futimens(&journal, &Timestamps { last_access: now, last_modification: now });
        let count = usize::try_from(size.div_ceil(BLOCK_BYTES)).unwrap_or(usize::MAX);
        let mut blocks = Blocks {
            folder,
            data,
            journal,
            size,
            journal_end: 0,
            hashes: vec![None; count],
            checked: vec![false; count],
            verified: false,
        };
        blocks.reload()?;
        Ok(blocks)
    }

    /// Makes room for `more` bytes: the files that were not used for the longest time go.
    pub(super) fn make_room(&self, more: u64) -> Result<(), HubError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(at(&self.root))? {
            let folder = entry.map_err(at(&self.root))?.path();
            // Another process may just be removing it.
            let Ok(journal) = fs::metadata(folder.join(JOURNAL)) else { continue };
            let used = journal.len() / RECORD_BYTES as u64 * BLOCK_BYTES;
            files.push((journal.modified().ok(), folder, used));
        }
        files.sort();
        let mut used = files.iter().fold(0_u64, |sum, (_, _, used)| sum.saturating_add(*used));
        for (_, folder, bytes) in files {
            if used.saturating_add(more) <= self.most {
                break;
            }
            let is_free = File::open(folder.join(DATA)).is_ok_and(|data| data.try_lock().is_ok());
            if bytes > 0 && is_free {
                tracing::info!(target: "polai::data", folder = %folder.display(), bytes, "evicted: the data cache is full");
                fs::remove_dir_all(&folder).map_err(at(&folder))?;
                used = used.saturating_sub(bytes);
            }
        }
        if used.saturating_add(more) <= self.most { Ok(()) } else { Err(HubError::Budget { needed: more, most: self.most }) }
    }
}

/// One file of the store.
#[derive(Debug)]
pub(super) struct Blocks {
    folder: PathBuf,
    data: File,
    journal: File,
    size: u64,
    journal_end: u64,
    /// Of the blocks that have come.
    hashes: Vec<Option<[u8; 32]>>,
    /// Whether a block was compared with its hash since the file was opened.
    checked: Vec<bool>,
    /// Whether the whole file was compared with the hub's hash.
    verified: bool,
}

impl Blocks {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of blocks.
    pub(super) const fn count(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn has(&self, block: usize) -> bool {
        self.hashes.get(block).is_some_and(Option::is_some)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.hashes.iter().all(Option::is_some)
    }

    /// Where a block begins, and its length.
    pub(super) fn extent(&self, block: usize) -> (u64, usize) {
        let start = (block as u64).saturating_mul(BLOCK_BYTES);
        (start, usize::try_from(self.size.saturating_sub(start).min(BLOCK_BYTES)).unwrap_or(0))
    }

    /// Waits until no other process fetches this file, and takes over what it has fetched.
    pub(super) fn lock(&mut self) -> Result<(), HubError> {
        self.journal.lock().map_err(at(&self.folder))?;
        self.reload()
    }

    pub(super) fn unlock(&self) -> Result<(), HubError> {
        self.journal.unlock().map_err(at(&self.folder))
    }

    fn reload(&mut self) -> Result<(), HubError> {
        self.verified = self.folder.join(VERIFIED).exists();
        let mut bytes = Vec::new();
        // Every block has one record, or a few when it was damaged and fetched again.
        let most = (self.hashes.len() as u64 + 1_024).saturating_mul(4 * RECORD_BYTES as u64);
        self.journal.seek(SeekFrom::Start(self.journal_end)).map_err(at(&self.folder))?;
        (&self.journal).take(most).read_to_end(&mut bytes).map_err(at(&self.folder))?;
        for record in bytes.as_chunks::<RECORD_BYTES>().0 {
            self.journal_end = self.journal_end.saturating_add(RECORD_BYTES as u64);
            let [a, b, c, d, hash @ ..] = record;
            let block = usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            if let (Some(known), Some(checked)) = (self.hashes.get_mut(block), self.checked.get_mut(block)) {
                (*known, *checked) = (Some(*hash), false);
            }
        }
        Ok(())
    }

    /// Keeps a block that has come.
    pub(super) fn write(&mut self, block: usize, bytes: &[u8]) -> Result<(), HubError> {
        self.unmark_verified()?;
        let hash = sha256(&[bytes]);
        self.data.write_all_at(bytes, self.extent(block).0).map_err(at(&self.folder))?;
        let mut record = u32::try_from(block).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        record.extend(hash);
        self.journal.seek(SeekFrom::Start(self.journal_end)).map_err(at(&self.folder))?;
        self.journal.write_all(&record).map_err(at(&self.folder))?;
        self.journal_end = self.journal_end.saturating_add(RECORD_BYTES as u64);
        if let (Some(known), Some(checked)) = (self.hashes.get_mut(block), self.checked.get_mut(block)) {
            (*known, *checked) = (Some(hash), true);
        }
        Ok(())
    }

    /// Compares a block with its hash, once. One that does not fit is forgotten, so that it is fetched again.
    pub(super) fn check(&mut self, block: usize) -> Result<bool, HubError> {
        let Some(Some(expected)) = self.hashes.get(block).copied() else { return Ok(false) };
        if self.checked.get(block).copied().unwrap_or(false) {
            return Ok(true);
        }
        let (start, length) = self.extent(block);
        let mut bytes = vec![0; length];
        let intact = match self.data.read_exact_at(&mut bytes, start) {
            Ok(()) => sha256(&[&bytes]) == expected,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(at(&self.folder)(error)),
        };
        if !intact {
            tracing::warn!(target: "polai::data", folder = %self.folder.display(), block, "a block of the cache is damaged: fetched again");
        }
        if let (Some(known), Some(checked)) = (self.hashes.get_mut(block), self.checked.get_mut(block)) {
            (*known, *checked) = (intact.then_some(expected), intact);
        }
        Ok(intact)
    }

    /// Reads bytes of blocks that were checked.
    pub(super) fn read(&self, buffer: &mut [u8], place: u64) -> Result<(), HubError> {
        self.data.read_exact_at(buffer, place).map_err(at(&self.folder))
    }

    /// Forgets all that has come: it was not what it should be.
    pub(super) fn clear(&mut self) -> Result<(), HubError> {
        self.unmark_verified()?;
        self.journal.set_len(0).map_err(at(&self.folder))?;
        self.data.set_len(0).and_then(|()| self.data.set_len(self.size)).map_err(at(&self.folder))?;
        self.journal_end = 0;
        self.hashes.fill(None);
        self.checked.fill(false);
        Ok(())
    }

    /// A mark that the whole file was compared with the hub's hash. Without it that is done again.
    pub(super) fn mark_verified(&mut self) {
        self.verified = true;
        if let Err(error) = File::create(self.folder.join(VERIFIED)) {
            tracing::debug!(target: "polai::data", folder = %self.folder.display(), %error, "no mark");
        }
    }

    pub(super) const fn is_verified(&self) -> bool {
        self.verified
    }

    /// A block is about to be another one: the whole is compared again.
    fn unmark_verified(&mut self) -> Result<(), HubError> {
        if !std::mem::take(&mut self.verified) {
            return Ok(());
        }
        match fs::remove_file(self.folder.join(VERIFIED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&self.folder)(error)),
            _ => Ok(()),
        }
    }
}
