//! The open database: it may fail, is then read only for a while, and comes back.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase as _};

use super::{Commit, StoreError, StoreLimits, error::io_error, overlay::Overlay, write::Writer};

/// File name of the database inside the data directory.
pub(super) const DATABASE_FILE: &str = "records.redb";
/// What is written to learn whether the disk takes anything.
const PROBE_FILE: &str = ".unfinished-probe";
const PROBE_BYTES: usize = 64 << 10;
/// After a failed write puts are refused this long without trying, seconds.
pub(super) const RETRY_SECONDS: u64 = 10;
/// Lazy transactions after which one is synced whatever it asked for.
const LAZY_MAX: u64 = 4_096;

enum State {
    Open(Database),
    /// The disk takes no writes: what is on it is served.
    Frozen(Database),
    /// It cannot even be read.
    Closed,
}

/// A state, and how often there was another one before: who found it spoilt says which one it was.
struct Numbered {
    number: u64,
    state: State,
}

#[derive(Clone, Copy)]
struct Pause {
    until: u64,
    is_full: bool,
}

/// The database file of a data directory.
pub(super) struct Handle {
    directory: PathBuf,
    limits: StoreLimits,
    state: RwLock<Numbered>,
    /// Lazy transactions since the last synced one.
    lazy: AtomicU64,
    pause: Mutex<Option<Pause>>,
}

fn open(directory: &Path, limits: &StoreLimits) -> Result<Database, StoreError> {
    Ok(Database::builder().set_cache_size(limits.cache_bytes).create(directory.join(DATABASE_FILE))?)
}

fn open_frozen(directory: &Path, limits: &StoreLimits) -> Result<Database, StoreError> {
    let overlay = Overlay::open(&directory.join(DATABASE_FILE))?;
    Ok(Database::builder().set_cache_size(limits.cache_bytes).create_with_backend(overlay)?)
}

/// Whether the disk takes as much as a small transaction needs.
fn probe(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join(PROBE_FILE);
    let write = || {
        let mut file = fs::File::create(&path)?;
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_all()
    };
    let written = write();
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|error| io_error("write to the data directory", error))
}

impl Pause {
    const fn error(self) -> StoreError {
        if self.is_full { StoreError::DiskFull } else { StoreError::Closed }
    }
}

impl Handle {
    /// Opens or creates the file, and lets `prepare` make it usable.
    ///
    /// # Errors
    /// What the disk and the database say.
    pub(super) fn open(
        directory: &Path,
        limits: StoreLimits,
        prepare: impl FnOnce(&Database) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let database = open(directory, &limits)?;
        prepare(&database)?;
        Ok(Self {
            directory: directory.to_owned(),
            limits,
            state: RwLock::new(Numbered { number: 0, state: State::Open(database) }),
            lazy: AtomicU64::new(0),
            pause: Mutex::new(None),
        })
    }

    fn paused(&self) -> MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pause in force. One that lies further ahead than any pause is long was set by a clock that went back since.
    fn pause_at(&self, now: u64) -> Option<Pause> {
        let pause = *self.paused();
        pause.filter(|pause| now < pause.until && pause.until.saturating_sub(now) <= RETRY_SECONDS)
    }

    /// Whether puts are refused at the moment because the disk is full.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.pause_at(now).is_some_and(|pause| pause.is_full)
    }

    /// Whether lazy puts wait for a synced one.
    pub(super) fn is_lazy(&self) -> bool {
        self.lazy.load(Ordering::Acquire) > 0
    }

    /// Bytes of the file; 0 when it cannot be looked at.
    pub(super) fn disk_bytes(&self) -> u64 {
        fs::metadata(self.directory.join(DATABASE_FILE)).map_or(0, |file| file.len())
    }

    fn current(&self) -> RwLockReadGuard<'_, Numbered> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads; a second time when the first found a handle that a failed write of somebody else had spoilt.
    pub(super) fn read<T>(&self, f: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (number, result) = self.try_read(&f);
        match result {
            Err(error) if error.spoils_handle() => {
                self.reopen(number);
                self.try_read(&f).1
            }
            result => result,
        }
    }

    fn try_read<T>(&self, f: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> (u64, Result<T, StoreError>) {
        let current = self.current();
        let result = match &current.state {
            State::Open(database) | State::Frozen(database) => {
                database.begin_read().map_err(StoreError::from).and_then(|transaction| f(&transaction))
            }
            State::Closed => Err(StoreError::Closed),
        };
        (current.number, result)
    }

    /// Writes in one transaction, all or nothing.
    pub(super) fn write<T>(
        &self,
        now: u64,
        commit: Commit,
        f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(pause) = self.pause_at(now) {
            return Err(pause.error());
        }
        if let Err(error) = self.thaw() {
            self.stopped(&error, now);
            return Err(error);
        }
        let (number, result) = self.try_write(commit, f);
        match result {
            Ok(value) => {
                self.went_on();
                Ok(value)
            }
            Err(error) if error.is_of_another() => {
                self.reopen(number);
                Err(self.pause_at(now).map_or(StoreError::Closed, Pause::error))
            }
            Err(error) if error.spoils_handle() => {
                self.stopped(&error, now);
                // After a failed write redb answers nothing any more, not even reads.
                self.reopen(number);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn try_write<T>(
        &self,
        commit: Commit,
        f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> (u64, Result<T, StoreError>) {
        let current = self.current();
        let result = match &current.state {
            State::Open(database) => self.commit(database, commit, f),
            State::Frozen(_) | State::Closed => Err(StoreError::Closed),
        };
        (current.number, result)
    }

    fn commit<T>(
        &self,
        database: &Database,
        commit: Commit,
        f: impl FnOnce(&mut Writer<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = database.begin_write()?;
        let synced = commit == Commit::Synced || self.lazy.load(Ordering::Acquire) >= LAZY_MAX;
        transaction.set_durability(if synced { Durability::Immediate } else { Durability::None })?;
        let value = f(&mut Writer::open(&transaction, &self.limits)?)?;
        // Counted before the commit, while no other write can come in between.
        self.lazy.store(if synced { 0 } else { self.lazy.load(Ordering::Acquire).saturating_add(1) }, Ordering::Release);
        if let Err(error) = transaction.commit() {
            self.lazy.store(1, Ordering::Release);
            return Err(error.into());
        }
        Ok(value)
    }

    /// Makes a frozen database writable again, if the disk takes anything.
    fn thaw(&self) -> Result<(), StoreError> {
        let number = {
            let current = self.current();
            if matches!(current.state, State::Open(_)) {
                return Ok(());
            }
            current.number
        };
        probe(&self.directory)?;
        self.reopen(number);
        Ok(())
    }

    fn stopped(&self, error: &StoreError, now: u64) {
        let is_full = matches!(error, StoreError::DiskFull);
        let pause = Pause { until: now.saturating_add(RETRY_SECONDS), is_full };
        // Once, not with every try.
        if self.paused().replace(pause).is_none() {
            tracing::error!(target: "polai::dht", %error, "the record store takes no puts");
        }
    }

    fn went_on(&self) {
        if self.paused().take().is_some() {
            tracing::info!(target: "polai::dht", "the record store takes puts again");
        }
    }

    /// Closes and opens the file, unless somebody else did so since `number`; lazy puts that were not flushed are lost.
    fn reopen(&self, number: u64) {
        let mut current = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if current.number != number {
            return;
        }
        current.number = number.wrapping_add(1);
        // The old handle has the file's lock.
        current.state = State::Closed;
        current.state = match open(&self.directory, &self.limits) {
            Ok(database) => State::Open(database),
            Err(error) => open_frozen(&self.directory, &self.limits).map_or_else(
                |frozen| {
                    tracing::error!(target: "polai::dht", %error, %frozen, "the record store cannot be read");
                    State::Closed
                },
                State::Frozen,
            ),
        };
        self.lazy.store(0, Ordering::Release);
    }
}
