//! A payload on its way from the Beacon API's JSON to the Engine API's.

use pol_core::sha256;
use serde_json::{Map, Value, json};

/// Bytes of the versioned hash of EIP-4844 that say which kind it is.
const VERSIONED_HASH_KZG: u8 = 1;
/// Decimal there, QUANTITY here.
const QUANTITIES: [&str; 7] =
    ["block_number", "gas_limit", "gas_used", "timestamp", "base_fee_per_gas", "blob_gas_used", "excess_blob_gas"];
/// Of a withdrawal.
const OF_WITHDRAWAL: [&str; 3] = ["index", "validator_index", "amount"];

/// Why a block of the Beacon API has no payload that can be handed on. The beacon node's defect, or a fork this chain does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A field is missing, or not of its type.
    #[error("field {field}: missing or malformed")]
    Field {
        /// The field.
        field: &'static str,
    },
}

/// A payload, ready for engine_newPayloadV3.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    engine: Value,
    versioned_hashes: Vec<String>,
    parent_root: String,
    number: u64,
}

impl Payload {
    /// Of `data` of `/eth/v2/beacon/blocks/{id}`.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn of_block(data: &Value) -> Result<Self, PayloadError> {
        let field = |field| PayloadError::Field { field };
        let message = data.get("message").ok_or(field("message"))?;
        let body = message.get("body").ok_or(field("body"))?;
        let payload = body.get("execution_payload").and_then(Value::as_object).ok_or(field("execution_payload"))?;
        let commitments = body.get("blob_kzg_commitments").and_then(Value::as_array).ok_or(field("blob_kzg_commitments"))?;
        let parent_root = message.get("parent_root").and_then(Value::as_str).ok_or(field("parent_root"))?.to_owned();
        let number = payload.get("block_number").and_then(crate::ask::number).ok_or(field("block_number"))?;
        payload.get("block_hash").and_then(Value::as_str).ok_or(field("block_hash"))?;
        Ok(Self {
            engine: object(payload, &QUANTITIES)?,
            versioned_hashes: commitments.iter().map(versioned_hash).collect::<Result<_, _>>()?,
            parent_root,
            number,
        })
    }

    /// Parameters of engine_newPayloadV3.
    pub fn parameters(&self) -> Value {
        json!([self.engine, self.versioned_hashes, self.parent_root])
    }

    /// Block hash, `0x` and 64 digits.
    pub fn hash(&self) -> &str {
        self.engine.get("blockHash").and_then(Value::as_str).unwrap_or_default()
    }

    /// Root of the beacon block's parent.
    pub fn parent_root(&self) -> &str {
        &self.parent_root
    }

    /// Height.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The beacon genesis block's, which is no block at all: zeros.
    pub fn is_genesis(&self) -> bool {
        self.hash().trim_start_matches("0x").bytes().all(|digit| digit == b'0')
    }
}

fn object(from: &Map<String, Value>, quantities: &[&'static str]) -> Result<Value, PayloadError> {
    let mut to = Map::new();
    for (name, value) in from {
        let value = match (quantities.iter().find(|quantity| *quantity == name), value) {
            (Some(field), value) => quantity(value).ok_or(PayloadError::Field { field })?,
            (None, Value::Array(items)) if name == "withdrawals" => {
                let withdrawal =
                    |item: &Value| object(item.as_object().ok_or(PayloadError::Field { field: "withdrawals" })?, &OF_WITHDRAWAL);
                items.iter().map(withdrawal).collect::<Result<Vec<_>, _>>()?.into()
            }
            (None, value) => value.clone(),
        };
        to.insert(camel(name), value);
    }
    Ok(to.into())
}

/// No number of a payload of this chain comes near 128 bits.
fn quantity(value: &Value) -> Option<Value> {
    Some(format!("{:#x}", value.as_str()?.parse::<u128>().ok()?).into())
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn versioned_hash(commitment: &Value) -> Result<String, PayloadError> {
    let field = PayloadError::Field { field: "blob_kzg_commitments" };
    let digits = commitment.as_str().and_then(|text| text.strip_prefix("0x")).ok_or_else(|| field.clone())?;
    let mut hash = sha256(&[&hex::decode(digits).map_err(|_| field)?]);
    if let Some(version) = hash.first_mut() {
        *version = VERSIONED_HASH_KZG;
    }
    Ok(format!("0x{}", hex::encode(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Value {
        json!({ "message": {
            "slot": "9", "parent_root": "0xaa",
            "body": {
                "blob_kzg_commitments": [format!("0x{}", "00".repeat(48))],
                "execution_payload": {
                    "parent_hash": "0x01", "fee_recipient": "0x02", "state_root": "0x03", "receipts_root": "0x04", "logs_bloom": "0x05",
                    "prev_randao": "0x06", "block_number": "7", "gas_limit": "30000000", "gas_used": "0", "timestamp": "1700000000",
                    "extra_data": "0x0708", "base_fee_per_gas": "1000000000", "block_hash": "0x09", "transactions": ["0x0a"],
                    "withdrawals": [{ "index": "1", "validator_index": "2", "address": "0x0b", "amount": "3" }],
                    "blob_gas_used": "131072", "excess_blob_gas": "0",
                },
            },
        } })
    }

    #[test]
    fn a_beacon_block_becomes_the_parameters_of_new_payload() {
        let payload = Payload::of_block(&block()).unwrap();
        let hash = "0x01b0761f87b081d5cf10757ccc89f12be355c70e2e29df288b65b30710dcbcd1";
        let engine = json!({
            "parentHash": "0x01", "feeRecipient": "0x02", "stateRoot": "0x03", "receiptsRoot": "0x04", "logsBloom": "0x05",
            "prevRandao": "0x06", "blockNumber": "0x7", "gasLimit": "0x1c9c380", "gasUsed": "0x0", "timestamp": "0x6553f100",
            "extraData": "0x0708", "baseFeePerGas": "0x3b9aca00", "blockHash": "0x09", "transactions": ["0x0a"],
            "withdrawals": [{ "index": "0x1", "validatorIndex": "0x2", "address": "0x0b", "amount": "0x3" }],
            "blobGasUsed": "0x20000", "excessBlobGas": "0x0",
        });
        assert_eq!(payload.parameters(), json!([engine, [hash], "0xaa"]));
        assert_eq!((payload.hash(), payload.parent_root(), payload.number(), payload.is_genesis()), ("0x09", "0xaa", 7, false));
    }

    #[test]
    fn what_is_no_block_is_refused_with_the_fields_name() {
        for (path, field) in [
            ("/message/body/execution_payload/timestamp", "timestamp"),
            ("/message/body/execution_payload/withdrawals/0/amount", "amount"),
            ("/message/body/blob_kzg_commitments/0", "blob_kzg_commitments"),
            ("/message/parent_root", "parent_root"),
        ] {
            let mut block = block();
            *block.pointer_mut(path).unwrap() = json!(-1);
            assert_eq!(Payload::of_block(&block), Err(PayloadError::Field { field }), "{path}");
        }
    }

    #[test]
    fn the_genesis_block_is_known_by_its_zeros() {
        let mut block = block();
        *block.pointer_mut("/message/body/execution_payload/block_hash").unwrap() = json!(format!("0x{}", "00".repeat(32)));
        assert!(Payload::of_block(&block).unwrap().is_genesis());
    }
}
