//! Flags that say which chain a delta belongs to.

use std::path::{Path, PathBuf};

use clap::Args;
use pol_core::{
    Hash32, ModelHead,
    delta::{Context, Profile},
    gate::NanoNats,
    genesis::{CHAIN_TOML_BYTES_MAX, ChainSpec},
    params::SELF_TEST_TEXTS,
    state::{Shape, State},
};
use pol_kit::exit::{Exit, OrUsage as _};

use super::model::Opened;
use crate::{adapter::read_state, local, weights::read_bounded};

/// Which chain, and where on it.
#[derive(Debug, Clone, Args)]
pub struct ChainArgs {
    /// The chain's chain.toml; without it a local chain that is named after the model's files
    #[arg(long, env = "POLAI_CHAIN", value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// Model head that a delta has to apply to, 64 hex digits; by default the first head of the chain
    #[arg(long, value_name = "HEAD")]
    pub head: Option<ModelHead>,
    /// State of that head, a state file; by default the chain's first state
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// A chain, and the state of a head of it.
#[derive(Debug)]
pub struct Chain {
    /// For the decoder.
    pub context: Context,
    /// The head.
    pub head: ModelHead,
    /// Its state.
    pub state: State,
    /// Reference losses of the self-test; None on a local chain.
    pub references: Option<[NanoNats; SELF_TEST_TEXTS]>,
    /// Hash of the gate's texts; None on a local chain.
    pub dev_texts: Option<Hash32>,
}

impl ChainArgs {
    /// Reads chain.toml and the state, and compares them with the model.
    ///
    /// # Errors
    /// They are unreadable, or of another model: the operator's fault.
    pub fn open(&self, model: &Opened) -> Result<Chain, Exit> {
        let (shape, manifest) = (model.checkpoint.config.shape, model.manifest_hash()?);
        let spec = self.chain.as_ref().map(|path| read_spec(path, shape, manifest)).transpose()?;
        let context = spec.as_ref().map_or_else(|| local::context(manifest, shape, Profile::F16x20), ChainSpec::delta_context);
        let state = match &self.state {
            Some(path) => read_state(path).or_usage().map_err(|exit| exit.context(format!("state {}", path.display())))?,
            None => State::initial(&context.genesis_id, shape),
        };
        if *state.shape() != shape {
            return Err(Exit::usage(format!("a state of another model: {:?}, not {shape:?}", state.shape())));
        }
        let parameters = spec.map(|spec| spec.parameters());
        Ok(Chain {
            head: self.head.unwrap_or_else(|| context.genesis_id.into()),
            context,
            state,
            references: parameters.map(|parameters| parameters.reference_losses),
            dev_texts: parameters.map(|parameters| parameters.dev_texts_hash),
        })
    }
}

/// Reads a chain.toml and compares it with the model.
///
/// # Errors
/// It is unreadable, or of another model: the operator's fault.
pub(super) fn read_spec(path: &Path, shape: Shape, manifest: Hash32) -> Result<ChainSpec, Exit> {
    let text = read_bounded(path, CHAIN_TOML_BYTES_MAX as u64).or_usage()?;
    let spec = ChainSpec::parse(&String::from_utf8_lossy(&text));
    let spec = spec.map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?;
    let parameters = spec.parameters();
    if parameters.shape != shape || parameters.manifest_hash != manifest {
        let said =
            format!("{}: another base model: its manifest is {}, not {manifest}", path.display(), parameters.manifest_hash);
        return Err(Exit::usage(said));
    }
    Ok(spec)
}
