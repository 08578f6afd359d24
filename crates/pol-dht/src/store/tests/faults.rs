//! Kills and full disks, in processes of their own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;

const DIRECTORY: &str = "POL_DHT_TEST_DIRECTORY";

/// The directory, when this process is the one to be killed.
fn victim() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

/// This very test again, in another process; `limit_kib` bounds its files' size.
fn start(test: &str, dir: &Scratch, limit_kib: Option<u32>) -> Child {
    let limit = limit_kib.map_or_else(|| "unlimited".to_owned(), |kib| (kib * 2).to_string());
    // POSIX counts 512-byte blocks. An ignored signal stays ignored over exec: writing beyond then fails instead of killing.
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" --exact --nocapture \"$1\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().unwrap())
        .arg(format!("store::tests::faults::{test}"))
        .env(DIRECTORY, dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_kill_loses_no_synced_put_and_leaves_a_store_that_opens() {
    let test = "a_kill_loses_no_synced_put_and_leaves_a_store_that_opens";
    let record = |i: u64| cheap_ack(update(i), i, Standing::Member, NOW);
    if let Some(directory) = victim() {
        let store = Store::open(&directory, CHAIN, StoreLimits::default()).unwrap();
        for i in 0.. {
            let commit = if i % 5 == 0 { Commit::Synced } else { Commit::Lazy };
            store.put(&record(i), commit, NOW).unwrap();
            let bytes = vec![7; 100 + usize::try_from(i % 1_000).unwrap()];
            store.deltas().add(UpdateId(pol_core::sha256(&[&bytes])), &bytes).unwrap();
            println!("\nput {i}");
        }
    }
    for round in 1..=3 {
        let dir = Scratch::new();
        let mut child = start(test, &dir, None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = 0;
        for line in lines {
            if let Some(i) = line.unwrap().strip_prefix("put ") {
                last = i.parse().unwrap();
            }
            if last >= 100 * round {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        fs::write(dir.path().join("deltas").join(format!("{}.tmp", update(1))), b"half").unwrap();

        let store = open(&dir);
        let synced = last - last % 5;
        for i in 0..=synced {
            let record = record(i);
            assert_eq!(store.get(record.key(), NOW).unwrap().unwrap().value, record.envelope()[record.value.clone()]);
        }
        let (members, _) = store.counts().unwrap();
        assert_eq!(store.digest().unwrap().count(), members, "no half of a transaction");
        let deltas = store.deltas();
        assert!(deltas.usage().0 > usize::try_from(last).unwrap());
        for id in deltas.ids(None, 10_000) {
            assert!(deltas.get(&id).unwrap().is_some());
        }
        assert!(
            fs::read_dir(dir.path().join("deltas"))
                .unwrap()
                .all(|file| { file.unwrap().file_name().to_string_lossy().ends_with(".pld1") })
        );
    }
}

#[test]
fn a_full_disk_refuses_puts_clearly_and_serves_gets() {
    let test = "a_full_disk_refuses_puts_clearly_and_serves_gets";
    let Some(directory) = victim() else {
        let dir = Scratch::new();
        let mut child = start(test, &dir, Some(4_096));
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "was full"), "{lines:#?}");
        // With room again, everything synced is there, and puts go on.
        let store = open(&dir);
        let (members, _) = store.counts().unwrap();
        assert!(members > 100);
        assert_eq!(store.digest().unwrap().count(), members);
        let record = cheap_ack(update(1_000_000), 1, Standing::Member, NOW);
        assert_eq!(store.put(&record, Commit::Synced, NOW).unwrap(), Put::Inserted);
        return;
    };
    let store = Store::open(&directory, CHAIN, StoreLimits::default()).unwrap();
    let batch = |i: u64| (0..50).map(|j| cheap_ack(update(i), j, Standing::Member, NOW)).collect::<Vec<_>>();
    let mut held = 0;
    let error = loop {
        match store.put_all(&batch(held), Commit::Synced, NOW) {
            Ok(_) => held += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull), "{error}");
    for now in [NOW, NOW + handle::RETRY_SECONDS, NOW + 5 * handle::RETRY_SECONDS] {
        let refused = store.put_all(&batch(held), Commit::Synced, now).unwrap_err();
        assert!(matches!(refused, StoreError::DiskFull), "{refused}");
        for i in 0..held {
            assert_eq!(store.acks(update(i), 100, now).unwrap().len(), 50);
        }
    }
    println!("\nwas full");
}

#[test]
fn a_delta_that_finds_no_room_on_the_disk_is_refused_and_leaves_nothing_behind() {
    let test = "a_delta_that_finds_no_room_on_the_disk_is_refused_and_leaves_nothing_behind";
    let Some(directory) = victim() else {
        let dir = Scratch::new();
        let mut child = start(test, &dir, Some(64));
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "was full"), "{lines:#?}");
        return;
    };
    let store = DeltaStore::open(&directory.join("deltas"), DeltaLimits::default()).unwrap();
    let add = |bytes: &[u8]| store.add(UpdateId(pol_core::sha256(&[bytes])), bytes);
    assert!(add(&[1; 60_000]).unwrap());
    let error = add(&[2; 100_000]).unwrap_err();
    assert!(matches!(error, DeltaError::Store(StoreError::DiskFull)), "{error}");
    assert_eq!(fs::read_dir(directory.join("deltas")).unwrap().count(), 1);
    assert_eq!(store.get(&UpdateId(pol_core::sha256(&[&[1; 60_000]]))).unwrap().unwrap(), [1; 60_000]);
    assert!(add(&[3; 60_000]).unwrap());
    println!("\nwas full");
}
