//! Keccak-256 of many nonces at once.
//!
//! The message is one block: seal hash (4 words), nonce (1 word), padding. The permutation is written once, for one message, as
//! straight-line code without branches or memory; a loop over consecutive nonces around it is what LLVM's loop vectorizer turns into
//! 4 or 8 messages per instruction when the enclosing function allows AVX2 or AVX-512 (there with `vprolq` and `vpternlogq`).
//! Only the upper 64 bits of the digest are kept, so the last round is computed for one word of the state, and what the first round
//! does to the seal hash alone is computed once per block.
//!
//! An explicit `[u64; L]` per word instead is not vectorized (measured: 0.5 to 0.9 times the `sha3` crate). `just bench-core` guards
//! the speed, the tests below guard the result.

#![expect(unsafe_code, reason = "calling a function compiled for SIMD that was detected at run time")]

use crate::Hash32;

/// Nonces hashed by one call of [`Engine::heads`].
pub(super) const BLOCK: usize = 256;

type Words = [u64; 25];
type Heads = [u64; BLOCK];

/// The way this machine hashes: chosen once at run time, and existing only where the machine can run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Engine {
    /// Plain code, on every machine.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest one that this machine can run.
    pub fn best() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// All that this machine can run, slowest first.
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            const ALL: [Engine; 3] = [Engine(Kind::Portable), Engine(Kind::Avx2), Engine(Kind::Avx512)];
            let avx2 = std::arch::is_x86_feature_detected!("avx2");
            let avx512 = std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl");
            match (avx2, avx512) {
                (true, true) => &ALL,
                (true, false) => ALL.split_at(2).0,
                (false, _) => ALL.split_at(1).0,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            &[Self::PORTABLE]
        }
    }

    /// Name for logs and tables.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "AVX-512",
        }
    }

    /// The upper 64 bits (BE) of `K(seal hash || nonce)` for the [`BLOCK`] nonces from `first` on, wrapping at the end.
    pub(super) fn heads(self, seal_hash: &Hash32, first: u64, heads: &mut Heads) {
        match self.0 {
            Kind::Portable => portable(seal_hash, first, heads),
            // SAFETY: a value of this kind leaves this module only where AVX2 was detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { avx2(seal_hash, first, heads) },
            // SAFETY: a value of this kind leaves this module only where AVX-512 F and VL were detected.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { avx512(seal_hash, first, heads) },
        }
    }
}

fn portable(seal_hash: &Hash32, first: u64, heads: &mut Heads) {
    block(seal_hash, first, heads);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(seal_hash: &Hash32, first: u64, heads: &mut Heads) {
    block(seal_hash, first, heads);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn avx512(seal_hash: &Hash32, first: u64, heads: &mut Heads) {
    block(seal_hash, first, heads);
}

#[inline(always)]
fn block(seal_hash: &Hash32, first: u64, heads: &mut Heads) {
    let mut message: Words = [0; 25];
    for (word, bytes) in message.iter_mut().zip(seal_hash.0.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    message[5] = 0x01; // Keccak's padding, from byte 40 ..
    message[16] = 1 << 63; // .. to byte 135, the last of the block
    for (head, nonce) in heads.iter_mut().zip(0_u64..) {
        let mut words = message;
        words[4] = first.wrapping_add(nonce).swap_bytes();
        *head = permuted(words)[0].swap_bytes();
    }
}

/// Keccak-f[1600]: 24 rounds, written out because a loop here would keep the loop around it from being vectorized.
#[inline(always)]
fn permuted(mut a: Words) -> Words {
    macro_rules! rounds { ($($constant:literal)*) => { $(a = round(&a, $constant);)* } }
    rounds! {
        0x0000_0000_0000_0001 0x0000_0000_0000_8082 0x8000_0000_0000_808a 0x8000_0000_8000_8000
        0x0000_0000_0000_808b 0x0000_0000_8000_0001 0x8000_0000_8000_8081 0x8000_0000_0000_8009
        0x0000_0000_0000_008a 0x0000_0000_0000_0088 0x0000_0000_8000_8009 0x0000_0000_8000_000a
        0x0000_0000_8000_808b 0x8000_0000_0000_008b 0x8000_0000_0000_8089 0x8000_0000_0000_8003
        0x8000_0000_0000_8002 0x8000_0000_0000_0080 0x0000_0000_0000_800a 0x8000_0000_8000_000a
        0x8000_0000_8000_8081 0x8000_0000_0000_8080 0x0000_0000_8000_0001 0x8000_0000_8000_8008
    }
    a
}

/// Rotation of each word, and the place it goes to; word (x, y) stands at x + 5y (FIPS 202, 3.2.2 and 3.2.3).
const RHO: Rotations = [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];
type Rotations = [u32; 25];

#[inline(always)]
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "x and y run over 0..5: every index is below 25")]
fn round(a: &Words, constant: u64) -> Words {
    let parity: [u64; 5] = core::array::from_fn(|x| a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    let mut b: Words = [0; 25];
    for y in 0..5 {
        for x in 0..5 {
            let theta = parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
            b[y + 5 * ((2 * x + 3 * y) % 5)] = (a[x + 5 * y] ^ theta).rotate_left(RHO[x + 5 * y]);
        }
    }
    let mut chi: Words = core::array::from_fn(|i| {
        let (x, row) = (i % 5, i - i % 5);
        b[i] ^ (!b[(x + 1) % 5 + row] & b[(x + 2) % 5 + row])
    });
    chi[0] ^= constant;
    chi
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(seal_hash: &Hash32, nonce: u64) -> u64 {
        u64::from_be_bytes(*super::super::digest(seal_hash, nonce).0.first_chunk().unwrap())
    }

    #[test]
    fn the_permutation_is_that_of_the_reference() {
        // Known answer of Keccak-f[1600] on the zero state (XKCP, KeccakF-1600-IntermediateValues): first and last word.
        let once = permuted([0; 25]);
        assert_eq!((once[0], once[24]), (0xf125_8f79_40e1_dde7, 0xeaf1_ff7b_5cec_a249));
        assert_eq!(permuted(once)[0], 0x2d5c_954d_f96e_cb3c);
    }

    #[test]
    fn the_portable_engine_is_always_there_and_the_best_is_available() {
        assert_eq!(Engine::available()[0], Engine::PORTABLE);
        assert!(Engine::available().contains(&Engine::best()));
    }

    #[test]
    fn nonces_wrap_at_the_end_of_the_nonce_space() {
        for engine in Engine::available() {
            let mut heads = [0; BLOCK];
            engine.heads(&Hash32([1; 32]), u64::MAX - 2, &mut heads);
            for (i, nonce) in [u64::MAX - 2, u64::MAX - 1, u64::MAX, 0, 1].into_iter().enumerate() {
                assert_eq!(heads[i], expected(&Hash32([1; 32]), nonce), "{} {nonce}", engine.name());
            }
        }
    }

    proptest! {
        #[test]
        fn every_engine_equals_the_sha3_crate_in_every_lane(seal_hash: [u8; 32], first: u64) {
            let seal_hash = Hash32(seal_hash);
            let want: Vec<u64> = (0..BLOCK as u64).map(|i| expected(&seal_hash, first.wrapping_add(i))).collect();
            for engine in Engine::available() {
                let mut heads = [0; BLOCK];
                engine.heads(&seal_hash, first, &mut heads);
                prop_assert_eq!(&heads[..], &want[..], "{}", engine.name());
            }
        }
    }
}
