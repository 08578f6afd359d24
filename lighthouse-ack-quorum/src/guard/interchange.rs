//! Moving a guard to another machine, in the manner of EIP-3076: JSON, keys and hashes as `0x` and hex, numbers as decimal strings.
//!
//! Only while no signer runs: both directions need the opened guard, and its lock. A file of EIP-3076 itself (version 5, from another
//! client) can be imported too: its blocks and attestations become floors. What is imported only ever forbids more.

use std::{collections::BTreeMap, io};

use pol_core::{GenesisId, Hash32, UpdateId, delta};
use pol_kit::{database::DatabaseError, from_redb};
use redb::{ReadableDatabase as _, ReadableTable as _};
use serde::{Deserialize, Serialize};

use super::{Guard, GuardError, Key, tables};

const VERSION: &str = "pol-ai-1";
const STANDARD: &str = "5";

/// Why a file was not imported, or not written. Nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum InterchangeError {
    /// Not JSON of this form. The operator's.
    #[error("interchange: {0}")]
    Json(#[from] serde_json::Error),
    /// A version that this program does not know. The operator's.
    #[error("interchange: found version {found:?}, expected {VERSION:?} or {STANDARD:?}")]
    Version {
        /// What the file says.
        found: String,
    },
    /// Of another chain. The operator's.
    #[error("interchange: found {field} {found}, expected {expected}")]
    Chain {
        /// Which name.
        field: &'static str,
        /// What the file says.
        found: Hash32,
        /// This chain's.
        expected: Hash32,
    },
    /// Two result roots for one (update, head) by one key: somebody equivocated already.
    #[error("interchange: ACKs of {update_id} with two result roots by one key: it is slashable already, sign nothing with it")]
    Contradiction {
        /// The update.
        update_id: UpdateId,
    },
    /// A container that is none of this chain. The operator's: a damaged file.
    #[error("interchange: {0}")]
    Container(#[from] delta::DeltaError),
    /// The database.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The file.
    #[error("interchange: {0}")]
    Io(#[from] io::Error),
}

impl From<DatabaseError> for InterchangeError {
    fn from(error: DatabaseError) -> Self {
        Self::Guard(error.into())
    }
}
from_redb!(InterchangeError);

/// What an import brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// Keys in the file.
    pub keys: usize,
    /// ACKs that were not known.
    pub acks: usize,
}

#[derive(Serialize, Deserialize)]
struct File {
    metadata: Metadata,
    data: Vec<OfKey>,
    #[serde(default)]
    closed_heads: Vec<Hex<32>>,
    #[serde(default)]
    acked_deltas: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    interchange_format_version: String,
    genesis_validators_root: Hex<32>,
    #[serde(default)]
    genesis_id: Option<Hex<32>>,
}

#[derive(Serialize, Deserialize, Default)]
struct OfKey {
    pubkey: Hex<48>,
    #[serde(default)]
    signed_blocks: Vec<Block>,
    #[serde(default)]
    signed_attestations: Vec<Attestation>,
    #[serde(default)]
    signed_acks: Vec<Ack>,
    #[serde(default)]
    signed_fault_votes: Vec<Vote>,
    #[serde(default)]
    identity_sequence: Option<Number>,
}

#[derive(Serialize, Deserialize)]
struct Block {
    slot: Number,
}

#[derive(Serialize, Deserialize)]
struct Attestation {
    source_epoch: Number,
    target_epoch: Number,
}

#[derive(Serialize, Deserialize)]
struct Ack {
    model_head: Hex<32>,
    update_id: Hex<32>,
    result_root: Hex<32>,
}

#[derive(Serialize, Deserialize)]
struct Vote {
    block_root: Hex<32>,
    slot: Number,
}

/// A decimal string.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Number(u64);

impl TryFrom<String> for Number {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0.to_string()
    }
}

/// `0x` and exactly `2 * N` digits.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Default for Hex<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").ok_or("a hash without 0x")?;
        let mut bytes = [0; N];
        hex::decode_to_slice(digits, &mut bytes).map_err(|error| error.to_string())?;
        Ok(Self(bytes))
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(bytes: Hex<N>) -> Self {
        format!("0x{}", hex::encode(bytes.0))
    }
}

impl Guard {
    /// Writes everything that this guard knows.
    ///
    /// # Errors
    /// [`InterchangeError::Guard`], [`InterchangeError::Io`].
    pub fn export(&self, into: impl io::Write) -> Result<(), InterchangeError> {
        let read = self.database.begin_read()?;
        let mut keys: BTreeMap<Key, OfKey> = BTreeMap::new();
        for row in read.open_table(tables::ACKS)?.iter()? {
            let (place, root) = row?;
            let (key, head, update) = place.value();
            let ack = Ack { model_head: Hex(*head), update_id: Hex(*update), result_root: Hex(*root.value()) };
            keys.entry(*key).or_default().signed_acks.push(ack);
        }
        for row in read.open_table(tables::VOTES)?.iter()? {
            let (place, slot) = row?;
            let vote = Vote { block_root: Hex(*place.value().1), slot: Number(slot.value()) };
            keys.entry(*place.value().0).or_default().signed_fault_votes.push(vote);
        }
        for row in read.open_table(tables::IDENTITIES)?.iter()? {
            let (key, sequence) = row?;
            keys.entry(*key.value()).or_default().identity_sequence = Some(Number(sequence.value()));
        }
        for row in read.open_table(tables::BLOCKS)?.iter()? {
            let (place, _) = row?;
            keys.entry(*place.value().0).or_default().signed_blocks.push(Block { slot: Number(place.value().1) });
        }
        for row in read.open_table(tables::ATTESTATIONS)?.iter()? {
            let (place, vote) = row?;
            let (source_epoch, target_epoch) = (Number(vote.value().0), Number(place.value().1));
            keys.entry(*place.value().0).or_default().signed_attestations.push(Attestation { source_epoch, target_epoch });
        }
        for row in read.open_table(tables::FLOORS)?.iter()? {
            let (key, floors) = row?;
            let (slot, source, target) = floors.value();
            let of_key = keys.entry(*key.value()).or_default();
            of_key.signed_blocks.extend(slot.checked_sub(1).map(|slot| Block { slot: Number(slot) }));
            let target = target.checked_sub(1);
            let past = target.map(|target| Attestation { source_epoch: Number(source), target_epoch: Number(target) });
            of_key.signed_attestations.extend(past);
        }
        let table = read.open_table(tables::CLOSED)?;
        let closed = table.iter()?.map(|row| row.map(|(head, _)| Hex(*head.value())));
        self.write_file(&read, keys, closed.collect::<Result<_, _>>()?, into)
    }

    fn write_file(
        &self,
        read: &redb::ReadTransaction,
        keys: BTreeMap<Key, OfKey>,
        closed_heads: Vec<Hex<32>>,
        into: impl io::Write,
    ) -> Result<(), InterchangeError> {
        let deltas = read.open_table(tables::DELTAS)?;
        let acked_deltas = deltas.iter()?.map(|row| row.map(|(_, bytes)| hex::encode(bytes.value())));
        let data = keys.into_iter().map(|(key, of_key)| OfKey { pubkey: Hex(key), ..of_key }).collect();
        let metadata = Metadata {
            interchange_format_version: VERSION.to_owned(),
            genesis_validators_root: Hex(self.domains.genesis_validators_root().0),
            genesis_id: Some(Hex(self.context.genesis_id.0)),
        };
        let file = File { metadata, data, closed_heads, acked_deltas: acked_deltas.collect::<Result<_, _>>()? };
        Ok(serde_json::to_writer_pretty(into, &file)?)
    }

    /// Takes in what another guard exported, all of it or nothing.
    ///
    /// # Errors
    /// [`InterchangeError`], each variant.
    pub fn import(&self, json: &[u8]) -> Result<Merged, InterchangeError> {
        let file: File = serde_json::from_slice(json)?;
        self.check_metadata(&file.metadata)?;
        let mut merged = Merged { keys: file.data.len(), acks: 0 };
        let write = self.database.begin_write().map_err(GuardError::from)?;
        {
            let mut closed = write.open_table(tables::CLOSED)?;
            for head in &file.closed_heads {
                closed.insert(&head.0, ())?;
            }
            let mut deltas = write.open_table(tables::DELTAS)?;
            for container in &file.acked_deltas {
                let bytes = hex::decode(container).map_err(io::Error::other)?;
                let checked = delta::decode(&bytes, &self.context)?;
                deltas.insert((&checked.header().claims.model_head.0, &checked.update_id().0), bytes.as_slice())?;
            }
            for of_key in &file.data {
                import_key(&write, of_key, &mut merged)?;
            }
        }
        write.commit()?;
        Ok(merged)
    }

    fn check_metadata(&self, metadata: &Metadata) -> Result<(), InterchangeError> {
        let standard = match metadata.interchange_format_version.as_str() {
            VERSION => false,
            STANDARD => true,
            found => return Err(InterchangeError::Version { found: found.to_owned() }),
        };
        let differs = |field, found: Hash32, expected: Hash32| match found == expected {
            true => Ok(()),
            false => Err(InterchangeError::Chain { field, found, expected }),
        };
        let root = self.domains.genesis_validators_root();
        differs("genesis_validators_root", Hash32(metadata.genesis_validators_root.0), root)?;
        let GenesisId(expected) = self.context.genesis_id;
        let found = metadata.genesis_id.map(|id| id.0).or_else(|| standard.then_some(expected)).unwrap_or_default();
        differs("genesis_id", Hash32(found), Hash32(expected))
    }
}

fn import_key(write: &redb::WriteTransaction, of_key: &OfKey, merged: &mut Merged) -> Result<(), InterchangeError> {
    let key = &of_key.pubkey.0;
    let mut acks = write.open_table(tables::ACKS)?;
    for ack in &of_key.signed_acks {
        let place = (key, &ack.model_head.0, &ack.update_id.0);
        let held = acks.insert(place, &ack.result_root.0)?.map(|root| *root.value());
        match held {
            Some(root) if root != ack.result_root.0 => {
                return Err(InterchangeError::Contradiction { update_id: UpdateId(ack.update_id.0) });
            }
            Some(_) => {}
            None => merged.acks += 1,
        }
    }
    let mut votes = write.open_table(tables::VOTES)?;
    for vote in &of_key.signed_fault_votes {
        votes.insert((key, &vote.block_root.0), vote.slot.0)?;
    }
    if let Some(Number(sequence)) = of_key.identity_sequence {
        let mut identities = write.open_table(tables::IDENTITIES)?;
        let held = identities.get(key)?.map_or(0, |row| row.value());
        identities.insert(key, sequence.max(held))?;
    }
    let above = |numbers: &mut dyn Iterator<Item = u64>| numbers.max().map_or(0, |most| most.saturating_add(1));
    let slot = above(&mut of_key.signed_blocks.iter().map(|block| block.slot.0));
    let target = above(&mut of_key.signed_attestations.iter().map(|vote| vote.target_epoch.0));
    let source = of_key.signed_attestations.iter().map(|vote| vote.source_epoch.0).max().unwrap_or(0);
    let mut floors = write.open_table(tables::FLOORS)?;
    let held = floors.get(key)?.map_or((0, 0, 0), |row| row.value());
    floors.insert(key, (slot.max(held.0), source.max(held.1), target.max(held.2)))?;
    Ok(())
}
