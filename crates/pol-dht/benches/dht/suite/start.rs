//! From nothing to the first put, alone: the library in this process, and the daemon as a process.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pol_api::{
    convert::{Outcome, Stored},
    dht::v1,
    serve,
};
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    domains::Domains,
};
use pol_dht::store::Put;
use tokio::time;

use super::{
    Options,
    cluster::{Members, update},
    common::{Running, daemon::free_port},
    runtime,
    table::{Row, Times},
};

const RUNS: usize = 20;
/// How long a daemon is waited for, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);

/// From before the data directory exists to the put's return: by then it is on disk.
fn library(members: &Members) -> Duration {
    let (dir, ack) = (tempfile::tempdir().unwrap(), members.ack(update(0), 0));
    let start = Instant::now();
    let runtime = runtime();
    runtime.block_on(async {
        let running = Running::start(&dir.path().join("new"), vec![]);
        let put = running.node.put_value(ack.raw().key(), &ack.raw().to_value()).await.unwrap();
        let took = start.elapsed();
        assert_eq!(put, Put::Inserted);
        running.stop().await;
        took
    })
}

/// From before the process exists to its answer to a put through gRPC: by then it is on disk.
async fn daemon(data: &Path) -> Duration {
    let domains = Domains::new(GenesisId::ZERO, Hash32::ZERO);
    let data_of = AckData { update_id: update(0), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
    let ack = VerifiedAck::sign(data_of, &SecretKey::from_bytes(&[1; 32]).unwrap(), &domains).unwrap();
    let [port, grpc] = [(); 2].map(|()| free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pol-dht"));
    command.args([
        "--solo",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--grpc-listen",
        &format!("127.0.0.1:{grpc}"),
        "--data-dir",
    ]);
    command.arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for name in ["GENESIS_HOST", "DHT_PORT", "DHT_LISTEN", "DHT_GRPC_LISTEN", "DHT_GRPC_PORT", "POLAI_LOG"] {
        command.env_remove(name);
    }
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let channel = loop {
        match serve::endpoint(format!("http://127.0.0.1:{grpc}")).unwrap().connect().await {
            Ok(channel) => break channel,
            Err(_) if start.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() => time::sleep(PAUSE).await,
            Err(error) => panic!("the daemon does not answer: {error}"),
        }
    };
    let answer = serve::dht_client(channel).put_ack(v1::PutAckRequest::from(ack.raw())).await.unwrap();
    let took = start.elapsed();
    assert_eq!(Stored::try_from(answer.get_ref()).unwrap().outcome, Outcome::Stored);
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let runs = if options.quick { 1 } else { RUNS };
    let members = Members::new(1);
    let library = Times::new((0..runs).map(|_| library(&members)).collect());
    let (dir, runtime) = (tempfile::tempdir().unwrap(), runtime());
    let process = (0..runs).map(|run| runtime.block_on(daemon(&dir.path().join(run.to_string()))));
    let process = Times::new(process.collect());
    let row = |what: &str, times: &Times| Row::judged(what, "<= 1 s", times.text(), times.max() <= Duration::from_secs(1));
    vec![
        row("new `pol-dht --solo` process to its first put through gRPC, max", &process),
        row("the same by the library in a running process, max", &library),
    ]
}
