//! Bounded tables of draining counters.

use std::collections::BTreeMap;

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units at once.
    pub burst: u32,
    /// Units that drain each second.
    pub per_second: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    level: u32,
    at: u64,
}

impl Bucket {
    /// The level after draining. A clock that went backwards drains nothing.
    fn level(self, rate: Rate, now: u64) -> u32 {
        let seconds = u32::try_from(now.saturating_sub(self.at)).unwrap_or(u32::MAX);
        self.level.saturating_sub(rate.per_second.saturating_mul(seconds))
    }

    fn has_room(self, rate: Rate, cost: u32, now: u64) -> bool {
        self.level(rate, now).checked_add(cost).is_some_and(|level| level <= rate.burst)
    }

    fn charge(&mut self, rate: Rate, cost: u32, now: u64) -> bool {
        let room = self.has_room(rate, cost, now);
        if room {
            *self = Self { level: self.level(rate, now).saturating_add(cost), at: now.max(self.at) };
        }
        room
    }
}

/// One counter per key, at most `max` keys.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    max: usize,
    buckets: BTreeMap<K, Bucket>,
    /// What keys share that found the table full.
    overflow: Bucket,
    purged_at: u64,
}

impl<K: Ord + Clone> Limiter<K> {
    /// An empty table.
    pub const fn new(rate: Rate, max: usize) -> Self {
        Self { rate, max, buckets: BTreeMap::new(), overflow: Bucket { level: 0, at: 0 }, purged_at: 0 }
    }

    /// Whether a charge of `cost` would be taken now.
    pub fn has_room(&mut self, key: &K, cost: u32, now: u64) -> bool {
        let rate = self.rate;
        match self.bucket(key, now) {
            Some(bucket) => bucket.has_room(rate, cost, now),
            None => cost <= rate.burst,
        }
    }

    /// Charges `cost`; false, and nothing charged, when the key has no room.
    pub fn charge(&mut self, key: K, cost: u32, now: u64) -> bool {
        let rate = self.rate;
        if let Some(bucket) = self.bucket(&key, now) {
            return bucket.charge(rate, cost, now);
        }
        let mut bucket = Bucket { level: 0, at: now };
        let taken = bucket.charge(rate, cost, now);
        if taken {
            self.buckets.insert(key, bucket);
        }
        taken
    }

    /// The bucket that counts for a key; none when it gets a new one of its own.
    fn bucket(&mut self, key: &K, now: u64) -> Option<&mut Bucket> {
        if !self.buckets.contains_key(key) && self.buckets.len() >= self.max {
            // A purge walks the table: once a second at most, whatever the flood.
            if now > self.purged_at {
                let rate = self.rate;
                self.buckets.retain(|_, bucket| bucket.level(rate, now) > 0);
                self.purged_at = now;
            }
            if self.buckets.len() >= self.max {
                return Some(&mut self.overflow);
            }
        }
        self.buckets.get_mut(key)
    }

    /// Keys counted at the moment.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// True when no key is counted.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { burst: 10, per_second: 2 };

    #[test]
    fn a_burst_is_taken_a_flood_is_not_and_time_gives_room_again() {
        let mut limiter = Limiter::new(RATE, 4);
        for _ in 0..10 {
            assert!(limiter.charge(1, 1, 50));
        }
        assert!(!limiter.charge(1, 1, 50));
        assert!(!limiter.charge(1, 1, 10), "a clock that goes backwards gives nothing");
        assert!(limiter.charge(1, 2, 51));
        assert!(!limiter.charge(1, 1, 51));
        assert!(limiter.charge(1, 10, 1_000));
        assert!(!limiter.charge(2, 11, 1_000), "more than the burst never fits");
    }

    #[test]
    fn a_full_table_makes_strangers_share_and_forgets_only_who_is_idle() {
        let mut limiter = Limiter::new(RATE, 3);
        for key in 0..3 {
            assert!(limiter.charge(key, 10, 100));
        }
        let taken = (10..1_000).filter(|key| limiter.charge(*key, 1, 100)).count();
        assert_eq!(taken, 10);
        assert_eq!(limiter.len(), 3);
        assert!(!limiter.charge(0, 1, 100), "the flood did not reset a counter");
        assert!(limiter.has_room(&2_000, 1, 105) && limiter.charge(2_000, 1, 105), "idle entries made room");
        assert_eq!(limiter.len(), 1);
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_plus_drain(charges in proptest::collection::vec((0..5_u8, 1..4_u32, 0..3_u64), 1..200)) {
            let mut limiter = Limiter::new(RATE, 8);
            let (start, mut now) = (1_000, 1_000);
            let mut taken = [0_u64; 5];
            for (key, cost, step) in charges {
                now += step;
                if limiter.charge(key, cost, now) {
                    taken[usize::from(key)] += u64::from(cost);
                }
                prop_assert!(taken.iter().all(|sum| *sum <= 10 + 2 * (now - start)));
            }
        }

        #[test]
        fn the_table_never_outgrows_its_bound(keys in proptest::collection::vec((any::<u32>(), 0..2_u64), 0..300)) {
            let mut limiter = Limiter::new(RATE, 16);
            let mut now = 5;
            for (key, step) in keys {
                now += step;
                limiter.charge(key, 1, now);
                prop_assert!(limiter.len() <= 16);
            }
        }
    }
}
