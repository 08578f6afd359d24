//! The Beacon API's JSON, as far as it is looked at: integers are decimal strings, bytes are `0x` and hex.

use pol_core::{
    Hash32,
    fault::{SignedHeader, SlashingPair},
    params::MAX_EXTRA_DATA_BYTES,
    ssz::BeaconBlockHeader,
};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

#[derive(Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) message: String,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn fixed<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("0x").ok_or_else(|| de::Error::custom("bytes without 0x"))?;
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|error| de::Error::custom(format!("{N} bytes: {error}")))?;
    Ok(bytes)
}

fn hash<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash32, D::Error> {
    fixed(deserializer).map(Hash32)
}

fn extra_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix("0x").ok_or_else(|| de::Error::custom("bytes without 0x"))?;
    if digits.len() > 2 * MAX_EXTRA_DATA_BYTES {
        return Err(de::Error::custom(format!("extra_data of {} bytes", digits.len() / 2)));
    }
    hex::decode(digits).map_err(de::Error::custom)
}

/// `beacon/genesis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Genesis {
    /// Unix seconds.
    #[serde(deserialize_with = "number")]
    pub genesis_time: u64,
    /// Root of the genesis validators.
    #[serde(deserialize_with = "hash")]
    pub genesis_validators_root: Hash32,
}

/// `config/spec`, as far as chain.toml fixes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct SpecValues {
    /// Slots of an epoch.
    #[serde(deserialize_with = "number")]
    pub slots_per_epoch: u64,
    /// Seconds of a slot.
    #[serde(deserialize_with = "number")]
    pub seconds_per_slot: u64,
    /// Version that our own domains carry.
    #[serde(deserialize_with = "fixed")]
    pub genesis_fork_version: [u8; 4],
    /// Version that headers are signed under.
    #[serde(deserialize_with = "fixed")]
    pub deneb_fork_version: [u8; 4],
}

#[derive(Deserialize)]
struct HeaderMessage {
    #[serde(deserialize_with = "number")]
    slot: u64,
    #[serde(deserialize_with = "number")]
    proposer_index: u64,
    #[serde(deserialize_with = "hash")]
    parent_root: Hash32,
    #[serde(deserialize_with = "hash")]
    state_root: Hash32,
    #[serde(deserialize_with = "hash")]
    body_root: Hash32,
}

#[derive(Deserialize)]
struct HeaderEnvelope {
    message: HeaderMessage,
    #[serde(deserialize_with = "fixed")]
    signature: [u8; 96],
}

#[derive(Deserialize)]
struct HeaderAnswer {
    #[serde(deserialize_with = "hash")]
    root: Hash32,
    header: HeaderEnvelope,
}

/// `beacon/headers/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "HeaderAnswer")]
pub struct SignedHeaderAt {
    /// Root, as the node says.
    pub root: Hash32,
    /// Header and signature.
    pub signed: SignedHeader,
}

impl From<HeaderAnswer> for SignedHeaderAt {
    fn from(answer: HeaderAnswer) -> Self {
        let HeaderEnvelope { message, signature } = answer.header;
        let HeaderMessage { slot, proposer_index, parent_root, state_root, body_root } = message;
        let header = BeaconBlockHeader { slot, proposer_index, parent_root, state_root, body_root };
        Self { root: answer.root, signed: SignedHeader { header, signature } }
    }
}

#[derive(Deserialize)]
struct BlockAnswer {
    message: BlockMessage,
}

#[derive(Deserialize)]
struct BlockMessage {
    #[serde(deserialize_with = "number")]
    slot: u64,
    #[serde(deserialize_with = "hash")]
    parent_root: Hash32,
    body: Body,
}

#[derive(Deserialize)]
struct Body {
    execution_payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(deserialize_with = "hash")]
    parent_hash: Hash32,
    #[serde(deserialize_with = "hash")]
    block_hash: Hash32,
    #[serde(deserialize_with = "extra_data")]
    extra_data: Vec<u8>,
}

/// `beacon/blocks/{root}`, as far as section 9 looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "BlockAnswer")]
pub struct Block {
    /// Slot.
    pub slot: u64,
    /// Parent's root.
    pub parent_root: Hash32,
    /// Hash of the payload's parent.
    pub payload_parent_hash: Hash32,
    /// Hash of the payload.
    pub payload_hash: Hash32,
    /// `extra_data` in wire form.
    pub extra_data: Vec<u8>,
}

impl From<BlockAnswer> for Block {
    fn from(answer: BlockAnswer) -> Self {
        let BlockMessage { slot, parent_root, body: Body { execution_payload: payload } } = answer.message;
        Self {
            slot,
            parent_root,
            payload_parent_hash: payload.parent_hash,
            payload_hash: payload.block_hash,
            extra_data: payload.extra_data,
        }
    }
}

/// `states/head/validators`.
pub type Registry = Vec<RegistryEntry>;

#[derive(Deserialize)]
struct EntryAnswer {
    #[serde(deserialize_with = "number")]
    index: u64,
    validator: EntryValidator,
}

#[derive(Deserialize)]
struct EntryValidator {
    #[serde(deserialize_with = "fixed")]
    pubkey: [u8; 48],
    slashed: bool,
    #[serde(deserialize_with = "number")]
    activation_epoch: u64,
    #[serde(deserialize_with = "number")]
    exit_epoch: u64,
}

/// A validator of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "EntryAnswer")]
pub struct RegistryEntry {
    /// Index.
    pub index: u64,
    /// Compressed key.
    pub public_key: [u8; 48],
    slashed: bool,
    activation_epoch: u64,
    exit_epoch: u64,
}

impl From<EntryAnswer> for RegistryEntry {
    fn from(EntryAnswer { index, validator }: EntryAnswer) -> Self {
        let EntryValidator { pubkey, slashed, activation_epoch, exit_epoch } = validator;
        Self { index, public_key: pubkey, slashed, activation_epoch, exit_epoch }
    }
}

impl RegistryEntry {
    /// Whether it was slashed.
    pub const fn slashed(&self) -> bool {
        self.slashed
    }

    /// `is_active_validator`.
    pub const fn is_active(&self, epoch: u64) -> bool {
        self.activation_epoch <= epoch && epoch < self.exit_epoch
    }
}

#[derive(Deserialize)]
pub(super) struct Randao {
    #[serde(deserialize_with = "hash")]
    randao: Hash32,
}

impl Randao {
    pub(super) const fn root(&self) -> Hash32 {
        self.randao
    }
}

/// A block that the node refused.
#[derive(Deserialize)]
pub(super) struct RefusedRoot {
    #[serde(deserialize_with = "hash")]
    block_root: Hash32,
}

impl RefusedRoot {
    pub(super) const fn root(&self) -> Hash32 {
        self.block_root
    }
}

#[derive(Deserialize)]
struct FinalityAnswer {
    finalized: Checkpoint,
}

#[derive(Deserialize)]
struct Checkpoint {
    #[serde(deserialize_with = "number")]
    epoch: u64,
    #[serde(deserialize_with = "hash")]
    root: Hash32,
}

/// The finalized checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "FinalityAnswer")]
pub struct Finality {
    /// Epoch.
    pub epoch: u64,
    /// Root of its block; zero before anything was finalized.
    pub root: Hash32,
}

impl From<FinalityAnswer> for Finality {
    fn from(answer: FinalityAnswer) -> Self {
        Self { epoch: answer.finalized.epoch, root: answer.finalized.root }
    }
}

/// A `ProposerSlashing` as the pool takes it.
pub fn slashing_json(pair: &SlashingPair) -> Value {
    let signed = |signed: &SignedHeader| {
        let header = signed.header;
        json!({
            "message": {
                "slot": header.slot.to_string(),
                "proposer_index": header.proposer_index.to_string(),
                "parent_root": format!("0x{}", header.parent_root),
                "state_root": format!("0x{}", header.state_root),
                "body_root": format!("0x{}", header.body_root),
            },
            "signature": format!("0x{}", hex::encode(signed.signature)),
        })
    };
    json!({ "signed_header_1": signed(&pair.first), "signed_header_2": signed(&pair.second) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_and_everything_else_in_it_ignored() {
        let hash = |n: u8| format!("0x{}", hex::encode([n; 32]));
        let mut block = json!({ "message": { "slot": "7", "proposer_index": "1", "parent_root": hash(1), "state_root": hash(2),
            "body": { "graffiti": hash(3), "execution_payload":
                { "parent_hash": hash(4), "block_hash": hash(5), "extra_data": "0x0102", "gas_used": "9" } } } });
        let read: Block = serde_json::from_value(block.clone()).unwrap();
        assert_eq!((read.slot, read.parent_root, read.extra_data.as_slice()), (7, Hash32([1; 32]), &[1, 2][..]));
        let at = "/message/body/execution_payload/extra_data";
        for bad in ["0102", "0x1", "0xzz", &format!("0x{}", "00".repeat(513))] {
            *block.pointer_mut(at).unwrap() = json!(bad);
            assert!(serde_json::from_value::<Block>(block.clone()).is_err(), "{bad}");
        }
        *block.pointer_mut(at).unwrap() = json!(format!("0x{}", "00".repeat(512)));
        assert!(serde_json::from_value::<Block>(block.clone()).is_ok());
        *block.pointer_mut("/message/slot").unwrap() = json!(7);
        assert!(serde_json::from_value::<Block>(block).is_err(), "integers are strings");
    }

    #[test]
    fn a_validator_is_active_from_its_activation_to_its_exit() {
        let json = json!({ "index": "3", "balance": "1", "status": "active_ongoing", "validator":
            { "pubkey": format!("0x{}", "ab".repeat(48)), "slashed": false, "activation_epoch": "2", "exit_epoch": "5" } });
        let entry: RegistryEntry = serde_json::from_value(json).unwrap();
        let active: Vec<u64> = (0..8).filter(|epoch| entry.is_active(*epoch)).collect();
        assert_eq!(active, [2, 3, 4]);
    }
}
