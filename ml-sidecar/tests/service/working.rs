//! The whole program at work: it trains, judges and follows, while a scripted chain takes what it ACKs; killed, watched, asked.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ml_sidecar::{checkpoint::Checkpoint, device::Device, gate::Gate, texts::DevTexts};
use pol_api::{
    sidecar::{
        Decision, Verdict,
        model::Validate,
        v1::{
            StopTrainingRequest, TrainRequest, ValidateRequest, VerdictsRequest, VerdictsResponse, sidecar_client::SidecarClient,
        },
    },
    tonic::{Streaming, transport::Channel},
};
use pol_core::{
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    sha256,
};
use tokio::time::timeout;

use crate::{
    killed::{free_port, spec},
    support::{self, SMALL},
    world::{World, client, until},
};

/// As the flags below say: to choose, and with what was chosen.
const STEPS_OF_A_ROUND: usize = 8;
const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A chain of a model, and the program that works for it.
struct Works {
    files: support::World,
    world: World,
    client: SidecarClient<Channel>,
    port: u16,
    process: Option<Child>,
    verdicts: Option<Streaming<VerdictsResponse>>,
    /// Verdicts that a stream told again are not taken twice.
    finalized: usize,
}

impl Works {
    async fn new() -> Self {
        let files = support::World::new(&SMALL);
        let spec = with_losses(&spec(files.model()), files.model());
        files.write("chain.toml", spec.to_toml().as_bytes());
        let (world, port) = (World::new(spec.delta_context()).await, free_port());
        let client = client(&format!("http://127.0.0.1:{port}"));
        Self { files, world, client, port, process: None, verdicts: None, finalized: 0 }
    }

    /// Starts the program, and waits until it answers.
    async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// The same, with these variables.
    async fn start_with(&mut self, variables: &[(&str, &str)]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"));
        command.args([
            "serve",
            "--roles",
            "gate,train",
            "--model",
            self.files.model(),
            "--chain",
            &self.files.path("chain.toml"),
        ]);
        command.args(["--dht", &self.world.uris.0, "--feed", &self.world.uris.1]);
        command.args(["--port", &self.port.to_string(), "--metrics-port", "0", "--trainer-key", KEY]);
        command.args(["--steps", "4", "--refining-steps", "4", "--batch", "4", "--length", "32", "--learning-rate", "0.01"]);
        command.args(["--data-dir", &self.files.path("data"), "--threads", "1", "--device", "cpu"]);
        let log = std::fs::File::options().create(true).append(true).open(self.files.path("log")).unwrap();
        command.env("OMP_WAIT_POLICY", "passive").envs(variables.iter().copied()).stdout(Stdio::null()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        until(&mut self.client, "it answers", |_| true).await;
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        self.verdicts = None;
    }

    /// Training steps that its log tells of, of all its lives.
    fn steps(&self) -> usize {
        std::fs::read_to_string(self.files.path("log")).unwrap_or_default().matches("Step ").count()
    }

    /// Models are loaded, what was left is taken up again: it trains.
    async fn until_it_trains(&mut self, before: usize) {
        let begin = Instant::now();
        while self.steps() == before {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not train");
            self.play(Duration::from_millis(20), usize::MAX).await;
        }
    }

    /// Takes what it ACKs into the chain, for so long or until there are so many updates.
    async fn play(&mut self, most: Duration, updates: usize) {
        let begin = Instant::now();
        while begin.elapsed() < most && self.world.chain.updates.len() < updates {
            let left = most.saturating_sub(begin.elapsed());
            match timeout(left.min(Duration::from_secs(2)), self.verdict()).await {
                Ok(Some(verdict)) => self.take(&verdict),
                Ok(None) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(_) => {}
            }
        }
    }

    async fn verdict(&mut self) -> Option<Verdict> {
        if self.verdicts.is_none() {
            self.verdicts = self.client.verdicts(VerdictsRequest::default()).await.ok().map(|stream| stream.into_inner());
        }
        let message = self.verdicts.as_mut()?.message().await;
        let verdict = message.ok().flatten().map(|message| Verdict::try_from(message).unwrap());
        if verdict.is_none() {
            self.verdicts = None;
        }
        verdict
    }

    fn take(&mut self, verdict: &Verdict) {
        let Decision::Ack(root) = verdict.decision else { return };
        let chain = &mut self.world.chain;
        if verdict.model_head != chain.head() {
            return;
        }
        let bytes = self.world.dht.held().deltas[&verdict.update_id].to_vec();
        assert_eq!(chain.keep(bytes), verdict.update_id);
        chain.accept_with(verdict.update_id, Some(root));
        // Finality is some updates behind; sometimes a block is lost before, and another one names the same update.
        let updates = chain.updates.len();
        if updates % 7 == 6 && updates > self.finalized + 1 {
            chain.revert(updates - 1);
            chain.accept_with(verdict.update_id, Some(root));
        }
        if updates >= self.finalized + 3 {
            self.finalized = updates - 2;
            chain.finalize(self.finalized);
        }
    }

    /// A sequence number of the trainer stands for one container, for ever.
    fn says_nothing_twice(&self) {
        let mut said = BTreeMap::new();
        for candidate in &self.world.dht.held().candidates {
            let announcement = candidate.announcement;
            let place = (candidate.trainer, announcement.model_head, announcement.sequence);
            let known = said.entry(place).or_insert(announcement.update_id);
            assert_eq!(*known, announcement.update_id, "sequence {} was offered with two ids", announcement.sequence);
        }
    }

    async fn ends_with_the_chains_root(&mut self) {
        let (root, head) = (self.world.chain.fresh().root(), self.world.chain.head());
        let state = until(&mut self.client, "all updates", |state| state.model_head == head).await;
        assert_eq!(state.root, root);
        assert!(state.confirmed, "no root ever contradicted what was ACKed");
        let said = std::fs::read_to_string(self.files.path("log")).unwrap();
        assert!(!said.contains("RESULT ROOT MISMATCH"), "a root differed");
    }

    /// Resident memory, KiB.
    fn memory(&self) -> f64 {
        let pid = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Works {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The same chain with the losses that this machine measures, so that its gates may vote.
fn with_losses(spec: &ChainSpec, model: &str) -> ChainSpec {
    let checkpoint = Checkpoint::open(std::path::Path::new(model)).unwrap();
    let texts = DevTexts::embedded().texts().iter().map(|text| checkpoint.tokens(text).unwrap()).collect();
    let gate = Gate::new(checkpoint.load(Device::cpu(), None).unwrap(), texts, None).unwrap();
    let reference_losses: [NanoNats; 32] = gate.own_losses().map(Option::unwrap);
    ChainSpec::new(&ChainParameters { reference_losses, ..spec.parameters() }).unwrap()
}

async fn killed_at_work(times: u64) {
    let mut works = Works::new().await;
    for round in 0..times {
        let steps = works.steps();
        works.start().await;
        // In the middle of training, judging, publishing, applying: whatever it does then. Every fourth time while it starts.
        let [low, high, ..] = sha256(&[b"killed at work", &round.to_le_bytes()]);
        if round % 4 != 3 {
            works.until_it_trains(steps).await;
        }
        let most = Duration::from_millis(u64::from(u16::from_le_bytes([low, high]) % 2_500));
        works.play(most, usize::MAX).await;
        works.kill();
        works.says_nothing_twice();
    }
    works.start().await;
    works.play(Duration::from_secs(60), works.world.chain.updates.len() + 1).await;
    works.ends_with_the_chains_root().await;
    works.says_nothing_twice();
    let (updates, candidates) = (works.world.chain.updates.len(), works.world.dht.held().candidates.len());
    println!("killed {times} times: {updates} updates of {candidates} announcements, one root");
    assert!(updates as u64 * 10 > times, "{updates}: so little was accepted that the test tests nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_killed_at_work_says_nothing_twice_and_ends_with_the_chains_root() {
    killed_at_work(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_sidecar_that_is_killed_100_times_at_work_ends_with_the_chains_root() {
    killed_at_work(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_memory_stays_flat_over_200_rounds() {
    let mut works = Works::new().await;
    // As it likes, the allocator keeps a tenth more or less for the next time. What leaks is never given back: the least of many rounds shows it.
    works
        .start_with(&[("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")])
        .await;
    let (mut warm, mut last) = (f64::MAX, f64::MAX);
    // Rounds of the trainer: once the small model has learnt what it can, few of them are good enough to be offered.
    for round in 1..=400 {
        let steps = works.steps() + STEPS_OF_A_ROUND;
        while works.steps() < steps {
            works.play(Duration::from_millis(50), usize::MAX).await;
        }
        let least = match round {
            101..=200 => &mut warm,
            301..=400 => &mut last,
            _ => continue,
        };
        *least = least.min(works.memory());
    }
    println!(
        "RSS, least of 100 rounds: {:.1} MiB, 200 rounds later {:.1} MiB: {:+.2} %; {} updates",
        warm / 1_024.0,
        last / 1_024.0,
        (last / warm - 1.0) * 100.0,
        works.world.chain.updates.len()
    );
    assert!(works.world.chain.updates.len() > 5, "it was not only idle");
    assert!(last <= warm * 1.02, "it grows: {warm} {last} KiB");
}

/// Judgements in so many seconds.
async fn judgements(works: &mut Works, seconds: u64) -> u64 {
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let id = works.world.chain.delta(count as i32 + 1_000);
        let bytes = works.world.chain.bytes[&id].clone();
        let request = ValidateRequest::from(Validate::Container(bytes.into()));
        // The head may just have moved.
        if works.client.validate(request).await.is_ok() {
            count += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn long_the_gate_keeps_half_of_its_throughput_while_the_process_trains() {
    let mut works = Works::new().await;
    works.start().await;
    // The model is loaded, and the trainer's too.
    works.play(Duration::from_secs(120), 1).await;
    let (mut idle, mut training) = (0, 0);
    for _ in 0..4 {
        works.client.stop_training(StopTrainingRequest {}).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        idle += judgements(&mut works, 6).await;
        let progress = works.client.train(TrainRequest { steps: 100_000, ..TrainRequest::default() }).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        training += judgements(&mut works, 6).await;
        drop(progress);
    }
    let ratio = training as f64 / idle as f64;
    println!("judgements in 24 s: {idle} idle, {training} while it trains: {ratio:.2}");
    assert!(idle > 4 && ratio >= 0.5, "{idle} {training}");
}
