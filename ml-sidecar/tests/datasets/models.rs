//! Models of a hub.

use std::path::PathBuf;

use ml_sidecar::{
    fetch::{HubModelError, hub_model},
    hub::HubError,
};

use super::*;
use crate::server::{Fault, Repositories};

fn repositories() -> Repositories {
    let with = |files: &[(&str, &[u8])]| files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    let weights = vec![7_u8; (5 << 20) + 3];
    Repositories::from([
        (
            "org/good".to_owned(),
            with(&[
                ("config.json", b"{\"a\":1}"),
                ("tokenizer.json", b"{}"),
                ("model.safetensors", &weights),
                ("README.md", b"x"),
                ("onnx/model.bin", b"x"),
            ]),
        ),
        ("org/pickle".to_owned(), with(&[("config.json", b"{}"), ("tokenizer.json", b"{}"), ("pytorch_model.bin", b"x")])),
        ("org/bare".to_owned(), with(&[("config.json", b"{}"), ("model.safetensors", b"x")])),
    ])
}

#[test]
fn a_model_is_fetched_as_the_folder_it_is_loaded_from() {
    let (server, folder) = (TestHub::start(repositories()), tempfile::tempdir().unwrap());
    let hub = hub(&args(&server, folder.path()), folder.path(), BUDGET);
    let model = hub_model("org/good", &hub, &folder.path().join("model_cache")).unwrap();
    assert_eq!(model, folder.path().join("model_cache/org--good"));
    let mut names: Vec<_> =
        std::fs::read_dir(&model).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(std::fs::read(model.join("model.safetensors")).unwrap(), vec![7_u8; (5 << 20) + 3]);
    server.sent();
    hub_model("org/good", &hub, &folder.path().join("model_cache")).unwrap();
    assert_eq!(server.sent(), 0, "not fetched twice");
}

#[test]
fn a_model_that_stops_half_way_goes_on_and_a_wrong_one_is_refused() {
    let (server, folder) = (TestHub::start(repositories()), tempfile::tempdir().unwrap());
    let hub = hub(&args(&server, folder.path()), folder.path(), BUDGET);
    server.set(Fault::Hash);
    let error = hub_model("org/good", &hub, folder.path()).unwrap_err();
    assert!(matches!(error, HubModelError::Hub(HubError::Hash { .. })), "{error}");
    server.set(Fault::StopTimes(3));
    let model = hub_model("org/good", &hub, folder.path()).unwrap();
    assert_eq!(std::fs::metadata(model.join("model.safetensors")).unwrap().len(), (5 << 20) + 3);
}

/// The one file of the cache with more than a block.
fn weights_in(folder: &Path) -> PathBuf {
    let mut blocks = std::fs::read_dir(folder.join("cache/blocks")).unwrap().map(|entry| entry.unwrap().path());
    blocks.find(|blocks| std::fs::metadata(blocks.join("data")).unwrap().len() > 1 << 20).unwrap()
}

#[test]
fn a_whole_file_that_a_killed_process_did_not_compare_is_compared_before_it_is_given_out() {
    let (server, folder) = (TestHub::start(repositories()), tempfile::tempdir().unwrap());
    let args = args(&server, folder.path());
    let fetch = || hub_model("org/good", &hub(&args, folder.path(), BUDGET), &folder.path().join("model_cache"));
    fetch().unwrap();
    // Killed after the last block of a hub that lies: all blocks fit their own hashes, and nothing says that the whole was compared.
    let blocks = weights_in(folder.path());
    let mut data = std::fs::read(blocks.join("data")).unwrap();
    data[3 << 20] ^= 1;
    let records = (0_u32..)
        .zip(data.chunks(1 << 20))
        .flat_map(|(number, block)| number.to_le_bytes().into_iter().chain(pol_core::sha256(&[block])).collect::<Vec<u8>>());
    std::fs::write(blocks.join("journal"), records.collect::<Vec<u8>>()).unwrap();
    std::fs::write(blocks.join("data"), &data).unwrap();
    std::fs::remove_file(blocks.join("verified")).unwrap();
    server.sent();
    let error = fetch().unwrap_err();
    assert!(matches!(error, HubModelError::Hub(HubError::Hash { .. })) && server.sent() < 1 << 20, "{error}");
    // What was wrong is gone.
    let model = fetch().unwrap();
    assert_eq!(std::fs::read(model.join("model.safetensors")).unwrap(), vec![7_u8; (5 << 20) + 3]);
}

#[test]
fn a_damaged_block_that_is_fetched_again_is_compared_with_the_whole_again() {
    let (server, folder) = (TestHub::start(repositories()), tempfile::tempdir().unwrap());
    let args = args(&server, folder.path());
    let fetch = || hub_model("org/good", &hub(&args, folder.path(), BUDGET), &folder.path().join("model_cache"));
    fetch().unwrap();
    let blocks = weights_in(folder.path());
    assert!(blocks.join("verified").exists());
    let mut data = std::fs::read(blocks.join("data")).unwrap();
    let middle = data.len() / 2;
    data[middle] ^= 8;
    std::fs::write(blocks.join("data"), &data).unwrap();
    // The hub gives another block now: no hash of a block tells that, only the whole file's.
    server.set(Fault::Hash);
    let error = fetch().unwrap_err();
    assert!(matches!(error, HubModelError::Hub(HubError::Hash { .. })), "{error}");
    server.set(Fault::None);
    let model = fetch().unwrap();
    assert_eq!(std::fs::read(model.join("model.safetensors")).unwrap(), vec![7_u8; (5 << 20) + 3]);
}

#[test]
fn a_model_without_what_it_needs_is_refused() {
    let (server, folder) = (TestHub::start(repositories()), tempfile::tempdir().unwrap());
    let hub = hub(&args(&server, folder.path()), folder.path(), BUDGET);
    for (id, expected) in
        [("org/pickle", "pickle"), ("org/bare", "tokenizer.json"), ("org/none", "does not exist"), ("../x", "owner/name")]
    {
        let error = hub_model(id, &hub, folder.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
