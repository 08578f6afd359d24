//! Initial values of the adapter: A from a hash, B zero (section 6.1). Integers only, so that every machine starts alike.

use super::shape::{Factor, Shape, to_usize};
use crate::{GenesisId, sha256};

const INIT_TAG: &[u8] = b"pol-ai/init/v1";
/// Values of one hash: eight 32-bit words.
const WORDS: usize = 8;

/// All values in flat order.
pub(super) fn initial_values(genesis_id: &GenesisId, shape: &Shape) -> Vec<i32> {
    let mut values = vec![0_i32; to_usize(shape.value_count())];
    let mut rest = values.as_mut_slice();
    for tensor in shape.tensors().filter(|tensor| tensor.factor == Factor::A) {
        let Some((head, tail)) = rest.split_at_mut_checked(tensor.range.len()) else { break };
        fill(head, genesis_id, tensor.index(), bound(tensor.columns));
        rest = tail;
    }
    values
}

/// `b = isqrt(2^48 / in)`: 1 / sqrt(in) in units of 2^-24. At most 2^24.
fn bound(inputs: u32) -> u64 {
    (1_u64 << 48).checked_div(u64::from(inputs)).unwrap_or(0).isqrt()
}

fn fill(values: &mut [i32], genesis_id: &GenesisId, tensor: u32, bound: u64) {
    let tensor = tensor.to_le_bytes();
    for (counter, group) in (0_u64..).zip(values.chunks_mut(WORDS)) {
        let digest = sha256(&[INIT_TAG, genesis_id.as_bytes(), &tensor, &counter.to_le_bytes()]);
        let (words, _) = digest.as_chunks::<4>();
        for (value, word) in group.iter_mut().zip(words) {
            *value = draw(u32::from_le_bytes(*word), bound);
        }
    }
}

/// `floor(w * 2b / 2^32) - b`, in -b..b.
fn draw(word: u32, bound: u64) -> i32 {
    let scaled = u64::from(word).saturating_mul(bound) >> 31;
    // Both are at most 2^25, so neither conversion can fail.
    i32::try_from(scaled).unwrap_or(0).saturating_sub(i32::try_from(bound).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_the_bound_and_reach_both_ends() {
        for inputs in [1, 2, 3, 576, 1_536, 8_960, 65_536] {
            let b = bound(inputs);
            let b32 = i32::try_from(b).unwrap();
            assert!(b * b * u64::from(inputs) <= 1 << 48);
            assert!((b + 1) * (b + 1) * u64::from(inputs) > (1 << 48) - u64::from(inputs));
            assert_eq!(draw(0, b), -b32);
            assert_eq!(draw(u32::MAX, b), b32 - 1);
            assert_eq!(draw(1 << 31, b), 0);
        }
    }

    #[test]
    fn a_is_drawn_per_tensor_and_b_is_zero() {
        let shape = Shape::new(2, 5, 7, 2, 3).unwrap();
        let genesis = GenesisId([7; 32]);
        let values = initial_values(&genesis, &shape);
        assert_eq!(values.len(), to_usize(shape.value_count()));
        for tensor in shape.tensors() {
            let range = to_usize(tensor.range.start)..to_usize(tensor.range.end);
            for (j, value) in values[range].iter().enumerate() {
                let expected = match tensor.factor {
                    Factor::B => 0,
                    Factor::A => {
                        // The formula once more, in 128 bits and one value at a time.
                        let counter = u64::try_from(j / 8).unwrap();
                        let mut input = b"pol-ai/init/v1".to_vec();
                        input.extend([7; 32]);
                        input.extend((tensor.module.layer * 7 + tensor.module.projection.index()).to_le_bytes());
                        input.extend(counter.to_le_bytes());
                        let digest = sha256(&[&input]);
                        let at = (j % 8) * 4;
                        let w = i128::from(u32::from_le_bytes(digest[at..at + 4].try_into().unwrap()));
                        let b = ((1_i128 << 48) / i128::from(tensor.columns)).isqrt();
                        i32::try_from(w * 2 * b / (1 << 32) - b).unwrap()
                    }
                };
                assert_eq!(*value, expected, "{tensor:?} {j}");
            }
        }
    }

    #[test]
    fn another_chain_starts_elsewhere() {
        let shape = Shape::new(1, 5, 7, 2, 3).unwrap();
        assert_ne!(initial_values(&GenesisId([1; 32]), &shape), initial_values(&GenesisId([2; 32]), &shape));
    }
}
