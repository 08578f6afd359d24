//! Snapshots: which, whose, how many bytes.

use pol_core::{ModelHead, ResultRoot};

use super::{ConvertError, at_most, field, fixed, optional};
use crate::{
    common::v1::TransferHeader,
    dht::v1,
    limits::{SNAPSHOTS_HELD, WRONG_ROOTS},
};

/// First part of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Model head of the state.
    pub model_head: ModelHead,
    /// The announced size, not yet compared with the chain's: [`crate::snapshots::Pieces`] does that.
    pub transfer: TransferHeader,
}

impl TryFrom<v1::SnapshotHeader> for SnapshotHeader {
    type Error = ConvertError;

    fn try_from(message: v1::SnapshotHeader) -> Result<Self, ConvertError> {
        let transfer = message.transfer.ok_or(ConvertError::Missing { field: "transfer" })?;
        Ok(Self { model_head: ModelHead(fixed("model_head", &message.model_head)?), transfer })
    }
}

impl From<SnapshotHeader> for v1::SnapshotHeader {
    fn from(header: SnapshotHeader) -> Self {
        Self { model_head: field(header.model_head.0), transfer: Some(header.transfer) }
    }
}

/// Which snapshot a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotWanted {
    /// Model head of the state.
    pub model_head: ModelHead,
    /// Accepted updates up to it.
    pub updates: u64,
    /// Its root; none: any.
    pub root: Option<ResultRoot>,
    /// Roots that are known to be wrong, at most 16.
    pub not_roots: Vec<ResultRoot>,
}

impl SnapshotWanted {
    /// Whether a snapshot with this root is wanted.
    pub fn accepts(&self, root: ResultRoot) -> bool {
        self.root.is_none_or(|wanted| wanted == root) && !self.not_roots.contains(&root)
    }
}

impl TryFrom<&v1::GetSnapshotRequest> for SnapshotWanted {
    type Error = ConvertError;

    fn try_from(message: &v1::GetSnapshotRequest) -> Result<Self, ConvertError> {
        at_most("not_roots", message.not_roots.len(), WRONG_ROOTS)?;
        let wrong = message.not_roots.iter().map(|root| fixed("not_roots", root).map(ResultRoot));
        Ok(Self {
            model_head: ModelHead(fixed("model_head", &message.model_head)?),
            updates: message.updates,
            root: optional("root", &message.root)?.map(ResultRoot),
            not_roots: wrong.collect::<Result<_, _>>()?,
        })
    }
}

impl From<&SnapshotWanted> for v1::GetSnapshotRequest {
    fn from(wanted: &SnapshotWanted) -> Self {
        Self {
            model_head: field(wanted.model_head.0),
            updates: wanted.updates,
            root: wanted.root.map(|root| field(root.0)).unwrap_or_default(),
            not_roots: wanted.not_roots.iter().take(WRONG_ROOTS).map(|root| field(root.0)).collect(),
        }
    }
}

/// Whose snapshots are asked about.
///
/// # Errors
/// [`ConvertError::Length`].
pub fn snapshot_target(request: &v1::HasSnapshotRequest) -> Result<ModelHead, ConvertError> {
    Ok(ModelHead(fixed("model_head", &request.model_head)?))
}

/// A snapshot on the daemon's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldSnapshot {
    /// Root of its state.
    pub root: ResultRoot,
    /// Accepted updates up to it, as it says.
    pub updates: u64,
}

/// Who has snapshots of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotSources {
    /// Those that the daemon has.
    pub held: Vec<HeldSnapshot>,
    /// Other nodes that say to have one.
    pub providers: u32,
}

impl TryFrom<&v1::HasSnapshotResponse> for SnapshotSources {
    type Error = ConvertError;

    fn try_from(message: &v1::HasSnapshotResponse) -> Result<Self, ConvertError> {
        at_most("held", message.held.len(), SNAPSHOTS_HELD)?;
        let held = |held: &v1::HeldSnapshot| {
            Ok::<_, ConvertError>(HeldSnapshot { root: ResultRoot(fixed("root", &held.root)?), updates: held.updates })
        };
        Ok(Self { held: message.held.iter().map(held).collect::<Result<_, _>>()?, providers: message.providers })
    }
}

impl From<&SnapshotSources> for v1::HasSnapshotResponse {
    fn from(sources: &SnapshotSources) -> Self {
        let held = |held: &HeldSnapshot| v1::HeldSnapshot { root: field(held.root.0), updates: held.updates };
        Self { held: sources.held.iter().take(SNAPSHOTS_HELD).map(held).collect(), providers: sources.providers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_survives_the_wire_and_says_what_it_accepts() {
        for root in [None, Some(ResultRoot([1; 32]))] {
            let not_roots = vec![ResultRoot([2; 32]), ResultRoot([3; 32])];
            let sent = SnapshotWanted { model_head: ModelHead([4; 32]), updates: 256, root, not_roots };
            assert_eq!(SnapshotWanted::try_from(&v1::GetSnapshotRequest::from(&sent)), Ok(sent.clone()));
            assert!(sent.accepts(ResultRoot([1; 32])) && !sent.accepts(ResultRoot([2; 32])));
            assert_eq!(sent.accepts(ResultRoot([9; 32])), root.is_none());
        }
    }

    #[test]
    fn too_many_or_broken_roots_are_refused() {
        let wanted = SnapshotWanted { model_head: ModelHead([4; 32]), updates: 1, root: None, not_roots: Vec::new() };
        let broken = |change: fn(&mut v1::GetSnapshotRequest)| {
            let mut message = v1::GetSnapshotRequest::from(&wanted);
            change(&mut message);
            SnapshotWanted::try_from(&message).unwrap_err()
        };
        assert!(matches!(broken(|m| m.not_roots = vec![vec![1; 32].into(); 17]), ConvertError::TooLong { found: 17, .. }));
        assert!(matches!(broken(|m| m.not_roots = vec![vec![1; 31].into()]), ConvertError::Length { found: 31, .. }));
        assert!(matches!(broken(|m| m.root = vec![1; 33].into()), ConvertError::Length { found: 33, .. }));
        assert!(matches!(broken(|m| m.model_head.clear()), ConvertError::Length { found: 0, .. }));
        let held = vec![v1::HeldSnapshot::default(); 9];
        let answer = SnapshotSources::try_from(&v1::HasSnapshotResponse { held, providers: 0 });
        assert!(matches!(answer, Err(ConvertError::TooLong { .. })));
    }
}
