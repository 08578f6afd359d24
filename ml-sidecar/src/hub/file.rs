//! A file of the hub, read as if it lay here.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};
use ureq::http::header;

use super::{
    Shared,
    client::text,
    error::HubError,
    listing::FileEntry,
    store::{BLOCK_BYTES, Blocks},
};

/// Blocks that one request fetches: at most, and at least where they are missing.
const RUN_BLOCKS: usize = 64;
const AHEAD_BLOCKS: usize = 4;
/// Attempts in a row that may bring nothing.
const ATTEMPTS: u32 = 4;

/// Something that can be read anywhere. Errors of the hub travel inside the [`io::Error`]; [`hub_error`] takes them out.
pub trait ReadAt: Send + Sync + std::fmt::Debug {
    /// Length in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `place` on.
    ///
    /// # Errors
    /// What the operating system says, or the hub.
    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<()>;
}

/// The hub's error inside another, when it is one.
pub fn hub_error(error: io::Error) -> Result<HubError, io::Error> {
    error.downcast::<HubError>()
}

/// A file of this machine.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    size: u64,
}

impl LocalFile {
    /// Opens a file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for LocalFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, place)
    }
}

/// A file of the hub. Blocks are fetched when they are read for the first time, and kept.
#[derive(Debug)]
pub struct HubFile {
    hub: Arc<Shared>,
    url: String,
    /// For people.
    what: String,
    entry: FileEntry,
    blocks: Mutex<Blocks>,
}

impl ReadAt for HubFile {
    fn size(&self) -> u64 {
        self.entry.size
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<()> {
        let end = place.saturating_add(buffer.len() as u64);
        if end > self.entry.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let blocks = self.ensure(place, end).map_err(io::Error::other)?;
        blocks.read(buffer, place).map_err(io::Error::other)
    }
}

impl HubFile {
    pub(super) const fn new(hub: Arc<Shared>, url: String, what: String, entry: FileEntry, blocks: Blocks) -> Self {
        Self { hub, url, what, entry, blocks: Mutex::new(blocks) }
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        // Blocks are valid at every moment: a block is either known or not.
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches all of the file, compares it with the hub's hash, and says where it lies.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn fetch_all(&self) -> Result<PathBuf, HubError> {
        let blocks = self.ensure(0, self.entry.size)?;
        Ok(blocks.folder().join("data"))
    }

    /// Sees to it that the blocks of a range are here and intact.
    fn ensure(&self, first: u64, end: u64) -> Result<MutexGuard<'_, Blocks>, HubError> {
        let mut blocks = self.blocks();
        let block = |place: u64| usize::try_from(place / BLOCK_BYTES).unwrap_or(usize::MAX);
        let (first, end) = (block(first), block(end.saturating_add(BLOCK_BYTES - 1)).min(blocks.count()));
        let mut at = first;
        while at < end {
            if blocks.check(at)? {
                at += 1;
                continue;
            }
            // Reading on costs less than asking again.
            let end = end.max(at.saturating_add(AHEAD_BLOCKS)).min(at.saturating_add(RUN_BLOCKS)).min(blocks.count());
            blocks.lock()?;
            let fetched = self.fetch(&mut blocks, at, end);
            let unlocked = blocks.unlock();
            fetched.and(unlocked)?;
        }
        // A process that was killed after the last block has left a whole file that nobody compared.
        if self.is_unverified(&blocks) {
            blocks.lock()?;
            let verified = self.verify(&mut blocks);
            let unlocked = blocks.unlock();
            verified.and(unlocked)?;
        }
        Ok(blocks)
    }

    /// Fetches the run of missing blocks that begins at `first`.
    fn fetch(&self, blocks: &mut Blocks, first: usize, end: usize) -> Result<(), HubError> {
        let end = (first..end).find(|block| blocks.has(*block)).unwrap_or(end);
        if first == end {
            return Ok(());
        }
        if self.hub.offline {
            return Err(HubError::Offline { what: self.what.clone() });
        }
        self.hub.store.make_room((end - first) as u64 * BLOCK_BYTES)?;
        let (mut at, mut attempts) = (first, 0);
        while at < end {
            let before = at;
            let Err(error) = self.transfer(blocks, &mut at, end) else { break };
            attempts = if at > before { 0 } else { attempts + 1 };
            let passing = matches!(&error, HubError::Unreachable { .. } | HubError::Stopped { .. })
                || matches!(&error, HubError::Status { status, .. } if *status == 429 || *status >= 500);
            if !passing || attempts >= ATTEMPTS {
                return Err(self.gave_up(error, blocks.extent(at).0, attempts));
            }
            tracing::debug!(target: "polai::data", file = self.what, at, %error, "the transfer stopped: going on from there");
            std::thread::sleep(self.hub.pause.saturating_mul(1 << attempts));
        }
        self.verify(blocks)
    }

    fn gave_up(&self, error: HubError, at: u64, attempts: u32) -> HubError {
        match error {
            HubError::Stopped { reason, .. } => HubError::Stopped { what: self.what.clone(), attempts, at, reason },
            other => other,
        }
    }

    /// One request; `at` moves on with every block that has come whole.
    fn transfer(&self, blocks: &mut Blocks, at: &mut usize, end: usize) -> Result<(), HubError> {
        let first = blocks.extent(*at).0;
        let (last_start, last_length) = blocks.extent(end - 1);
        let last = last_start + (last_length as u64).saturating_sub(1);
        let response = self.hub.client.get(&self.url, Some((first, last)), &self.what)?;
        let is_part = response.status() == 206;
        let length = |header: &str| header.parse::<u64>().ok();
        let total = if is_part {
            text(response.headers(), header::CONTENT_RANGE).and_then(|range| length(range.rsplit('/').next()?))
        } else {
            text(response.headers(), header::CONTENT_LENGTH).and_then(length)
        };
        if let Some(found) = total.filter(|found| *found != self.entry.size) {
            return Err(HubError::Size { what: self.what.clone(), found, expected: self.entry.size });
        }
        let starts_right =
            text(response.headers(), header::CONTENT_RANGE).is_some_and(|range| range.starts_with(&format!("bytes {first}-")));
        if is_part && !starts_right {
            return Err(HubError::Answer { what: self.what.clone(), reason: "other bytes than asked for".to_owned() });
        }
        // A server without ranges sends everything: what is here already comes again.
        if !is_part {
            *at = 0;
        }
        let mut body = response.into_body().into_with_config().limit(self.entry.size.max(1)).reader();
        let mut bytes = Vec::new();
        while *at < end {
            let (_, length) = blocks.extent(*at);
            bytes.resize(length, 0);
            body.read_exact(&mut bytes).map_err(|error| self.stopped(&error))?;
            blocks.write(*at, &bytes)?;
            *at += 1;
        }
        Ok(())
    }

    fn stopped(&self, error: &io::Error) -> HubError {
        HubError::Stopped { what: self.what.clone(), attempts: 1, at: 0, reason: error.to_string() }
    }

    /// Whether all blocks are here and were not compared with the hub's hash, where it says one.
    fn is_unverified(&self, blocks: &Blocks) -> bool {
        self.entry.sha256.is_some() && !blocks.is_verified() && blocks.is_whole()
    }

    /// Once all blocks are here: compares the whole with the hub's hash.
    fn verify(&self, blocks: &mut Blocks) -> Result<(), HubError> {
        let Some(expected) = self.entry.sha256.as_deref().filter(|_| self.is_unverified(blocks)) else {
            return Ok(());
        };
        let mut hasher = Sha256::new();
        let mut bytes = Vec::new();
        for block in 0..blocks.count() {
            let (start, length) = blocks.extent(block);
            bytes.resize(length, 0);
            blocks.read(&mut bytes, start)?;
            hasher.update(&bytes);
        }
        if hex::encode(hasher.finalize()) == expected {
            blocks.mark_verified();
            return Ok(());
        }
        blocks.clear()?;
        Err(HubError::Hash { what: self.what.clone() })
    }
}

/// A [`ReadAt`] from its beginning to its end.
#[derive(Debug)]
pub struct Sequential {
    source: Arc<dyn ReadAt>,
    place: u64,
}

impl Sequential {
    /// Reads from `place` on.
    pub const fn new(source: Arc<dyn ReadAt>, place: u64) -> Self {
        Self { source, place }
    }
}

impl io::Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.source.size().saturating_sub(self.place)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let Some(buffer) = buffer.get_mut(..count).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        self.source.read_at(buffer, self.place)?;
        self.place = self.place.saturating_add(count as u64);
        Ok(count)
    }
}
