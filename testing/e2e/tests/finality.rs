//! The embedded pair finalizes from genesis.

use std::{thread, time::Duration};

use e2e::{Node, Plan};

fn finalizes(validators: u32) {
    let mut node = Node::start(Plan { validators, slot_seconds: 1 });
    node.until("first block", Duration::from_secs(60), |node| node.head_slot() >= 2);
    node.until("finalized epoch", Duration::from_secs(180), |node| node.finalized() >= 1);
    // Execution and beacon agree on what is final, and its header is an AI block.
    let block = node.beacon("/eth/v2/beacon/blocks/finalized").expect("the finalized block");
    let payload = &block["message"]["body"]["execution_payload"];
    let hash = payload["block_hash"].as_str().expect("a hash").to_owned();
    node.until("the same finalized block on both sides", Duration::from_secs(20), |node| {
        let final_block = node.ethereum("eth_getBlockByHash", serde_json::json!([hash, false]));
        final_block.is_some_and(|block| block["extraData"].as_str().is_some_and(|data| data.len() == 2 + 128))
    });
    // Both are killed; the chain goes on where it was.
    let (head, finalized) = (node.head_slot(), node.finalized());
    node.kill_execution();
    node.kill_beacon();
    node.start_execution();
    node.start_beacon();
    node.until("block after the kills", Duration::from_secs(90), |node| node.head_slot() > head + 1);
    node.until("more finality after the kills", Duration::from_secs(120), |node| node.finalized() > finalized);
}

#[test]
fn chains_of_1_4_and_16_validators_finalize_from_genesis_and_after_kills() {
    let chains = [1, 4, 16].map(|validators| thread::spawn(move || finalizes(validators)));
    for chain in chains {
        chain.join().expect("a chain that finalizes");
    }
}
