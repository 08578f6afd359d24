//! The genesis keys as Lighthouse takes them: an EIP-2335 keystore and a password file each.

use std::path::{Path, PathBuf};

use lighthouse_ack_quorum::signer::seal::seal;
use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::{Access, create_private_directory, write_durably},
};

use crate::{layout::Layout, seed, up::chain::Chain};

/// Rounds of PBKDF2. The keys follow from GENESIS_SEED, which lies in .env: a slow key derivation would protect nothing, and an
/// unoptimized validator client would open one for minutes.
const ROUNDS: u32 = 1_024;

/// Where they are.
#[derive(Debug)]
pub(in crate::up) struct Folders {
    pub(in crate::up) validators: PathBuf,
    pub(in crate::up) passwords: PathBuf,
}

/// Writes those that are not there. What is there stays: the folder also holds what was signed.
///
/// # Errors
/// The disk's.
pub(in crate::up) fn write(layout: &Layout, chain: &Chain) -> Result<Folders, Exit> {
    let home = layout.secrets().join("lighthouse");
    let folders = Folders { validators: home.join("validators"), passwords: home.join("passwords") };
    for folder in [&layout.secrets(), &home, &folders.validators, &folders.passwords] {
        create_private_directory(folder).or_usage()?;
    }
    let genesis = chain.seed.seed()?;
    for index in 0..chain.validators {
        let key = genesis.validator_key(index).or_usage()?;
        let name = format!("0x{}", hex::encode(key.public_key().to_bytes()));
        let folder = folders.validators.join(&name);
        let keystore = folder.join("voting-keystore.json");
        if keystore.exists() {
            continue;
        }
        create_private_directory(&folder).or_usage()?;
        let password = seed::random()?;
        let json = seal(&key, &password, ROUNDS, &format!("m/12381/3600/{index}/0/0"))
            .map_err(|error| Exit::failure(format!("no random bytes: {error}")))?;
        // The password first: a keystore without one cannot be opened.
        put(&folders.passwords.join(&name), password.as_bytes())?;
        put(&keystore, json.as_bytes())?;
    }
    Ok(folders)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Exit> {
    write_durably(path, bytes, Access::Owner).map_err(|error| Exit::failure(format!("{}: {error}", path.display())))
}
