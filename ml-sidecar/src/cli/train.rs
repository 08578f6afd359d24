//! `ml-sidecar train`: a training on this machine, without a chain's clock or network.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pol_core::{
    delta::{Change, CheckedDelta},
    model_head,
    state::State,
};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, write_durably},
};

use super::{ChainArgs, Cli, ModelArgs, PlanArgs, chain::Chain};
use crate::{
    adapter::{export, read_state, write_state},
    checkpoint::{Checkpoint, CheckpointError},
    data::{CacheArgs, SourceArgs, Texts},
    device::Device,
    hub::HubArgs,
    local,
    precision::Precision,
    session::{self, Author, Plan, Session, SessionError, Trained},
    train::Step,
    update::Residual,
};

/// Steps, when nobody says how many.
const STEPS: u64 = 200;

/// Flags of `train`.
#[derive(Debug, Clone, Args)]
pub struct TrainArgs {
    /// The delta to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How long.
    #[command(flatten)]
    pub plan: PlanArgs,
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
    /// The texts.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Where data is kept.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// The hub.
    #[command(flatten)]
    pub hub: HubArgs,
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
    let model = args.model.open(cli)?;
    let chain = args.chain.open(&model)?;
    let residual = read_residual(args.residual.as_deref(), &chain.state)?;
    let texts = args.source.texts(&args.cache.acquisition(&args.hub, &cli.data.data_dir)?)?;
    let precision = cli.compute.precision;
    let compute = cli.compute.start()?;
    let checkpoint = &model.checkpoint;
    let key = local::key(args.plan.seed);
    let author = Author { context: &chain.context, head: chain.head, slot: 0, key: &key };
    let trained = compute.run(|device| {
        train(checkpoint, &chain.state, residual.clone(), &texts, &args.plan.plan(STEPS), &author, (device, precision))
    });
    let Trained { delta, adapter, residual, .. } = trained.or_usage()?;
    write(args, &chain, delta, residual)?;
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
    let bar = ProgressBar::new(plan.steps.saturating_add(plan.refining_steps));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps, {msg}, {eta}") {
        bar.set_style(style);
    }
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

fn write(args: &TrainArgs, chain: &Chain, delta: CheckedDelta, mut residual: Residual) -> Result<(), Exit> {
    let at = |error: std::io::Error| Exit::usage(error).context(args.out.display().to_string());
    write_durably(&args.out, delta.as_bytes(), Access::Everybody).map_err(at)?;
    let (id, size, changes) = (delta.update_id(), delta.as_bytes().len(), delta.change_count());
    let change = Change::from(delta);
    residual.subtract(&change);
    let mut state = chain.state.clone();
    let root = state.apply(&change).or_usage()?.root;
    say!("{}: {size} bytes, {changes} of {} values", args.out.display(), state.values().len());
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
