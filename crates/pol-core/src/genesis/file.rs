//! chain.toml as text.

use serde::{Deserialize, Serialize};

use super::{
    BaseModel, CHAIN_TOML_BYTES_MAX, ChainParameters, ChainSpec, GenesisError, fixed_quorum,
    model::{GateTable, ModelTable},
};
use crate::{
    Hash32,
    committee::QuorumRule,
    delta::Profile,
    params::{LORA_ALPHA, LORA_DROPOUT_PPM, LORA_RANK, Preset},
    text,
};

const TARGETS: [&str; 7] = ["q", "k", "v", "o", "gate", "up", "down"];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    genesis_time: u64,
    preset: String,
    slot_seconds: u64,
    chain_id: u64,
    genesis_validators_root: String,
    execution_genesis_hash: String,
    quorum: Quorum,
    difficulty_floor: u64,
    profile: u64,
    dev_slash_small: bool,
    model: ModelTable,
    gate: GateTable,
    lora: Lora,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Quorum {
    Name(String),
    Number(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lora {
    rank: u64,
    alpha: u64,
    dropout_ppm: u64,
    targets: Vec<String>,
}

pub(super) fn hash(field: &'static str, value: &str) -> Result<Hash32, GenesisError> {
    Ok(Hash32(text::lower_hex(field, value)?))
}

pub(super) fn parse(text: &str) -> Result<ChainSpec, GenesisError> {
    if text.len() > CHAIN_TOML_BYTES_MAX {
        return Err(GenesisError::TooLong { found: text.len() });
    }
    let file: File = toml::from_str(text)?;
    check_lora(&file.lora)?;
    let preset = [Preset::Minimal, Preset::Mainnet].into_iter().find(|p| p.name() == file.preset);
    let quorum = match &file.quorum {
        Quorum::Name(name) if name == "auto" => QuorumRule::Auto,
        Quorum::Name(_) => return Err(GenesisError::Name { field: "quorum", expected: "\"auto\", 1 to 512" }),
        Quorum::Number(number) => fixed_quorum(*number)?,
    };
    let profile = u8::try_from(file.profile).ok().and_then(Profile::from_byte);
    let model = BaseModel::of_tables(&file.model, &file.gate)?;
    ChainSpec::new(&ChainParameters {
        genesis_time: file.genesis_time,
        preset: preset.ok_or(GenesisError::Name { field: "preset", expected: "minimal, mainnet" })?,
        slot_seconds: file.slot_seconds,
        chain_id: file.chain_id,
        genesis_validators_root: hash("genesis_validators_root", &file.genesis_validators_root)?,
        execution_genesis_hash: hash("execution_genesis_hash", &file.execution_genesis_hash)?,
        quorum,
        difficulty_floor: file.difficulty_floor,
        manifest_hash: model.manifest_hash,
        shape: model.shape,
        dev_texts_hash: model.dev_texts_hash,
        reference_losses: model.reference_losses,
        profile: profile.ok_or(GenesisError::Range { field: "profile", found: file.profile, least: 1, most: 2 })?,
        dev_slash_small: file.dev_slash_small,
    })
}

fn check_lora(lora: &Lora) -> Result<(), GenesisError> {
    let fixed = |holds, field, expected| if holds { Ok(()) } else { Err(GenesisError::Fixed { field, expected }) };
    fixed(lora.rank == u64::from(LORA_RANK), "lora.rank", "8")?;
    fixed(lora.alpha == u64::from(LORA_ALPHA), "lora.alpha", "16")?;
    fixed(lora.dropout_ppm == u64::from(LORA_DROPOUT_PPM), "lora.dropout_ppm", "50000")?;
    fixed(lora.targets == TARGETS, "lora.targets", "[\"q\", \"k\", \"v\", \"o\", \"gate\", \"up\", \"down\"]")
}

pub(super) fn write(spec: &ChainSpec) -> String {
    let p = spec.parameters();
    let (model, gate) = spec.model().tables();
    let file = File {
        genesis_time: p.genesis_time,
        preset: p.preset.name().to_owned(),
        slot_seconds: p.slot_seconds,
        chain_id: p.chain_id,
        genesis_validators_root: p.genesis_validators_root.to_string(),
        execution_genesis_hash: p.execution_genesis_hash.to_string(),
        quorum: match p.quorum {
            QuorumRule::Auto => Quorum::Name("auto".to_owned()),
            QuorumRule::Fixed(number) => Quorum::Number(u64::from(number.get())),
        },
        difficulty_floor: p.difficulty_floor,
        profile: u64::from(p.profile.byte()),
        dev_slash_small: p.dev_slash_small,
        model,
        gate,
        lora: Lora {
            rank: u64::from(LORA_RANK),
            alpha: u64::from(LORA_ALPHA),
            dropout_ppm: u64::from(LORA_DROPOUT_PPM),
            targets: TARGETS.map(str::to_owned).to_vec(),
        },
    };
    // Every number is below 2^63 by ChainSpec's ranges, so this cannot fail; an empty text would be refused by every reader.
    toml::to_string(&file).unwrap_or_default()
}
