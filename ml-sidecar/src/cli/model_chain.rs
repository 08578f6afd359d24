//! `ml-sidecar model chain`: what a chain must know of its base model, in the tables that `polai genesis --model FILE` reads.

use std::path::PathBuf;

use clap::Args;
use pol_core::{gate::NanoNats, params::SELF_TEST_TEXTS};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, write_durably},
};
use serde::Serialize;

use super::{Cli, ModelArgs, Opened};
use crate::{
    checkpoint::CheckpointError,
    gate::{Gate, GateError},
    texts::{DevTexts, DevTextsArgs},
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

/// The two tables of section 2.1 of docs/PROTOCOL.md that only the model's holder can fill in.
#[derive(Debug, Clone, Serialize)]
struct Tables {
    model: ModelTable,
    gate: GateTable,
}

#[derive(Debug, Clone, Serialize)]
struct ModelTable {
    manifest_hash: String,
    layers: u32,
    hidden: u32,
    query: u32,
    key_value: u32,
    intermediate: u32,
}

#[derive(Debug, Clone, Serialize)]
struct GateTable {
    dev_texts_hash: String,
    reference_losses: Vec<i64>,
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
    let tables = tables(&model, &texts, measured.or_usage()?)?;
    let text = toml::to_string(&tables)?;
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

fn tables(model: &Opened, texts: &DevTexts, own: [Option<NanoNats>; SELF_TEST_TEXTS]) -> Result<Tables, Exit> {
    let shape = &model.checkpoint.config.shape;
    let losses: Option<Vec<i64>> = own.iter().map(|loss| loss.map(NanoNats::get)).collect();
    let reference_losses = losses.ok_or_else(|| Exit::usage("the loss of a text is not finite: this model cannot judge"))?;
    let model = ModelTable {
        manifest_hash: model.manifest_hash()?.to_string(),
        layers: shape.layers(),
        hidden: shape.hidden(),
        query: shape.query(),
        key_value: shape.key_value(),
        intermediate: shape.intermediate(),
    };
    Ok(Tables { model, gate: GateTable { dev_texts_hash: texts.hash().to_string(), reference_losses } })
}
