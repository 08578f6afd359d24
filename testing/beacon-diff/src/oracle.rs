//! Starting `play.py`, with the same numbers on both sides.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pol_beacon::types::{Config, ForkVersions};
use pol_core::{GenesisId, Hash32, domains::Domains, fault::FaultRules, params::Preset};
use serde_json::{Map, Value, json};

use crate::{Frames, Genesis, Player, Tally};
use pol_beacon::types::{Minimal, OfficialMinimal};

/// Name of the chain whose fork versions runs of [`Kind::Chain`] carry.
pub const CHAIN_NAME: GenesisId = GenesisId([0x5a; 32]);

/// Which limits and rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The specification as it is.
    Official,
    /// A POL-AI chain: `extra_data` of 512 bytes, our fork versions, our slashings.
    Chain,
}

/// A simulated network.
#[derive(Debug, Clone)]
pub struct Run {
    /// From which everything follows.
    pub seed: u64,
    /// Which limits and rules.
    pub kind: Kind,
    /// Validators at the start.
    pub validators: u32,
    /// Slots to play.
    pub slots: u32,
    /// Whether to drop what does not descend from the finalized block as soon as there is one.
    pub prune: bool,
    /// Whether everybody is there, on one chain, and nothing is wrong.
    pub calm: bool,
    /// What `chain_genesis` of the oracle begins with; None: a random state.
    pub genesis: Option<Genesis>,
    /// The configuration of both sides.
    pub config: Config,
}

impl Run {
    /// A run that begins at a random state, with waiting times that end while it lasts.
    pub fn random(kind: Kind, seed: u64, validators: u32, slots: u32) -> Self {
        let mut config = Config::official(Preset::Minimal);
        config.shard_committee_period = 2;
        config.min_validator_withdrawability_delay = 4;
        config.slot_seconds = 6;
        if kind == Kind::Chain {
            config.forks = ForkVersions::of_chain(&Domains::new(CHAIN_NAME, Hash32::ZERO));
            config.slot_seconds = 3;
        }
        Self { seed, kind, validators, slots, prune: false, calm: false, genesis: None, config }
    }

    /// Our slashings on a chain with this validators root; None for the official rules.
    pub fn faults(&self, genesis_validators_root: Hash32) -> Option<FaultRules> {
        if let Some(genesis) = &self.genesis {
            return genesis.config().faults;
        }
        let domains = Domains::new(CHAIN_NAME, genesis_validators_root);
        let dev_slash_small = self.seed.is_multiple_of(2);
        (self.kind == Kind::Chain).then_some(FaultRules { preset: Preset::Minimal, dev_slash_small, domains })
    }

    fn arguments(&self) -> Value {
        let config = &self.config;
        let forks = config.forks;
        let changes = json!({
            "SLOT_DURATION_MS": config.slot_seconds * 1_000,
            "SHARD_COMMITTEE_PERIOD": config.shard_committee_period,
            "MIN_VALIDATOR_WITHDRAWABILITY_DELAY": config.min_validator_withdrawability_delay,
            "GENESIS_FORK_VERSION": forks.phase0.to_string(),
            "ALTAIR_FORK_VERSION": forks.altair.to_string(),
            "BELLATRIX_FORK_VERSION": forks.bellatrix.to_string(),
            "CAPELLA_FORK_VERSION": forks.capella.to_string(),
            "DENEB_FORK_VERSION": forks.deneb.to_string(),
        });
        let mut arguments = Map::new();
        arguments.insert("seed".into(), self.seed.into());
        arguments.insert("kind".into(), if self.kind == Kind::Chain { "chain" } else { "official" }.into());
        arguments.insert("validators".into(), self.validators.into());
        arguments.insert("slots".into(), self.slots.into());
        arguments.insert("config".into(), changes);
        let dev_slash_small = self.faults(Hash32::ZERO).is_some_and(|rules| rules.dev_slash_small);
        arguments.insert("dev_slash_small".into(), dev_slash_small.into());
        arguments.insert("calm".into(), self.calm.into());
        arguments.insert("states".into(), std::env::var_os("BEACON_DIFF_STATES").is_some().into());
        if let Some(genesis) = &self.genesis {
            arguments.insert("genesis".into(), genesis.arguments());
        }
        arguments.into()
    }

    /// A run that begins at the genesis of a POL-AI chain, made by both sides from the same inputs.
    ///
    /// # Panics
    /// When pol-beacon refuses the inputs.
    pub fn from_genesis(seed: u64, validators: u32, slots: u32) -> Self {
        let genesis = Genesis::new(Preset::Minimal, validators);
        let run = Self::random(Kind::Chain, seed, validators, slots);
        Self { config: Config { faults: None, ..genesis.config() }, genesis: Some(genesis), ..run }
    }

    /// Plays it through both sides.
    ///
    /// # Panics
    /// When they disagree, or the oracle fails.
    pub fn play(&self) -> Tally {
        let mut child = self.start();
        let output = child.stdout.take().expect("piped");
        let frames = Frames(BufReader::new(output));
        let tally = match self.kind {
            Kind::Official => Player::<OfficialMinimal>::new(self.clone()).play(frames),
            Kind::Chain => Player::<Minimal>::new(self.clone()).play(frames),
        };
        let status = child.wait().expect("the oracle's end");
        assert!(status.success(), "{self:?}: the oracle ended with {status}, see above");
        tally.unwrap_or_else(|| panic!("{self:?}: the oracle ended without its last frame"))
    }

    fn start(&self) -> Child {
        let python = python();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("play.py");
        Command::new(&python)
            .arg(script)
            .arg(self.arguments().to_string())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; scripts/setup installs it", python.display()))
    }
}

/// The interpreter that `scripts/setup` gave the official specification to.
fn python() -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_default().join(".cache/pol-ai");
    let cache = std::env::var_os("POLAI_CACHE").map_or_else(home, PathBuf::from);
    cache.join("vectors-venv/bin/python")
}
