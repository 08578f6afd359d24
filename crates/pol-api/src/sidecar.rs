//! The sidecar's service: generated messages, and verdicts as checked values.

pub mod aggregate;
pub mod model;
pub mod order;
pub mod train;

use pol_core::{ModelHead, ResultRoot, UpdateId, gate::NanoNats};
use tonic::transport::Channel;

use crate::{
    convert::{self, ConvertError},
    limits,
};

/// `polai.sidecar.v1`, generated from `proto/polai/sidecar/v1`.
#[allow(missing_docs, clippy::as_conversions, clippy::missing_const_for_fn)]
pub mod v1 {
    tonic::include_proto!("polai.sidecar.v1");
}

use v1::{sidecar_client::SidecarClient, sidecar_server::SidecarServer};

/// The sidecar's service with bounded messages.
pub fn server<T: v1::sidecar_server::Sidecar>(service: T) -> SidecarServer<T> {
    SidecarServer::new(service).max_decoding_message_size(limits::MESSAGE_BYTES).max_encoding_message_size(limits::MESSAGE_BYTES)
}

/// A client of the sidecar with bounded answers.
pub fn client(channel: Channel) -> SidecarClient<Channel> {
    SidecarClient::new(channel).max_decoding_message_size(limits::MESSAGE_BYTES)
}

/// What the gate decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Sign, with this root of the state after the update.
    Ack(ResultRoot),
    /// It failed clearly.
    ClearFail,
    /// Neither.
    Abstain,
}

/// The gate's answer about one update on one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The update.
    pub update_id: UpdateId,
    /// Head it applies to.
    pub model_head: ModelHead,
    /// The answer.
    pub decision: Decision,
    /// Losses before and after, where both were finite.
    pub losses: Option<(NanoNats, NanoNats)>,
    /// Measured on the whole set.
    pub full_set: bool,
    /// When this node first saw the candidate, unix milliseconds.
    pub first_seen_unix_ms: u64,
    /// When the gate decided, unix milliseconds.
    pub decided_unix_ms: u64,
}

fn loss(field: &'static str, found: i64) -> Result<NanoNats, ConvertError> {
    NanoNats::new(found).ok_or(ConvertError::Range { field, found, least: 0, most: NanoNats::MAX.get() })
}

impl TryFrom<v1::VerdictsResponse> for Verdict {
    type Error = ConvertError;

    fn try_from(message: v1::VerdictsResponse) -> Result<Self, ConvertError> {
        let verdict = message.verdict.ok_or(ConvertError::Missing { field: "verdict" })?;
        let root = convert::optional("result_root", &verdict.result_root)?.map(ResultRoot);
        let decision = match v1::Decision::try_from(verdict.decision) {
            Ok(v1::Decision::Ack) => Decision::Ack(root.ok_or(ConvertError::Missing { field: "result_root" })?),
            Ok(v1::Decision::ClearFail) => Decision::ClearFail,
            Ok(v1::Decision::Abstain) => Decision::Abstain,
            Ok(v1::Decision::Unspecified) | Err(_) => {
                return Err(ConvertError::Range { field: "decision", found: verdict.decision.into(), least: 1, most: 3 });
            }
        };
        let losses = match verdict.losses {
            Some(losses) => {
                Some((loss("before_nano_nats", losses.before_nano_nats)?, loss("after_nano_nats", losses.after_nano_nats)?))
            }
            None => None,
        };
        Ok(Self {
            update_id: convert::update_id(&verdict.update_id)?,
            model_head: ModelHead(convert::fixed("model_head", &verdict.model_head)?),
            decision,
            losses,
            full_set: verdict.full_set,
            first_seen_unix_ms: verdict.first_seen_unix_ms,
            decided_unix_ms: verdict.decided_unix_ms,
        })
    }
}

impl From<&Verdict> for v1::VerdictsResponse {
    fn from(verdict: &Verdict) -> Self {
        let (decision, root) = match verdict.decision {
            Decision::Ack(root) => (v1::Decision::Ack, convert::field(root.0)),
            Decision::ClearFail => (v1::Decision::ClearFail, Default::default()),
            Decision::Abstain => (v1::Decision::Abstain, Default::default()),
        };
        let losses =
            verdict.losses.map(|(before, after)| v1::Losses { before_nano_nats: before.get(), after_nano_nats: after.get() });
        let verdict = v1::Verdict {
            update_id: convert::field(verdict.update_id.0),
            model_head: convert::field(verdict.model_head.0),
            result_root: root,
            decision: decision.into(),
            losses,
            full_set: verdict.full_set,
            first_seen_unix_ms: verdict.first_seen_unix_ms,
            decided_unix_ms: verdict.decided_unix_ms,
        };
        Self { verdict: Some(verdict) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(decision: Decision) -> Verdict {
        Verdict {
            update_id: UpdateId([1; 32]),
            model_head: ModelHead([2; 32]),
            decision,
            losses: Some((NanoNats::MAX, NanoNats::new(0).unwrap())),
            full_set: true,
            first_seen_unix_ms: 5,
            decided_unix_ms: 6,
        }
    }

    #[test]
    fn a_verdict_survives_the_wire() {
        for decision in [Decision::Ack(ResultRoot([3; 32])), Decision::ClearFail, Decision::Abstain] {
            for losses in [None, verdict(decision).losses] {
                let sent = Verdict { losses, ..verdict(decision) };
                assert_eq!(Verdict::try_from(v1::VerdictsResponse::from(&sent)), Ok(sent));
            }
        }
    }

    #[test]
    fn an_ack_without_a_root_an_unknown_decision_and_a_loss_out_of_range_are_refused() {
        let broken = |change: fn(&mut v1::Verdict)| {
            let mut message = v1::VerdictsResponse::from(&verdict(Decision::Ack(ResultRoot([3; 32]))));
            change(message.verdict.as_mut().unwrap());
            Verdict::try_from(message).unwrap_err()
        };
        assert_eq!(broken(|v| v.result_root.clear()), ConvertError::Missing { field: "result_root" });
        assert!(matches!(broken(|v| v.result_root = vec![1; 31].into()), ConvertError::Length { found: 31, .. }));
        assert!(matches!(broken(|v| v.decision = 4), ConvertError::Range { field: "decision", .. }));
        assert!(matches!(broken(|v| v.decision = 0), ConvertError::Range { field: "decision", .. }));
        assert!(matches!(broken(|v| v.update_id = vec![0; 32].into()), ConvertError::ZeroUpdate { .. }));
        let negative = |v: &mut v1::Verdict| v.losses = Some(v1::Losses { before_nano_nats: 1, after_nano_nats: -1 });
        assert!(matches!(broken(negative), ConvertError::Range { field: "after_nano_nats", found: -1, .. }));
        assert_eq!(Verdict::try_from(v1::VerdictsResponse::default()), Err(ConvertError::Missing { field: "verdict" }));
    }
}
