//! `polai genesis` as a person starts it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use pol_core::genesis::ChainSpec;
use tempfile::tempdir;

const SEED: &str = "3333333333333333333333333333333333333333333333333333333333333333";

fn model(losses: usize) -> String {
    let (hash, losses) = ("07".repeat(32), vec!["2000000000"; losses].join(", "));
    format!(
        "[model]\nmanifest_hash = \"{hash}\"\nlayers = 2\nhidden = 64\nquery = 64\nkey_value = 32\nintermediate = 96\n\n\
         [gate]\ndev_texts_hash = \"{hash}\"\nreference_losses = [{losses}]\n"
    )
}

fn genesis(folder: &Path, more: &[&str]) -> Output {
    let model_file = folder.join("model.toml");
    if !model_file.exists() {
        fs::write(&model_file, model(32)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_polai"));
    for name in ["GENESIS_SEED", "GENESIS_TIME", "AI_QUORUM", "POLAI_DATA_DIR"] {
        command.env_remove(name);
    }
    command.arg("genesis").arg("--data-dir").arg(folder.join("data")).arg("--model").arg(model_file).args(more).output().unwrap()
}

fn files(folder: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let names =
        ["chain.toml", "genesis.json", "testnet/config.yaml", "testnet/genesis.ssz", "testnet/deposit_contract_block.txt"];
    names.map(|name| (name, fs::read(folder.join("data").join(name)).unwrap())).into()
}

fn refused(output: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains(says), "{stderr}");
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_doing_it_twice_changes_nothing() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let options = ["--seed", SEED, "--genesis-time", "1800000000", "--validators", "4"];
    for folder in &folders {
        let made = genesis(folder.path(), &options);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    let [one, two] = folders.each_ref().map(|folder| files(folder.path()));
    assert!(one == two);
    let secret = |at: usize| fs::read(folders[at].path().join("data/secrets_data/jwt.hex")).unwrap();
    assert_ne!(secret(0), secret(1), "a secret of each node's own");
    let before = secret(0);
    // Without a time: the chain's own.
    let again = genesis(folders[0].path(), &["--seed", SEED, "--validators", "4"]);
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("there already"));
    assert!(files(folders[0].path()) == one && secret(0) == before);
    let spec = ChainSpec::parse(std::str::from_utf8(&one["chain.toml"]).unwrap()).unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains(&spec.genesis_id().to_string()));
}

#[test]
fn a_folder_of_another_chain_and_bad_inputs_are_one_line_and_exit_code_2() {
    let folder = tempdir().unwrap();
    let options = ["--seed", SEED, "--genesis-time", "1800000000"];
    assert!(genesis(folder.path(), &options).status.success());
    let before = files(folder.path());
    refused(&genesis(folder.path(), &["--seed", SEED, "--validators", "2"]), "of another chain");
    refused(&genesis(folder.path(), &["--seed", &SEED.replace('3', "4")]), "of another chain");
    assert!(files(folder.path()) == before);

    let other = tempdir().unwrap();
    fs::write(other.path().join("model.toml"), model(31)).unwrap();
    refused(&genesis(other.path(), &options), "reference_losses");
    fs::write(other.path().join("model.toml"), model(32).replace("layers = 2", "layers = 0")).unwrap();
    refused(&genesis(other.path(), &options), "layers");
    fs::write(other.path().join("model.toml"), "x".repeat(70_000)).unwrap();
    refused(&genesis(other.path(), &options), "model.toml: longer than 65536 bytes");
    assert!(!other.path().join("data/chain.toml").exists());
}
