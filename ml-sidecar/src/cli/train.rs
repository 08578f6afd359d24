//! `ml-sidecar train`: a training on this machine, without a chain's clock or network; or, with `--dht`, a trainer that follows a chain.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use pol_core::{
    delta::{Change, CheckedDelta},
    model_head,
    state::State,
};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, write_durably},
};

use super::{ChainArgs, Cli, ModelArgs, Role, ServeArgs, ServiceArgs, TrainerArgs, bar, chain::Chain, serve};
use crate::{
    adapter::{export, read_state, write_state},
    checkpoint::{Checkpoint, CheckpointError},
    data::{DatasetsArgs, Texts},
    device::Device,
    local,
    precision::Precision,
    session::{self, Author, Plan, Session, SessionError, Trained},
    texts::DevTextsArgs,
    train::Step,
    update::Residual,
};

/// Steps, when nobody says how many.
const STEPS: u64 = 200;
/// The feed's default address.
const FEED: &str = "http://127.0.0.1:8553";

/// Flags of `train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// The delta to write
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dht", "list_datasets"])]
    pub out: Option<PathBuf>,
    /// List the datasets that --datasets knows, and end
    #[arg(long)]
    pub list_datasets: bool,
    /// How long, and on what.
    #[command(flatten)]
    pub trainer: TrainerArgs,
    /// Where the chain is, for a trainer that follows it.
    #[command(flatten)]
    pub follow: FollowArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which chain.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// What earlier deltas left out: read when it is there, then written. A later training with it sends what this one could not
    #[arg(long, value_name = "FILE")]
    pub residual: Option<PathBuf>,
    /// State with the delta added, to be written
    #[arg(long, value_name = "FILE")]
    pub state_out: Option<PathBuf>,
    /// Folder for PEFT of all that was trained, of which a delta carries the largest part only
    #[arg(long, value_name = "FOLDER")]
    pub adapter_out: Option<PathBuf>,
}

/// Flags of a trainer that follows a chain, round after round, until it is stopped: like `serve --roles train`.
#[derive(Debug, Clone, Args)]
pub struct FollowArgs {
    /// gRPC of pol-dht: follow the chain of --chain, and offer what passes the own gate
    #[arg(long, value_name = "URL", conflicts_with_all = ["out", "head", "state", "residual", "state_out", "adapter_out"])]
    pub dht: Option<String>,
    /// The execution client's feed
    #[arg(long, env = "EL_FEED_URL", default_value = FEED, value_name = "URL")]
    pub feed: String,
    /// Port of the gRPC service polai.sidecar.v1, on loopback
    #[arg(long, env = "SIDECAR_PORT", default_value_t = 8560, value_name = "PORT")]
    pub port: u16,
    /// Port of /metrics and /health, on loopback
    #[arg(long, env = "SIDECAR_METRICS_PORT", default_value_t = 8561, value_name = "PORT")]
    pub metrics_port: u16,
    /// The trainer's Ed25519 key: 64 hex digits, or a private file with them; by default secrets_data/trainer.key in the data directory
    #[arg(long, visible_alias = "trainer-key", env = "TRAINER_KEY", hide_env_values = true, value_name = "FILE|HEX")]
    pub peer_id: Option<String>,
    /// The gate's texts.
    #[command(flatten)]
    pub texts: DevTextsArgs,
}

impl TrainArgs {
    /// The same as a service.
    fn service(&self, dht: &str) -> ServeArgs {
        let follow = &self.follow;
        let service = ServiceArgs {
            dht: dht.to_owned(),
            feed: follow.feed.clone(),
            port: follow.port,
            metrics_port: follow.metrics_port,
            trainer_key: follow.peer_id.clone(),
            public_key: None,
        };
        let (model, trainer) = (self.model.clone(), self.trainer.clone());
        let chain = self.chain.chain.clone();
        ServeArgs { roles: vec![Role::Train], chain, model, texts: follow.texts.clone(), service, trainer }
    }
}

/// Loading or training.
#[derive(Debug, thiserror::Error)]
enum TrainingError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Session(#[from] SessionError),
}

pub(super) fn run(cli: &Cli, args: &TrainArgs) -> Result<(), Exit> {
    if args.list_datasets {
        DatasetsArgs {}.run();
        return Ok(());
    }
    match (&args.follow.dht, &args.out) {
        (Some(dht), _) => serve::run(cli, &args.service(dht).serving()),
        (None, Some(out)) => run_alone(cli, args, out),
        (None, None) => Err(Exit::usage("--out FILE, or --dht URL")),
    }
}

fn run_alone(cli: &Cli, args: &TrainArgs, out: &Path) -> Result<(), Exit> {
    let (trainer, model) = (&args.trainer, args.model.open(cli)?);
    let chain = args.chain.open(&model)?;
    let residual = read_residual(args.residual.as_deref(), &chain.state)?;
    let texts = trainer.source.texts(&trainer.cache.acquisition(&trainer.hub, &cli.data.data_dir)?)?;
    let precision = cli.compute.precision;
    let compute = cli.compute.start()?;
    let checkpoint = &model.checkpoint;
    let key = local::key(trainer.plan.seed);
    let author = Author { context: &chain.context, head: chain.head, slot: 0, key: &key };
    let trained = compute.run(|device| {
        train(checkpoint, &chain.state, residual.clone(), &texts, &trainer.plan.plan(STEPS), &author, (device, precision))
    });
    let Trained { delta, adapter, residual, .. } = trained.or_usage()?;
    write((args, out), &chain, delta, residual)?;
    match (&args.adapter_out, adapter) {
        (Some(folder), Some(adapter)) => export(&adapter, &args.model.model, folder).or_usage(),
        _ => Ok(()),
    }
}

fn train(
    checkpoint: &Checkpoint,
    state: &State,
    residual: Residual,
    texts: &Texts,
    plan: &Plan,
    author: &Author<'_>,
    (device, precision): (Device, Option<Precision>),
) -> Result<Trained, TrainingError> {
    let model = checkpoint.load(device, precision)?;
    let bar = bar::of_steps(plan.steps.saturating_add(plan.refining_steps));
    let (begin, mut tokens) = (Instant::now(), 0);
    let mut on_step = |step: Step| {
        tokens += step.tokens;
        let per_second = tokens as f64 / begin.elapsed().as_secs_f64();
        bar.set_position(step.number);
        bar.set_message(format!("loss {:.4}, {per_second:.0} tokens/s", step.loss));
        let (number, loss, learning_rate) = (step.number, step.loss, step.learning_rate);
        tracing::info!(target: "polai::train", number, loss, tokens_per_second = per_second, learning_rate, "Step");
    };
    let session = Session { model: &model, checkpoint, texts, plan: *plan };
    let trained = session::run(&session, state, residual, author, &mut on_step);
    bar.finish_and_clear();
    Ok(trained?)
}

/// A residual is kept like a state: integers of the adapter's shape.
fn read_residual(path: Option<&Path>, state: &State) -> Result<Residual, Exit> {
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(Residual::new(*state.shape())) };
    let kept = read_state(path).or_usage().map_err(|exit| exit.context(format!("residual {}", path.display())))?;
    if kept.shape() != state.shape() {
        return Err(Exit::usage(format!("residual {}: another model's", path.display())));
    }
    Residual::from_units(*kept.shape(), kept.values().to_vec()).or_usage()
}

fn write((args, out): (&TrainArgs, &Path), chain: &Chain, delta: CheckedDelta, mut residual: Residual) -> Result<(), Exit> {
    let at = |error: std::io::Error| Exit::usage(error).context(out.display().to_string());
    write_durably(out, delta.as_bytes(), Access::Everybody).map_err(at)?;
    let (id, size, changes) = (delta.update_id(), delta.as_bytes().len(), delta.change_count());
    let change = Change::from(delta);
    residual.subtract(&change);
    let mut state = chain.state.clone();
    let root = state.apply(&change).or_usage()?.root;
    say!("{}: {size} bytes, {changes} of {} values", out.display(), state.values().len());
    say!("update id    {id}");
    say!("model head   {} -> {}", chain.head, model_head::child(chain.head, id));
    say!("state root   {} -> {root}", chain.state.root());
    if let Some(path) = &args.state_out {
        write_state(&state, path).or_usage()?;
    }
    match &args.residual {
        Some(path) => {
            let kept = State::from_values(*state.shape(), residual.units().to_vec()).or_usage()?;
            write_state(&kept, path).or_usage()
        }
        None => Ok(()),
    }
}
