//! The Beacon API over real sockets.

use std::time::Duration;

use pol_beacon::rest;
use pol_kit::http;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::world::World;

async fn serve(world: &World) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = rest::router(world.node().clone());
    tokio::spawn(http::serve(listener, router, rest::limits(), never()));
    address
}

fn never() -> tokio_util::sync::CancellationToken {
    tokio_util::sync::CancellationToken::new()
}

async fn get(address: &str, path: &str) -> (u16, Value) {
    let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    let code = response.status().as_u16();
    let text = response.text().await.unwrap();
    (code, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")) })
}

async fn ok(address: &str, path: &str) -> Value {
    let (code, body) = get(address, path).await;
    assert_eq!(code, 200, "{path}: {body}");
    body["data"].clone()
}

/// All of tier 0 for state and block ids.
const STATE_IDS: [&str; 4] = ["head", "genesis", "finalized", "justified"];

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_tier_0_answers_in_the_shape_of_the_standard() {
    let world = World::new(8).await;
    world.slots(0..=44).await;
    let at = serve(&world).await;
    for path in ["health", "version", "syncing", "identity", "peers", "peer_count"] {
        assert_eq!(get(&at, &format!("/eth/v1/node/{path}")).await.0, 200, "{path}");
    }
    assert_eq!(ok(&at, "/eth/v1/node/syncing").await["head_slot"], "44");
    assert_eq!(ok(&at, "/eth/v1/config/spec").await["SLOTS_PER_EPOCH"], "8");
    assert_eq!(ok(&at, "/eth/v1/config/fork_schedule").await.as_array().unwrap().len(), 5);
    assert_eq!(ok(&at, "/eth/v1/config/deposit_contract").await["chain_id"], "1337001");
    assert_eq!(ok(&at, "/eth/v1/beacon/genesis").await["genesis_time"], "1700000000");
    for id in STATE_IDS {
        for what in [
            "root",
            "fork",
            "finality_checkpoints",
            "randao",
            "committees",
            "sync_committees",
            "validators",
            "validator_balances",
        ] {
            let value = ok(&at, &format!("/eth/v1/beacon/states/{id}/{what}")).await;
            assert!(!value.is_null(), "{id} {what}");
        }
    }
    let head = ok(&at, "/eth/v1/beacon/headers/head").await;
    assert_eq!((&head["header"]["message"]["slot"], &head["canonical"]), (&"44".into(), &true.into()));
    let root = head["root"].as_str().unwrap();
    for id in [root, "head", "44", "genesis", "finalized", "0", "20"] {
        let block = get(&at, &format!("/eth/v2/beacon/blocks/{id}")).await.1;
        assert_eq!(block["version"], "deneb", "{id}");
        let by_root = ok(&at, &format!("/eth/v1/beacon/blocks/{id}/root")).await;
        assert_eq!(ok(&at, &format!("/eth/v1/beacon/headers/{id}")).await["root"], by_root["root"]);
        assert_eq!(ok(&at, &format!("/eth/v1/beacon/blob_sidecars/{id}")).await, serde_json::json!([]));
    }
    assert_eq!(get(&at, "/eth/v2/beacon/blocks/20").await.1["finalized"], true);
    assert_eq!(ok(&at, "/eth/v1/beacon/headers").await.as_array().unwrap().len(), 1);
    assert_eq!(ok(&at, "/eth/v1/beacon/headers?slot=44").await[0]["root"], root);
    let validator = ok(&at, "/eth/v1/beacon/states/head/validators/3").await;
    assert_eq!((&validator["status"], &validator["index"]), (&"active_ongoing".into(), &"3".into()));
    assert_eq!(ok(&at, "/eth/v1/beacon/states/head/validators?id=1,2&status=active").await.as_array().unwrap().len(), 2);
    for pool in ["proposer_slashings", "attester_slashings", "voluntary_exits", "bls_to_execution_changes", "attestations"] {
        assert!(ok(&at, &format!("/eth/v1/beacon/pool/{pool}")).await.is_array());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_routes_tell_status_quorum_acks_and_faults() {
    let world = World::new(4).await;
    world.slots(0..=9).await;
    let at = serve(&world).await;
    let status = ok(&at, "/pol/v1/ai/status").await;
    assert_eq!((&status["seats"], &status["quorum"], &status["keys"]), (&"4".into(), &"2".into(), &"5".into()));
    let root = ok(&at, "/eth/v1/beacon/blocks/head/root").await["root"].as_str().unwrap().to_owned();
    let quorum = ok(&at, &format!("/pol/v1/ai/quorum/{root}")).await;
    assert_eq!((&quorum["slot"], &quorum["certificate"]), (&"9".into(), &Value::Null));
    let update = format!("0x{}", "ab".repeat(32));
    assert_eq!(ok(&at, &format!("/pol/v1/ai/acks/{update}")).await["tallies"], serde_json::json!([]));
    assert_eq!(ok(&at, "/pol/v1/ai/faults").await["cases"], serde_json::json!([]));
    assert_eq!(get(&at, &format!("/pol/v1/ai/quorum/{update}")).await.0, 404);
    assert_eq!(get(&at, &format!("/pol/v1/ai/acks/0x{}", "00".repeat(32))).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_beside_a_beacon_node_reads_what_this_one_serves() {
    let world = World::new(4).await;
    world.slots(0..=44).await;
    let at = serve(&world).await;
    let client = lighthouse_ack_quorum::service::beacon::BeaconNode::new(&format!("http://{at}")).unwrap();
    assert_eq!(client.genesis().await.unwrap().genesis_time, 1_700_000_000);
    assert_eq!(client.spec().await.unwrap().slots_per_epoch, 8);
    let header = client.header("head").await.unwrap();
    assert_eq!((header.root.0, header.root), (world.head().0, header.signed.header.root()));
    assert_eq!(client.block(header.root).await.unwrap().slot, 44);
    assert!(!client.is_slashed(2).await.unwrap());
    client.registry().await.unwrap();
    client.finality().await.unwrap();
    client.randao("head", Some(4)).await.unwrap();
    let mut events = client.events().await.unwrap();
    world.slot(45).await;
    let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.block_root(), Some(world.head().0));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_answered_with_an_error_and_nothing_breaks() {
    let world = World::new(1).await;
    world.slots(0..=2).await;
    let at = serve(&world).await;
    let wrong = [
        ("/eth/v2/beacon/blocks/zzz", 400),
        ("/eth/v2/beacon/blocks/99", 404),
        ("/eth/v1/beacon/states/-1/root", 400),
        ("/eth/v1/beacon/states/18446744073709551615/root", 404),
        ("/eth/v1/beacon/states/head/committees?epoch=18446744073709551615", 400),
        ("/eth/v1/beacon/states/head/committees?epoch=x", 400),
        ("/eth/v1/beacon/states/head/randao?epoch=99", 400),
        ("/eth/v1/beacon/states/head/validators/zz", 400),
        ("/eth/v1/beacon/states/head/validators/9999", 404),
        ("/eth/v1/beacon/states/head/validators?id=0x12", 400),
        ("/eth/v1/beacon/headers?slot=%00", 400),
        ("/eth/v1/events?topics=nonsense", 400),
        ("/eth/v1/events", 400),
        ("/nothing", 404),
    ];
    for (path, code) in wrong {
        let (found, body) = get(&at, path).await;
        assert_eq!((found, &body["code"]), (code, &code.into()), "{path}: {body}");
    }
    let client = reqwest::Client::new();
    let url = format!("http://{at}/eth/v1/beacon/pool/proposer_slashings");
    for body in ["", "{}", "[1]", "\u{0}", &"[".repeat(10_000)] {
        let response = client.post(&url).body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 400);
    }
    let response = client.post(&url).body(vec![b' '; rest::BODY_BYTES + 1]).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
    assert_eq!(ok(&at, "/eth/v1/node/syncing").await["head_slot"], "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_subscribers_are_served_and_one_more_is_told_no() {
    let world = World::new(1).await;
    world.slots(0..=2).await;
    let at = serve(&world).await;
    let mut streams = Vec::new();
    for _ in 0..rest::SUBSCRIBERS {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        stream.write_all(b"GET /eth/v1/events?topics=head HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        streams.push(stream);
    }
    let (code, _) = get(&at, "/eth/v1/events?topics=head").await;
    assert_eq!(code, 503);
    // Nobody reads what they are sent, and the node does not care.
    world.slots(3..=12).await;
    assert_eq!(world.head_slot(), 12);
}
