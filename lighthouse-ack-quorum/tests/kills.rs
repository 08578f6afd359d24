//! Killed at any moment between the guard's write and the signature: never two result roots under one key, update and head.
#![allow(missing_docs, unreachable_pub)]

#[path = "../src/fixtures.rs"]
mod fixtures;

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use lighthouse_ack_quorum::{
    guard::{Candidate, Guard},
    signer::Signer,
};
use pol_core::{ModelHead, ResultRoot, ack::AckData, sha256};

const FOLDER: &str = "ACK_QUORUM_KILLS_FOLDER";
const SEED: &str = "ACK_QUORUM_KILLS_SEED";
const HEAD: ModelHead = ModelHead([2; 32]);
const UPDATES: u64 = 24;
const KEYS: u64 = 2;

/// Numbers that follow from a seed.
fn draw(seed: u64, round: u64, below: u64) -> u64 {
    let digest = sha256(&[b"kills", &seed.to_le_bytes(), &round.to_le_bytes()]);
    u64::from_le_bytes(*digest.first_chunk().unwrap()) % below
}

fn open(folder: &Path) -> Guard {
    Guard::open(&folder.join("guard"), fixtures::spec().delta_context(), fixtures::domains()).unwrap()
}

/// Signs what the guard lets pass until it is killed, or kills itself between a receipt and its signature.
#[test]
#[ignore = "it is the process that the other tests start and kill"]
fn child() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("started by the tests of this file"));
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let guard = open(&folder);
    let signer = Signer::new((0..KEYS).map(fixtures::secret), fixtures::domains());
    let keys: Vec<[u8; 48]> = (0..KEYS).map(fixtures::public).collect();
    let mut signed = OpenOptions::new().create(true).append(true).open(folder.join("signed")).unwrap();
    eprintln!("ready");
    // Even seeds kill themselves at the worst place, odd ones are killed from outside.
    let aborts_at = if seed.is_multiple_of(2) { draw(seed, u64::MAX, 12) } else { u64::MAX };
    let mut receipts = 0;
    for round in 0.. {
        let delta = fixtures::delta(draw(seed, 3 * round, UPDATES), HEAD, 0);
        let result_root = ResultRoot([u8::try_from(draw(seed, 3 * round + 1, 3)).unwrap(); 32]);
        let data = AckData { update_id: delta.update_id(), model_head: HEAD, result_root };
        for receipt in guard.acks(&Candidate::from(delta), &data, &keys).unwrap().into_iter().flatten() {
            receipts += 1;
            if receipts > aborts_at {
                std::process::abort();
            }
            let ack = signer.ack(receipt).unwrap();
            writeln!(signed, "{} {} {}", hex::encode(ack.public_key()), data.update_id, data.result_root).unwrap();
        }
    }
}

fn kill(folder: &Path, seed: u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child", "--nocapture"]).env(FOLDER, folder).env(SEED, seed.to_string());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "seed {seed}");
    if !seed.is_multiple_of(2) {
        std::thread::sleep(Duration::from_micros(draw(seed, u64::MAX, 20_000)));
        child.kill().unwrap();
    }
    assert!(!child.wait().unwrap().success());
}

fn never_two(kills: u64) {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..kills {
        kill(folder.path(), seed);
    }
    let text = std::fs::read_to_string(folder.path().join("signed")).unwrap();
    let mut roots = BTreeMap::new();
    let guard = open(folder.path());
    for line in text.lines() {
        let [key, update, root] = line.split(' ').collect::<Vec<_>>()[..] else {
            // The last write of a killed process may be cut short.
            continue;
        };
        let first = *roots.entry((key, update)).or_insert(root);
        assert_eq!(first, root, "two roots for {update} by {key}");
        let data = AckData { update_id: update.parse().unwrap(), model_head: HEAD, result_root: root.parse().unwrap() };
        let key: [u8; 48] = hex::decode(key).unwrap().try_into().unwrap();
        assert!(guard.knows_ack(&key, &data).unwrap(), "a signature without a row");
    }
    let most = usize::try_from(UPDATES * KEYS).unwrap();
    assert!(roots.len() > most / 2, "only {} of {most} were signed: the kills came too early to show anything", roots.len());
}

#[test]
fn no_kill_between_guard_and_signature_gives_two_roots() {
    never_two(60);
}

#[test]
fn long_500_kills_between_guard_and_signature_give_no_two_roots() {
    never_two(500);
}
