//! The genesis folder (docs/PROTOCOL.md sections 2.1 and 5): the two halves of a chain, made from the same inputs.
//!
//! # Contract
//! The validators root follows from the seed, the execution block's hash from seed, time, chain id and floor; with both, chain.toml names
//! the chain; with the name, genesis.json gets its custom keys and genesis.ssz its fork versions. Same inputs, same bytes. The JWT secret
//! is random: a secret that follows from a seed which others know protects nothing.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use pol_beacon::genesis::{GenesisFiles, GenesisInputs, validators_root};
use pol_core::{
    GenesisId, Hash32,
    delta::Profile,
    genesis::{BaseModel, CHAIN_TOML_BYTES_MAX, ChainParameters, ChainSpec},
};
use pol_kit::{
    clock::Clock,
    exit::{Exit, OrUsage as _},
    fs::{Access, create_private_directory, write_durably},
    jwt::Secret,
};
use reth_ai_exex::genesis::{DEPOSIT_CONTRACT, GenesisDraft, GenesisParameters};

use crate::{
    args::GenesisArgs,
    read::{ReadError, read_bounded, read_text_bounded},
};

/// Without GENESIS_TIME, slot 0 is so many seconds away.
const LEAD_SECONDS: u64 = 30;
/// Bytes of chain.toml, and of the model's part of it, at most.
pub(crate) const CHAIN_BYTES: u64 = CHAIN_TOML_BYTES_MAX as u64;
const CHAIN_FILE: &str = "chain.toml";

/// A genesis folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it is.
    pub directory: PathBuf,
    /// The chain's name.
    pub genesis_id: GenesisId,
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Validators.
    pub validators: u32,
    /// Whether it was there already.
    pub is_old: bool,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, genesis_id, genesis_time, validators, is_old } = self;
        let (directory, state) = (directory.display(), if *is_old { "is there already" } else { "made" });
        write!(f, "genesis {genesis_id} {state} in {directory}: {validators} validator(s), slot 0 at {genesis_time}")
    }
}

/// Name below the data directory, and bytes.
pub type NamedFile = (String, Vec<u8>);

/// The chain, and each file but the secret.
///
/// # Errors
/// The operator's: options that make no chain.
pub fn files(args: &GenesisArgs, genesis_time: u64, model: &BaseModel) -> Result<(ChainSpec, Vec<NamedFile>), Exit> {
    let (seed, chain_id, difficulty_floor) = (args.seed.clone(), args.chain_id, args.difficulty_floor);
    let draft = GenesisDraft::build(&GenesisParameters { seed, genesis_time, chain_id, difficulty_floor }).or_usage()?;
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time,
        preset: args.preset,
        slot_seconds: args.slot_seconds,
        chain_id,
        genesis_validators_root: validators_root(&args.seed, args.validators).or_usage()?,
        execution_genesis_hash: Hash32(draft.hash().0),
        quorum: args.quorum.0,
        difficulty_floor,
        manifest_hash: model.manifest_hash,
        shape: model.shape,
        dev_texts_hash: model.dev_texts_hash,
        reference_losses: model.reference_losses,
        profile: Profile::F16x20,
        dev_slash_small: args.dev_slash_small,
    })
    .or_usage()?;
    let header = reth_ai_exex::header::to_core(draft.header()).or_usage()?;
    let genesis = draft.finish(&spec).or_usage()?;
    let inputs = GenesisInputs {
        chain: &spec,
        seed: &args.seed,
        validators: args.validators,
        execution: &header,
        deposit_contract: DEPOSIT_CONTRACT,
    };
    let beacon = GenesisFiles::new(&inputs).or_usage()?;
    let mut files = vec![("genesis.json".to_owned(), genesis.to_json().or_usage()?.into_bytes())];
    files.extend(beacon.files().map(|(name, bytes)| (format!("testnet/{name}"), bytes.to_vec())));
    // Last: a folder with chain.toml is whole.
    files.push((CHAIN_FILE.to_owned(), spec.to_toml().into_bytes()));
    Ok((spec, files))
}

/// Reads the file that `ml-sidecar model chain` writes.
fn base_model(path: &Path) -> Result<BaseModel, Exit> {
    let at = |error: &dyn fmt::Display| Exit::usage(format!("{}: {error}", path.display()));
    let text = read_text_bounded(path, CHAIN_BYTES).or_usage()?.ok_or_else(|| at(&io::Error::from(io::ErrorKind::NotFound)))?;
    BaseModel::parse(&text).map_err(|error| at(&error))
}

/// Makes the folder, or finds that it is there.
///
/// # Errors
/// The operator's, exit code 2: bad inputs, a folder of another chain. A disk that fails, exit code 1.
pub fn make(directory: &Path, args: &GenesisArgs, clock: &dyn Clock) -> Result<Folder, Exit> {
    let model = base_model(&args.model)?;
    let old = old_time(directory)?;
    let genesis_time = args.genesis_time.or(old).unwrap_or_else(|| clock.unix_seconds().saturating_add(LEAD_SECONDS));
    let (spec, files) = files(args, genesis_time, &model)?;
    for (name, bytes) in &files {
        let path = directory.join(name);
        // A longer file is another one.
        match read_bounded(&path, u64::try_from(bytes.len()).unwrap_or(u64::MAX)) {
            Ok(Some(found)) if found == *bytes => {}
            // Without chain.toml nothing of it is a chain: what a kill has left is made again.
            Ok(_) | Err(ReadError::TooLong { .. }) if old.is_none() => {}
            Err(error @ ReadError::Io { .. }) => return Err(error.exit()),
            _ => {
                let path = path.display();
                return Err(Exit::usage(format!("{path}: of another chain than these options make; give another --data-dir")));
            }
        }
    }
    if old.is_none() {
        create_private_directory(directory).or_usage()?;
        create_private_directory(&directory.join("testnet")).or_usage()?;
        for (name, bytes) in &files {
            let path = directory.join(name);
            write_durably(&path, bytes, Access::Everybody).map_err(|error| failed(&path, &error))?;
        }
    }
    let secrets = directory.join("secrets_data");
    create_private_directory(&secrets).or_usage()?;
    Secret::load_or_create(&secrets.join("jwt.hex")).or_usage()?;
    Ok(Folder {
        directory: directory.to_owned(),
        genesis_id: spec.genesis_id(),
        genesis_time,
        validators: args.validators,
        is_old: old.is_some(),
    })
}

/// GENESIS_TIME of the chain that is there.
fn old_time(directory: &Path) -> Result<Option<u64>, Exit> {
    let path = directory.join(CHAIN_FILE);
    let text = read_text_bounded(&path, CHAIN_BYTES).map_err(ReadError::exit)?;
    let spec = text.map(|text| ChainSpec::parse(&text)).transpose();
    let spec = spec.map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?;
    Ok(spec.map(|spec| spec.parameters().genesis_time))
}

fn failed(path: &Path, error: &io::Error) -> Exit {
    Exit::failure(format!("{}: {error}", path.display()))
}
