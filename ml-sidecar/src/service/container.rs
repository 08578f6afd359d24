//! A candidate's container, fetched, checked and turned into the change it stands for.

use std::time::Duration;

use bytes::Bytes;
use pol_api::{
    client::{self, CallError},
    serve,
    tonic::transport::Channel,
};
use pol_core::{
    ModelHead, UpdateId,
    delta::{Change, Checked, CheckedDelta, Context, DeltaError, MergeError, RawDelta, merge},
};
use tokio::time::timeout;

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// pol-dht has no bytes yet, or is away. It may heal.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The same: nothing in time.
    #[error("the bytes did not come in time")]
    Timeout,
    /// The announcement says what is not so of these bytes: the announcer's fault, who need not be the trainer.
    #[error("{found} bytes, the announcement said {expected}")]
    Size {
        /// Bytes fetched.
        found: usize,
        /// Bytes announced.
        expected: usize,
    },
    /// The container breaks a rule: the trainer's fault.
    #[error(transparent)]
    Container(#[from] DeltaError),
    /// It was made for another head than announced: the announcer's fault.
    #[error("made for model head {found}, announced for {expected}")]
    Head {
        /// Head in the container.
        found: ModelHead,
        /// Head announced.
        expected: ModelHead,
    },
    /// The children are not a merge's: the publisher's fault.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A child is no delta: the publisher's fault.
    #[error("child {child} is no delta")]
    Child {
        /// The child.
        child: UpdateId,
    },
    /// A void while the state is known, or none while it is not: nothing is to be measured.
    #[error("nothing to measure here: a void, or no void where only one can help")]
    Void,
}

impl PrepareError {
    /// Whether asking again may help.
    pub(crate) const fn may_heal(&self) -> bool {
        matches!(self, Self::Call(_) | Self::Timeout)
    }

    /// Whether the announcement is wrong and says nothing about the bytes: anyone can announce anyone's update.
    pub(crate) const fn is_of_announcement(&self) -> bool {
        matches!(self, Self::Size { .. } | Self::Head { .. })
    }
}

/// A container that can be judged.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its id.
    pub(crate) update_id: UpdateId,
    /// What it adds.
    pub(crate) change: Change,
    /// The delta itself; None: a merge.
    pub(crate) delta: Option<CheckedDelta>,
    /// The container, then a merge's children: what this node has to hold when it says ACK.
    pub(crate) containers: Vec<Bytes>,
}

/// What a container is made of, once it is decoded.
enum Content {
    Whole(Box<Prepared>),
    Merge(Box<pol_core::delta::CheckedMerge>, Bytes),
}

/// Fetches a container and, of a merge, its children; checks all of them.
///
/// # Errors
/// [`PrepareError`].
pub(crate) async fn prepare(
    dht: &Channel,
    context: &Context,
    update_id: UpdateId,
    head: ModelHead,
    size: Option<usize>,
    within: Duration,
) -> Result<Prepared, PrepareError> {
    let work = async {
        let bytes = fetch(dht, update_id).await?;
        if let Some(expected) = size.filter(|size| *size != bytes.len()) {
            return Err(PrepareError::Size { found: bytes.len(), expected });
        }
        match decode(context, head, bytes)? {
            Content::Whole(prepared) => Ok(*prepared),
            Content::Merge(of, container) => {
                let (mut children, mut containers) = (Vec::new(), vec![container]);
                for (child, _) in of.children() {
                    let bytes = fetch(dht, child).await?;
                    containers.push(bytes.clone());
                    match RawDelta::from_slice(&bytes)?.check(context)? {
                        Checked::Delta(delta) => children.push(delta),
                        _ => return Err(PrepareError::Child { child }),
                    }
                }
                let change = merge(&of, &children)?.into();
                Ok(Prepared { update_id, change, delta: None, containers })
            }
        }
    };
    timeout(within, work).await.unwrap_or(Err(PrepareError::Timeout))
}

/// A container that was given, not announced.
///
/// # Errors
/// [`PrepareError`]; a merge is [`PrepareError::Child`] unless it comes with its children through pol-dht: use [`prepare`].
pub(crate) fn of_bytes(context: &Context, head: ModelHead, bytes: Bytes) -> Result<Prepared, PrepareError> {
    match decode(context, head, bytes)? {
        Content::Whole(prepared) => Ok(*prepared),
        Content::Merge(of, _) => Err(PrepareError::Child { child: of.update_id() }),
    }
}

/// Bytes by their id, in time.
///
/// # Errors
/// [`PrepareError::Call`], [`PrepareError::Timeout`].
pub(crate) async fn fetch_within(dht: &Channel, id: UpdateId, within: Duration) -> Result<Bytes, PrepareError> {
    timeout(within, fetch(dht, id)).await.unwrap_or(Err(PrepareError::Timeout))
}

async fn fetch(dht: &Channel, id: UpdateId) -> Result<Bytes, PrepareError> {
    Ok(client::fetch_delta(&mut serve::dht_client(dht.clone()), id).await?.into())
}

fn decode(context: &Context, head: ModelHead, bytes: Bytes) -> Result<Content, PrepareError> {
    let checked = RawDelta::from_slice(&bytes)?.check(context)?;
    let found = checked.header().claims.model_head;
    if found != head {
        return Err(PrepareError::Head { found, expected: head });
    }
    match checked {
        Checked::Void(_) => Err(PrepareError::Void),
        Checked::Merge(of) => Ok(Content::Merge(Box::new(of), bytes)),
        Checked::Delta(delta) => {
            let (update_id, change) = (delta.update_id(), delta.clone().into());
            Ok(Content::Whole(Box::new(Prepared { update_id, change, delta: Some(delta), containers: vec![bytes] })))
        }
    }
}
