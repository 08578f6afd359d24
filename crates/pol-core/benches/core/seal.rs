//! The seal search against the fastest published Keccak, its scaling, and verification.
//!
//! How: short runs (a few milliseconds) of all candidates in turn, many rounds, the shortest wall time of each. Other work on the
//! machine can only lengthen a run, so the shortest is the one that it disturbed least.

use std::{
    hint::black_box,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use pol_core::{
    Hash32,
    seal::{Engine, Miner, target, verify},
};

use crate::table::Row;

const ROUNDS: usize = 200;
/// Hashes per run, per thread.
const HASHES: u64 = 1 << 14;

type Published = (&'static str, fn(&[u8; 40]) -> [u8; 32]);

const PUBLISHED: [Published; 3] = [
    ("sha3 0.12", |message| {
        use sha3::Digest as _;
        sha3::Keccak256::digest(message).into()
    }),
    ("tiny-keccak 2.0", |message| {
        use tiny_keccak::Hasher as _;
        let mut digest = [0; 32];
        let mut hasher = tiny_keccak::Keccak::v256();
        hasher.update(message);
        hasher.finalize(&mut digest);
        digest
    }),
    ("keccak-asm 0.1", |message| keccak_asm::Keccak256::digest(message).into()),
];

/// The plain way: one block per nonce, compared as the search compares.
fn plain_loop(hash: fn(&[u8; 40]) -> [u8; 32]) {
    let mut message = [0; 40];
    for nonce in 0..HASHES {
        message[32..].copy_from_slice(&nonce.to_be_bytes());
        assert_ne!(black_box(hash(&message)), [0; 32]);
    }
}

/// Shortest run of each, all in turn, after one round of warming up.
fn best<const N: usize>(rounds: usize, mut runs: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut shortest = [Duration::MAX; N];
    for round in 0..=rounds {
        for (run, shortest) in runs.iter_mut().zip(&mut shortest) {
            let start = Instant::now();
            run();
            if round > 0 {
                *shortest = start.elapsed().min(*shortest);
            }
        }
    }
    shortest.map(|time| time.as_secs_f64())
}

const fn miner(threads: usize, engine: Engine) -> Miner {
    Miner::with_engine(NonZeroUsize::new(threads).unwrap(), engine)
}

fn work(miner: &Miner, hashes: u64) {
    black_box(miner.hash_batch(hashes));
}

fn mega(per_second: f64) -> String {
    format!("{:.2} MH/s", per_second / 1e6)
}

/// The rows of this subject.
pub fn rows() -> Vec<Row> {
    let [sha3, tiny, asm] = {
        let [a, b, c] = PUBLISHED.map(|(_, hash)| move || plain_loop(hash));
        best(ROUNDS / 4, [&mut { a }, &mut { b }, &mut { c }])
    };
    let times = [sha3, tiny, asm];
    let fastest = (0..3).min_by(|a, b| times[*a].total_cmp(&times[*b])).unwrap();
    let mut rows = vec![];
    for (i, (name, _)) in PUBLISHED.into_iter().enumerate() {
        let note = if i == fastest { "the fastest published: the one below" } else { "-" };
        rows.push(information(format!("Keccak-256 of 40 bytes, {name}"), mega(HASHES as f64 / times[i]), note));
    }
    rows.extend(Engine::available().iter().rev().map(|engine| against_published(*engine, PUBLISHED[fastest])));
    rows.push(scaling());
    rows.push(verification());
    rows
}

fn information(what: String, ours: String, figure: &str) -> Row {
    Row { what, ours, against: "-".into(), figure: figure.into(), target: "(information)", met: true }
}

fn against_published(engine: Engine, (name, hash): Published) -> Row {
    let miner = miner(1, engine);
    let [ours, theirs] = best(ROUNDS, [&mut || work(&miner, HASHES), &mut || plain_loop(hash)]);
    let ratio = theirs / ours;
    let counts = engine == Engine::best();
    Row {
        what: format!("seal search, 1 thread, {}{}", engine.name(), if counts { " (this machine's choice)" } else { "" }),
        ours: mega(HASHES as f64 / ours),
        against: format!("{} ({name})", mega(HASHES as f64 / theirs)),
        figure: format!("{ratio:.2}x"),
        target: if counts { ">= 1.5x" } else { "(information)" },
        met: !counts || ratio >= 1.5,
    }
}

fn scaling() -> Row {
    let (one, two) = (miner(1, Engine::best()), miner(2, Engine::best()));
    let hashes = 8 * HASHES;
    let [alone, together] = best(ROUNDS, [&mut || work(&one, hashes), &mut || work(&two, 2 * hashes)]);
    let ratio = 2.0 * alone / together;
    Row {
        what: "seal search, 2 threads against 1".into(),
        ours: mega(2.0 * hashes as f64 / together),
        against: mega(hashes as f64 / alone),
        figure: format!("{ratio:.2}x"),
        target: ">= 1.9x on two cores",
        met: ratio >= 1.9,
    }
}

fn verification() -> Row {
    const SEALS: u64 = 2_000;
    let seal_hash = Hash32([7; 32]);
    let valid = target(1 << 16).unwrap();
    let sealed = miner(1, Engine::best()).search(&seal_hash, &valid, &false.into()).unwrap();
    let [time] = best(
        ROUNDS,
        [&mut || {
            for _ in 0..SEALS {
                verify(black_box(&seal_hash), sealed.nonce, 1 << 16).unwrap();
            }
        }],
    );
    information(
        "seal verification".into(),
        format!("{:.0} ns", 1e9 * time / SEALS as f64),
        &format!("{:.2} M/s", SEALS as f64 / time / 1e6),
    )
}
