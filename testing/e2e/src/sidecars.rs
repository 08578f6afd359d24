//! Sidecars and a DHT daemon as processes, and a feed that plays the chain.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pol_api::{
    serve,
    sidecar::{
        self, Decision, Verdict,
        model::{AdapterFormat, ExportReader, ModelState},
        v1::{ExportAdapterRequest, ModelStateRequest, VerdictsRequest, VerdictsResponse, sidecar_client::SidecarClient},
    },
    tonic::{Streaming, transport::Channel},
};
use pol_core::{
    Hash32, ResultRoot, UpdateId,
    committee::QuorumRule,
    delta::Profile,
    genesis::{BaseModel, ChainParameters, ChainSpec},
    params::Preset,
};
use tempfile::TempDir;

use crate::{feed::Feed, home::Process, ports, program};

/// How long one step of many processes on a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A sidecar process.
#[derive(Debug)]
pub struct Sidecar {
    name: &'static str,
    roles: &'static str,
    port: u16,
    process: Option<Process>,
    client: SidecarClient<Channel>,
    verdicts: Option<Streaming<VerdictsResponse>>,
}

impl Sidecar {
    /// The next verdict, if it comes soon. A stream that broke is opened anew: what is held comes again.
    async fn verdict(&mut self) -> Option<Verdict> {
        if self.verdicts.is_none() {
            self.verdicts = self.client.verdicts(VerdictsRequest::default()).await.ok().map(|stream| stream.into_inner());
        }
        let Some(stream) = &mut self.verdicts else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return None;
        };
        match tokio::time::timeout(Duration::from_millis(200), stream.message()).await {
            Ok(Ok(Some(message))) => Some(Verdict::try_from(message).expect("a verdict")),
            Ok(_) => {
                self.verdicts = None;
                None
            }
            Err(_) => None,
        }
    }
}

/// One DHT daemon, sidecars, and what they share.
#[derive(Debug)]
pub struct Cluster {
    home: TempDir,
    feed: Feed,
    uris: (String, String),
    _dht: Process,
    /// All of them, in the order of their start.
    pub sidecars: Vec<Sidecar>,
}

/// The embedded model, made once for all tests of this target folder.
fn model_cache() -> PathBuf {
    program("ml-sidecar").with_file_name("e2e-models")
}

fn sidecar_command(home: &Path) -> Command {
    let mut command = Command::new(program("ml-sidecar"));
    command.env("POLAI_MODEL_CACHE", model_cache()).env("OMP_WAIT_POLICY", "passive").stdin(Stdio::null());
    command.args(["--threads", "1", "--device", "cpu"]).arg("--data-dir").arg(home.join("tools"));
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("ml-sidecar");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A chain of the embedded model, from what `model chain` says of it.
fn chain(home: &Path) -> ChainSpec {
    let model = BaseModel::parse(&run(sidecar_command(home).args(["model", "chain"]))).expect("a model");
    ChainSpec::new(&ChainParameters {
        genesis_time: 1_700_000_000,
        preset: Preset::Minimal,
        slot_seconds: 12,
        chain_id: 7,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 1,
        manifest_hash: model.manifest_hash,
        shape: model.shape,
        dev_texts_hash: model.dev_texts_hash,
        reference_losses: model.reference_losses,
        profile: Profile::F16x20,
        dev_slash_small: true,
    })
    .expect("a chain")
}

impl Cluster {
    /// Makes the chain, and starts the DHT daemon and the feed.
    ///
    /// # Panics
    /// Something does not start.
    pub async fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let spec = chain(home.path());
        fs::write(home.path().join("chain.toml"), spec.to_toml()).expect("a disk");
        let feed = Feed::new(spec.genesis_id());
        let [http, grpc] = ports::free_ports();
        let mut command = Command::new(program("pol-dht"));
        command.args(["--solo", "--listen", &format!("127.0.0.1:{http}"), "--grpc-port", &grpc.to_string()]);
        command.arg("--chain").arg(home.path().join("chain.toml")).arg("--data-dir").arg(home.path().join("dht"));
        let dht = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pol-dht"));
        let uris = (format!("http://127.0.0.1:{grpc}"), feed.serve().await);
        Self { home, feed, uris, _dht: dht, sidecars: Vec::new() }
    }

    /// Adds a sidecar, and starts it.
    pub async fn add(&mut self, name: &'static str, roles: &'static str) {
        let [port] = ports::free_ports();
        let channel = serve::endpoint(format!("http://127.0.0.1:{port}")).expect("a URI").connect_lazy();
        let sidecar = Sidecar { name, roles, port, process: None, client: sidecar::client(channel), verdicts: None };
        self.sidecars.push(sidecar);
        self.restart(self.sidecars.len() - 1).await;
    }

    /// Ends a sidecar as a crash does, when it runs, and starts it again; waits until it answers.
    ///
    /// # Panics
    /// It does not start.
    pub async fn restart(&mut self, which: usize) {
        let home = self.home.path();
        let sidecar = &mut self.sidecars[which];
        (sidecar.process, sidecar.verdicts) = (None, None);
        let mut command = sidecar_command(home);
        command.args(["serve", "--roles", sidecar.roles, "--dht", &self.uris.0, "--feed", &self.uris.1]);
        command.args(["--port", &sidecar.port.to_string(), "--metrics-port", "0"]);
        if sidecar.roles.contains("train") {
            command.args([
                "--steps",
                "12",
                "--refining-steps",
                "12",
                "--batch",
                "4",
                "--length",
                "48",
                "--learning-rate",
                "0.005",
            ]);
        }
        command.arg("--chain").arg(home.join("chain.toml")).arg("--data-dir").arg(home.join(sidecar.name));
        let log = fs::File::options().create(true).append(true).open(home.join(format!("{}.log", sidecar.name))).expect("a log");
        sidecar.process = Some(Process(command.stdout(Stdio::null()).stderr(log).spawn().expect("ml-sidecar")));
        self.until(which, "it answers", |_| true).await;
    }

    /// The end of a sidecar's log.
    pub fn log(&self, which: usize) -> String {
        let path = self.home.path().join(format!("{}.log", self.sidecars[which].name));
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().rev().take(15).collect::<Vec<_>>().join("\n")
    }

    /// Waits until a sidecar's state is such.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn until(&self, which: usize, what: &str, is_so: impl Fn(&ModelState) -> bool) -> ModelState {
        let (begin, mut client, mut last) = (Instant::now(), self.sidecars[which].client.clone(), None);
        while begin.elapsed() < PATIENCE {
            if let Ok(answer) = client.model_state(ModelStateRequest {}).await {
                let found = ModelState::try_from(&answer.into_inner()).expect("a state");
                if is_so(&found) {
                    return found;
                }
                last = Some(found);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{}: {what}: not in time; it is {last:?}\n{}", self.sidecars[which].name, self.log(which));
    }

    /// The first update on the chain's head that all of these gates ACK, and the root that all of them name.
    ///
    /// # Panics
    /// It takes too long, or they name two roots.
    pub async fn acked(&mut self, gates: std::ops::Range<usize>) -> (UpdateId, ResultRoot) {
        let (begin, head) = (Instant::now(), self.feed.head());
        let mut acks: BTreeMap<UpdateId, BTreeMap<usize, ResultRoot>> = BTreeMap::new();
        while begin.elapsed() < PATIENCE {
            for which in gates.clone() {
                let Some(verdict) = self.sidecars[which].verdict().await else { continue };
                let (Decision::Ack(root), true) = (verdict.decision, verdict.model_head == head) else { continue };
                let of = acks.entry(verdict.update_id).or_default();
                of.insert(which, root);
                assert!(of.values().all(|other| *other == root), "two roots of one update: {of:?}");
                if of.len() == gates.len() {
                    return (verdict.update_id, root);
                }
            }
        }
        let logs: Vec<String> = (0..self.sidecars.len()).map(|which| self.log(which)).collect();
        panic!("no update that all ACK in time: {acks:?}\n{}", logs.join("\n\n"));
    }

    /// The chain takes an update.
    pub fn accept(&self, update_id: UpdateId, root: ResultRoot) {
        self.feed.accept(update_id, root);
    }

    /// Loss on texts that nobody trains on, of a sidecar's state, and without it.
    ///
    /// # Panics
    /// It cannot be measured.
    pub async fn held_out(&mut self, which: usize) -> (f64, f64) {
        let home = self.home.path().to_owned();
        let request = ExportAdapterRequest { format: sidecar::v1::AdapterFormat::from(AdapterFormat::State).into() };
        let mut parts = self.sidecars[which].client.export_adapter(request).await.expect("an export").into_inner();
        let mut reader = ExportReader::new(1 << 28);
        while let Some(part) = parts.message().await.expect("an export") {
            reader.push(part).expect("an export");
        }
        let (state, texts) = (home.join("state.pols"), home.join("held-out.jsonl"));
        fs::write(&state, &reader.finish().expect("an export")[0].bytes).expect("a disk");
        let mut fetch = sidecar_command(&home);
        fetch.args(["data", "fetch", "--num-samples", "60", "--data-seed", "77"]).arg("--save-data").arg(&texts);
        run(&mut fetch);
        let lines = fs::read_to_string(&texts).expect("texts");
        let text = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["text"].as_str().expect("a text").replace('\n', " ")
        };
        let plain = home.join("held-out.txt");
        fs::write(&plain, lines.lines().map(text).collect::<Vec<_>>().join("\n")).expect("a disk");
        let mut before = sidecar_command(&home);
        before.arg("eval").arg("--texts").arg(&plain);
        let mut after = sidecar_command(&home);
        after.arg("eval").arg("--texts").arg(&plain).arg("--adapter").arg(&state);
        (loss(&run(&mut before)), loss(&run(&mut after)))
    }
}

fn loss(said: &str) -> f64 {
    said.strip_prefix("loss ").and_then(|rest| rest.split(' ').next()).and_then(|number| number.parse().ok()).expect("a loss")
}
