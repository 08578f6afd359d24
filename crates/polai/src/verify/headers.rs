//! Execution headers, from JSON-RPC, by the rules of docs/PROTOCOL.md section 9.

use pol_core::{Hash32, block::check_header, difficulty::ParentSeal, header::Header, model_head};
use serde_json::{Value, json};

use super::{Block, Node, VerifyError, contradiction};
use crate::ask::{AskError, number};

/// All blocks from genesis to `head`, the genesis block left out.
pub(super) async fn check(node: &Node, head: u64) -> Result<Vec<Block>, VerifyError> {
    let (spec, genesis) = (&node.spec, fetch(node, 0).await?);
    let (parameters, hash) = (spec.parameters(), genesis.block_hash());
    if hash != parameters.execution_genesis_hash {
        return Err(contradiction(0, format!("genesis is {hash}, chain.toml says {}", parameters.execution_genesis_hash)));
    }
    if genesis.difficulty != spec.difficulty().floor() || genesis.extra_data != [0; 64] {
        return Err(contradiction(0, "genesis: difficulty is not the floor, or extraData is not zero"));
    }
    let (mut parent, mut parent_hash, mut model) = (genesis, hash, spec.genesis_head());
    let mut blocks = Vec::new();
    for number in 1..=head {
        let header = fetch(node, number).await?;
        let seal = ParentSeal { difficulty: parent.difficulty, timestamp: parent.timestamp };
        if header.number != number {
            return Err(contradiction(number, format!("its header says {}", header.number)));
        }
        let update_id =
            check_header(&header, parent_hash, seal, spec.difficulty()).map_err(|error| contradiction(number, error))?;
        let hash = header.block_hash();
        blocks.push(Block { number, hash, timestamp: header.timestamp, update_id, parent_head: model });
        model = model_head::child(model, update_id);
        (parent, parent_hash) = (header, hash);
    }
    Ok(blocks)
}

/// A header, whose hash is the one that the execution client names it by.
async fn fetch(node: &Node, height: u64) -> Result<Header, VerifyError> {
    let url = node.execution();
    let block: Option<Value> = node.ask.call(&url, "eth_getBlockByNumber", json!([format!("0x{height:x}"), false])).await?;
    let block = block.ok_or_else(|| contradiction(height, "the execution client does not have it"))?;
    let header = parse(&block).map_err(|field| {
        VerifyError::Ask(AskError::Wrong {
            url,
            text: format!("eth_getBlockByNumber {height}: {field} is missing or of another form"),
        })
    })?;
    let (found, said) = (header.block_hash(), bytes::<32>(&block, "hash").unwrap_or_default());
    if found == Hash32(said) {
        Ok(header)
    } else {
        Err(contradiction(height, format!("its hash is {found}, not {}", Hash32(said))))
    }
}

fn bytes<const N: usize>(block: &Value, field: &'static str) -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    let digits = block.get(field).and_then(Value::as_str).and_then(|text| text.strip_prefix("0x")).ok_or(field)?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| field)?;
    Ok(bytes)
}

/// The 20 fields; the name of the one that is wrong.
fn parse(block: &Value) -> Result<Header, &'static str> {
    let hash = |field| bytes::<32>(block, field).map(Hash32);
    let quantity = |field| block.get(field).and_then(number).ok_or(field);
    Ok(Header {
        parent_hash: hash("parentHash")?,
        ommers_hash: hash("sha3Uncles")?,
        beneficiary: bytes(block, "miner")?,
        state_root: hash("stateRoot")?,
        transactions_root: hash("transactionsRoot")?,
        receipts_root: hash("receiptsRoot")?,
        logs_bloom: bytes(block, "logsBloom")?,
        difficulty: quantity("difficulty")?,
        number: quantity("number")?,
        gas_limit: quantity("gasLimit")?,
        gas_used: quantity("gasUsed")?,
        timestamp: quantity("timestamp")?,
        extra_data: bytes(block, "extraData")?,
        mix_hash: hash("mixHash")?,
        nonce: u64::from_be_bytes(bytes(block, "nonce")?),
        base_fee_per_gas: quantity("baseFeePerGas")?,
        withdrawals_root: hash("withdrawalsRoot")?,
        blob_gas_used: quantity("blobGasUsed")?,
        excess_blob_gas: quantity("excessBlobGas")?,
        parent_beacon_block_root: hash("parentBeaconBlockRoot")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_missing_short_or_of_another_form_is_named() {
        let (hash, bloom) = (format!("0x{}", "07".repeat(32)), format!("0x{}", "00".repeat(256)));
        let block = json!({
            "parentHash": hash, "sha3Uncles": hash, "miner": format!("0x{}", "01".repeat(20)), "stateRoot": hash,
            "transactionsRoot": hash, "receiptsRoot": hash, "logsBloom": bloom, "difficulty": "0x400", "number": "0x1",
            "gasLimit": "0x1", "gasUsed": "0x0", "timestamp": "0x5", "extraData": format!("0x{}", "07".repeat(64)), "mixHash": hash,
            "nonce": "0x0000000000000102", "baseFeePerGas": "0x7", "withdrawalsRoot": hash, "blobGasUsed": "0x0",
            "excessBlobGas": "0x0", "parentBeaconBlockRoot": hash,
        });
        let header = parse(&block).unwrap();
        assert_eq!((header.nonce, header.difficulty, header.timestamp), (0x102, 1_024, 5));
        for (field, value) in
            [("nonce", json!("0x102")), ("extraData", json!(hash)), ("difficulty", json!(null)), ("miner", json!(7))]
        {
            let mut wrong = block.clone();
            wrong[field] = value;
            assert_eq!(parse(&wrong), Err(field));
        }
    }
}
