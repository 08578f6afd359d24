//! The chain of a folder: the one that is there, or a new one.

use pol_beacon::genesis::validators_root;
use pol_core::{
    committee::QuorumRule,
    genesis::{ChainParameters, ChainSpec},
    params::Preset,
};
use pol_kit::{
    clock::Clock,
    config::Contradiction,
    exit::{Exit, OrUsage as _},
    fs::create_private_directory,
    jwt::Secret,
};

use super::{lighthouse, model, say};
use crate::{
    args::{Consensus, GenesisArgs, Quorum, UpArgs},
    genesis,
    layout::Layout,
    programs::Programs,
    read::{ReadError, read_text_bounded},
    seed::{self, SeedText},
};

/// Slot 0 is so many seconds away once everything slow is done: what the processes need to start.
const LEAD_SECONDS: u64 = 10;
/// Bytes of a config.yaml at most.
const CONFIG_BYTES: u64 = 64 << 10;
/// config.yaml says how many validators there are at genesis.
const COUNT: &str = "MIN_GENESIS_ACTIVE_VALIDATOR_COUNT: ";

/// A chain, and the seed of its keys.
#[derive(Debug, Clone)]
pub struct Chain {
    /// What it is.
    pub spec: ChainSpec,
    /// Genesis validators, all of them this node's.
    pub validators: u32,
    /// Their seed.
    pub seed: SeedText,
    /// It was made just now.
    pub is_new: bool,
    /// Name of its base model.
    pub model: String,
}

/// Finds the folder's chain, or makes one.
///
/// # Errors
/// The operator's: a contradiction to the chain that is there, a model that is not. The disk's.
pub fn find_or_make(layout: &Layout, args: &UpArgs, programs: &Programs, clock: &dyn Clock) -> Result<Chain, Exit> {
    let old = read(layout)?;
    let chain = match old {
        Some(spec) => check(layout, args, programs, spec, clock)?,
        None => make(layout, args, programs, clock)?,
    };
    create_private_directory(&layout.secrets()).or_usage()?;
    // Two processes keep their folders in it: whichever came first would decide who may read it.
    create_private_directory(&layout.chain_data()).or_usage()?;
    Secret::load_or_create(&layout.jwt()).or_usage()?;
    Ok(chain)
}

/// The chain that is there.
///
/// # Errors
/// The operator's: a file that is no chain.toml.
pub fn read(layout: &Layout) -> Result<Option<ChainSpec>, Exit> {
    let path = layout.chain();
    let text = read_text_bounded(&path, genesis::CHAIN_BYTES).map_err(ReadError::exit)?;
    let spec = text.map(|text| ChainSpec::parse(&text)).transpose();
    spec.map_err(|error| Exit::usage(format!("{}: {error}", path.display())))
}

/// Genesis validators of the chain that is there.
///
/// # Errors
/// The operator's: config.yaml does not say.
pub fn validators(layout: &Layout) -> Result<u32, Exit> {
    let path = layout.config_yaml();
    let text = read_text_bounded(&path, CONFIG_BYTES).or_usage()?;
    let text = text.ok_or_else(|| Exit::usage(format!("{}: there is no such file", path.display())))?;
    let number = text.lines().find_map(|line| line.strip_prefix(COUNT)?.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| Exit::usage(format!("{}: no {COUNT}NUMBER in it", path.display())))
}

fn check(layout: &Layout, args: &UpArgs, programs: &Programs, spec: ChainSpec, clock: &dyn Clock) -> Result<Chain, Exit> {
    let (validators, folder) = (validators(layout)?, layout.directory().display());
    let Some(seed) = args.seed.clone() else {
        return Err(Exit::usage(format!(
            "{folder}: its chain needs the GENESIS_SEED it was made with: give it, or another --data-dir"
        )));
    };
    let p = spec.parameters();
    if validators_root(&seed.seed()?, validators).or_usage()? != p.genesis_validators_root {
        return Err(Exit::usage(format!(
            "{folder}: its chain was made with another GENESIS_SEED: give that one, or another --data-dir"
        )));
    }
    let said =
        |name, found: Option<String>, expected: String| Contradiction::check(name, found.as_ref(), &expected, "chain.toml");
    let preset = |preset: Preset| preset.name().to_owned();
    said("--validators", args.validators.map(|n| n.to_string()), validators.to_string())?;
    said("--slot-seconds", args.slot_seconds.map(|n| n.to_string()), p.slot_seconds.to_string())?;
    said("--preset", args.preset.map(preset), preset(p.preset))?;
    said("GENESIS_TIME", args.genesis_time.map(|n| n.to_string()), p.genesis_time.to_string())?;
    said("AI_QUORUM", args.quorum.map(|quorum| quorum.to_string()), Quorum(p.quorum).to_string())?;
    said("--difficulty-floor", args.difficulty_floor.map(|n| n.to_string()), p.difficulty_floor.to_string())?;
    let now = clock.unix_seconds();
    if now < p.genesis_time && layout.has_run() && args.genesis_time.is_none() {
        let ahead = p.genesis_time.saturating_sub(now);
        let (floor, line) =
            (LEAD_SECONDS, format!("{folder}: its chain begins in {ahead} s, but it ran before: set this machine's clock"));
        if ahead > floor {
            return Err(Exit::usage(line));
        }
    }
    let model = model::known(layout, args, programs, &spec)?;
    Ok(Chain { spec, validators, seed, is_new: false, model })
}

fn make(layout: &Layout, args: &UpArgs, programs: &Programs, clock: &dyn Clock) -> Result<Chain, Exit> {
    let (model, tables) = model::new(layout, args, programs)?;
    let seed = match &args.seed {
        Some(seed) => seed.clone(),
        None => {
            let seed = seed::make(layout)?;
            say(&format!("seed       made, in {}", layout.env_file().display()));
            seed
        }
    };
    // Everything slow is done: from here it is a matter of starting processes.
    let lead = match args.consensus {
        Consensus::Embedded => LEAD_SECONDS,
        Consensus::Lighthouse => lighthouse::LEAD_SECONDS,
    };
    let genesis_time = args.genesis_time.unwrap_or_else(|| clock.unix_seconds().saturating_add(lead));
    let of = GenesisArgs {
        seed: seed.seed()?,
        genesis_time: Some(genesis_time),
        validators: args.validators.unwrap_or(1),
        slot_seconds: args.slot_seconds.unwrap_or(3),
        preset: args.preset.unwrap_or(Preset::Minimal),
        chain_id: 1_337,
        quorum: args.quorum.unwrap_or(Quorum(QuorumRule::Auto)),
        difficulty_floor: args.difficulty_floor.unwrap_or(1_024),
        dev_slash_small: args.dev_slash_small,
        model: tables,
    };
    genesis::make(layout.directory(), &of, clock)?;
    let spec = read(layout)?.ok_or_else(|| Exit::failure("chain.toml was made and is gone"))?;
    Ok(Chain { spec, validators: of.validators, seed, is_new: true, model })
}

/// Parameters of a chain, in words.
pub fn summary(p: &ChainParameters, validators: u32) -> String {
    format!("{validators} validator(s), slots of {} s, {} slots an epoch", p.slot_seconds, p.preset.slots_per_epoch())
}
