//! `ml-sidecar adapter`: between the chain's integers and PEFT's folders.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use pol_core::state::{Factor, Projection, Shape};
use pol_kit::exit::{Exit, OrUsage as _};

use super::{Cli, ModelArgs};
use crate::{
    adapter::{Adapter, export, import, merge, read_state, write_state},
    device::Device,
    model::Model,
};

/// What to do with adapters. An adapter is a state file or a folder of PEFT's.
#[derive(Debug, Clone, Subcommand)]
pub enum AdapterCommand {
    /// Write a folder that peft.PeftModel loads
    Export {
        /// The adapter
        #[arg(value_name = "ADAPTER")]
        from: PathBuf,
        /// The folder
        #[arg(value_name = "FOLDER")]
        to: PathBuf,
        /// Name or path of the base model, to stand in the folder
        #[arg(long, default_value = "", value_name = "NAME")]
        base: String,
    },
    /// Write a state file: integers in units of 2^-24, each value to the nearest
    Import {
        /// The adapter
        #[arg(value_name = "ADAPTER")]
        from: PathBuf,
        /// The file
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Add an adapter into a copy of the base weights, in FP32
    Merge {
        /// The adapter
        #[arg(value_name = "ADAPTER")]
        from: PathBuf,
        /// The weights to write: a safetensors file
        #[arg(value_name = "FILE")]
        to: PathBuf,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// A text to compare the logits of adapter and merged weights on
        #[arg(long, default_value = "The quick brown fox jumps over the lazy dog.", value_name = "TEXT")]
        text: String,
    },
    /// Say what an adapter is: shape, root, norms
    Info {
        /// The adapter
        #[arg(value_name = "ADAPTER")]
        path: PathBuf,
    },
    /// Say how far two adapters are apart
    Diff {
        /// One adapter
        #[arg(value_name = "ADAPTER")]
        a: PathBuf,
        /// The other
        #[arg(value_name = "OTHER")]
        b: PathBuf,
    },
}

/// Reads an adapter: a folder is PEFT's, a file a state.
///
/// # Errors
/// It is neither, or damaged: the operator's fault.
pub fn load_adapter(path: &Path, device: Device) -> Result<Adapter, Exit> {
    let loaded = if path.is_dir() {
        import(path, device).or_usage()
    } else {
        read_state(path).or_usage().and_then(|state| Adapter::from_state(&state, device).or_usage())
    };
    loaded.map_err(|exit| exit.context(format!("adapter {}", path.display())))
}

pub(super) fn run(cli: &Cli, command: &AdapterCommand) -> Result<(), Exit> {
    match command {
        AdapterCommand::Export { from, to, base } => export(&load_adapter(from, Device::cpu())?, base, to).or_usage(),
        AdapterCommand::Import { from, to } => {
            let state = load_adapter(from, Device::cpu())?.to_state().or_usage()?;
            write_state(&state, to).or_usage()?;
            say!("root {}", state.root());
            Ok(())
        }
        AdapterCommand::Merge { from, to, model, text } => merge_into(cli, from, to, model, text),
        AdapterCommand::Info { path } => info(&load_adapter(path, Device::cpu())?),
        AdapterCommand::Diff { a, b } => diff(&load_adapter(a, Device::cpu())?, &load_adapter(b, Device::cpu())?),
    }
}

/// Merges, then compares with the unmerged adapter: people see what merging costs.
fn merge_into(cli: &Cli, from: &Path, to: &Path, args: &ModelArgs, text: &str) -> Result<(), Exit> {
    let checkpoint = args.open(cli)?.checkpoint;
    cli.compute.start()?;
    let adapter = load_adapter(from, Device::cpu())?;
    merge(&*checkpoint.weights, &checkpoint.config, &adapter, to).or_usage()?;
    let tokens = checkpoint.tokenizer.encode(text).or_usage()?;
    let precision = crate::precision::Precision::F32;
    let unmerged = checkpoint.load(Device::cpu(), Some(precision)).or_usage()?.logits(Some(&adapter), &tokens).or_usage()?;
    let weights = crate::weights::Safetensors::open_file(to).or_usage()?;
    let model = Model::load(&weights, checkpoint.config, Device::cpu(), precision).or_usage()?;
    let merged = model.logits(None, &tokens).or_usage()?;
    let off = unmerged.f_sub(&merged)?.f_abs()?.f_max()?.f_double_value(&[])?;
    say!("greatest difference of a logit between adapter and merged weights: {off:.2e}");
    Ok(())
}

fn info(adapter: &Adapter) -> Result<(), Exit> {
    let (shape, values) = (adapter.shape(), adapter.values()?);
    say!(
        "{} layers, hidden {}, query {}, key and value {}, intermediate {}: {} values in {} chunks",
        shape.layers(),
        shape.hidden(),
        shape.query(),
        shape.key_value(),
        shape.intermediate(),
        shape.value_count(),
        shape.chunk_count()
    );
    match adapter.to_state() {
        Ok(state) => say!("root {}", state.root()),
        Err(error) => say!("no state of a chain: {error}"),
    }
    let greatest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    say!("greatest magnitude {greatest:.6}");
    norms(shape, &values);
    Ok(())
}

fn diff(a: &Adapter, b: &Adapter) -> Result<(), Exit> {
    if a.shape() != b.shape() {
        return Err(Exit::usage(format!("adapters of different models: {:?} and {:?}", a.shape(), b.shape())));
    }
    let difference: Vec<f32> = a.values()?.iter().zip(b.values()?).map(|(a, b)| b - a).collect();
    let changed = difference.iter().filter(|value| **value != 0.0).count();
    let greatest = difference.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    say!("{changed} of {} values differ, by {greatest:.3e} at most", difference.len());
    norms(a.shape(), &difference);
    Ok(())
}

/// L2 norms by projection, A and B, over all layers.
fn norms(shape: &Shape, values: &[f32]) {
    say!("{:<6}{:>12}{:>12}", "L2", "A", "B");
    let norm = |projection, factor| {
        let places = shape.tensors().filter(|place| place.module.projection == projection && place.factor == factor);
        let squares = places.flat_map(|place| &values[place.range.start as usize..place.range.end as usize]);
        squares.map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    };
    for projection in Projection::ALL {
        let name = format!("{projection:?}").to_lowercase();
        say!("{name:<6}{:>12.4e}{:>12.4e}", norm(projection, Factor::A), norm(projection, Factor::B));
    }
}
