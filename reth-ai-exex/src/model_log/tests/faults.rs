//! Kills and full disks, in processes of their own.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;

const DIRECTORY: &str = "POLAI_MODEL_LOG_TEST_DIRECTORY";

/// The directory, when this process is the one to be killed.
fn victim() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

/// This very test again, in another process; `limit_kib` bounds its files' size.
fn start(test: &str, directory: &TempDir, limit_kib: Option<u32>) -> Child {
    let limit = limit_kib.map_or_else(|| "unlimited".to_owned(), |kib| (kib * 2).to_string());
    // POSIX counts 512-byte blocks. An ignored signal stays ignored over exec: writing beyond then fails instead of killing.
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" --exact --nocapture \"$1\"");
    Command::new("sh")
        .args(["-c", &script])
        .arg(env::current_exe().unwrap())
        .arg(format!("model_log::tests::faults::{test}"))
        .env(DIRECTORY, directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The chain as the story of these tests has it at step `i`: it grows by one, every seventh step goes back three and takes another branch,
/// every fifth makes what is ten blocks deep final. A function of the step alone, so that both processes know it.
fn chain_at(steps: u64) -> (Vec<LogBlock>, u64) {
    let genesis = BlockNumHash::new(0, chain().genesis_hash());
    let (mut blocks, mut finalized): (Vec<LogBlock>, u64) = (Vec::new(), 0);
    for step in 1..=steps {
        if step.is_multiple_of(7) {
            blocks.truncate(blocks.len() - 3);
        }
        let on = blocks.last().map_or(genesis, |last| last.block);
        blocks.extend(run(on, 1, u8::try_from(step / 7 % 200).unwrap()));
        if step.is_multiple_of(5) {
            finalized = finalized.max(u64::try_from(blocks.len()).unwrap().saturating_sub(10));
        }
    }
    (blocks, finalized)
}

/// One step, told to the log as a client tells it.
fn step(log: &ModelLog, step: u64) {
    let (blocks, finalized) = chain_at(step);
    log.commit(&blocks[blocks.len().saturating_sub(4)..]).unwrap();
    if let Some(last) = finalized.checked_sub(1) {
        log.finalize(blocks[usize::try_from(last).unwrap()].block).unwrap();
    }
}

/// Kills the process at `kills` moments, and looks each time at what it left behind.
fn kills(test: &str, kills: u64) {
    if let Some(directory) = victim() {
        let log = ModelLog::open(&directory, &chain(), Metrics::new()).unwrap();
        // Where the log stands says where the story stands: no step leaves the chain as it was.
        let begin =
            (0..).find(|steps| chain_at(*steps).0.last().map(|block| block.block).unwrap_or(log.tip().block) == log.tip().block);
        for i in begin.unwrap() + 1.. {
            step(&log, i);
            println!("\nstep {i}");
        }
    }
    let directory = tempdir().unwrap();
    let mut last = 0;
    for kill in 1..=kills {
        let mut child = start(test, &directory, None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = last + 1 + kill * 7 % 11;
        for line in lines {
            if let Some(i) = line.unwrap().strip_prefix("step ") {
                last = i.parse().unwrap();
            }
            if last >= until {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(&directory);
        // It had gone on by a few steps before the signal came; one of them is where it stands, whole.
        let stands =
            (last..last + 500).find(|steps| chain_at(*steps).0.last().is_some_and(|block| block.block == log.tip().block));
        let (blocks, _) = chain_at(stands.unwrap_or_else(|| panic!("kill {kill}: step {last} was written and is gone")));
        assert_eq!(log.tip().model_head, expected_head(&blocks), "kill {kill}");
        let (rows, updates, finalized) = dump(&log);
        assert_eq!(rows.len(), blocks.len() + 1, "kill {kill}");
        assert!(rows.iter().skip(1).zip(&blocks).all(|(row, block)| row.block == block.block), "kill {kill}");
        assert_eq!(updates, rows.into_iter().filter(|row| !row.update_id.is_zero()).take(limits::LOG_PAGE).collect::<Vec<_>>());
        assert!(finalized >= chain_at(last).1, "kill {kill}: finality went back");
    }
}

#[test]
fn a_kill_loses_nothing_that_was_written_and_leaves_no_half() {
    kills("a_kill_loses_nothing_that_was_written_and_leaves_no_half", 6);
}

#[test]
fn long_two_hundred_kills_lose_nothing_that_was_written() {
    kills("long_two_hundred_kills_lose_nothing_that_was_written", 200);
}

#[test]
fn a_full_disk_refuses_changes_clearly_and_answers_reads() {
    let test = "a_full_disk_refuses_changes_clearly_and_answers_reads";
    let Some(directory) = victim() else {
        let directory = tempdir().unwrap();
        let mut child = start(test, &directory, Some(2_048));
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success(), "{lines:#?}");
        assert!(lines.iter().any(|line| line == "was full"), "{lines:#?}");
        // With room again it goes on from where it stood.
        let log = open(&directory);
        let before = log.tip();
        assert!(before.block.number > 1_000);
        log.commit(&run(before.block, 500, 1)).unwrap();
        assert_eq!(log.tip().block.number, before.block.number + 500);
        return;
    };
    let log = ModelLog::open(&directory, &chain(), Metrics::new()).unwrap();
    let error = loop {
        if let Err(error) = log.commit(&run(log.tip().block, 500, 1)) {
            break error;
        }
    };
    assert!(matches!(error, LogError::Database(DatabaseError::DiskFull)), "{error}");
    let tip = log.tip();
    for _ in 0..3 {
        let refused = log.commit(&run(tip.block, 50_000, 1)).unwrap_err();
        assert!(matches!(refused, LogError::Database(DatabaseError::DiskFull)), "{refused}");
        let snapshot = log.snapshot().unwrap();
        assert_eq!((log.tip(), snapshot.block(tip.block.number).unwrap()), (tip, Some(tip)));
    }
    println!("\nwas full");
}
