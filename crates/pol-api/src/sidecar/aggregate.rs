//! An aggregation on demand, as checked values.

use pol_core::{ModelHead, UpdateId};
use prost::bytes::Bytes;

use super::v1;
use crate::{
    convert::{self, ConvertError, at_most, printable},
    limits::{ALARM_TEXT_BYTES, DELTA_BYTES},
};

/// Deltas of one aggregation on demand, at most.
pub const AGGREGATED: usize = 16;

/// Which deltas.
///
/// # Errors
/// [`ConvertError`]: none, too many, a repeated one, or one that is no id.
pub fn wanted(message: &v1::AggregateRequest) -> Result<Vec<UpdateId>, ConvertError> {
    at_most("update_ids", message.update_ids.len(), AGGREGATED)?;
    let ids: Vec<UpdateId> = message.update_ids.iter().map(|id| convert::update_id(id)).collect::<Result<_, _>>()?;
    let different: std::collections::BTreeSet<&UpdateId> = ids.iter().collect();
    match (ids.len(), different.len()) {
        (0, _) => Err(ConvertError::Missing { field: "update_ids" }),
        (found, most) if found != most => Err(ConvertError::TooLong { field: "different update_ids", found, most }),
        _ => Ok(ids),
    }
}

/// A delta of an aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Its id.
    pub update_id: UpdateId,
    /// Its weight in the merge; 0: no part of what was chosen.
    pub weight: u16,
    /// Loss before minus loss with it, nano-nats; none: the gate does not ACK it.
    pub gain: Option<i64>,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregated {
    /// Model head of all of them.
    pub model_head: ModelHead,
    /// Which line of the table decided.
    pub rule: String,
    /// The update that goes on.
    pub update_id: Option<UpdateId>,
    /// Of a merge its container; no more is known of it than its size.
    pub container: Option<Bytes>,
    /// L2 norm of the change that goes on, units of 2^-24.
    pub norm: u64,
    /// The deltas, as asked for.
    pub children: Vec<Child>,
}

impl From<&Aggregated> for v1::AggregateResponse {
    fn from(aggregated: &Aggregated) -> Self {
        let child = |child: &Child| v1::AggregateChild {
            update_id: convert::field(child.update_id.0),
            weight: child.weight.into(),
            gain_nano_nats: child.gain,
        };
        Self {
            model_head: convert::field(aggregated.model_head.0),
            rule: printable(&aggregated.rule, ALARM_TEXT_BYTES),
            update_id: aggregated.update_id.map(|id| convert::field(id.0)).unwrap_or_default(),
            container: aggregated.container.clone().unwrap_or_default(),
            norm: aggregated.norm,
            children: aggregated.children.iter().take(AGGREGATED).map(child).collect(),
        }
    }
}

impl TryFrom<v1::AggregateResponse> for Aggregated {
    type Error = ConvertError;

    fn try_from(message: v1::AggregateResponse) -> Result<Self, ConvertError> {
        convert::text("rule", &message.rule, ALARM_TEXT_BYTES)?;
        at_most("container", message.container.len(), DELTA_BYTES)?;
        at_most("children", message.children.len(), AGGREGATED)?;
        let child = |child: &v1::AggregateChild| {
            let most = i64::from(u16::MAX);
            let error = ConvertError::Range { field: "weight", found: child.weight.into(), least: 0, most };
            let weight = u16::try_from(child.weight).map_err(|_| error)?;
            Ok::<_, ConvertError>(Child { update_id: convert::update_id(&child.update_id)?, weight, gain: child.gain_nano_nats })
        };
        let update_id = if message.update_id.is_empty() { None } else { Some(convert::update_id(&message.update_id)?) };
        Ok(Self {
            model_head: ModelHead(convert::fixed("model_head", &message.model_head)?),
            rule: message.rule,
            update_id,
            container: Some(message.container).filter(|container| !container.is_empty()),
            norm: message.norm,
            children: message.children.iter().map(child).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_the_wire() {
        let child = |byte, weight, gain| Child { update_id: UpdateId([byte; 32]), weight, gain };
        let merge = Aggregated {
            model_head: ModelHead([1; 32]),
            rule: "MergeOfTwo".to_owned(),
            update_id: Some(UpdateId([2; 32])),
            container: Some(vec![3; 340].into()),
            norm: 4,
            children: vec![child(5, 1_024, Some(-1)), child(6, 0, None)],
        };
        let nothing =
            Aggregated { update_id: None, container: None, norm: 0, children: vec![child(5, 0, None)], ..merge.clone() };
        for sent in [merge, nothing] {
            assert_eq!(Aggregated::try_from(v1::AggregateResponse::from(&sent)), Ok(sent));
        }
    }

    #[test]
    fn no_ids_too_many_and_the_same_twice_are_refused() {
        let ids = |ids: &[u8]| v1::AggregateRequest { update_ids: ids.iter().map(|byte| vec![*byte; 32].into()).collect() };
        assert_eq!(wanted(&ids(&[1, 2])), Ok(vec![UpdateId([1; 32]), UpdateId([2; 32])]));
        assert_eq!(wanted(&ids(&[])), Err(ConvertError::Missing { field: "update_ids" }));
        assert!(matches!(wanted(&ids(&[7; AGGREGATED + 1])), Err(ConvertError::TooLong { field: "update_ids", .. })));
        assert!(matches!(wanted(&ids(&[1, 1])), Err(ConvertError::TooLong { field: "different update_ids", .. })));
        assert!(matches!(wanted(&ids(&[0])), Err(ConvertError::ZeroUpdate { .. })));
    }
}
