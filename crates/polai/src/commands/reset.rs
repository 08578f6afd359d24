//! `polai reset`.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
};

use pol_kit::{exit::Exit, fs::LockError};

use crate::{
    args::ResetArgs,
    layout::Layout,
    run_file,
    up::{chain, say},
};

/// What belongs to one chain. Settings, models and data stay.
const OF_A_CHAIN: [&str; 12] = [
    "chain.toml",
    // What was signed is kept for as long as the chain can be run again.
    "secrets_data",
    "genesis.json",
    "model.toml",
    "model.name",
    "run.json",
    "testnet",
    "chain_data",
    "dht_db",
    "sidecar",
    "trainer",
    "logs",
];

/// Deletes the chain of a folder.
///
/// # Errors
/// The operator's: a node runs, nobody said yes, no folder of ours. The disk's.
pub fn reset(layout: &Layout, args: ResetArgs) -> Result<(), Exit> {
    let folder = layout.directory().display();
    if !layout.directory().is_dir() {
        return Err(Exit::usage(format!("{folder}: there is no such folder")));
    }
    let _lock = run_file::hold(layout).map_err(|error| match error {
        LockError::InUse { .. } => Exit::usage(format!("{folder}: a node runs here; polai down stops it")),
        error => error.into(),
    })?;
    let there: Vec<&str> = OF_A_CHAIN.into_iter().filter(|name| layout.directory().join(name).exists()).collect();
    // chain.toml is deleted last, so that a reset that was cut short can be done again.
    if there.is_empty() {
        say(&format!("{folder}: there is no chain"));
        return Ok(());
    }
    if chain::read(layout).is_ok_and(|chain| chain.is_none()) && there.iter().all(|name| !["testnet", "run.json"].contains(name))
    {
        return Err(Exit::usage(format!("{folder}: no chain.toml in it: nothing is deleted of what may be somebody else's")));
    }
    if !args.yes {
        ask(layout, &there)?;
    }
    for name in there.iter().rev() {
        let path = layout.directory().join(name);
        let done = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        done.map_err(|error| Exit::failure(format!("{}: {error}", path.display())))?;
    }
    say(&format!("{folder}: deleted {}", there.join(", ")));
    Ok(())
}

fn ask(layout: &Layout, there: &[&str]) -> Result<(), Exit> {
    let folder = layout.directory().display();
    if !io::stdin().is_terminal() {
        return Err(Exit::usage(format!("{folder}: nobody to ask; --yes deletes {}", there.join(", "))));
    }
    print!(
        "{folder}: delete the chain, with its keys and what they signed ({})? Never where other nodes go on with this chain. [y/N] ",
        there.join(", ")
    );
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim()) { Ok(()) } else { Err(Exit::failure("nothing was deleted")) }
}

#[cfg(test)]
mod tests {
    use pol_kit::fs::lock_directory;

    use super::*;

    #[test]
    fn a_chain_is_deleted_and_settings_and_models_stay() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let yes = ResetArgs { yes: true };
        for name in ["testnet", "chain_data", "models", "model_cache"] {
            fs::create_dir_all(folder.path().join(name).join("x")).unwrap();
        }
        for name in ["chain.toml", "run.json", ".env"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let lock = lock_directory(folder.path()).unwrap();
        let line = reset(&layout, yes).unwrap_err().to_string();
        assert!(line.contains("a node runs here"), "{line}");
        drop(lock);
        reset(&layout, yes).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".env", "LOCK", "model_cache", "models"]);
        reset(&layout, yes).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let line = reset(&Layout::new(folder.path()), ResetArgs { yes: true }).unwrap_err().to_string();
        assert!(line.contains("no chain.toml") && folder.path().join("logs").exists(), "{line}");
    }
}
