//! In which order texts are trained on, and where a training is.
//!
//! The order of an epoch is a permutation of the texts' numbers that follows from (seed, epoch) and can be asked for at any place: a Feistel
//! network over the next power of four, walked until it stays below the number of texts. So a cursor is four numbers, it costs nothing to go on
//! from one, and every text comes once an epoch.

use pol_core::sha256;
use serde::{Deserialize, Serialize};

const TAG: &[u8] = b"pol-ai/order/v1";
const ROUNDS: usize = 6;

/// A permutation of `0..count`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    count: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Order {
    /// The order of an epoch.
    pub fn new(count: u64, seed: u64, epoch: u64) -> Self {
        let bits = 64 - count.saturating_sub(1).leading_zeros();
        let key = |round: u8| {
            let [a, b, c, d, e, f, g, h, ..] =
                sha256(&[TAG, &seed.to_le_bytes(), &epoch.to_le_bytes(), &count.to_le_bytes(), &[round]]);
            u64::from_le_bytes([a, b, c, d, e, f, g, h])
        };
        Self { count, half_bits: bits.div_ceil(2).max(1), keys: [0, 1, 2, 3, 4, 5].map(key) }
    }

    /// The number at a place; nothing beyond the last.
    pub fn at(&self, place: u64) -> Option<u64> {
        if place >= self.count {
            return None;
        }
        let mut value = place;
        // The network is a permutation of fewer than 4 * count numbers (2 * count + 2 at least), so the walk comes back below.
        loop {
            value = self.permute(value);
            if value < self.count {
                return Some(value);
            }
        }
    }

    fn permute(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits & mask, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(right, key) & mask));
        }
        left << self.half_bits | right
    }
}

const fn mix(value: u64, key: u64) -> u64 {
    let z = (value ^ key).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 32)
}

/// Where a training is: exactly, over restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Seed of the order.
    pub seed: u64,
    /// Times that all texts were gone through.
    pub epoch: u64,
    /// Texts of this epoch that were taken.
    pub place: u64,
}

impl Cursor {
    /// The beginning.
    pub const fn new(seed: u64) -> Self {
        Self { seed, epoch: 0, place: 0 }
    }
}

/// Goes through the numbers of a set of texts, epoch after epoch.
#[derive(Debug, Clone)]
pub struct Sampler {
    order: Order,
    cursor: Cursor,
}

impl Sampler {
    /// Goes on from a cursor, over `count` texts.
    pub fn new(count: u64, cursor: Cursor) -> Self {
        Self { order: Order::new(count, cursor.seed, cursor.epoch), cursor }
    }

    /// Where it is: what to keep in a checkpoint.
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Iterator for Sampler {
    type Item = u64;

    /// The number of the next text. It ends only when there are no texts at all.
    fn next(&mut self) -> Option<u64> {
        if self.order.count == 0 {
            return None;
        }
        if self.cursor.place >= self.order.count {
            self.cursor = Cursor { epoch: self.cursor.epoch.wrapping_add(1), place: 0, ..self.cursor };
            self.order = Order::new(self.order.count, self.cursor.seed, self.cursor.epoch);
        }
        let number = self.order.at(self.cursor.place);
        self.cursor.place = self.cursor.place.saturating_add(1);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_once_an_epoch() {
        for count in [1, 2, 3, 4, 5, 15, 16, 17, 1_000, 4_097] {
            let order = Order::new(count, 7, 3);
            let mut numbers: Vec<u64> = (0..count).map(|place| order.at(place).unwrap()).collect();
            assert_eq!(order.at(count), None);
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..count), "{count}");
        }
        assert_eq!(Order::new(0, 1, 1).at(0), None);
        assert!(Order::new(u64::MAX, 1, 1).at(u64::MAX - 1).is_some());
    }

    #[test]
    fn the_order_is_mixed_and_another_in_each_epoch_and_for_each_seed() {
        let numbers =
            |seed, epoch| (0..1_000).map(|place| Order::new(1_000, seed, epoch).at(place).unwrap()).collect::<Vec<u64>>();
        let first = numbers(1, 0);
        let neighbours = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        let in_place = (0..1_000).zip(&first).filter(|(place, number)| place == *number).count();
        assert!(neighbours < 10 && in_place < 10, "{neighbours} {in_place}");
        assert!(first != numbers(1, 1) && first != numbers(2, 0) && first == numbers(1, 0));
    }

    #[test]
    fn the_order_is_the_same_on_every_machine() {
        let numbers: Vec<u64> = Sampler::new(10, Cursor::new(42)).take(20).collect();
        assert_eq!(numbers, GOLDEN);
    }

    /// Two epochs of ten texts.
    const GOLDEN: [u64; 20] = [4, 1, 6, 0, 8, 2, 5, 3, 7, 9, 1, 5, 0, 3, 9, 8, 7, 2, 4, 6];

    #[test]
    fn a_cursor_goes_on_exactly_where_it_was_kept() {
        let all: Vec<u64> = Sampler::new(100, Cursor::new(5)).take(350).collect();
        for stop in [0, 1, 99, 100, 101, 250, 300] {
            let mut first = Sampler::new(100, Cursor::new(5));
            let mut numbers: Vec<u64> = first.by_ref().take(stop).collect();
            let kept = serde_json::to_string(&first.cursor()).unwrap();
            let second = Sampler::new(100, serde_json::from_str(&kept).unwrap());
            numbers.extend(second.take(350 - stop));
            assert_eq!(numbers, all, "{stop}");
        }
        assert_eq!(Sampler::new(0, Cursor::new(1)).next(), None);
    }
}
