//! What may be signed, decided and on disk before any signature exists.
//!
//! # Contract
//! One database for all keys of a machine. Every question is one transaction: look up, decide, write, sync; only then is there a
//! *receipt*, and [`crate::signer::Signer`] signs nothing without one. So a process that is killed at any moment has either no row and
//! no signature, or a row that allows exactly this signature again. Receipts cannot be made, copied or stored by anybody else.
//!
//! | message | what is refused |
//! | --- | --- |
//! | ACK (section 8) | another result root for the same (update, head); a near-copy of a delta that was ACKed on the head; a head that is final |
//! | fault vote (section 11) | without a failed certificate check of that very block; against an own key |
//! | identity (section 7) | a sequence that does not grow |
//! | block, attestation (EIP-3076) | a second one for a slot or target, surround votes, anything at or below what was imported |
//!
//! # Limits
//! [`limits::GUARDED_DELTAS`] deltas per head are kept for the comparison (150 KB each at most); rows of a head go when it is final. What
//! stays for ever is small: 32 bytes per final model head, 90 bytes per fault vote, one row per key for each other message.
//!
//! # What it does not protect against
//! Another copy of the same keys with another database: a second process on this one is refused, one elsewhere is only noticed
//! ([`Guard::knows_ack`]). A database that an operator puts back from an old copy. A disk that lies about `fsync`.

mod ack;
mod interchange;
mod standard;
mod tables;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::AckData,
    delta::{Context, DeltaError},
    domains::Domains,
    fault::VerifiedHeader,
    record::IdData,
};
use pol_kit::{
    database::DatabaseError,
    from_redb,
    fs::{DirectoryLock, LockError, PrivateError, create_private_directory, lock_directory},
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

pub use ack::Candidate;
pub use interchange::{InterchangeError, Merged};

use crate::import::CertificateFault;
#[cfg(doc)]
use crate::limits;

/// A compressed BLS key.
pub type Key = [u8; 48];

const FILE: &str = "guard.redb";

/// Why the guard gave no answer. The operator's or the disk's; nothing may be signed, and a signer stops.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Another process works with this database: two signers with one key would contradict each other.
    #[error("guard: {0}")]
    Lock(#[from] LockError),
    /// Others can read the directory.
    #[error("guard: {0}")]
    Directory(#[from] PrivateError),
    /// The database or its disk.
    #[error("guard: {0}")]
    Database(#[from] DatabaseError),
    /// It belongs to another chain: rows of one chain say nothing about another.
    #[error("guard: {}: found chain {found}, expected {expected}", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// Chain of the file.
        found: String,
        /// Chain of this node.
        expected: GenesisId,
    },
    /// A row that no version of this program wrote.
    #[error("guard: a damaged row in table {table}")]
    Damaged {
        /// The table.
        table: &'static str,
    },
}

from_redb!(GuardError);

/// Why a signature is refused. Whoever asked is at fault; asking again gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Two result roots for one (update, head) would be malfeasance: slashable.
    #[error("ACK of {update_id}: already signed with result root {signed}, found {found}")]
    SecondRoot {
        /// The update.
        update_id: UpdateId,
        /// What was signed.
        signed: ResultRoot,
        /// What was asked for.
        found: ResultRoot,
    },
    /// A near-copy of a delta that this key ACKed on this head.
    #[error("ACK of {update_id}: a near-copy of {copied}, which was ACKed on the same head first")]
    NearCopy {
        /// The update.
        update_id: UpdateId,
        /// What it copies.
        copied: UpdateId,
    },
    /// No block can build on this head any more.
    #[error("ACK of {update_id}: model head {model_head} is final history")]
    ClosedHead {
        /// The update.
        update_id: UpdateId,
        /// The head.
        model_head: ModelHead,
    },
    /// More deltas than are compared with each other.
    #[error("ACK of {update_id}: {found} deltas are ACKed on this head already, the most there may be")]
    TooMany {
        /// The update.
        update_id: UpdateId,
        /// Deltas kept.
        found: usize,
    },
    /// The container is not about the head that the ACK names.
    #[error("ACK of {update_id}: found a container for another head than {model_head}")]
    Head {
        /// The update.
        update_id: UpdateId,
        /// Head of the ACK.
        model_head: ModelHead,
    },
    /// The bytes are no container of this chain.
    #[error("ACK of {update_id}: {error}")]
    Container {
        /// The update.
        update_id: UpdateId,
        /// What is wrong.
        error: DeltaError,
    },
    /// The header is not the one that failed the check.
    #[error("fault vote: found a header with root {found}, expected {expected}")]
    OtherBlock {
        /// Root of the header.
        found: Hash32,
        /// Block that failed.
        expected: Hash32,
    },
    /// The sequence of an identity must grow.
    #[error("identity: found sequence {found}, expected more than {signed}")]
    Sequence {
        /// Asked for.
        found: u64,
        /// Last one signed.
        signed: u64,
    },
    /// Another block or attestation was signed for this slot or target, or this one is at or below the lowest allowed.
    #[error("{what} {found}: refused, {why}")]
    Standard {
        /// `block of slot` or `attestation of target epoch`.
        what: &'static str,
        /// Slot or epoch.
        found: u64,
        /// Which rule of EIP-3076.
        why: &'static str,
    },
}

/// Permission to sign one ACK with one key. Spent by [`crate::signer::Signer::ack`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without the signature the row in the database is for nothing"]
pub struct AckReceipt {
    pub(crate) data: AckData,
    pub(crate) key: Key,
}

/// Permission to sign one fault vote with one key. Spent by [`crate::signer::Signer::fault_vote`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without the signature the row in the database is for nothing"]
pub struct VoteReceipt {
    pub(crate) accused: VerifiedHeader,
    pub(crate) key: Key,
}

/// Permission to sign one identity record. Spent by [`crate::signer::Signer::identity`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without the signature the row in the database is for nothing"]
pub struct IdReceipt {
    pub(crate) data: IdData,
}

/// Permission to sign one block or attestation, by its signing root. Spent by [`crate::signer::Signer::standard`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "without the signature the row in the database is for nothing"]
pub struct StandardReceipt {
    pub(crate) signing_root: Hash32,
    pub(crate) key: Key,
}

/// The guard database. It holds the lock of its directory as long as it lives; share it in an `Arc`.
#[derive(Debug)]
pub struct Guard {
    database: Database,
    path: PathBuf,
    context: Context,
    domains: Domains,
    _lock: DirectoryLock,
}

impl Guard {
    /// Opens or makes the guard in a directory of its own (mode 0700) and locks it.
    ///
    /// # Errors
    /// [`GuardError`]: `Lock` when another process has it.
    pub fn open(directory: &Path, context: Context, domains: Domains) -> Result<Self, GuardError> {
        create_private_directory(directory)?;
        let lock = lock_directory(directory)?;
        let path = directory.join(FILE);
        let database = Database::create(&path)?;
        let write = database.begin_write()?;
        {
            let mut meta = write.open_table(tables::META)?;
            let found = meta.get(tables::GENESIS)?.map(|id| id.value().to_vec());
            match found {
                None => drop(meta.insert(tables::GENESIS, context.genesis_id.0.as_slice())?),
                Some(id) if id == context.genesis_id.0 => {}
                Some(id) => {
                    return Err(GuardError::Chain { path, found: hex::encode(id), expected: context.genesis_id });
                }
            }
            tables::make_all(&write)?;
        }
        write.commit()?;
        Ok(Self { database, path, context, domains, _lock: lock })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// May these keys vote against a block? Its certificate failed our own check (`fault`), `accused` is its signed header, `accused_key`
    /// its proposer's key: an own key never votes against itself. Voting again is harmless, so each key gets its receipt.
    ///
    /// # Errors
    /// [`GuardError`]. The inner error, [`Refusal::OtherBlock`], when header and check are not of one block.
    pub fn fault_votes(
        &self,
        fault: &CertificateFault,
        accused: &VerifiedHeader,
        accused_key: &Key,
        keys: &[Key],
    ) -> Result<Result<Vec<VoteReceipt>, Refusal>, GuardError> {
        let (found, expected) = (accused.signed().header.root(), fault.block_root());
        if found != expected {
            return Ok(Err(Refusal::OtherBlock { found, expected }));
        }
        let voters: Vec<Key> = keys.iter().filter(|key| *key != accused_key).copied().collect();
        let write = self.database.begin_write()?;
        {
            let mut votes = write.open_table(tables::VOTES)?;
            for key in &voters {
                votes.insert((key, &found.0), accused.signed().header.slot)?;
            }
        }
        write.commit()?;
        Ok(Ok(voters.into_iter().map(|key| VoteReceipt { accused: *accused, key }).collect()))
    }

    /// May this identity be signed? Its sequence must be above the last one that was.
    ///
    /// # Errors
    /// [`GuardError`]. The inner error: [`Refusal::Sequence`].
    pub fn identity(&self, data: IdData) -> Result<Result<IdReceipt, Refusal>, GuardError> {
        let write = self.database.begin_write()?;
        {
            let mut sequences = write.open_table(tables::IDENTITIES)?;
            let signed = sequences.get(&data.public_key)?.map(|row| row.value());
            if let Some(signed) = signed.filter(|signed| data.sequence <= *signed) {
                return Ok(Err(Refusal::Sequence { found: data.sequence, signed }));
            }
            sequences.insert(&data.public_key, data.sequence)?;
        }
        write.commit()?;
        Ok(Ok(IdReceipt { data }))
    }

    /// Whether this guard let this very ACK be signed. An ACK by an own key that it does not know was signed elsewhere: somebody runs
    /// the same keys, or the database is not the one it was. Stop signing and tell a person.
    ///
    /// # Errors
    /// [`GuardError`].
    pub fn knows_ack(&self, key: &Key, data: &AckData) -> Result<bool, GuardError> {
        let read = self.database.begin_read()?;
        if read.open_table(tables::CLOSED)?.get(&data.model_head.0)?.is_some() {
            return Ok(true);
        }
        let acks = read.open_table(tables::ACKS)?;
        let row = acks.get((key, &data.model_head.0, &data.update_id.0))?;
        Ok(row.is_some_and(|root| *root.value() == data.result_root.0))
    }

    /// Heads on which no block can build any more: nothing is ever ACKed on them again, and their rows go.
    ///
    /// # Errors
    /// [`GuardError`].
    pub fn close_heads(&self, heads: &[ModelHead]) -> Result<(), GuardError> {
        if heads.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        {
            let mut closed = write.open_table(tables::CLOSED)?;
            let (mut acks, mut deltas) = (write.open_table(tables::ACKS)?, write.open_table(tables::DELTAS)?);
            for head in heads {
                closed.insert(&head.0, ())?;
                deltas.retain_in((&head.0, &[0; 32])..=(&head.0, &[0xff; 32]), |_, _| false)?;
            }
            let heads: std::collections::BTreeSet<&[u8; 32]> = heads.iter().map(|head| &head.0).collect();
            acks.retain(|(_, head, _), _| !heads.contains(head))?;
        }
        Ok(write.commit()?)
    }
}
