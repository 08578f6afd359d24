//! Several validators in one node: a quorum of them signs for what gets in.

use std::time::Duration;

use e2e::up::Up;
use pol_core::{ack::RawCertificate, params::WIRE_HEAD_BYTES};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(600);

/// The certificate of the first AI block, as its beacon block carries it.
fn first_certificate(up: &Up) -> RawCertificate {
    let ask = |method: &str, params: Value| {
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = format!("http://127.0.0.1:{}", up.port("EL_HTTP_PORT"));
        let answer: Value =
            reqwest::blocking::Client::new().post(url).json(&call).send().expect("an answer").json().expect("JSON");
        answer["result"].clone()
    };
    let updates = ask("polai_updates", serde_json::json!(["0x0", "0x270f"]));
    assert_eq!(updates[0]["finalized"], true, "{updates}");
    let number =
        |text: &Value| u64::from_str_radix(text.as_str().unwrap_or_default().trim_start_matches("0x"), 16).expect("a quantity");
    let genesis = ask("eth_getBlockByNumber", serde_json::json!(["0x0", false]));
    let spec = up.wire().spec.parameters();
    assert_eq!(number(&genesis["timestamp"]), spec.genesis_time);
    let slot = (number(&updates[0]["timestamp"]) - spec.genesis_time) / spec.slot_seconds;
    let url = format!("http://127.0.0.1:{}/eth/v2/beacon/blocks/{slot}", up.port("BEACON_REST_PORT"));
    let block: Value = reqwest::blocking::get(url).expect("an answer").json().expect("JSON");
    let extra_data = block["data"]["message"]["body"]["execution_payload"]["extra_data"].as_str().expect("extra data");
    let bytes = hex::decode(extra_data.trim_start_matches("0x")).expect("hex");
    RawCertificate::decode(&bytes[WIRE_HEAD_BYTES..]).expect("a certificate")
}

fn finalizes_an_update(validators: usize) {
    let mut up = Up::new();
    up.start(&up.with_ai(2, &["--validators", &validators.to_string()]));
    let status = up.until("finalized_updates", 1, PATIENCE);
    assert_eq!(
        (status["seats"].as_u64(), status["quorum"].as_u64()),
        (Some(validators as u64), Some(validators.div_ceil(2) as u64))
    );
    let certificate = first_certificate(&up);
    assert_eq!(certificate.seats.seats(), validators);
    assert!(certificate.seats.count() >= validators.div_ceil(2), "{certificate:?}");
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
    println!("{validators} validators, {} of them signed: {status}", certificate.seats.count());
}

#[test]
fn long_four_validators_finalize_an_update_that_a_quorum_of_them_signed() {
    finalizes_an_update(4);
}

#[test]
fn long_eight_validators_finalize_an_update_that_a_quorum_of_them_signed() {
    finalizes_an_update(8);
}
