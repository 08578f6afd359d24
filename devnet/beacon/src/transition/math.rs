//! `uint64` as in the consensus specification: what leaves its range makes the block invalid, it never wraps.

/// A number left the range of `uint64`. In a block that is the proposer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number left the range of uint64")]
pub struct Overflow;

/// The specification's operators.
pub(crate) trait Checked: Sized {
    fn plus(self, other: Self) -> Result<Self, Overflow>;
    fn minus(self, other: Self) -> Result<Self, Overflow>;
    fn times(self, other: Self) -> Result<Self, Overflow>;
    /// Integer division; a divisor of zero is an error, too.
    fn over(self, other: Self) -> Result<Self, Overflow>;
    fn modulo(self, other: Self) -> Result<Self, Overflow>;
}

impl Checked for u64 {
    fn plus(self, other: Self) -> Result<Self, Overflow> {
        self.checked_add(other).ok_or(Overflow)
    }

    fn minus(self, other: Self) -> Result<Self, Overflow> {
        self.checked_sub(other).ok_or(Overflow)
    }

    fn times(self, other: Self) -> Result<Self, Overflow> {
        self.checked_mul(other).ok_or(Overflow)
    }

    fn over(self, other: Self) -> Result<Self, Overflow> {
        self.checked_div(other).ok_or(Overflow)
    }

    fn modulo(self, other: Self) -> Result<Self, Overflow> {
        self.checked_rem(other).ok_or(Overflow)
    }
}

/// A registry index as a place in memory. No list is as long as `usize::MAX`, so what does not fit is out of bounds either way.
pub(crate) fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// A length as the specification's `uint64`.
pub(crate) fn length(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_range_is_an_error() {
        assert_eq!(u64::MAX.plus(1), Err(Overflow));
        assert_eq!(0.minus(1), Err(Overflow));
        assert_eq!(u64::MAX.times(2), Err(Overflow));
        assert_eq!(1.over(0), Err(Overflow));
        assert_eq!(1.modulo(0), Err(Overflow));
        assert_eq!((7.plus(1), 7.minus(7), 7.times(6), 7.over(2), 7.modulo(2)), (Ok(8), Ok(0), Ok(42), Ok(3), Ok(1)));
    }
}
