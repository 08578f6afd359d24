//! Flags and subcommands around data, for the program to mount.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pol_kit::exit::{Exit, OrUsage as _};

use super::{
    acquire::DataAcquisition,
    read::ReadError,
    registry::{DATASETS, Named},
    report::{self, Statistics},
    request::{AcquireError, Event, Request},
    set::{TextSource as _, Texts},
};
use crate::hub::{Hub, HubArgs};

/// Bytes of the data cache when nobody says how many: 32 GiB.
const BUDGET_DEFAULT: &str = "32G";

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CacheArgs {
    /// Directory of what was fetched; by default data_cache in the data directory
    #[arg(long, env = "POLAI_DATA_CACHE", value_name = "DIRECTORY", global = true)]
    pub data_cache: Option<PathBuf>,
    /// Bytes it may take, with K, M, G or T
    #[arg(long, env = "POLAI_DATA_BUDGET", default_value = BUDGET_DEFAULT, value_parser = bytes, value_name = "BYTES", global = true)]
    pub data_budget: u64,
}

impl CacheArgs {
    /// The acquisition that these flags describe.
    ///
    /// # Errors
    /// A setting of the hub, or the folder: the operator's fault.
    pub fn acquisition(&self, hub: &HubArgs, data_dir: &Path) -> Result<DataAcquisition, Exit> {
        let cache = self.data_cache.clone().unwrap_or_else(|| data_dir.join("data_cache"));
        // Fetched blocks and finished sets share the budget evenly.
        let half = self.data_budget / 2;
        let hub = Hub::new(hub, &cache, half).or_usage()?;
        Ok(DataAcquisition::new(hub, &cache, half))
    }
}

/// Which texts. The names are the original's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct SourceArgs {
    /// Take texts from the hub: from the datasets named, or from all
    #[arg(long)]
    pub auto_data: bool,
    /// Datasets to take (see `datasets`); several with spaces or commas between them
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', conflicts_with = "data_file")]
    pub datasets: Vec<Named>,
    /// Texts in all [default: 1000 of the hub, all of files]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub num_samples: Option<u64>,
    /// Texts of each dataset, instead
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "num_samples")]
    pub samples_per_dataset: Option<u64>,
    /// Files or folders of this machine instead: txt (an empty line after each text), jsonl, parquet
    #[arg(long, visible_alias = "data", value_name = "PATH", num_args = 1.., conflicts_with = "auto_data")]
    pub data_file: Vec<PathBuf>,
    /// Column or field of the text in such files
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub data_column: String,
    /// Which texts of the many
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub data_seed: u64,
    /// Ask the hub for the newest commits of the datasets
    #[arg(long)]
    pub data_refresh: bool,
    /// Write the texts into this file, txt or jsonl
    #[arg(long, value_name = "FILE")]
    pub save_data: Option<PathBuf>,
}

impl SourceArgs {
    /// What these flags ask for.
    pub fn request(&self) -> Request {
        let named: Vec<_> = self.datasets.iter().map(|named| named.0).collect();
        let all = || if self.auto_data { DATASETS.iter().collect() } else { Vec::new() };
        Request {
            named: !named.is_empty() || !self.data_file.is_empty(),
            datasets: if named.is_empty() { all() } else { named },
            files: self.data_file.clone(),
            total: self.num_samples,
            per_dataset: self.samples_per_dataset,
            seed: self.data_seed,
            column: self.data_column.clone(),
            refresh: self.data_refresh,
        }
    }

    /// Whether a hub is asked for the texts.
    pub const fn asks_hub(&self) -> bool {
        self.auto_data || !self.datasets.is_empty()
    }

    /// Gets the texts, with a progress bar, and saves them when asked to.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn texts(&self, acquisition: &DataAcquisition) -> Result<Texts, Exit> {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:20} {wide_bar} {pos}/{len} texts, {eta}") {
            bar.set_style(style);
        }
        let texts = acquisition.texts(&self.request(), &mut |event| show(&bar, event));
        bar.finish_and_clear();
        let texts = texts.map_err(exit)?;
        if let Some(path) = &self.save_data {
            let count = report::save(&texts, path).or_usage()?;
            tracing::info!(target: "polai::data", path = %path.display(), count, "texts saved");
        }
        Ok(texts)
    }
}

fn show(bar: &ProgressBar, event: &Event<'_>) {
    match event {
        Event::Progress { source, kept, wanted } => {
            bar.set_message((*source).to_owned());
            bar.set_length(*wanted);
            bar.set_position(*kept);
        }
        Event::Skipped { source, error } => bar.println(format!("{source}: passed over: {error}")),
    }
}

/// Only the network's faults and the hub's are no mistakes of the operator: another attempt may help.
fn exit(error: AcquireError) -> Exit {
    match &error {
        AcquireError::Hub { source, .. } | AcquireError::Read { source: ReadError::Hub(source), .. } if source.is_operators() => {
            Exit::usage(error)
        }
        AcquireError::Hub { .. } | AcquireError::Read { .. } => Exit::failure(error),
        _ => Exit::usage(error),
    }
}

/// `datasets`: lists the named datasets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct DatasetsArgs {}

impl DatasetsArgs {
    /// Prints the table.
    pub fn run(self) {
        say_part!("{}", report::list());
    }
}

/// `data`: gets texts and looks at them.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DataCommand {
    /// Get texts into the cache
    Fetch(SourceArgs),
    /// Get texts and print numbers about them
    Stats(SourceArgs),
    /// Get texts and print some of them
    Preview(PreviewArgs),
}

/// `data preview`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PreviewArgs {
    /// Which texts.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Texts to print
    #[arg(long, short = 'n', default_value_t = 3, value_name = "COUNT")]
    pub show: u64,
    /// Characters of each text to print
    #[arg(long, default_value_t = 400, value_name = "COUNT")]
    pub chars: usize,
}

impl DataCommand {
    /// Does what it says.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn run(&self, acquisition: &DataAcquisition) -> Result<(), Exit> {
        match self {
            Self::Fetch(source) => {
                let texts = source.texts(acquisition)?;
                match &texts {
                    Texts::Set(set) => say!("{} texts in {}", set.count(), set.folder().display()),
                    Texts::Corpus(_) => say!("the built-in corpus: nothing to fetch (--auto-data or --datasets ask the hub)"),
                }
            }
            Self::Stats(source) => say_part!("{}", Statistics::of(&source.texts(acquisition)?).or_usage()?),
            Self::Preview(preview) => {
                let texts = preview.source.texts(acquisition)?;
                for number in 0..preview.show.min(texts.count()) {
                    let text = texts.get(number).or_usage()?;
                    let cut: String = text.chars().take(preview.chars).collect();
                    say!("--- {number}\n{cut}{}", if cut.len() < text.len() { " ..." } else { "" });
                }
            }
        }
        Ok(())
    }
}

/// `32G` and the like, powers of 1024.
fn bytes(text: &str) -> Result<u64, &'static str> {
    let shift = match text.bytes().last().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        Some(b'T') => 40,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { text.get(..text.len().saturating_sub(1)).unwrap_or_default() };
    let number: u64 = digits.parse().map_err(|_| "expected a number of bytes, such as 32G")?;
    number.checked_mul(1 << shift).ok_or("more bytes than there are")
}

#[cfg(test)]
mod tests;
