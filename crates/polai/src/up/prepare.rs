//! `polai prepare`: what `polai up` makes before it starts anything, for processes that somebody else starts.
//!
//! # What it does not protect against
//! Whoever can read .env of the folder holds every genesis key, as with `polai up`.

use std::path::Path;

use pol_kit::{
    clock::System,
    exit::{Exit, OrUsage as _},
    fs::{Access, create_private_directory, remove_unfinished, write_durably},
    limits::ENV_FILE_BYTES,
};
use zeroize::Zeroizing;

use super::{chain, in_use, lighthouse::keys, preflight, say};
use crate::{
    args::UpArgs,
    layout::Layout,
    programs::Programs,
    read::{ReadError, read_text_bounded},
    run_file, seed,
};

/// Makes all of it, or finds that it is there.
///
/// # Errors
/// As `polai up`: the operator's, exit code 2, one line each; the disk's.
pub fn run(layout: &Layout, args: &UpArgs) -> Result<(), Exit> {
    let (clock, programs) = (System::new(), Programs::of_process());
    create_private_directory(layout.directory()).or_usage()?;
    let _lock = run_file::hold(layout).map_err(in_use)?;
    preflight::check(layout, &clock)?;
    remove_unfinished(layout.directory())?;
    let chain = chain::find_or_make(layout, args, &programs, &clock)?;
    let trainer = seed::trainer(&layout.trainer_key())?;
    keys::write(layout, &chain)?;
    let validators = format!("0-{}", chain.validators.saturating_sub(1));
    let settings = [
        ("GENESIS_SEED", chain.seed.digits()),
        ("BEACON_VALIDATORS", &validators),
        ("AI_VALIDATORS", &validators),
        ("AI_TRAINERS", &trainer),
    ];
    let path = layout.env_file();
    set(&path, &settings)?;
    let (what, made) = (chain::summary(&chain.spec.parameters(), chain.validators), if chain.is_new { ", made" } else { "" });
    say(&format!("chain      {}{made}: {what}", chain.spec.genesis_id()));
    Ok(())
}

/// Sets variables of a .env file, in place of what it says of them. Only its owner can read it from then on.
fn set(path: &Path, settings: &[(&str, &str)]) -> Result<(), Exit> {
    let old = Zeroizing::new(read_text_bounded(path, ENV_FILE_BYTES).map_err(ReadError::exit)?.unwrap_or_default());
    let ours = |line: &&str| settings.iter().any(|(name, _)| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')));
    let mut text = Zeroizing::new(String::new());
    let kept = old.lines().filter(|line| !ours(line)).map(str::to_owned);
    for line in kept.chain(settings.iter().map(|(name, value)| format!("{name}={value}"))) {
        text.push_str(&line);
        text.push('\n');
    }
    if *text == *old {
        return Ok(());
    }
    write_durably(path, text.as_bytes(), Access::Owner).map_err(|error| Exit::failure(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn settings_replace_their_lines_and_nothing_else_and_the_file_becomes_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, "# mine\nA_B=1\nA=2").unwrap();
        set(&path, &[("A", "3"), ("C", "4")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nA_B=1\nA=3\nC=4\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        set(&path, &[("A", "3"), ("C", "4")]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\nA_B=1\nA=3\nC=4\n");
    }
}
