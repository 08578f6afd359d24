//! Rows of the follower's journal, and their bytes.

use pol_api::convert::Cursor;
use pol_core::{Hash32, ModelHead, ResultRoot, UpdateId};

/// Bytes of an [`UpdateRow`].
pub(super) const UPDATE_BYTES: usize = 112;
/// Bytes of a [`Step`].
pub(super) const STEP_BYTES: usize = 81;

/// A canonical update, as the feed told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UpdateRow {
    pub(super) update_id: UpdateId,
    /// Model head after it.
    pub(super) head: ModelHead,
    pub(super) block: Cursor,
    /// Unix seconds.
    pub(super) timestamp: u64,
}

/// What following an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Number of the update whose state it began with: the one before it, or less after a void over updates that nobody has.
    pub(super) from: u64,
    pub(super) before: ResultRoot,
    pub(super) after: ResultRoot,
    /// Norm of the change, when it was added.
    pub(super) norm: Option<u64>,
}

/// Takes fixed parts off the front of an array whose length is known.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    const fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((part, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *part
    }

    const fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Parts one after the other. The callers' parts add up to `N`.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(parts.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
    bytes
}

impl UpdateRow {
    pub(super) fn to_bytes(self) -> [u8; UPDATE_BYTES] {
        let (height, timestamp) = (self.block.height.to_le_bytes(), self.timestamp.to_le_bytes());
        join(&[&self.update_id.0, &self.head.0, &height, &self.block.block_hash.0, &timestamp])
    }

    pub(super) const fn of_bytes(bytes: &[u8; UPDATE_BYTES]) -> Self {
        let mut parts = Parts(bytes);
        let (update_id, head) = (UpdateId(parts.take()), ModelHead(parts.take()));
        let block = Cursor { height: parts.number(), block_hash: Hash32(parts.take()) };
        Self { update_id, head, block, timestamp: parts.number() }
    }
}

impl Step {
    pub(super) fn to_bytes(self) -> [u8; STEP_BYTES] {
        let norm = self.norm.unwrap_or_default().to_le_bytes();
        join(&[&self.from.to_le_bytes(), &self.before.0, &self.after.0, &[u8::from(self.norm.is_some())], &norm])
    }

    pub(super) fn of_bytes(bytes: &[u8; STEP_BYTES]) -> Self {
        let mut parts = Parts(bytes);
        let (from, before, after) = (parts.number(), ResultRoot(parts.take()), ResultRoot(parts.take()));
        let [is_added] = parts.take();
        Self { from, before, after, norm: Some(parts.number()).filter(|_| is_added != 0) }
    }
}

/// (flat index, value) pairs, 8 bytes each.
pub(super) fn pairs_to_bytes(pairs: &[(u32, i32)]) -> Vec<u8> {
    pairs.iter().flat_map(|(index, value)| index.to_le_bytes().into_iter().chain(value.to_le_bytes())).collect()
}

/// The same back; a rest of fewer than 8 bytes is left out, which the root that the pairs have to give shows.
pub(super) fn pairs_of_bytes(bytes: &[u8]) -> Vec<(u32, i32)> {
    let pair = |bytes: &[u8; 8]| {
        let mut parts = Parts(bytes);
        (u32::from_le_bytes(parts.take()), i32::from_le_bytes(parts.take()))
    };
    bytes.as_chunks().0.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let block = Cursor { height: 7, block_hash: Hash32([3; 32]) };
        let row = UpdateRow { update_id: UpdateId([1; 32]), head: ModelHead([2; 32]), block, timestamp: u64::MAX };
        assert_eq!(UpdateRow::of_bytes(&row.to_bytes()), row);
        for norm in [None, Some(0), Some(u64::MAX)] {
            let step = Step { from: 5, before: ResultRoot([1; 32]), after: ResultRoot([2; 32]), norm };
            assert_eq!(Step::of_bytes(&step.to_bytes()), step);
        }
        let pairs = [(0, i32::MIN), (u32::MAX, -1)];
        assert_eq!(pairs_of_bytes(&pairs_to_bytes(&pairs)), pairs);
    }
}
