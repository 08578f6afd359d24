//! What an update adds to the state, however it came about.

use super::{
    decode::{Changes, CheckedDelta},
    fp16::MAGNITUDE_LIMIT,
};

/// A change of the state: a delta as it came, or the mean of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A kind-0 delta, decoded as it is read.
    Delta(Box<CheckedDelta>),
    /// Any other list of changes.
    Sparse(SparseChange),
}

impl Change {
    /// (flat index, change in units) with strictly increasing indices; every magnitude is below 2^30.
    pub fn iter(&self) -> ChangeIter<'_> {
        match self {
            Self::Delta(delta) => ChangeIter::Delta(delta.changes()),
            Self::Sparse(sparse) => ChangeIter::Sparse(sparse.0.iter()),
        }
    }

    /// L2 norm in units, rounded down: `isqrt` of the sum of squares (section 12).
    pub fn norm(&self) -> u64 {
        norm_of(square_sum(self.iter()))
    }
}

impl From<CheckedDelta> for Change {
    fn from(delta: CheckedDelta) -> Self {
        Self::Delta(Box::new(delta))
    }
}

impl<'a> IntoIterator for &'a Change {
    type Item = (u32, i32);
    type IntoIter = ChangeIter<'a>;

    fn into_iter(self) -> ChangeIter<'a> {
        self.iter()
    }
}

impl CheckedDelta {
    /// L2 norm in units, rounded down.
    pub fn norm(&self) -> u64 {
        norm_of(square_sum(self.changes()))
    }
}

/// Iterator of [`Change::iter`].
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one loop; boxing it would allocate per loop")]
pub enum ChangeIter<'a> {
    /// Over a delta.
    Delta(Changes<'a>),
    /// Over a list.
    Sparse(core::slice::Iter<'a, (u32, i32)>),
}

impl Iterator for ChangeIter<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<(u32, i32)> {
        match self {
            Self::Delta(changes) => changes.next(),
            Self::Sparse(list) => list.next().copied(),
        }
    }
}

/// (flat index, change in units) pairs with strictly increasing indices, every magnitude below 2^30.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SparseChange(Vec<(u32, i32)>);

/// Why a list is no [`SparseChange`]. The caller's fault: a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SparseError {
    /// Indices do not strictly increase.
    #[error("change: index {index} follows one that is not smaller")]
    Order {
        /// The later index.
        index: u32,
    },
    /// A change of 64.0 or more.
    #[error("change: {value} at index {index}, expected a magnitude below 2^30")]
    Magnitude {
        /// Flat index.
        index: u32,
        /// Change in units.
        value: i32,
    },
}

impl SparseChange {
    /// Checks order and magnitudes.
    ///
    /// # Errors
    /// [`SparseError`] names the first offending index.
    pub fn new(list: Vec<(u32, i32)>) -> Result<Self, SparseError> {
        let mut previous = None;
        for &(index, value) in &list {
            if previous.is_some_and(|previous| previous >= index) {
                return Err(SparseError::Order { index });
            }
            if value.unsigned_abs() >= MAGNITUDE_LIMIT.unsigned_abs() {
                return Err(SparseError::Magnitude { index, value });
            }
            previous = Some(index);
        }
        Ok(Self(list))
    }

    /// The pairs.
    pub fn as_slice(&self) -> &[(u32, i32)] {
        &self.0
    }
}

impl From<SparseChange> for Change {
    fn from(sparse: SparseChange) -> Self {
        Self::Sparse(sparse)
    }
}

/// Sum of squares in units squared. 2^28 values below 2^30 stay below 2^88.
pub(crate) fn square_sum(changes: impl Iterator<Item = (u32, i32)>) -> u128 {
    changes.fold(0, |sum, (_, value)| sum.wrapping_add(u128::from(square(value))))
}

/// The square of a change.
pub(super) fn square(value: i32) -> u64 {
    let magnitude = u64::from(value.unsigned_abs());
    magnitude.wrapping_mul(magnitude)
}

fn norm_of(square_sum: u128) -> u64 {
    // The root of a sum below 2^88 is below 2^44.
    u64::try_from(square_sum.isqrt()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_out_of_order_or_out_of_range_is_no_change() {
        assert_eq!(SparseChange::new(vec![(1, 1), (1, 2)]), Err(SparseError::Order { index: 1 }));
        assert_eq!(SparseChange::new(vec![(2, 1), (1, 2)]), Err(SparseError::Order { index: 1 }));
        for value in [1 << 30, -(1 << 30), i32::MIN] {
            assert_eq!(SparseChange::new(vec![(7, value)]), Err(SparseError::Magnitude { index: 7, value }));
        }
        let list = vec![(0, (1 << 30) - 1), (u32::MAX, 1 - (1 << 30))];
        assert_eq!(SparseChange::new(list.clone()).unwrap().as_slice(), list);
    }

    #[test]
    fn the_norm_is_the_root_of_the_sum_of_squares_rounded_down() {
        let norm = |list: &[(u32, i32)]| Change::from(SparseChange::new(list.to_vec()).unwrap()).norm();
        assert_eq!(norm(&[]), 0);
        assert_eq!(norm(&[(0, 3), (5, -4)]), 5);
        assert_eq!(norm(&[(0, 3), (5, -4), (6, 3)]), 5);
        let big = (1 << 30) - 1;
        assert_eq!(norm(&[(0, big), (1, -big), (2, big), (3, big)]), 2 * ((1 << 30) - 1));
    }
}
