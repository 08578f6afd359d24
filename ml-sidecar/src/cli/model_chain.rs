//! `ml-sidecar model chain`: what a chain must know of its base model, in the tables that `polai genesis --model FILE` reads.

use std::path::PathBuf;

use clap::Args;
use pol_core::{gate::NanoNats, genesis::BaseModel};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, write_durably},
};

use super::{Cli, ModelArgs};
use crate::{
    checkpoint::CheckpointError,
    gate::{Gate, GateError},
    texts::DevTextsArgs,
};

/// Flags of `model chain`.
#[derive(Debug, Clone, Args)]
pub struct ModelChainArgs {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The texts.
    #[command(flatten)]
    pub texts: DevTextsArgs,
    /// File to write; by default standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Loading or measuring.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Gate(#[from] GateError),
}

pub(super) fn run(cli: &Cli, args: &ModelChainArgs) -> Result<(), Exit> {
    let model = args.model.open(cli)?;
    let texts = args.texts.read().or_usage()?;
    let tokens = super::gate::tokens(&model.checkpoint, &texts)?;
    let precision = cli.compute.precision;
    let compute = cli.compute.start()?;
    let measured = compute.run(|device| {
        let gate = Gate::new(model.checkpoint.load(device, precision)?, tokens.clone(), None)?;
        Ok::<_, MeasureError>(*gate.own_losses())
    });
    let losses: Option<Vec<NanoNats>> = measured.or_usage()?.into_iter().collect();
    let losses = losses.and_then(|losses| losses.try_into().ok());
    let reference_losses = losses.ok_or_else(|| Exit::usage("the loss of a text is not finite: this model cannot judge"))?;
    let base = BaseModel {
        manifest_hash: model.manifest_hash()?,
        shape: model.checkpoint.config.shape,
        dev_texts_hash: texts.hash(),
        reference_losses,
    };
    let text = base.to_toml();
    match &args.output {
        Some(path) => {
            let at = |error: std::io::Error| Exit::usage(error).context(path.display().to_string());
            write_durably(path, text.as_bytes(), Access::Everybody).map_err(at)
        }
        None => {
            say_part!("{text}");
            Ok(())
        }
    }
}
