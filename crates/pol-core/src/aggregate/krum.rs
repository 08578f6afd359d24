//! Krum scores over norm-clipped deltas, in 128-bit integers (section 15; Blanchard et al. 2017).

use super::overlap::for_common;
use crate::delta::{CheckedDelta, lower_median};

/// Krum proves nothing with so few deltas. The caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("krum: {n} deltas cannot bear {f} bad ones, at least 2f + 3 are needed")]
pub struct KrumError {
    /// Deltas given.
    pub n: usize,
    /// Bad ones to bear.
    pub f: usize,
}

/// One score per delta, in the order given: the sum of squared distances to its n - f - 2 nearest others, after every delta was
/// scaled to the lower median of the norms. Smaller is closer to the crowd.
///
/// It says who stands apart, not who is right: f + 1 colluding deltas near each other can win.
///
/// # Errors
/// [`KrumError`] when n < 2f + 3.
pub fn krum_scores(deltas: &[&CheckedDelta], f: usize) -> Result<Vec<u128>, KrumError> {
    let n = deltas.len();
    let nearest = match f.checked_mul(2).and_then(|twice| twice.checked_add(3)) {
        Some(needed) if n >= needed => n.saturating_sub(f).saturating_sub(2),
        _ => return Err(KrumError { n, f }),
    };
    let norms: Vec<u64> = deltas.iter().map(|delta| delta.norm()).collect();
    let mut sorted = norms.clone();
    sorted.sort_unstable();
    let median = lower_median(&sorted).unwrap_or(0);
    let scaled: Vec<Scaled<'_>> = deltas.iter().zip(norms).map(|(delta, norm)| Scaled::new(delta, median, norm)).collect();
    let mut rows = vec![Vec::with_capacity(n); n];
    for (i, a) in scaled.iter().enumerate() {
        for (j, b) in scaled.iter().enumerate().skip(i.saturating_add(1)) {
            let distance = a.distance(b);
            for k in [i, j] {
                if let Some(row) = rows.get_mut(k) {
                    row.push(distance);
                }
            }
        }
    }
    Ok(rows
        .into_iter()
        .map(|mut row| {
            row.sort_unstable();
            row.into_iter().take(nearest).fold(0, u128::saturating_add)
        })
        .collect())
}

/// A delta whose values count as `sign(d) * floor(|d| * median / norm)`.
struct Scaled<'a> {
    delta: &'a CheckedDelta,
    median: u64,
    norm: u64,
    /// Sum of the squares of the scaled values.
    square_sum: i128,
}

impl<'a> Scaled<'a> {
    fn new(delta: &'a CheckedDelta, median: u64, norm: u64) -> Self {
        let mut scaled = Self { delta, median, norm, square_sum: 0 };
        for (_, value) in delta.changes() {
            let value = scaled.value(value);
            // Below 2^44 each, and fewer than 2^18 of them: the sum stays below 2^106.
            scaled.square_sum = scaled.square_sum.wrapping_add(value.wrapping_mul(value));
        }
        scaled
    }

    fn value(&self, value: i32) -> i128 {
        let magnitude = u64::from(value.unsigned_abs());
        let scaled = match magnitude.checked_mul(self.median) {
            Some(product) => product.checked_div(self.norm).map(i128::from),
            None => i128::from(magnitude).wrapping_mul(i128::from(self.median)).checked_div(i128::from(self.norm)),
        };
        // A kind-0 delta is never empty and holds no zero, so its norm is not 0.
        let scaled = scaled.unwrap_or(0);
        if value < 0 { scaled.wrapping_neg() } else { scaled }
    }

    /// Sum over the union of coordinates of (a - b)^2, as sum a^2 + sum b^2 - 2 sum ab: only shared coordinates have a product.
    fn distance(&self, other: &Self) -> u128 {
        let mut product = 0_i128;
        for_common(self.delta, other.delta, |a, b| {
            product = product.wrapping_add(self.value(a).wrapping_mul(other.value(b)));
        });
        let squares = self.square_sum.wrapping_add(other.square_sum);
        squares.wrapping_sub(product.wrapping_mul(2)).unsigned_abs()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ModelHead, delta::fixtures};

    const HEAD: ModelHead = ModelHead([1; 32]);

    #[test]
    fn fewer_than_2f_plus_3_deltas_are_refused() {
        let deltas: Vec<CheckedDelta> = (0..7).map(|seed| fixtures::delta(seed, HEAD)).collect();
        for n in 0..=7 {
            let some: Vec<&CheckedDelta> = deltas.iter().take(n).collect();
            for f in [0, 1, 2, 3, usize::MAX / 2, usize::MAX] {
                let enough = f < 10 && n >= 2 * f + 3;
                let scores = krum_scores(&some, f);
                assert_eq!(scores.is_ok(), enough, "{n} {f}");
                if !enough {
                    assert_eq!(scores, Err(KrumError { n, f }));
                }
            }
        }
    }

    /// The text read literally: scaled vectors, union of coordinates, sorted distances.
    fn by_the_text(deltas: &[&CheckedDelta], f: usize) -> Vec<u128> {
        let vectors: Vec<BTreeMap<u32, i128>> =
            deltas.iter().map(|d| d.changes().map(|(i, v)| (i, i128::from(v))).collect()).collect();
        let norms: Vec<i128> = vectors.iter().map(|v| v.values().map(|x| x * x).sum::<i128>().isqrt()).collect();
        let mut sorted = norms.clone();
        sorted.sort_unstable();
        let median = sorted[(sorted.len() - 1) / 2];
        let scaled: Vec<BTreeMap<u32, i128>> = vectors
            .iter()
            .zip(&norms)
            .map(|(v, norm)| v.iter().map(|(i, x)| (*i, x.signum() * (x.abs() * median / norm))).collect())
            .collect();
        (0..deltas.len())
            .map(|i| {
                let mut distances: Vec<i128> = (0..deltas.len())
                    .filter(|j| *j != i)
                    .map(|j| {
                        let keys: std::collections::BTreeSet<&u32> = scaled[i].keys().chain(scaled[j].keys()).collect();
                        let at = |v: &BTreeMap<u32, i128>, k: &u32| v.get(k).copied().unwrap_or(0);
                        keys.into_iter().map(|k| (at(&scaled[i], k) - at(&scaled[j], k)).pow(2)).sum()
                    })
                    .collect();
                distances.sort_unstable();
                u128::try_from(distances.iter().take(deltas.len() - f - 2).sum::<i128>()).unwrap()
            })
            .collect()
    }

    #[test]
    fn scores_match_the_text_read_literally() {
        let deltas: Vec<CheckedDelta> = (0..9).map(|seed| fixtures::delta(seed, HEAD)).collect();
        let all: Vec<&CheckedDelta> = deltas.iter().collect();
        for n in 3..=9 {
            let some = &all[..n];
            for f in 0..=(n - 3) / 2 {
                assert_eq!(krum_scores(some, f).unwrap(), by_the_text(some, f), "{n} {f}");
            }
        }
    }

    #[test]
    fn the_largest_values_do_not_overflow_a_distance() {
        let context = fixtures::context();
        let of = |value: i32, shift: u32| {
            let list: Vec<(u32, i32)> = (0..20).map(|p| (p + shift, value)).collect();
            fixtures::delta_of(&context, &fixtures::claims(HEAD), &fixtures::change_of(&list, &context.shape))
        };
        let deltas = [of(i32::MAX, 0), of(i32::MIN, 0), of(i32::MAX, 5), of(1, 9), of(i32::MIN, 100)];
        let all: Vec<&CheckedDelta> = deltas.iter().collect();
        assert_eq!(krum_scores(&all, 1).unwrap(), by_the_text(&all, 1));
    }
}
