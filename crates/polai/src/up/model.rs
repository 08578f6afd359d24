//! The base model of a chain: described when the chain is made, known by name afterwards.
//!
//! # What it does not protect against
//! Files of a model that change under their name: ml-sidecar compares them with the chain whenever it starts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use pol_core::{
    Hash32,
    gate::NanoNats,
    genesis::{BaseModel, ChainSpec},
    params::SELF_TEST_TEXTS,
    state::Shape,
};
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, write_durably},
};

use super::{say, sidecar};
use crate::{
    args::UpArgs,
    layout::Layout,
    programs::{self, Programs},
};

/// Made on the spot, from nothing.
const DEFAULT: &str = "embedded";
/// Longest name that is read back.
const NAME_BYTES: u64 = 4_096;

/// Of a new chain: its name, and the file with what the chain must know of it.
///
/// # Errors
/// The operator's: no such model, no ml-sidecar. With `--no-ai` the chain then names no model.
pub(super) fn new(layout: &Layout, args: &UpArgs, programs: &Programs) -> Result<(String, PathBuf), Exit> {
    let name = args.model.clone().unwrap_or_else(|| DEFAULT.to_owned());
    let tables = match &args.model_tables {
        Some(file) => file.clone(),
        None => {
            match describe(layout, &name, programs) {
                Err(error) if args.no_ai => {
                    say(&format!("model      none, this chain can never train: {error}"));
                    write(&layout.model_tables(), nothing()?.to_toml().as_bytes())?;
                }
                described => described?,
            }
            layout.model_tables()
        }
    };
    write(&layout.model_name(), name.as_bytes())?;
    Ok((name, tables))
}

/// Of the chain that is there. Another name may be given for the same model: it may lie elsewhere now.
///
/// # Errors
/// The operator's: another model, or none where one is wanted.
pub(super) fn known(layout: &Layout, args: &UpArgs, programs: &Programs, spec: &ChainSpec) -> Result<String, Exit> {
    let (folder, expected) = (layout.directory().display(), spec.parameters().manifest_hash);
    let last = last(layout)?;
    let name = args.model.clone().or_else(|| last.clone()).unwrap_or_else(|| DEFAULT.to_owned());
    if args.no_ai || last.as_ref() == Some(&name) && expected != Hash32::ZERO {
        return Ok(name);
    }
    if expected == Hash32::ZERO {
        return Err(Exit::usage(format!("{folder}: its chain names no model: polai up --no-ai, or another --data-dir")));
    }
    // A folder from before names were kept: ml-sidecar compares by itself.
    if args.model.is_some() {
        let found = manifest(layout, &name, programs)?;
        if found != expected {
            let was = last.map(|last| format!(" ({last:?})")).unwrap_or_default();
            return Err(Exit::usage(format!(
                "{folder}: its chain was made with another base model{was} than {name:?}: leave --model out, or give another --data-dir"
            )));
        }
        write(&layout.model_name(), name.as_bytes())?;
    }
    Ok(name)
}

fn last(layout: &Layout) -> Result<Option<String>, Exit> {
    let path = layout.model_name();
    match fs::metadata(&path)
        .and_then(|found| if found.len() > NAME_BYTES { Ok(String::new()) } else { fs::read_to_string(&path) })
    {
        Ok(name) => Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Exit::failure(format!("{}: {error}", path.display()))),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Exit> {
    write_durably(path, bytes, Access::Everybody).map_err(|error| Exit::failure(format!("{}: {error}", path.display())))
}

/// Tables of a chain without a model.
fn nothing() -> Result<BaseModel, Exit> {
    let (manifest_hash, dev_texts_hash) = (Hash32::ZERO, Hash32::ZERO);
    let zero = NanoNats::new(0).ok_or_else(|| Exit::failure("zero is a loss"))?;
    Ok(BaseModel {
        manifest_hash,
        shape: Shape::new(1, 1, 1, 1, 1).or_usage()?,
        dev_texts_hash,
        reference_losses: [zero; SELF_TEST_TEXTS],
    })
}

/// Asks ml-sidecar what the chain must know of the model. The embedded model is made first, when it is not there.
fn describe(layout: &Layout, name: &str, programs: &Programs) -> Result<(), Exit> {
    let program = programs.find(programs::SIDECAR)?;
    say(&format!("model      {name}: preparing (the embedded one is made once, in about a minute)"));
    let mut command = Command::new(program);
    command.args(["model", "chain", "--model", name, "--output"]).arg(layout.model_tables());
    command.arg("--data-dir").arg(layout.directory());
    sidecar::of_model(command, name).map(drop)
}

/// Hash of the model's manifest, as ml-sidecar says it.
fn manifest(layout: &Layout, name: &str, programs: &Programs) -> Result<Hash32, Exit> {
    let mut command = Command::new(programs.find(programs::SIDECAR)?);
    command.args(["model", "info", "--model", name, "--data-dir"]).arg(layout.directory());
    let said = sidecar::of_model(command, name)?;
    let hash = said.lines().find_map(|line| line.strip_prefix("manifest ")?.trim().parse().ok());
    hash.ok_or_else(|| Exit::failure("ml-sidecar model info does not say the manifest: build all programs from one checkout"))
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser as _;
    use pol_core::{committee::QuorumRule, delta::Profile, genesis::ChainParameters, params::Preset};

    use super::*;
    use crate::args::{Args, Command as Subcommand};

    fn up(more: &[&str]) -> UpArgs {
        let args = Args::parse_from(["polai", "up"].iter().chain(more));
        let Subcommand::Up(up) = args.command else { panic!("no up") };
        *up
    }

    /// A chain whose model has this manifest.
    pub(crate) fn spec(manifest_hash: Hash32) -> ChainSpec {
        let model = nothing().unwrap();
        let parameters = ChainParameters {
            genesis_time: 1_800_000_000,
            preset: Preset::Minimal,
            slot_seconds: 3,
            chain_id: 1_337,
            genesis_validators_root: Hash32([1; 32]),
            execution_genesis_hash: Hash32([2; 32]),
            quorum: QuorumRule::Auto,
            difficulty_floor: 1_024,
            manifest_hash,
            shape: model.shape,
            dev_texts_hash: model.dev_texts_hash,
            reference_losses: model.reference_losses,
            profile: Profile::F16x20,
            dev_slash_small: false,
        };
        ChainSpec::new(&parameters).unwrap()
    }

    #[test]
    fn without_ml_sidecar_a_chain_of_blocks_alone_can_be_made_and_never_trains() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, programs) = (Layout::new(folder.path()), Programs::in_folders(vec![folder.path().to_owned()]));
        let line = new(&layout, &up(&[]), &programs).unwrap_err().to_string();
        assert!(line.contains("ml-sidecar is neither"), "{line}");
        let (_, tables) = new(&layout, &up(&["--no-ai"]), &programs).unwrap();
        let base = BaseModel::parse(&fs::read_to_string(tables).unwrap()).unwrap();
        assert_eq!(base.manifest_hash, Hash32::ZERO);
        let line = known(&layout, &up(&[]), &programs, &spec(Hash32::ZERO)).unwrap_err().to_string();
        assert!(line.contains("its chain names no model"), "{line}");
        assert!(known(&layout, &up(&["--no-ai"]), &programs, &spec(Hash32::ZERO)).is_ok());
    }

    #[test]
    fn the_name_of_the_model_is_kept_and_another_model_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (layout, programs) = (Layout::new(folder.path()), Programs::in_folders(vec![folder.path().to_owned()]));
        let sidecar = folder.path().join("ml-sidecar");
        // Says the manifest of `--model NAME` as that name's first letter, 64 times.
        let script =
            "#!/bin/sh\nletter=$(echo \"$4\" | cut -c1)\nprintf 'manifest %s\\n' \"$(printf '%64s' | tr ' ' \"$letter\")\"\n";
        fs::write(&sidecar, script).unwrap();
        fs::set_permissions(&sidecar, fs::Permissions::from_mode(0o755)).unwrap();
        let spec = spec(Hash32([0xaa; 32]));
        let known = |more: &[&str]| known(&layout, &up(more), &programs, &spec).map_err(|error| error.to_string());
        assert_eq!(known(&[]), Ok("embedded".to_owned()), "a folder from before");
        assert_eq!(known(&["--model", "aa/one"]), Ok("aa/one".to_owned()));
        assert_eq!(known(&[]), Ok("aa/one".to_owned()), "it need not be said again");
        assert_eq!(known(&["--model", "a-moved-one"]), Ok("a-moved-one".to_owned()));
        let line = known(&["--model", "bb"]).unwrap_err();
        assert!(line.contains("another base model (\"a-moved-one\") than \"bb\""), "{line}");
        assert_eq!(known(&[]), Ok("a-moved-one".to_owned()));
    }
}
