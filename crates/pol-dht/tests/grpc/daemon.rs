//! Whole daemons, as an operator runs them.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use pol_api::{dht::v1::dht_client::DhtClient, serve, tonic::transport::Channel};

use crate::common::{daemon::ports, eventually};

/// A port that is free for HTTP and QUIC, and another for gRPC.
pub(crate) fn free_ports() -> (u16, u16) {
    let [http, grpc] = ports::free_ports();
    (http, grpc)
}

/// A daemon that ends with the test.
pub(crate) struct Daemon {
    process: Child,
    grpc: u16,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Daemon {
    /// Starts one whose chain.toml and data lie in `directory`.
    pub(crate) fn start(ports: (u16, u16), directory: &Path, bootstrap: Option<u16>) -> Self {
        Self::start_limited(ports, directory, bootstrap, None)
    }

    /// The same with a bound on the size of its files, which is what a full disk looks like.
    pub(crate) fn start_limited(
        (port, grpc): (u16, u16),
        directory: &Path,
        bootstrap: Option<u16>,
        limit_kib: Option<u64>,
    ) -> Self {
        let limit = limit_kib.map_or_else(|| "unlimited".to_owned(), |kib| (kib * 2).to_string());
        // POSIX counts 512-byte blocks. An ignored signal stays ignored over exec: writing beyond then fails instead of killing.
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_pol-dht")]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--grpc-port", &grpc.to_string()]);
        command.arg("--data-dir").arg(directory.join("data")).arg("--chain").arg(directory.join("chain.toml"));
        command.args(bootstrap.map(|port| format!("--bootstrap=127.0.0.1:{port}")));
        for name in ["GENESIS_HOST", "DHT_PORT", "DHT_LISTEN", "DHT_GRPC_PORT", "DHT_GRPC_LISTEN"] {
            command.env_remove(name);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, grpc }
    }

    pub(crate) async fn client(&self) -> DhtClient<Channel> {
        let uri = format!("http://127.0.0.1:{}", self.grpc);
        let connect = || async { serve::endpoint(uri.clone()).unwrap().connect().await.ok() };
        serve::dht_client(eventually("a gRPC port", connect).await)
    }

    /// As a service manager does it: exit code 0 within the deadline, watches or not.
    pub(crate) fn terminate(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}
