//! Flags of the trainer role, for `train` and `serve`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use pol_api::sidecar::order::TextsWanted;
use pol_core::genesis::ChainSpec;
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::create_private_directory,
};

use super::{Cli, Compute, PlanArgs};
use crate::{
    checkpoint::Checkpoint,
    data::{CacheArgs, Named, SourceArgs, TextSource},
    hub::HubArgs,
    service::MakeTexts,
    texts::DevTexts,
    trainer::{KEEP_EVERY, Setup, Slots, Source, TrainerKey, trainer_key},
};

/// Steps of a round, when nobody says how many.
const ROUND_STEPS: u64 = 30;
/// Folder of the trainer's memory inside the data directory.
const FOLDER: &str = "trainer";
/// Folder of secrets inside the data directory, as in the original.
const SECRETS: &str = "secrets_data";
const KEY_FILE: &str = "trainer.key";

/// What a trainer is told.
#[derive(Debug, Clone, Args)]
pub struct TrainerArgs {
    /// How long.
    #[command(flatten)]
    pub plan: PlanArgs,
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

/// The trainer's key: 64 hex digits, or a private file with them; when nothing is given and a trainer needs one, the file in that data directory,
/// made when it is not there.
///
/// # Errors
/// The file cannot be used: the operator's fault.
pub(super) fn key(given: Option<&str>, needed_in: Option<&Path>) -> Result<Option<TrainerKey>, Exit> {
    if let Some(key) = given.and_then(TrainerKey::from_hex) {
        return Ok(Some(key));
    }
    let path = match (given, needed_in) {
        (Some(path), _) => PathBuf::from(path),
        (None, Some(data_dir)) => {
            let secrets = data_dir.join(SECRETS);
            create_private_directory(&secrets).or_usage()?;
            secrets.join(KEY_FILE)
        }
        (None, None) => return Ok(None),
    };
    trainer_key(&path).or_usage().map(Some).map_err(|exit| exit.context("trainer's key".to_owned()))
}

impl TrainerArgs {
    /// Gets texts by order of a call, with this process's cache and hub.
    pub(super) fn make_texts(&self, cli: &Cli) -> MakeTexts {
        let (cache, hub, data_dir) = (self.cache.clone(), self.hub.clone(), cli.data.data_dir.clone());
        Arc::new(move |wanted: &TextsWanted| {
            let named = wanted.datasets.iter().map(|name| name.parse::<Named>()).collect::<Result<Vec<_>, _>>();
            let source = SourceArgs {
                auto_data: wanted.auto_data,
                datasets: named.or_usage()?,
                num_samples: wanted.samples.filter(|_| wanted.samples_per_dataset.is_none()),
                samples_per_dataset: wanted.samples_per_dataset,
                data_file: wanted.files.clone(),
                data_column: wanted.column.clone().unwrap_or_else(|| "text".to_owned()),
                data_seed: wanted.seed,
                ..SourceArgs::default()
            };
            let texts: Box<dyn TextSource> = Box::new(source.texts(&cache.acquisition(&hub, &data_dir)?)?);
            Ok(texts)
        })
    }

    /// Files of this machine are read now, so that one that cannot be is said at once.
    fn texts(&self, cli: &Cli) -> Result<Source, Exit> {
        let acquisition = self.cache.acquisition(&self.hub, &cli.data.data_dir)?;
        if !self.source.asks_hub() {
            return Ok(Source::here(self.source.texts(&acquisition)?));
        }
        let source = self.source.clone();
        Ok(Source::Get(Arc::new(move || {
            let texts: Arc<dyn TextSource> = Arc::new(source.texts(&acquisition)?);
            Ok(texts)
        })))
    }

    /// All that the role needs. Texts of a hub are fetched once the trainer runs, so that nothing waits for a hub that is slow or away.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn setup(
        &self,
        cli: &Cli,
        checkpoint: Checkpoint,
        spec: &ChainSpec,
        dev_texts: &DevTexts,
        (compute, key): (&Compute, TrainerKey),
    ) -> Result<Setup, Exit> {
        tracing::info!(target: "polai::train", trainer = key.public(), "the trainer's key: a validator names it with --trainer");
        let parameters = spec.parameters();
        Ok(Setup {
            dev_texts: super::gate::tokens(&checkpoint, dev_texts)?,
            checkpoint,
            texts: self.texts(cli)?,
            references: Some(parameters.reference_losses),
            choice: compute.choice(),
            device: compute.device(),
            precision: cli.compute.precision,
            plan: self.plan.plan(ROUND_STEPS),
            key: key.0,
            slots: Slots::of(&parameters),
            folder: cli.data.data_dir.join(FOLDER),
            keep_every: KEEP_EVERY,
            ack_timeout: Setup::ACK_TIMEOUT,
        })
    }
}
