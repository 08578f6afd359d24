//! What the trainer must not forget: the residual, its own updates, the last sequence number, where in the texts it is.
//!
//! One file, replaced as a whole, so that after a crash residual and updates always fit each other; and one file for each own container, written
//! before the memory speaks of it.

use std::{
    fmt::Display,
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use pol_core::{
    Hash32, ModelHead, UpdateId,
    delta::{Change, Checked, Context, RawDelta, SparseChange},
    params::DELTA_MAX_BYTES,
    sha256,
};
use pol_kit::fs::{Access, create_private_directory, remove_unfinished, write_durably};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::file::{self, Arrays, FileError};
use crate::{
    session::{Kept, Place},
    train::OptimizerState,
    update::Residual,
    weights::read_bounded,
};

const VERSION: u32 = 1;
const MEMORY: &str = "memory";
const ROUND: &str = "round";
const RESIDUAL: &str = "residual";
/// Own updates that are kept, at most: the newest.
const OWN_MAX: usize = 64;
/// Bytes of a file beside its arrays.
const ABOUT_BYTES_MAX: u64 = 16 << 20;

/// Why a trainer's folder cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Others may read it, or it cannot be made.
    #[error(transparent)]
    Folder(#[from] pol_kit::fs::PrivateError),
    /// A file in it cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What a killed process left cannot be removed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another trainer works in it.
    #[error(transparent)]
    Lock(#[from] pol_kit::fs::LockError),
    /// Another chain's.
    #[error("{path}: the trainer's memory of chain {found}, not of {expected}: give another data directory")]
    Chain {
        /// The folder.
        path: String,
        /// The chain's name in it.
        found: String,
        /// This chain's.
        expected: String,
    },
}

/// An own update that may still become, or is, part of the chain and is not final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Its sequence number.
    pub sequence: u64,
    /// Its id.
    #[serde(with = "text")]
    pub update_id: UpdateId,
    /// The head that it applies to.
    #[serde(with = "text")]
    pub head: ModelHead,
    /// Updates up to that head.
    pub number: u64,
    /// Whether it is part of the state, and out of the residual.
    pub added: bool,
    /// The merge as a part of which it is; none: it is there as a whole, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_text")]
    pub merge: Option<UpdateId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    version: u32,
    chain: String,
    round: u64,
    sequence: u64,
    since_slot: Option<u64>,
    place: Place,
    /// Which texts that is a place of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_text")]
    texts: Option<Hash32>,
    own: Vec<Own>,
}

/// The trainer's memory.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    context: Context,
    /// Rounds that ended.
    pub round: u64,
    /// The last sequence number that was given to a container.
    pub sequence: u64,
    /// Slot of the last success, or of the first round without one; none while the residual is empty.
    pub since_slot: Option<u64>,
    /// Where in the texts the next round begins.
    pub place: Place,
    /// Fingerprint of those texts; none: not known yet, or an older program wrote it.
    pub texts: Option<Hash32>,
    /// Own updates by sequence.
    pub own: Vec<Own>,
    /// What was trained and is not part of the state.
    pub residual: Residual,
}

/// A round that was interrupted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeptRound {
    pub(super) round: u64,
    pub(super) head: ModelHead,
    pub(super) slot: u64,
    /// The plan in words: what was trained by another one is not gone on with.
    pub(super) plan: String,
    pub(super) kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutRound {
    version: u32,
    round: u64,
    #[serde(with = "text")]
    head: ModelHead,
    slot: u64,
    plan: String,
    steps: u64,
    is_chosen: bool,
    place: Place,
    samples: crate::session::Samples,
    tokens: u64,
}

impl Memory {
    /// Opens a folder; makes it where there is none. A memory that the disk has damaged is put aside and begun anew: sequence numbers grow all the
    /// same, because they follow the time of day.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, context: &Context, seed: u64) -> Result<Self, OpenError> {
        create_private_directory(folder)?;
        remove_unfinished(folder)?;
        let path = folder.join(MEMORY);
        match Self::read(folder, context) {
            Err(OpenError::File(FileError::Damaged { path: file, reason })) => {
                tracing::warn!(target: "polai::train", file, reason, "the trainer's memory is damaged: it is put aside and begun anew");
                fs::rename(&path, folder.join("memory.damaged"))?;
                Ok(Self::empty(folder, context, seed))
            }
            Ok(None) => Ok(Self::empty(folder, context, seed)),
            Ok(Some(memory)) => Ok(memory),
            Err(error) => Err(error),
        }
    }

    fn empty(folder: &Path, context: &Context, seed: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            context: *context,
            round: 0,
            sequence: 0,
            since_slot: None,
            place: Place::new(seed),
            texts: None,
            own: Vec::new(),
            residual: Residual::new(context.shape),
        }
    }

    fn read(folder: &Path, context: &Context) -> Result<Option<Self>, OpenError> {
        let Some(arrays) = Arrays::read(&folder.join(MEMORY), bytes_max(context))? else { return Ok(None) };
        let about: About = arrays.about()?;
        let expected = context.genesis_id.to_string();
        if about.chain != expected {
            return Err(OpenError::Chain { path: folder.display().to_string(), found: about.chain, expected });
        }
        if about.version != VERSION {
            return Err(arrays.damaged(format!("version {}", about.version)).into());
        }
        let residual = Residual::from_units(context.shape, arrays.array(RESIDUAL)?);
        let residual = residual.map_err(|error| arrays.damaged(error.to_string()))?;
        let About { round, sequence, since_slot, place, texts, own, .. } = about;
        let (folder, context) = (folder.to_owned(), *context);
        Ok(Some(Self { folder, context, round, sequence, since_slot, place, texts, own, residual }))
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// [`FileError::Write`].
    pub fn save(&self) -> Result<(), FileError> {
        let about = About {
            version: VERSION,
            chain: self.context.genesis_id.to_string(),
            round: self.round,
            sequence: self.sequence,
            since_slot: self.since_slot,
            place: self.place.clone(),
            texts: self.texts,
            own: self.own.clone(),
        };
        file::write(&self.folder.join(MEMORY), &about, vec![file::array(RESIDUAL, self.residual.units())])
    }

    /// Takes a new container in, durably: its bytes first, then the memory with its sequence number. From here on it may be offered.
    ///
    /// # Errors
    /// [`FileError::Write`]; it must not be offered then.
    pub fn add(
        &mut self,
        (update_id, bytes): (UpdateId, &[u8]),
        head: ModelHead,
        number: u64,
        now_ms: u64,
    ) -> Result<(), FileError> {
        let path = self.container(update_id);
        let failed = |source| FileError::Write { path: path.display().to_string(), source };
        write_durably(&path, bytes, Access::Owner).map_err(failed)?;
        self.sequence = self.sequence.saturating_add(1).max(now_ms);
        self.own.push(Own { sequence: self.sequence, update_id, head, number, added: false, merge: None });
        let surplus = self.own.len().saturating_sub(OWN_MAX);
        let gone: Vec<Own> = self.own.drain(..surplus).collect();
        self.save()?;
        gone.iter().for_each(|own| self.remove_container(own.update_id));
        Ok(())
    }

    /// From here on these texts: with others it begins at their beginning, in the order of a seed.
    pub(super) fn turn_to(&mut self, texts: Hash32, seed: u64) {
        if self.texts.is_some_and(|known| known != texts) {
            tracing::info!(target: "polai::train", "other texts than before: they are gone through from their beginning");
            self.place = Place::new(seed);
        }
        self.texts = Some(texts);
    }

    /// The newest own container for a head.
    pub fn newest_on(&self, head: ModelHead) -> Option<&Own> {
        self.own.iter().rev().find(|own| own.head == head)
    }

    /// Flat indices that own containers for a head carry.
    pub fn offered_on(&self, head: ModelHead) -> Vec<u32> {
        let changes = self.own.iter().filter(|own| own.head == head).filter_map(|own| self.change(own.update_id));
        changes.flat_map(|change| change.iter().map(|(index, _)| index).collect::<Vec<_>>()).collect()
    }

    /// Bytes of an own container; none when the disk has lost or changed them.
    pub fn bytes(&self, update_id: UpdateId) -> Option<Vec<u8>> {
        let bytes = read_bounded(&self.container(update_id), DELTA_MAX_BYTES as u64).ok()?;
        (sha256(&[&bytes]) == update_id.0).then_some(bytes)
    }

    /// What an own container changes; none when the disk has lost or changed it.
    pub fn change(&self, update_id: UpdateId) -> Option<Change> {
        match RawDelta::new(self.bytes(update_id)?).ok()?.check(&self.context).ok()? {
            Checked::Delta(delta) => Some(delta.into()),
            Checked::Merge(_) | Checked::Void(_) => None,
        }
    }

    /// Keeps what an own container added as a part of a merge, durably, for when the chain goes back.
    pub(super) fn keep_share(&self, update_id: UpdateId, change: &Change) -> Result<(), FileError> {
        let (indices, values): (Vec<u32>, Vec<i32>) = change.iter().unzip();
        file::write(&self.share_file(update_id), &VERSION, vec![file::array("indices", &indices), file::array("values", &values)])
    }

    /// What was kept of it; none when the disk has lost or changed it.
    pub(super) fn share(&self, update_id: UpdateId) -> Option<Change> {
        let arrays = Arrays::read(&self.share_file(update_id), bytes_max(&self.context)).ok()??;
        let (indices, values) = (arrays.array::<u32>("indices").ok()?, arrays.array::<i32>("values").ok()?);
        Some(SparseChange::new(indices.into_iter().zip(values).collect()).ok()?.into())
    }

    /// Removes a container that the memory, as it is on disk, does not speak of any more.
    pub(super) fn remove_container(&self, update_id: UpdateId) {
        // What is left behind costs 150 KB.
        let _ = fs::remove_file(self.container(update_id));
        let _ = fs::remove_file(self.share_file(update_id));
    }

    fn container(&self, update_id: UpdateId) -> PathBuf {
        self.folder.join(format!("{update_id}.pld"))
    }

    fn share_file(&self, update_id: UpdateId) -> PathBuf {
        self.folder.join(format!("{update_id}.share"))
    }

    /// Keeps an interrupted round, durably.
    pub(super) fn keep_round(&self, round: &KeptRound) -> Result<(), FileError> {
        let kept = &round.kept;
        let about = AboutRound {
            version: VERSION,
            round: round.round,
            head: round.head,
            slot: round.slot,
            plan: round.plan.clone(),
            steps: kept.optimizer.steps,
            is_chosen: kept.chosen.is_some(),
            place: kept.place.clone(),
            samples: kept.samples.clone(),
            tokens: kept.tokens,
        };
        let arrays = vec![
            file::array("values", &kept.values),
            file::array("first", &kept.optimizer.first),
            file::array("second", &kept.optimizer.second),
            file::array("chosen", kept.chosen.as_deref().unwrap_or_default()),
            file::array(RESIDUAL, kept.residual.units()),
        ];
        file::write(&self.folder.join(ROUND), &about, arrays)
    }

    /// The round that was interrupted; none when there is none that is whole. It costs a round's work, no more, to lose it.
    pub(super) fn kept_round(&self) -> Option<KeptRound> {
        match self.read_round() {
            Ok(round) => round,
            Err(error) => {
                tracing::warn!(target: "polai::train", %error, "the round that was kept is lost: it begins anew");
                None
            }
        }
    }

    fn read_round(&self) -> Result<Option<KeptRound>, FileError> {
        let Some(arrays) = Arrays::read(&self.folder.join(ROUND), bytes_max(&self.context))? else { return Ok(None) };
        let AboutRound { version, round, head, slot, plan, steps, is_chosen, place, samples, tokens } = arrays.about()?;
        let residual = Residual::from_units(self.context.shape, arrays.array(RESIDUAL)?);
        let residual = residual.map_err(|error| arrays.damaged(error.to_string()))?;
        if version != VERSION {
            return Err(arrays.damaged(format!("version {version}")));
        }
        let optimizer = OptimizerState { steps, first: arrays.array("first")?, second: arrays.array("second")? };
        let chosen = arrays.array("chosen")?;
        let chosen = is_chosen.then_some(chosen);
        let kept = Kept { values: arrays.array("values")?, optimizer, chosen, place, samples, tokens, residual };
        Ok(Some(KeptRound { round, head, slot, plan, kept }))
    }
}

/// Five arrays of four bytes a value, and what stands beside them.
const fn bytes_max(context: &Context) -> u64 {
    // At most 2^28 values.
    context.shape.value_count() as u64 * 20 + ABOUT_BYTES_MAX
}

/// Ids as they are written everywhere: lower-case hex digits.
mod text {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom("expected 64 hex digits"))
    }
}

/// The same where there may be none.
mod maybe_text {
    use super::{Deserialize as _, Deserializer, Display, FromStr, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
    pub(super) fn serialize<T: Display, S: Serializer>(id: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => serializer.collect_str(id),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let id = |text: String| text.parse().map_err(|_| serde::de::Error::custom("expected 64 hex digits"));
        text.map(id).transpose()
    }
}

#[cfg(test)]
mod tests;
