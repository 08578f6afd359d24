//! Reproducible choices.

use std::ops::RangeInclusive;

use pol_core::sha256;

const TAG: &[u8] = b"pol-ai/corpus/v1";

/// SplitMix64: the same choices from the same seed on every machine.
#[derive(Debug, Clone)]
pub(super) struct Draw(u64);

impl Draw {
    /// The choices of one text.
    pub(super) fn new(seed: u64, topic: &str, index: u64) -> Self {
        let hash = sha256(&[TAG, &seed.to_le_bytes(), topic.as_bytes(), &index.to_le_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of the range; its beginning when it is empty.
    pub(super) fn number(&mut self, range: RangeInclusive<u32>) -> u32 {
        let (first, last) = range.into_inner();
        let count = u64::from(last.saturating_sub(first)) + 1;
        // The upper half of a product of two numbers below 2^32: below `count`.
        let place = ((self.next() >> 32) * count) >> 32;
        first.saturating_add(u32::try_from(place).unwrap_or_default())
    }

    /// One of several; none of none.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let last = u32::try_from(of.len()).ok()?.checked_sub(1)?;
        of.get(usize::try_from(self.number(0..=last)).ok()?)
    }

    /// Several different ones, in any order.
    pub(super) fn some<'a, T>(&mut self, of: &'a [T], count: u32) -> Vec<&'a T> {
        let mut left: Vec<&T> = of.iter().collect();
        let mut chosen = Vec::new();
        for _ in 0..count {
            let last = u32::try_from(left.len()).unwrap_or_default().saturating_sub(1);
            let at = usize::try_from(self.number(0..=last)).unwrap_or_default();
            if at < left.len() {
                chosen.push(left.swap_remove(at));
            }
        }
        chosen
    }
}
