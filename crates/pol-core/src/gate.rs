//! The loss gate's decision, in integers (section 12).
//!
//! # Why this way
//! Losses are floats and differ between machines in the fourth digit. They enter here as nano-nats, so that one integer rule decides;
//! the band between ACK and CLEAR FAIL is wider than the noise, so honest machines never stand on both sides.
//!
//! # What it does not protect against
//! `DEV_TEXTS` are public: a trainer can overfit them and pass.

use crate::{
    UpdateId,
    params::{GATE_PREFIX_TOKENS_MIN, SELF_TEST_TEXTS},
    sha256,
};

/// A finite loss in nano-nats (10^-9 nats), 0 ..= 10^12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoNats(i64);

impl NanoNats {
    /// 1,000 nats: above it a loss counts as not finite.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// A loss from nano-nats; None below 0 or above [`Self::MAX`], which counts as "not finite".
    pub const fn new(value: i64) -> Option<Self> {
        if value >= 0 && value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// A loss in nats, given as the bits of an IEEE 754 double: the nearest nano-nat, ties to even. None when it is not finite, negative
    /// or above 1,000 nats. (Negative zero is zero.)
    ///
    /// Integers only, so that every machine and language rounds alike.
    pub fn from_f64_bits(bits: u64) -> Option<Self> {
        /// 1,000.0; the order of positive doubles is the order of their bits.
        const MOST: u64 = 0x408f_4000_0000_0000;
        let bits = if bits == 1 << 63 { 0 } else { bits };
        if bits > MOST {
            return None;
        }
        let exponent = bits >> 52;
        let fraction = bits & ((1 << 52) - 1);
        let mantissa = if exponent == 0 { fraction } else { fraction | (1 << 52) };
        // value = mantissa * 2^(max(exponent, 1) - 1075), and the exponent is at most 1032: a shift to the right by 43 or more.
        let shift = u32::try_from(1_075_u64.checked_sub(exponent.max(1))?).ok()?;
        let scaled = u128::from(mantissa).checked_mul(1_000_000_000)?;
        let (Some(whole), Some(half)) = (scaled.checked_shr(shift), 1_u128.checked_shl(shift.checked_sub(1)?)) else {
            return Some(Self(0));
        };
        let rest = scaled.checked_sub(whole.checked_shl(shift)?)?;
        let up = rest > half || (rest == half && whole & 1 == 1);
        Self::new(i64::try_from(whole.checked_add(u128::from(up))?).ok()?)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// What a machine's self-test allows it to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTest {
    /// Off by at most 0.05 %: every verdict.
    Full,
    /// Off by at most 0.5 %: ACK or abstain.
    AckOnly,
    /// Further off, or a loss that is not finite: no votes.
    NoVotes,
}

/// Compares the measured losses of the first texts with those of genesis, by their sums.
pub fn self_test(measured: &[Option<NanoNats>; SELF_TEST_TEXTS], reference: &[NanoNats; SELF_TEST_TEXTS]) -> SelfTest {
    let sum = |losses: &mut dyn Iterator<Item = NanoNats>| losses.fold(0_i64, |sum, loss| sum.saturating_add(loss.0));
    if measured.iter().any(Option::is_none) {
        return SelfTest::NoVotes;
    }
    let expected = sum(&mut reference.iter().copied());
    let off = sum(&mut measured.iter().copied().flatten()).abs_diff(expected);
    // off / expected <= 0.05 % is off * 2000 <= expected; <= 0.5 % is off * 200 <= expected.
    let within = |factor: u64| off.checked_mul(factor).is_some_and(|scaled| scaled <= expected.unsigned_abs());
    if within(2_000) {
        SelfTest::Full
    } else if within(200) {
        SelfTest::AckOnly
    } else {
        SelfTest::NoVotes
    }
}

/// Which texts a gate ran on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSet {
    /// All of `DEV_TEXTS`.
    Full,
    /// A prefix in this member's own order, with so many tokens.
    Prefix {
        /// Predicted tokens.
        tokens: u64,
    },
}

/// What a member says of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Signs an ACK.
    Ack(AckReason),
    /// Says nothing.
    Abstain(AbstainReason),
    /// Counts and publishes a clear fail. Never evidence for a slashing.
    ClearFail(ClearFailReason),
}

/// Why an ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckReason {
    /// `after < 0.999 * before`.
    Better,
    /// `before < 0.05` nats: the ratio test is skipped.
    LossAlreadyLow,
}

/// Why silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbstainReason {
    /// The self-test allows no votes.
    SelfTest,
    /// The loss before is not finite: this machine cannot judge.
    BeforeNotFinite,
    /// The loss after is not finite, on a machine or a text set that may not say CLEAR FAIL.
    AfterNotFinite,
    /// Too few tokens for any verdict.
    TooFewTokens,
    /// Between the two thresholds, or worse on a machine or text set that may not say CLEAR FAIL.
    NotBetter,
}

/// Why a clear fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearFailReason {
    /// `after >= 1.0005 * before`.
    Worse,
    /// The loss after is not finite.
    NotFinite,
}

/// The gate's rule. `None` stands for a loss that is not finite (or out of range).
///
/// Size, shape, finiteness of the delta and the caps were tested before; no loss excuses them.
pub fn verdict(before: Option<NanoNats>, after: Option<NanoNats>, texts: TextSet, self_test: SelfTest) -> Verdict {
    /// Below 0.05 nats the ratio test is skipped.
    const SKIP_BELOW: i64 = 50_000_000;
    let full_voter = self_test == SelfTest::Full && texts == TextSet::Full;
    if self_test == SelfTest::NoVotes {
        return Verdict::Abstain(AbstainReason::SelfTest);
    }
    if matches!(texts, TextSet::Prefix { tokens } if tokens < GATE_PREFIX_TOKENS_MIN) {
        return Verdict::Abstain(AbstainReason::TooFewTokens);
    }
    let Some(before) = before else { return Verdict::Abstain(AbstainReason::BeforeNotFinite) };
    let Some(after) = after else {
        return if full_voter {
            Verdict::ClearFail(ClearFailReason::NotFinite)
        } else {
            Verdict::Abstain(AbstainReason::AfterNotFinite)
        };
    };
    // Losses are at most 10^12, so products with 10,005 stay below 2^54: saturation is never reached.
    if before.0 < SKIP_BELOW {
        Verdict::Ack(AckReason::LossAlreadyLow)
    } else if after.0.saturating_mul(1_000) < before.0.saturating_mul(999) {
        Verdict::Ack(AckReason::Better)
    } else if full_voter && after.0.saturating_mul(10_000) >= before.0.saturating_mul(10_005) {
        Verdict::ClearFail(ClearFailReason::Worse)
    } else {
        Verdict::Abstain(AbstainReason::NotBetter)
    }
}

/// Order in which a slow member takes the texts: by `H(updateID || its public key || text index)`, its own for every update.
pub fn prefix_order(update_id: UpdateId, public_key: &[u8; 48], texts: u32) -> Vec<u32> {
    let mut order: Vec<([u8; 32], u32)> =
        (0..texts).map(|index| (sha256(&[&update_id.0, public_key, &index.to_le_bytes()]), index)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
#[allow(clippy::float_arithmetic)]
mod tests {
    use super::*;

    fn nn(value: i64) -> Option<NanoNats> {
        NanoNats::new(value)
    }

    const BEFORE: i64 = 2_000_000_000;
    const PREFIX: TextSet = TextSet::Prefix { tokens: 2_000 };

    #[test]
    fn the_thresholds_are_exact() {
        let on_full = |after| verdict(nn(BEFORE), nn(after), TextSet::Full, SelfTest::Full);
        assert_eq!(on_full(1_997_999_999), Verdict::Ack(AckReason::Better));
        assert_eq!(on_full(1_998_000_000), Verdict::Abstain(AbstainReason::NotBetter));
        assert_eq!(on_full(2_000_999_999), Verdict::Abstain(AbstainReason::NotBetter));
        assert_eq!(on_full(2_001_000_000), Verdict::ClearFail(ClearFailReason::Worse));
    }

    #[test]
    fn only_a_full_voter_on_the_full_set_says_clear_fail() {
        for (texts, test) in [(PREFIX, SelfTest::Full), (TextSet::Full, SelfTest::AckOnly), (PREFIX, SelfTest::AckOnly)] {
            assert_eq!(verdict(nn(BEFORE), nn(BEFORE * 2), texts, test), Verdict::Abstain(AbstainReason::NotBetter));
            assert_eq!(verdict(nn(BEFORE), None, texts, test), Verdict::Abstain(AbstainReason::AfterNotFinite));
            assert_eq!(verdict(nn(BEFORE), nn(1), texts, test), Verdict::Ack(AckReason::Better));
        }
        let fail = verdict(nn(BEFORE), None, TextSet::Full, SelfTest::Full);
        assert_eq!(fail, Verdict::ClearFail(ClearFailReason::NotFinite));
    }

    #[test]
    fn a_failed_self_test_a_bad_before_or_too_few_tokens_say_nothing() {
        let better = |before, texts, test| verdict(before, nn(1), texts, test);
        assert_eq!(better(nn(BEFORE), TextSet::Full, SelfTest::NoVotes), Verdict::Abstain(AbstainReason::SelfTest));
        assert_eq!(better(None, TextSet::Full, SelfTest::Full), Verdict::Abstain(AbstainReason::BeforeNotFinite));
        let few = TextSet::Prefix { tokens: 1_999 };
        assert_eq!(better(nn(BEFORE), few, SelfTest::Full), Verdict::Abstain(AbstainReason::TooFewTokens));
    }

    #[test]
    fn below_0_05_nats_only_finiteness_is_asked() {
        let low = |before, after| verdict(nn(before), after, TextSet::Full, SelfTest::Full);
        assert_eq!(low(49_999_999, nn(900_000_000_000)), Verdict::Ack(AckReason::LossAlreadyLow));
        assert_eq!(low(49_999_999, None), Verdict::ClearFail(ClearFailReason::NotFinite));
        assert_eq!(low(50_000_000, nn(50_000_000)), Verdict::Abstain(AbstainReason::NotBetter));
    }

    #[test]
    fn losses_out_of_range_are_not_finite() {
        assert_eq!(nn(-1), None);
        assert_eq!(nn(i64::MAX), None);
        assert_eq!(nn(NanoNats::MAX.get()), Some(NanoNats::MAX));
        let most = verdict(Some(NanoNats::MAX), Some(NanoNats::MAX), TextSet::Full, SelfTest::Full);
        assert_eq!(most, Verdict::Abstain(AbstainReason::NotBetter));
    }

    #[test]
    fn doubles_become_the_nearest_nano_nat() {
        let from = |loss: f64| NanoNats::from_f64_bits(loss.to_bits()).map(NanoNats::get);
        for loss in [0.0, 1e-300, 4.9e-10, 5.1e-10, 0.05, 1.0, 2.345_678_901, 8.381_39, 999.999_999_999_4, 1_000.0] {
            let expected: i64 = format!("{:.0}", loss * 1e9).parse().unwrap();
            assert_eq!(from(loss), Some(expected), "{loss}");
        }
        assert_eq!(from(-0.0), Some(0));
        // Exact halves: 1/1024 nats are 976,562.5 nano-nats.
        assert_eq!([1.0, 3.0, 5.0].map(|n| from(n / 1_024.0)), [Some(976_562), Some(2_929_688), Some(4_882_812)]);
        for bad in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-300, -1.0, 1_000.000_001, f64::MAX] {
            assert_eq!(from(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_self_test_has_three_bands() {
        let reference = [NanoNats(2_000_000_000); SELF_TEST_TEXTS];
        let off = |by: i64| self_test(&[nn(2_000_000_000 + by); SELF_TEST_TEXTS], &reference);
        for sign in [-1, 1] {
            assert_eq!(off(sign * 1_000_000), SelfTest::Full);
            assert_eq!(off(sign * 1_000_001), SelfTest::AckOnly);
            assert_eq!(off(sign * 10_000_000), SelfTest::AckOnly);
            assert_eq!(off(sign * 10_000_001), SelfTest::NoVotes);
        }
        let mut measured = [nn(2_000_000_000); SELF_TEST_TEXTS];
        measured[7] = None;
        assert_eq!(self_test(&measured, &reference), SelfTest::NoVotes);
    }

    #[test]
    fn each_member_and_update_has_its_own_order_of_all_texts() {
        let order = prefix_order(UpdateId([1; 32]), &[2; 48], 512);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..512).collect::<Vec<_>>());
        assert_ne!(order, prefix_order(UpdateId([1; 32]), &[3; 48], 512));
        assert_ne!(order, prefix_order(UpdateId([2; 32]), &[2; 48], 512));
    }
}
