//! `check-patches`: the patches for Lighthouse, by themselves and against a checkout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use eyre::{WrapErr as _, bail, ensure};
use pol_patches::{Patch, applies, check, rows};

/// Checks the form of patches/lighthouse, what its README says of them, and that they apply to a checkout of Lighthouse v5.3.0
#[derive(Debug, Parser)]
#[command(name = "check-patches")]
struct Args {
    /// A checkout of Lighthouse v5.3.0 without changes; nothing is written into it
    #[arg(long, env = "LIGHTHOUSE_DIR", value_name = "DIRECTORY")]
    lighthouse: Option<PathBuf>,
}

fn main() -> eyre::Result<()> {
    let args = Args::parse();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../patches/lighthouse");
    let (mut paths, mut patches) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(&folder).wrap_err_with(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            paths.push(path);
        }
    }
    paths.sort();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        patches.push(Patch::parse(&name, &fs::read_to_string(path)?)?);
    }
    ensure!(!patches.is_empty(), "{}: no patch", folder.display());
    check(&patches, &rows(&fs::read_to_string(folder.join("README.md"))?))?;
    println!("form       {} patches without context lines, as their README says", patches.len());
    let Some(checkout) = args.lighthouse else {
        println!("SKIPPED    whether they apply: LIGHTHOUSE_DIR (or --lighthouse) names no checkout of Lighthouse v5.3.0");
        return Ok(());
    };
    ensure!(checkout.join("beacon_node").is_dir(), "{}: no checkout of Lighthouse", checkout.display());
    for path in &paths {
        if let Err(words) = applies(&checkout, &[path]) {
            bail!("{} does not apply alone:\n{words}", path.display());
        }
    }
    let all: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    if let Err(words) = applies(&checkout, &all) {
        bail!("together they do not apply:\n{words}");
    }
    println!("applied    each alone and all together, to {}", checkout.display());
    Ok(())
}
