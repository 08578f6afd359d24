//! Somebody joins.

use std::time::Duration;

use e2e::{Node, Plan, SEED, clients::python};

/// The short form is the beacon library's: devnet/beacon/tests/node/deposits.rs.
#[test]
fn long_a_deposit_transaction_activates_a_validator_and_the_quorum_grows() {
    let node = Node::start(Plan { validators: 4, slot_seconds: 1 });
    node.until("first block", Duration::from_secs(60), |node| node.head_slot() >= 2);
    let status = |node: &Node, field: &str| Some(node.beacon("/pol/v1/ai/status")?[field].as_str()?.to_owned());
    assert_eq!((status(&node, "seats").as_deref(), status(&node, "quorum").as_deref()), (Some("4"), Some("2")));
    let said = python("deposit.py", &[node.http().as_ref(), node.rest().as_ref(), SEED.as_ref()]);
    let key = said.lines().last().expect("a public key");
    let path = format!("/eth/v1/beacon/states/head/validators/{key}");
    // Votes of half a period for the deposit's block, then the queue: finality of the epoch in which it became eligible.
    node.until("validator of the deposit", Duration::from_secs(300), |node| node.beacon(&path).is_some());
    node.until("activation", Duration::from_secs(300), |node| {
        node.beacon(&path).is_some_and(|validator| validator["status"] == "active_ongoing")
    });
    node.until("fifth seat", Duration::from_secs(60), |node| status(node, "seats").as_deref() == Some("5"));
    assert_eq!(status(&node, "quorum").as_deref(), Some("3"));
    // It has a vote and never uses it: four of five still finalize.
    let finalized = node.finalized();
    node.until("finality with five", Duration::from_secs(120), |node| node.finalized() > finalized + 1);
}
