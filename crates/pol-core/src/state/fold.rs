//! What a finalized update does to the model state (section 6): the one rule that every node folds with.

use crate::{
    ModelHead, UpdateId,
    delta::{Change, Checked, CheckedDelta, CheckedMerge, Context, DeltaError, MergeError, check_child, decode, merge},
    params::DELTA_MAX_BYTES,
    sha256,
};

/// What a finalized update does to its parent's state. The model head goes on by hash in every case (section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// `S_child = S_parent + change`, or S_parent when a value would reach 64.0: [`super::State::follow`] finds out.
    Add(Change),
    /// `S_child = S` of this ancestor head.
    ReturnTo(ModelHead),
    /// `S_child = S_parent`: the update breaks a rule.
    Zero(ZeroReason),
}

/// Which rule a finalized update breaks. Its author's fault, and that of the members who ACKed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZeroReason {
    /// An all-zero id: an empty AI block, no update at all.
    #[error("no update")]
    NoUpdate,
    /// The container breaks a rule of section 14.
    #[error(transparent)]
    Container(#[from] DeltaError),
    /// The container was made for another model head.
    #[error("model head: found {found}, expected {expected}")]
    OtherHead {
        /// Head in the container.
        found: ModelHead,
        /// Head of the parent block.
        expected: ModelHead,
    },
    /// A child's container breaks a rule of section 14.
    #[error("child {child}: {error}")]
    Child {
        /// The child.
        child: UpdateId,
        /// The rule.
        error: DeltaError,
    },
    /// A child is not of kind 0.
    #[error("child {child}: not a delta")]
    ChildKind {
        /// The child.
        child: UpdateId,
    },
    /// A child is of another chain or head.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// A value of the state would be 64.0 or beyond. Only [`super::State::follow`] finds this one: it needs the state.
    #[error("value {index} would be {value} units, expected a magnitude below 2^30")]
    Bound {
        /// Flat index.
        index: u32,
        /// What the value would be, units.
        value: i64,
    },
    /// A void names a head that is no proper ancestor of its own.
    #[error("void: {target} is no proper ancestor of the model head")]
    NotAncestor {
        /// The head it names.
        target: ModelHead,
    },
}

/// What a node knows of a head's place before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// It lies before it in its own history, and is not the head itself.
    Proper,
    /// It does not.
    Not,
    /// This node's knowledge of the history begins too late to say (it began at a checkpoint or snapshot).
    Unknown,
}

/// Why nothing can be said yet. Transient: learn what is missing and ask again. Never a reason to add zero, for that is a verdict
/// about bytes and history, and every node must reach it from the same ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The bytes of the update or of a child are not here. Bytes above DELTA_MAX_BYTES never are: no node carries them.
    #[error("update {id}: bytes are missing")]
    Missing {
        /// Whose bytes.
        id: UpdateId,
    },
    /// The bytes given for an id are not the ones it names. The sending peer's fault.
    #[error("update {id}: bytes of {found} were given")]
    WrongBytes {
        /// Whose bytes were asked for.
        id: UpdateId,
        /// Whose bytes were given.
        found: UpdateId,
    },
    /// Whether a void's head is an ancestor is not known here. Ours to find out, from execution headers or from another node's table.
    #[error("void: whether {target} is a proper ancestor is not known")]
    UnknownAncestor {
        /// The head it names.
        target: ModelHead,
    },
}

/// Says what the finalized update `id` does on top of the model head `parent`.
///
/// `child` looks up the bytes of a merge's child; `ancestry` says whether a head lies before `parent` in its own history. The result
/// depends on the bytes and that history alone, not on which bytes arrived first.
///
/// # Errors
/// [`FoldError`] while bytes are missing or wrong, or history is not known.
pub fn fold(
    context: &Context,
    parent: &ModelHead,
    id: &UpdateId,
    container: Option<&[u8]>,
    child: impl FnMut(&UpdateId) -> Option<Vec<u8>>,
    ancestry: impl FnOnce(&ModelHead) -> Ancestry,
) -> Result<Transition, FoldError> {
    if id.is_zero() {
        return Ok(Transition::Zero(ZeroReason::NoUpdate));
    }
    let checked = match named(context, id, container)? {
        Ok(checked) => checked,
        Err(error) => return Ok(Transition::Zero(error.into())),
    };
    let found = checked.header().claims.model_head;
    if found != *parent {
        return Ok(Transition::Zero(ZeroReason::OtherHead { found, expected: *parent }));
    }
    match checked {
        Checked::Delta(delta) => Ok(Transition::Add(delta.into())),
        Checked::Merge(merge) => fold_merge(context, &merge, child),
        Checked::Void(void) => {
            let target = void.target();
            match if target == *parent { Ancestry::Not } else { ancestry(&target) } {
                Ancestry::Proper => Ok(Transition::ReturnTo(target)),
                Ancestry::Not => Ok(Transition::Zero(ZeroReason::NotAncestor { target })),
                Ancestry::Unknown => Err(FoldError::UnknownAncestor { target }),
            }
        }
    }
}

/// One broken child decides, whether or not the others are here; else a missing one leaves it open.
fn fold_merge(
    context: &Context,
    of: &CheckedMerge,
    mut child: impl FnMut(&UpdateId) -> Option<Vec<u8>>,
) -> Result<Transition, FoldError> {
    let mut children: Vec<CheckedDelta> = Vec::with_capacity(of.children().len());
    let mut open = None;
    for (id, _) in of.children() {
        let bytes = child(&id);
        match named(context, &id, bytes.as_deref()) {
            Err(error) => open = open.or(Some(error)),
            Ok(Err(error)) => return Ok(Transition::Zero(ZeroReason::Child { child: id, error })),
            Ok(Ok(Checked::Delta(delta))) => match check_child(of, &delta) {
                Ok(()) => children.push(delta),
                Err(error) => return Ok(Transition::Zero(error.into())),
            },
            Ok(Ok(_)) => return Ok(Transition::Zero(ZeroReason::ChildKind { child: id })),
        }
    }
    match open {
        Some(error) => Err(error),
        None => {
            Ok(merge(of, &children).map_or_else(|error| Transition::Zero(error.into()), |change| Transition::Add(change.into())))
        }
    }
}

/// Decodes bytes once it is sure that they are the ones the id names.
fn named(context: &Context, id: &UpdateId, bytes: Option<&[u8]>) -> Result<Result<Checked, DeltaError>, FoldError> {
    let carried = bytes.filter(|bytes| bytes.len() <= DELTA_MAX_BYTES);
    let bytes = carried.ok_or(FoldError::Missing { id: *id })?;
    let decoded = decode(bytes, context);
    // The decoder hashed what it accepted; what it refused is hashed here.
    let found = decoded.as_ref().map_or_else(|_| UpdateId(sha256(&[bytes])), Checked::update_id);
    if found != *id { Err(FoldError::WrongBytes { id: *id, found }) } else { Ok(decoded) }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
