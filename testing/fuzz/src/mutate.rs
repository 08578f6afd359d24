//! A small deterministic mutator: valid inputs, slightly wrong, find more than random bytes do.

/// SplitMix64: reproducible from its seed on every machine.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }
}

/// Boundary bytes that parsers trip over.
const EDGES: [u8; 8] = [0, 1, 0x3a, 0x7f, 0x80, 0xc0, 0xfe, 0xff];

/// Changes `bytes` in one to four places: flips, edge bytes, cuts, growth, copies within.
pub fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        match rng.below(8) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            2 if !bytes.is_empty() => bytes[at] = EDGES[rng.below(EDGES.len())],
            3 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            4 => bytes.truncate(at),
            5 => bytes.resize(bytes.len() + rng.below(40), rng.next() as u8),
            6 if bytes.len() > 1 => {
                let end = (at + 1 + rng.below(32)).min(bytes.len());
                let to = rng.below(bytes.len() - (end - at) + 1);
                bytes.copy_within(at..end, to);
            }
            _ if !bytes.is_empty() => {
                bytes.remove(at);
            }
            _ => bytes.push(rng.next() as u8),
        }
    }
}
