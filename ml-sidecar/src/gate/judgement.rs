//! What a gate says, for machines and for people.

use std::fmt;

use pol_core::{
    ResultRoot,
    delta::CapError,
    gate::{AbstainReason, AckReason, ClearFailReason, SelfTest, TextSet, Verdict},
    state::StateError,
};

use crate::{device::Device, precision::Precision};

/// How it was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// By the losses.
    Loss(Verdict),
    /// The change is over a cap: no loss was measured, and nothing is said.
    OverCap(CapError),
    /// The change would bring a value to 64.0: finalized it would add zero, so nothing is said.
    AddsZero(StateError),
}

/// A gate's judgement with all that led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// How it was decided.
    pub ruling: Ruling,
    /// Losses before and after, nats per predicted token; maybe not finite. None: not measured.
    pub losses: Option<(f64, f64)>,
    /// Texts that were measured.
    pub texts: TextSet,
    /// Predicted tokens of one pass.
    pub tokens: u64,
    /// Root of the state with the change: what an ACK names.
    pub result_root: Option<ResultRoot>,
    /// Time it took.
    pub seconds: f64,
    /// What this machine may say.
    pub self_test: SelfTest,
    /// Where it was computed.
    pub device: Device,
    /// With which numbers.
    pub precision: Precision,
}

impl Judgement {
    pub(super) const fn unmeasured(self_test: SelfTest, device: Device, precision: Precision) -> Self {
        let ruling = Ruling::Loss(Verdict::Abstain(AbstainReason::TooFewTokens));
        let texts = TextSet::Full;
        Self { ruling, losses: None, texts, tokens: 0, result_root: None, seconds: 0.0, self_test, device, precision }
    }

    /// What a member does.
    pub const fn verdict(&self) -> &'static str {
        match self.ruling {
            Ruling::Loss(Verdict::Ack(_)) => "ACK",
            Ruling::Loss(Verdict::ClearFail(_)) => "CLEAR FAIL",
            Ruling::Loss(Verdict::Abstain(_)) | Ruling::OverCap(_) | Ruling::AddsZero(_) => "ABSTAIN",
        }
    }

    /// Whether a member signs an ACK.
    pub const fn is_ack(&self) -> bool {
        matches!(self.ruling, Ruling::Loss(Verdict::Ack(_)))
    }

    /// After divided by before; not a number without both.
    pub fn ratio(&self) -> f64 {
        self.losses.map_or(f64::NAN, |(before, after)| after / before)
    }

    /// Why, in plain words.
    pub fn reason(&self) -> String {
        let said = match &self.ruling {
            Ruling::OverCap(cap) => return format!("over a cap: {cap}"),
            Ruling::AddsZero(error) => return format!("it would add zero: {error}"),
            Ruling::Loss(Verdict::Ack(AckReason::Better)) => "the loss falls by more than 0.1 %",
            Ruling::Loss(Verdict::Ack(AckReason::LossAlreadyLow)) => "the loss was below 0.05 nats before",
            Ruling::Loss(Verdict::ClearFail(ClearFailReason::Worse)) => "the loss rises by 0.05 % or more",
            Ruling::Loss(Verdict::ClearFail(ClearFailReason::NotFinite)) => "the loss with it is not finite",
            Ruling::Loss(Verdict::Abstain(AbstainReason::SelfTest)) => {
                "the self-test failed: this machine's losses are not the chain's (another model revision, TF32, a lossy precision?)"
            }
            Ruling::Loss(Verdict::Abstain(AbstainReason::BeforeNotFinite)) => "the loss before it is not finite on this machine",
            Ruling::Loss(Verdict::Abstain(AbstainReason::AfterNotFinite)) => {
                "the loss with it is not finite, but this was no full test"
            }
            Ruling::Loss(Verdict::Abstain(AbstainReason::TooFewTokens)) => "fewer than 2,000 tokens were measured",
            Ruling::Loss(Verdict::Abstain(AbstainReason::NotBetter)) => "the loss does not fall by more than 0.1 %",
        };
        said.to_owned()
    }

    /// The log line of every judgement.
    pub fn log(&self) {
        let (before, after) = self.losses.unwrap_or((f64::NAN, f64::NAN));
        tracing::info!(
            target: "polai::gate", verdict = self.verdict(), before, after, ratio = self.ratio(), tokens = self.tokens,
            seconds = self.seconds, device = %self.device, precision = %self.precision, reason = self.reason(), "Loss gate"
        );
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loss gate: {}", self.verdict())?;
        if let Some((before, after)) = self.losses {
            let set = if self.texts == TextSet::Full { "all texts" } else { "a prefix of the texts" };
            let ratio = self.ratio();
            write!(f, ", loss {before:.6} -> {after:.6} (ratio {ratio:.6}), {} tokens of {set}", self.tokens)?;
        }
        write!(f, ", {:.2} s on {} in {}: {}", self.seconds, self.device, self.precision, self.reason())
    }
}
