//! `ml-sidecar gate`: is a delta good for the model?

use std::path::{Path, PathBuf};

use clap::Args;
use pol_core::{
    delta::{Change, Checked, CheckedDelta, Context, RawDelta, merge},
    params::{DELTA_MAX_BYTES, GATE_TEXTS},
};
use pol_kit::exit::{Exit, OrUsage as _};

use super::{
    ChainArgs, Cli, ModelArgs, Role, ServiceArgs,
    chain::Chain,
    serve::{self, Serving},
};
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    gate::{Candidate, Extent, Gate, GateError, Judgement},
    precision::Precision,
    texts::{DevTexts, DevTextsArgs},
    weights::read_bounded,
};

/// Flags of `gate`.
#[derive(Debug, Clone, Args)]
pub struct GateArgs {
    /// The delta: a PLD1 container
    #[arg(long, value_name = "FILE", required_unless_present = "serve")]
    pub delta: Option<PathBuf>,
    /// Instead of one delta: follow the chain and judge what trainers announce, like `serve --roles gate`
    #[arg(long, conflicts_with_all = ["delta", "child", "head", "state", "within", "norms", "check"])]
    pub serve: bool,
    /// The service.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// A child of a merge; can be given several times
    #[arg(long, value_name = "FILE")]
    pub child: Vec<PathBuf>,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Which chain.
    #[command(flatten)]
    pub chain: ChainArgs,
    /// The texts.
    #[command(flatten)]
    pub texts: DevTextsArgs,
    /// Seconds that may be taken: when they are too few for all texts, a prefix of 2,000 tokens or more is measured
    #[arg(long, value_name = "SECONDS")]
    pub within: Option<f64>,
    /// L2 norms (units of 2^-24) of the last changes that were added, oldest first: from 8 on the norm cap is asked
    #[arg(long, value_delimiter = ',', value_name = "NORMS")]
    pub norms: Vec<u64>,
    /// End with exit code 1 unless the verdict is ACK; without it a verdict, whatever it is, is a success
    #[arg(long)]
    pub check: bool,
}

/// Loading or judging.
#[derive(Debug, thiserror::Error)]
enum JudgeError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Gate(#[from] GateError),
}

pub(super) fn run(cli: &Cli, args: &GateArgs) -> Result<(), Exit> {
    let Some(delta) = args.delta.as_deref().filter(|_| !args.serve) else {
        let GateArgs { model, texts, service, chain, .. } = args;
        let chain = chain.chain.as_deref();
        return serve::run(cli, &Serving { roles: &[Role::Gate], chain, model, texts, service, trainer: None });
    };
    judge_one(cli, args, delta)
}

fn judge_one(cli: &Cli, args: &GateArgs, delta: &Path) -> Result<(), Exit> {
    let model = args.model.open(cli)?;
    let chain = args.chain.open(&model)?;
    let texts = read_texts(&args.texts, &chain)?;
    let checked = read_delta(delta, &chain.context)?;
    let found = checked.header().claims.model_head;
    if found != chain.head {
        return Err(Exit::usage(format!("delta {}: for model head {found}, not {}", delta.display(), chain.head)));
    }
    let update_id = checked.update_id();
    let change = change(checked, &args.child, &chain.context)?;
    let tokens = tokens(&model.checkpoint, &texts)?;
    let candidate = Candidate { update_id, head: chain.head, state: &chain.state, change: &change, norms: &args.norms };
    let precision = cli.compute.precision;
    let compute = cli.compute.start()?;
    let judged = compute.run(|device| judge(&model.checkpoint, &chain, &tokens, &candidate, args.within, (device, precision)));
    let judgement = judged.or_usage()?;
    judgement.log();
    say!("{judgement}");
    if args.check && !judgement.is_ack() { Err(Exit::failure(format!("{}, expected ACK", judgement.verdict()))) } else { Ok(()) }
}

fn judge(
    checkpoint: &Checkpoint,
    chain: &Chain,
    tokens: &[Vec<u32>],
    candidate: &Candidate<'_>,
    within: Option<f64>,
    (device, precision): (crate::device::Device, Option<Precision>),
) -> Result<Judgement, JudgeError> {
    let model = checkpoint.load(device, precision)?;
    let mut gate = Gate::new(model, tokens.to_vec(), chain.references.as_ref())?;
    tracing::info!(target: "polai::gate", self_test = ?gate.self_test(), compared = chain.references.is_some(), "self-test");
    let extent = within.map_or(Extent::Full, |seconds| gate.within(seconds, &candidate.head, [0; 48]));
    Ok(gate.judge(candidate, extent)?)
}

/// The gate's texts; those of the chain, when there is one.
pub(super) fn read_texts(args: &DevTextsArgs, chain: &Chain) -> Result<DevTexts, Exit> {
    let texts = args.read().or_usage()?;
    if let Some(expected) = chain.dev_texts {
        texts.clone().of_chain(expected).or_usage()?;
    }
    Ok(texts)
}

/// Tokens of the gate's texts.
pub(super) fn tokens(checkpoint: &Checkpoint, texts: &DevTexts) -> Result<Vec<Vec<u32>>, Exit> {
    debug_assert_eq!(texts.texts().len(), GATE_TEXTS);
    texts.texts().iter().map(|text| checkpoint.tokens(text).or_usage()).collect()
}

/// Reads a container of this chain.
pub(super) fn read_delta(path: &Path, context: &Context) -> Result<Checked, Exit> {
    let bytes = read_bounded(path, DELTA_MAX_BYTES as u64).or_usage()?;
    let checked = RawDelta::new(bytes).and_then(|raw| raw.check(context)).or_usage();
    checked.map_err(|exit| exit.context(format!("delta {}", path.display())))
}

fn change(checked: Checked, children: &[PathBuf], context: &Context) -> Result<Change, Exit> {
    match checked {
        Checked::Delta(delta) => Ok(delta.into()),
        Checked::Void(_) => Err(Exit::usage("a void returns to an older state: there is nothing to measure")),
        Checked::Merge(of) => {
            let child = |path: &PathBuf| match read_delta(path, context)? {
                Checked::Delta(delta) => Ok(delta),
                _ => Err(Exit::usage(format!("child {}: not a delta", path.display()))),
            };
            let mut children: Vec<CheckedDelta> = children.iter().map(child).collect::<Result<_, Exit>>()?;
            children.sort_by_key(CheckedDelta::update_id);
            Ok(merge(&of, &children).or_usage()?.into())
        }
    }
}
