//! `ml-sidecar serve`: the sidecar as a service.

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use pol_core::{bls::PublicKey, delta::Context, gate::NanoNats, params::SELF_TEST_TEXTS};
use pol_kit::{
    clock::System,
    exit::{Exit, OrUsage as _},
    fs::lock_directory,
    tasks::{self, Tasks},
};

use super::{Cli, Compute, ModelArgs, TrainerArgs, bar, chain, gate, trainer};
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    device::{Choice, Device},
    follow::Rule,
    gate::{Gate, GateError},
    precision::Precision,
    service::{self, MakeGate, Parts, Ports},
    texts::DevTextsArgs,
};

/// How long a shutdown may take: a judgement is not broken off.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Judge candidates
    Gate,
    /// Train, and offer what passes
    Train,
}

/// Where the service listens and whom it talks to.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// gRPC of pol-dht
    #[arg(long, env = "DHT_URL", default_value = "http://127.0.0.1:13338", value_name = "URL")]
    pub dht: String,
    /// The execution client's feed
    #[arg(long, env = "EL_FEED_URL", default_value = "http://127.0.0.1:8553", value_name = "URL")]
    pub feed: String,
    /// Port of the gRPC service polai.sidecar.v1, on loopback
    #[arg(long, env = "SIDECAR_PORT", default_value_t = 8560, value_name = "PORT")]
    pub port: u16,
    /// Port of /metrics and /health, on loopback
    #[arg(long, env = "SIDECAR_METRICS_PORT", default_value_t = 8561, value_name = "PORT")]
    pub metrics_port: u16,
    /// Ed25519 key of this node's trainer: 64 hex digits, or a private file with them. It signs deltas and merges; without it no merges are published,
    /// and a trainer makes one in secrets_data/trainer.key of the data directory
    #[arg(long, visible_alias = "peer-id", env = "TRAINER_KEY", hide_env_values = true, value_name = "FILE|HEX")]
    pub trainer_key: Option<String>,
    /// BLS key of this node's validator: with it a machine that is too slow for all texts measures a prefix in that validator's order
    #[arg(long, env = "GATE_PUBLIC_KEY", value_name = "KEY")]
    pub public_key: Option<BlsKey>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// What this process does
    #[arg(long, value_delimiter = ',', default_value = "gate", value_name = "ROLES")]
    pub roles: Vec<Role>,
    /// The chain's chain.toml; by default the one in the data directory
    #[arg(long, env = "POLAI_CHAIN", value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The gate's texts.
    #[command(flatten)]
    pub texts: DevTextsArgs,
    /// The service.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// The trainer.
    #[command(flatten)]
    pub trainer: TrainerArgs,
}

/// A compressed BLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlsKey(pub [u8; 48]);

impl FromStr for BlsKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 48];
        let digits = text.strip_prefix("0x").unwrap_or(text);
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| "expected 96 hex digits".to_owned())?;
        PublicKey::from_bytes(&bytes).map_err(|error| error.to_string())?;
        Ok(Self(bytes))
    }
}

/// What is read before anything is spawned.
struct Ready {
    parts: Parts,
    ports: Ports,
    lock: pol_kit::fs::DirectoryLock,
}

/// What is asked for, by whichever command.
pub(super) struct Serving<'a> {
    pub(super) roles: &'a [Role],
    pub(super) chain: Option<&'a Path>,
    pub(super) model: &'a ModelArgs,
    pub(super) texts: &'a DevTextsArgs,
    pub(super) service: &'a ServiceArgs,
    /// There when the role is.
    pub(super) trainer: Option<&'a TrainerArgs>,
}

impl ServeArgs {
    /// The same, by reference.
    pub(super) fn serving(&self) -> Serving<'_> {
        let Self { roles, chain, model, texts, service, trainer } = self;
        Serving { roles, chain: chain.as_deref(), model, texts, service, trainer: Some(trainer) }
    }
}

pub(super) fn run(cli: &Cli, args: &Serving<'_>) -> Result<(), Exit> {
    let ready = prepare(cli, args)?;
    tasks::run("ml-sidecar", SHUTDOWN, move |tasks| start(tasks, ready))
}

fn prepare(cli: &Cli, args: &Serving<'_>) -> Result<Ready, Exit> {
    let (data, service) = (&cli.data.data_dir, args.service);
    let is_training = args.roles.contains(&Role::Train);
    let key = trainer::key(service.trainer_key.as_deref(), is_training.then_some(data))?;
    let model = args.model.open(cli)?;
    let path = args.chain.map_or_else(|| data.join("chain.toml"), Path::to_owned);
    let spec = chain::read_spec(&path, model.checkpoint.config.shape, model.manifest_hash()?)?;
    let parameters = spec.parameters();
    let texts = args.texts.read().or_usage()?;
    texts.clone().of_chain(parameters.dev_texts_hash).or_usage()?;
    let tokens = gate::tokens(&model.checkpoint, &texts)?;
    let folder = data.join("sidecar");
    fs::create_dir_all(&folder).map_err(|error| Exit::usage(format!("{}: {error}", folder.display())))?;
    let lock = lock_directory(&folder)?;
    let compute = cli.compute.start()?;
    let loading = Loading {
        checkpoint: model.checkpoint,
        tokens,
        references: parameters.reference_losses,
        compute,
        precision: cli.compute.precision,
    };
    let setup = match args.trainer.zip(key.clone()).filter(|_| is_training) {
        Some((trainer, key)) => Some(trainer.setup(cli, args.model.open(cli)?.checkpoint, &spec, &texts, (&compute, key))?),
        None => None,
    };
    let loading = Arc::new(loading);
    let spare = Arc::clone(&loading);
    let is_spared = compute.choice() == Choice::Auto && compute.device().is_cuda();
    let spare_gate = is_spared.then(|| -> MakeGate { Box::new(move || spare.load_on(Device::cpu()).or_usage()) });
    let gate: MakeGate = Box::new(move || loading.load());
    let context: Context = spec.delta_context();
    let parts = Parts {
        context,
        folder: folder.join("state"),
        dht: service.dht.clone(),
        feed: service.feed.clone(),
        gate: args.roles.contains(&Role::Gate).then_some(gate),
        spare_gate,
        public_key: service.public_key.map(|key| key.0),
        trainer_key: key.map(|key| key.0),
        trainer: setup,
        texts: args.trainer.filter(|_| is_training).map(|trainer| trainer.make_texts(cli)),
        void_after: Duration::from_secs(
            parameters.slot_seconds.saturating_mul(parameters.preset.slots_per_epoch()).saturating_mul(2),
        ),
        snapshots: Rule::default(),
        clock: Arc::new(System::new()),
    };
    Ok(Ready { parts, ports: Ports { grpc: service.port, metrics: service.metrics_port }, lock })
}

async fn start(tasks: Tasks, ready: Ready) -> Result<(), Exit> {
    // Until the process ends.
    std::mem::forget(ready.lock);
    let running = service::start(&tasks, ready.parts, ready.ports).await?;
    if let Some(control) = running.trainer.filter(|_| std::io::stderr().is_terminal()) {
        tasks.spawn_until_stopped("bar", bar::show(control.progress()));
    }
    Ok(())
}

/// What the gate is loaded from.
struct Loading {
    checkpoint: Checkpoint,
    tokens: Vec<Vec<u32>>,
    references: [NanoNats; SELF_TEST_TEXTS],
    compute: Compute,
    precision: Option<Precision>,
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Gate(#[from] GateError),
}

impl Loading {
    fn load(&self) -> Result<Gate, Exit> {
        self.compute.run(|device| self.load_on(device)).or_usage()
    }

    fn load_on(&self, device: Device) -> Result<Gate, LoadError> {
        let model = self.checkpoint.load(device, self.precision)?;
        Ok(Gate::new(model, self.tokens.clone(), Some(&self.references))?)
    }
}
