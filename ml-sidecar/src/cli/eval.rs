//! `ml-sidecar eval`: the loss of a model on texts.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use pol_kit::exit::{Exit, OrUsage as _};

use super::{Cli, ModelArgs, load_adapter, read_texts};
use crate::{checkpoint::CheckpointError, loss::Losses, model::ModelError};

/// Flags of `eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// File of texts, one a line
    #[arg(long, value_name = "FILE")]
    pub texts: PathBuf,
    /// An adapter: a state file or a folder of PEFT's
    #[arg(long, value_name = "PATH")]
    pub adapter: Option<PathBuf>,
    /// Characters of a text that count
    #[arg(long, value_name = "N")]
    pub chars: Option<usize>,
}

/// Loading or computing.
#[derive(Debug, thiserror::Error)]
enum EvalError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error("{0}")]
    Adapter(String),
}

pub(super) fn run(cli: &Cli, args: &EvalArgs) -> Result<(), Exit> {
    let checkpoint = args.model.open(cli)?.checkpoint;
    let mut tokens = Vec::new();
    for text in read_texts(&args.texts)? {
        let text: String = text.chars().take(args.chars.unwrap_or(usize::MAX)).collect();
        tokens.push(checkpoint.tokens(&text).or_usage()?);
    }
    let precision = cli.compute.precision;
    let compute = cli.compute.start()?;
    let (losses, seconds) = compute
        .run(|device| {
            let model = checkpoint.load(device, precision)?;
            let adapter = args.adapter.as_ref().map(|path| load_adapter(path, device)).transpose();
            let adapter = adapter.map_err(|exit| EvalError::Adapter(exit.to_string()))?;
            let start = Instant::now();
            let losses = model.losses(adapter.as_ref(), &tokens)?;
            Ok::<_, EvalError>((losses, start.elapsed().as_secs_f64()))
        })
        .or_usage()?;
    report(&losses, seconds)
}

fn report(losses: &Losses, seconds: f64) -> Result<(), Exit> {
    let mean = losses.mean().ok_or_else(|| Exit::usage("no text has two tokens: nothing to predict"))?;
    say!("loss {mean:.6} nats per token, perplexity {:.3}", mean.exp());
    let tokens = losses.tokens();
    say!("{} texts, {tokens} predicted tokens, {seconds:.2} s, {:.0} tokens/s", losses.texts.len(), tokens as f64 / seconds);
    Ok(())
}
