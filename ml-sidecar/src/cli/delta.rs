//! `ml-sidecar delta`: looking into containers.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Subcommand;
use pol_core::{
    GenesisId,
    delta::{Change, Checked, CheckedDelta, Context, Profile, RECORD_BYTES, RawDelta},
    params::DELTA_MAX_BYTES,
    state::{CHUNK_VALUES, Module, Projection, Shape},
};
use pol_kit::exit::{Exit, OrUsage as _};

use super::{Cli, ModelArgs};
use crate::weights::read_bounded;

/// Units in 1.0, as a power of two.
const UNIT_BITS: i32 = 24;
const BAR_WIDTH: usize = 40;

/// Looking into deltas.
#[derive(Debug, Clone, Subcommand)]
pub enum DeltaCommand {
    /// Say what is in a delta: header, size, coverage, energy by module, sizes of its changes
    Inspect {
        /// The delta: a PLD1 container
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The model whose adapter it changes: a container does not name its shape.
        #[command(flatten)]
        model: ModelArgs,
    },
}

pub(super) fn run(cli: &Cli, command: &DeltaCommand) -> Result<(), Exit> {
    let DeltaCommand::Inspect { file, model } = command;
    let bytes = read_bounded(file, DELTA_MAX_BYTES as u64).or_usage()?;
    let shape = model.open(cli)?.checkpoint.config.shape;
    // Of whatever chain it is: its own name and profile are taken, and printed.
    let genesis_id = GenesisId(bytes.get(8..).and_then(|rest| rest.first_chunk().copied()).unwrap_or_default());
    let profile = bytes.get(6).and_then(|byte| Profile::from_byte(*byte)).unwrap_or(Profile::F16x20);
    let context = Context { genesis_id, shape, profile };
    let size = bytes.len();
    let checked = RawDelta::new(bytes).and_then(|raw| raw.check(&context)).or_usage();
    let checked = checked.map_err(|exit| exit.context(format!("delta {}", file.display())))?;
    print_header(&checked, size);
    match &checked {
        Checked::Delta(delta) => {
            say!("profile        {profile:?}");
            print_changes(delta, &shape);
        }
        Checked::Merge(merge) => {
            for (id, weight) in merge.children() {
                say!("child          {id} weight {weight}");
            }
        }
        Checked::Void(void) => say!("returns to     {}", void.target()),
    }
    Ok(())
}

fn print_header(checked: &Checked, size: usize) {
    let header = checked.header();
    say!("update id      {}", checked.update_id());
    say!("kind           {:?}, {size} bytes of {DELTA_MAX_BYTES}", header.kind);
    say!("genesis        {}", header.genesis_id);
    say!("model head     {}", header.claims.model_head);
    say!("slot           {}", header.claims.slot);
    say!("trained        {} steps, {} tokens", header.claims.inner_steps, header.claims.tokens_seen);
    say!("samples        {}", header.claims.samples);
    say!("trainer        {} (signature valid)", hex::encode(header.trainer));
}

fn print_changes(delta: &CheckedDelta, shape: &Shape) {
    let header = delta.header();
    let (chunks, present) = (shape.chunk_count(), header.record_count);
    say!("coverage       {present} of {chunks} chunks of {CHUNK_VALUES}, {RECORD_BYTES} bytes each");
    let (count, all) = (delta.change_count(), shape.value_count());
    say!("changes        {count} of {all} values ({:.3} %)", 100.0 * count as f64 / f64::from(all));
    say!("norm           {:.6}", delta.norm() as f64 / f64::from(1 << UNIT_BITS));
    let change = Change::from(delta.clone());
    print_energy(&change, shape);
    print_sizes(&change);
}

/// Sum of squares by projection over all layers, and the module that has the most: what the cap of section 12 looks at.
fn print_energy(change: &Change, shape: &Shape) {
    let mut modules: BTreeMap<Module, f64> = BTreeMap::new();
    for (index, value) in change {
        if let Some((module, _)) = shape.module_of(index) {
            *modules.entry(module).or_default() += f64::from(value).powi(2);
        }
    }
    let total: f64 = modules.values().sum();
    say!("energy by projection (all layers, A and B):");
    for projection in Projection::ALL {
        let own: f64 = modules.iter().filter(|(module, _)| module.projection == projection).map(|(_, energy)| energy).sum();
        say!("  {:<5} {:5.1} % {}", format!("{projection:?}").to_lowercase(), 100.0 * own / total, bar(own / total));
    }
    if let Some((module, energy)) = modules.iter().max_by(|a, b| a.1.total_cmp(b.1)) {
        let name = format!("{:?}", module.projection).to_lowercase();
        say!(
            "  greatest: layer {} {name}, {:.1} % (models of 8 layers or more: at most 25 %)",
            module.layer,
            100.0 * energy / total
        );
    }
}

/// How many changes there are of each power of two.
fn print_sizes(change: &Change) {
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    for (_, value) in change {
        *counts.entry(value.unsigned_abs().ilog2() as i32 - UNIT_BITS).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(1);
    say!("changes by magnitude:");
    let (first, last) = (counts.keys().next().copied().unwrap_or(0), counts.keys().next_back().copied().unwrap_or(-1));
    for power in first..=last {
        let count = counts.get(&power).copied().unwrap_or(0);
        say!("  2^{power:<4} {count:6} {}", bar(count as f64 / most as f64));
    }
}

fn bar(share: f64) -> String {
    "#".repeat(((share * BAR_WIDTH as f64).round() as usize).min(BAR_WIDTH))
}
