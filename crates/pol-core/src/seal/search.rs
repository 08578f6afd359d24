//! The search for the lowest valid nonce, over threads.
//!
//! Batches of nonces are claimed in order from one atomic counter. A thread that finds a nonce stops, and the others finish only the
//! batches before it; all of those were claimed earlier, so the lowest of all finds is the lowest valid nonce, for every number of
//! threads. This makes a sealed header reproducible. It is not checked by anyone, and cannot be.

use core::{
    num::NonZeroUsize,
    ops::RangeInclusive,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::thread;

use super::{Engine, Target, digest, lanes::BLOCK};
use crate::Hash32;

/// Nonces claimed at once: long enough that threads rarely meet at the counter, short enough that little is searched in vain.
const BATCH: u64 = 2_048;
#[expect(clippy::as_conversions, reason = "256 fits; constants have no TryFrom")]
const BLOCK_HASHES: u64 = BLOCK as u64;

/// A found seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The lowest valid nonce of the range.
    pub nonce: u64,
    /// Hashes computed by all threads until the search ended; differs from run to run when there are several.
    pub hashes: u64,
}

/// A number of threads and a way of hashing. Without state: one can serve any number of searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Miner {
    threads: NonZeroUsize,
    engine: Engine,
}

impl Miner {
    /// A miner that uses the machine's best [`Engine`] on this many threads, the caller's among them.
    pub fn new(threads: NonZeroUsize) -> Self {
        Self::with_engine(threads, Engine::best())
    }

    /// The same with a chosen engine.
    pub const fn with_engine(threads: NonZeroUsize, engine: Engine) -> Self {
        Self { threads, engine }
    }

    /// The engine in use, for the log.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The lowest nonce that seals `seal_hash`, or nothing once `cancel` is set (seen every 256 hashes by each thread, well
    /// below a millisecond) or if no nonce of the whole space seals. Blocks the calling thread: keep it off async executors.
    pub fn search(&self, seal_hash: &Hash32, target: &Target, cancel: &AtomicBool) -> Option<Sealed> {
        self.search_range(seal_hash, target, 0..=u64::MAX, cancel)
    }

    /// The same within `nonces`.
    pub fn search_range(
        &self,
        seal_hash: &Hash32,
        target: &Target,
        nonces: RangeInclusive<u64>,
        cancel: &AtomicBool,
    ) -> Option<Sealed> {
        self.run(seal_hash, target, nonces, cancel).sealed()
    }

    /// Computes `hashes` hashes exactly as a search does, on all threads, and returns how many it computed (rounded up to whole
    /// blocks). The caller times it: that gives the rate that [`hash_rate_suffices`](crate::difficulty::hash_rate_suffices) asks for.
    pub fn hash_batch(&self, hashes: u64) -> u64 {
        let Some(last) = hashes.checked_sub(1) else { return 0 };
        self.run(&Hash32::ZERO, &Target::ZERO, 0..=last, &AtomicBool::new(false)).hashes
    }

    fn run(&self, seal_hash: &Hash32, target: &Target, nonces: RangeInclusive<u64>, cancel: &AtomicBool) -> Share {
        let Some(span) = nonces.end().checked_sub(*nonces.start()) else { return Share::NONE };
        let last_batch = span / BATCH;
        let job = Job {
            engine: self.engine,
            seal_hash,
            target,
            start: *nonces.start(),
            end: *nonces.end(),
            last_batch,
            next: AtomicU64::new(0),
            found_batch: AtomicU64::new(u64::MAX),
            cancel,
        };
        let useful = usize::try_from(last_batch).unwrap_or(usize::MAX).saturating_add(1);
        let helpers = self.threads.get().min(useful).saturating_sub(1);
        thread::scope(|scope| {
            // A thread that the system refuses to start only makes the search slower.
            let started: Vec<_> =
                (0..helpers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, || job.work()).ok()).collect();
            started.into_iter().fold(job.work(), |sum, helper| sum.and(helper.join().unwrap_or(Share::CANCELLED)))
        })
    }
}

/// What the threads of one search share.
struct Job<'a> {
    engine: Engine,
    seal_hash: &'a Hash32,
    target: &'a Target,
    start: u64,
    end: u64,
    last_batch: u64,
    /// The next batch to claim.
    next: AtomicU64,
    /// The lowest batch with a find so far. Only a hint for stopping early: results travel through the joins.
    found_batch: AtomicU64,
    cancel: &'a AtomicBool,
}

/// What one thread, or all so far, did.
#[derive(Clone, Copy)]
struct Share {
    nonce: Option<u64>,
    hashes: u64,
    cancelled: bool,
}

impl Share {
    const NONE: Self = Self { nonce: None, hashes: 0, cancelled: false };
    /// Of a thread whose work is lost: its batch may have held the lowest nonce.
    const CANCELLED: Self = Self { nonce: None, hashes: 0, cancelled: true };

    /// The seal, unless some batch was given up: it may have held a lower nonce than the find.
    fn sealed(self) -> Option<Sealed> {
        let nonce = self.nonce.filter(|_| !self.cancelled)?;
        Some(Sealed { nonce, hashes: self.hashes })
    }

    fn and(self, other: Self) -> Self {
        Self {
            nonce: self.nonce.into_iter().chain(other.nonce).min(),
            hashes: self.hashes.saturating_add(other.hashes),
            cancelled: self.cancelled || other.cancelled,
        }
    }
}

impl Job<'_> {
    /// Claims and searches batches until there are none before the best find.
    fn work(&self) -> Share {
        let mut share = Share::NONE;
        let mut heads = [0; BLOCK];
        loop {
            let batch = self.next.fetch_add(1, Ordering::Relaxed);
            if batch > self.last_batch || batch > self.found_batch.load(Ordering::Relaxed) {
                return share;
            }
            self.batch(batch, &mut heads, &mut share);
            if share.nonce.is_some() {
                self.found_batch.fetch_min(batch, Ordering::Relaxed);
                return share;
            }
            if share.cancelled {
                return share;
            }
        }
    }

    /// Searches one batch block by block, in order, up to the first valid nonce.
    fn batch(&self, batch: u64, heads: &mut [u64; BLOCK], share: &mut Share) {
        // Neither saturates: batch <= last_batch, so that the batch begins at or before `end`.
        let first = self.start.saturating_add(batch.saturating_mul(BATCH));
        let last = first.saturating_add(BATCH - 1).min(self.end);
        for block in (first..=last).step_by(BLOCK) {
            if self.cancel.load(Ordering::Relaxed) {
                share.cancelled = true;
                return;
            }
            self.engine.heads(self.seal_hash, block, heads);
            share.hashes = share.hashes.saturating_add(BLOCK_HASHES);
            if let Some(nonce) = self.first_valid(heads, block..=last) {
                share.nonce = Some(nonce);
                return;
            }
        }
    }

    /// The first of `nonces` whose hash is admitted; only those whose upper bits allow it are hashed in full.
    fn first_valid(&self, heads: &[u64; BLOCK], nonces: RangeInclusive<u64>) -> Option<u64> {
        let top = self.target.top();
        if heads.iter().all(|head| *head > top) {
            return None;
        }
        let promising = heads.iter().zip(nonces).filter(|(head, _)| **head <= top);
        promising.map(|(_, nonce)| nonce).find(|nonce| self.target.admits(&digest(self.seal_hash, *nonce)))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::seal::{target, verify};

    const THREADS: [usize; 4] = [1, 2, 3, 8];

    fn miner(threads: usize) -> Miner {
        Miner::new(NonZeroUsize::new(threads).unwrap())
    }

    fn seed(i: u64) -> Hash32 {
        Hash32(crate::sha256(&[b"seed", &i.to_le_bytes()]))
    }

    fn naive(seal_hash: &Hash32, difficulty: u64, mut nonces: RangeInclusive<u64>) -> Option<u64> {
        nonces.find(|nonce| verify(seal_hash, *nonce, difficulty).is_ok())
    }

    fn never() -> AtomicBool {
        AtomicBool::new(false)
    }

    #[test]
    fn the_lowest_nonce_wins_for_every_number_of_threads() {
        for i in 0..40 {
            let difficulty = [1, 7, 300, 3_000, 10_000][usize::try_from(i % 5).unwrap()];
            let expected = naive(&seed(i), difficulty, 0..=u64::MAX);
            for threads in THREADS {
                let sealed = miner(threads).search(&seed(i), &target(difficulty).unwrap(), &never());
                assert_eq!(sealed.map(|s| s.nonce), expected, "seed {i}, {threads} threads");
            }
        }
    }

    #[test]
    fn the_lowest_nonce_wins_when_almost_every_batch_has_one() {
        for i in 0..500 {
            let expected = naive(&seed(i), 1_000, 0..=u64::MAX);
            let sealed = miner(8).search(&seed(i), &target(1_000).unwrap(), &never());
            assert_eq!(sealed.map(|s| s.nonce), expected, "seed {i}");
        }
    }

    #[test]
    fn every_engine_finds_the_same_nonce() {
        let target = target(5_000).unwrap();
        let nonce =
            |engine: &Engine| Miner::with_engine(NonZeroUsize::MIN, *engine).search(&seed(0), &target, &never()).unwrap().nonce;
        let found: Vec<u64> = Engine::available().iter().map(nonce).collect();
        assert_eq!(found, vec![naive(&seed(0), 5_000, 0..=u64::MAX).unwrap(); found.len()]);
    }

    #[test]
    fn a_find_verifies_and_the_next_smaller_target_refuses_it() {
        let hash = digest(&seed(1), 0);
        // The difficulty just low enough for nonce 0: floor(2^64 / top) or one beside it.
        let top = u128::from(u64::from_be_bytes(*hash.0.first_chunk().unwrap()));
        let about = u64::try_from((1_u128 << 64) / top).unwrap();
        let admits = |d: u64| verify(&seed(1), 0, d).is_ok();
        let exact = (about.saturating_sub(2).max(1)..=about + 2).rfind(|d| admits(*d)).unwrap();
        assert!(!admits(exact + 1));
        let sealed = |d| miner(2).search(&seed(1), &target(d).unwrap(), &never()).unwrap().nonce;
        assert_eq!(sealed(exact), 0);
        assert_ne!(sealed(exact + 1), 0);
    }

    #[test]
    fn a_hash_equal_to_the_target_is_found_and_one_above_it_is_not() {
        for i in 0..50 {
            let hash = (0..3_000).map(|nonce| digest(&seed(i), nonce)).min().unwrap();
            let find = |target| miner(2).search_range(&seed(i), &target, 0..=2_999, &never()).map(|s| s.nonce);
            let mut below = hash.0;
            let last = below.iter().rposition(|byte| *byte != 0).unwrap();
            below[last] -= 1;
            below[last + 1..].fill(0xff);
            assert_eq!(find(Target(hash.0)).map(|nonce| digest(&seed(i), nonce)), Some(hash));
            assert_eq!(find(Target(below)), None);
        }
    }

    #[test]
    fn a_range_is_searched_to_its_last_nonce_and_no_further() {
        let lowest = naive(&seed(2), 9_000, 0..=u64::MAX).unwrap();
        let second = naive(&seed(2), 9_000, lowest + 1..=u64::MAX).unwrap();
        let t = target(9_000).unwrap();
        for threads in THREADS {
            let find = |nonces| miner(threads).search_range(&seed(2), &t, nonces, &never()).map(|s| s.nonce);
            assert_eq!(find(0..=lowest), Some(lowest));
            assert_eq!(find(lowest..=lowest), Some(lowest));
            assert_eq!(find(0..=lowest - 1), None);
            assert_eq!(find(lowest + 1..=second - 1), None);
            assert_eq!(find(lowest + 1..=u64::MAX), Some(second));
        }
    }

    #[test]
    fn the_end_of_the_nonce_space_is_searched_and_not_passed() {
        let t = target(2).unwrap();
        for i in 0..20 {
            for (start, threads) in [(u64::MAX, 1), (u64::MAX - 1, 3), (u64::MAX - 300, 2), (u64::MAX - 5_000, 8)] {
                let found = miner(threads).search_range(&seed(i), &t, start..=u64::MAX, &never());
                assert_eq!(found.map(|s| s.nonce), naive(&seed(i), 2, start..=u64::MAX));
            }
        }
        assert_eq!(miner(2).search_range(&seed(0), &Target::ZERO, u64::MAX - 10_000..=u64::MAX, &never()), None);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "the caller's mistake is what is tested")]
    fn an_empty_range_has_no_seal() {
        assert_eq!(miner(2).search_range(&seed(0), &target(1).unwrap(), 1..=0, &never()), None);
    }

    #[test]
    fn a_search_cancelled_before_it_starts_hashes_nothing() {
        for threads in THREADS {
            assert_eq!(miner(threads).search(&seed(0), &target(1).unwrap(), &AtomicBool::new(true)), None);
        }
    }

    #[test]
    fn a_find_beside_a_batch_that_was_given_up_is_no_seal() {
        let find = Share { nonce: Some(9), hashes: 10, cancelled: false };
        let lower = Share { nonce: Some(4), hashes: 20, cancelled: false };
        assert_eq!(find.and(lower).sealed(), Some(Sealed { nonce: 4, hashes: 30 }));
        assert_eq!(find.and(Share::NONE).sealed(), find.sealed());
        assert_eq!(find.and(Share::CANCELLED).sealed(), None);
        assert_eq!(Share::CANCELLED.and(find).sealed(), None);
    }

    #[test]
    fn a_hopeless_search_ends_soon_after_it_is_cancelled() {
        for threads in THREADS {
            let cancel = never();
            let (send, receive) = mpsc::sync_channel(1);
            thread::scope(|scope| {
                scope.spawn(|| send.send(miner(threads).search(&seed(0), &Target::ZERO, &cancel)).unwrap());
                assert!(receive.recv_timeout(Duration::from_millis(20)).is_err(), "ended without being cancelled");
                cancel.store(true, Ordering::Relaxed);
                assert_eq!(receive.recv_timeout(Duration::from_secs(5)), Ok(None));
            });
        }
    }

    #[test]
    fn a_hash_batch_computes_at_least_what_was_asked_and_at_most_a_block_more() {
        for threads in THREADS {
            assert_eq!(miner(threads).hash_batch(0), 0);
            for hashes in [1, 256, 257, 100_000] {
                assert_eq!(miner(threads).hash_batch(hashes), hashes.next_multiple_of(256));
            }
        }
    }

    #[test]
    fn a_search_with_one_thread_reports_the_blocks_it_hashed() {
        let sealed = miner(1).search(&seed(3), &target(4_000).unwrap(), &never()).unwrap();
        assert_eq!(sealed.hashes, (sealed.nonce + 1).next_multiple_of(256));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_lowest_nonce_of_any_range_wins(seal_hash: [u8; 32], start: u64, span in 0u64..6_000, difficulty in 1u64..8_000) {
            let nonces = start..=start.saturating_add(span);
            let expected = naive(&Hash32(seal_hash), difficulty, nonces.clone());
            for threads in THREADS {
                let found = miner(threads).search_range(&Hash32(seal_hash), &target(difficulty).unwrap(), nonces.clone(), &never());
                prop_assert_eq!(found.map(|s| s.nonce), expected);
            }
        }
    }
}
