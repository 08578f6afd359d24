//! A proposer that signs a bad certificate: votes over the DHT, a proof, a slashing; the chain goes on.

use std::time::Duration;

use e2e::{Node, Plan};
use serde_json::Value;

const VALIDATORS: u32 = 8;
/// Whoever it is, its turn comes.
const BAD: &str = "5";

/// The bad one, as the head's state has it.
fn bad(node: &Node) -> Option<Value> {
    node.beacon(&format!("/eth/v1/beacon/states/head/validators/{BAD}"))
}

#[test]
fn a_proposer_of_a_bad_certificate_is_slashed_by_the_other_seven_and_the_chain_goes_on() {
    let plan = Plan { validators: VALIDATORS, slot_seconds: 1 };
    let mut node = Node::start_with_dht(plan, &["--test-bad-certificates-by", BAD]);
    node.until("first block", Duration::from_secs(60), |node| node.head_slot() >= 2);
    node.until("slashing", Duration::from_secs(150), |node| bad(node).is_some_and(|bad| bad["validator"]["slashed"] == true));
    assert!(node.log("pol-beacon").contains("test: signing a block with a bad certificate"));
    let faults = node.beacon("/pol/v1/ai/faults").expect("the faults");
    let cases = faults["cases"].as_array().expect("cases");
    let case = cases.iter().find(|case| case["proven"] == true).unwrap_or_else(|| panic!("{faults}"));
    assert_eq!((case["proposer_index"].as_str(), case["votes"].as_str()), (Some(BAD), Some("7")), "{faults}");

    // Nobody else was slashed, and seven finalize.
    let all = node.beacon("/eth/v1/beacon/states/head/validators").expect("validators");
    let slashed: Vec<&Value> = all.as_array().expect("a list").iter().filter(|one| one["validator"]["slashed"] == true).collect();
    assert!(slashed.len() == 1 && slashed[0]["index"] == BAD, "{slashed:?}");
    let (head, finalized) = (node.head_slot(), node.finalized());
    node.until("finality without it", Duration::from_secs(120), |node| node.finalized() > finalized + 1);
    assert!(node.head_slot() > head && node.dht_runs());
    // No block of the canonical chain names the update that nobody ACKed.
    let log = node.ethereum("polai_updates", serde_json::json!(["0x0", "0x270f"])).expect("the updates");
    assert_eq!(log, serde_json::json!([]));
}
