use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use pol_kit::{http, tasks::Root};
use tokio::net::TcpListener;

use super::*;

/// Slots of the tests.
const SLOT: Duration = Duration::from_millis(200);
const HEAD: u64 = 40;

/// A beacon node that only repeats itself, and an execution client that forgets.
#[derive(Clone, Default)]
struct Pair(Arc<Mutex<Client>>);

#[derive(Default)]
struct Client {
    /// Heights of the blocks it knows.
    known: BTreeSet<u64>,
    /// It takes a block by itself whenever it is asked for its height.
    syncs: bool,
    /// Payloads that it was given.
    given: u64,
}

impl Pair {
    fn lock(&self) -> std::sync::MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives its address.
    async fn serve(&self, root: &Root) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router =
            Router::new().route("/eth/v2/beacon/blocks/{id}", get(block)).route("/", post(call)).with_state(self.clone());
        let tasks = root.child("pair");
        tasks.spawn_critical("server", http::serve(listener, router, http::Limits::default(), tasks.token()));
        url
    }
}

fn hash(height: u64) -> String {
    format!("0x{height:064x}")
}

async fn block(Path(id): Path<String>) -> Json<Value> {
    let height = if id == "head" { HEAD } else { u64::from_str_radix(id.trim_start_matches("0x"), 16).unwrap() };
    Json(json!({ "data": { "message": {
        "slot": height.to_string(), "parent_root": hash(height.saturating_sub(1)),
        "body": { "blob_kzg_commitments": [], "execution_payload": {
            "parent_hash": hash(height.saturating_sub(1)), "block_hash": hash(height), "block_number": height.to_string(),
            "gas_limit": "1", "gas_used": "0", "timestamp": "9", "base_fee_per_gas": "7", "blob_gas_used": "0", "excess_blob_gas": "0",
            "withdrawals": [],
        } },
    } } }))
}

async fn call(State(pair): State<Pair>, Json(call): Json<Value>) -> Json<Value> {
    let height = |value: &Value| u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let mut client = pair.lock();
    let result = match call["method"].as_str().unwrap() {
        "eth_blockNumber" => {
            let tip = client.known.last().copied().unwrap_or(0);
            if client.syncs {
                client.known.insert(tip + 1);
            }
            json!(format!("{tip:#x}"))
        }
        "eth_getBlockByHash" => {
            if client.known.contains(&height(&call["params"][0])) {
                json!({})
            } else {
                Value::Null
            }
        }
        "engine_newPayloadV3" => {
            let number = height(&call["params"][0]["blockNumber"]);
            let follows = client.known.contains(&(number - 1));
            if follows {
                client.known.insert(number);
                client.given += 1;
            }
            json!({ "status": if follows { "VALID" } else { "SYNCING" } })
        }
        other => panic!("{other}"),
    };
    Json(json!({ "jsonrpc": "2.0", "id": 1, "result": result }))
}

async fn until(pair: &Pair, what: impl Fn(&Client) -> bool) {
    let looked = tokio::time::timeout(Duration::from_secs(20), async {
        while !what(&pair.lock()) {
            sleep(Duration::from_millis(20)).await;
        }
    });
    looked.await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_lost_is_fed_again_whenever_it_loses_it_and_one_that_syncs_by_itself_is_left_alone() {
    let (root, pair) = (Root::new("test"), Pair::default());
    pair.lock().known = (0..=HEAD).collect();
    let url = pair.serve(&root).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = Arc::new(Secret::load_or_create(&folder.path().join("jwt.hex")).unwrap());
    let clock = Arc::new(System::new());
    let refeed = Refeed::new(Ask::new().unwrap(), url.clone(), url, secret, clock);
    root.tasks().spawn_until_stopped("refeed", run(refeed, SLOT));
    // Nothing is lost: nothing is given. Then it loses more and more.
    for lost in [7, 1, 33] {
        let given = pair.lock().given;
        pair.lock().known.retain(|height| *height <= HEAD - lost);
        until(&pair, |client| client.known.contains(&HEAD)).await;
        assert_eq!(pair.lock().given - given, lost, "each block once, and no other");
    }
    let given = pair.lock().given;
    {
        let mut client = pair.lock();
        client.known.retain(|height| *height <= HEAD - 4);
        client.syncs = true;
    }
    until(&pair, |client| client.known.contains(&HEAD)).await;
    assert_eq!(pair.lock().given, given, "it made progress in every slot");
    root.stop(Duration::from_secs(5)).await;
}
