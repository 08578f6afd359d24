//! From nothing to the first put, alone: the library in this process, and the daemon as a process.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pol_dht::store::Put;

use super::{
    Options,
    cluster::{Members, update},
    common::Running,
    runtime,
    table::{Row, Times},
};

const RUNS: usize = 20;

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

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        write!(stream, "GET /dht/peers HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// From before the process exists to its first answer.
fn daemon(data: &Path) -> Duration {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pol-dht"));
    command.args(["--solo", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data);
    command.env_remove("GENESIS_HOST").env_remove("DHT_PORT").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    while !answers(port) {
        assert!(start.elapsed() < Duration::from_secs(20) && child.try_wait().unwrap().is_none(), "the daemon does not answer");
        thread::sleep(Duration::from_millis(1));
    }
    let took = start.elapsed();
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let runs = if options.quick { 1 } else { RUNS };
    let members = Members::new(1);
    let put = Times::new((0..runs).map(|_| library(&members)).collect());
    let dir = tempfile::tempdir().unwrap();
    let answer = Times::new((0..runs).map(|run| daemon(&dir.path().join(run.to_string()))).collect());
    let row = |what: &str, times: &Times| Row::judged(what, "<= 1 s", times.text(), times.max() <= Duration::from_secs(1));
    vec![
        row("new node to its first put on disk, alone, max", &put),
        row("new `pol-dht --solo` process to its first answer on /dht/peers, max", &answer),
    ]
}
