//! Roots of certificates on their way from a payload to the log.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use pol_core::ResultRoot;

use crate::limits;

/// What came with the newest payloads. In memory alone: nobody waits for the disk, and what a kill takes says nothing.
///
/// A block's hash does not cover its certificate, and the consensus client may still be checking it: of a block that came with two roots,
/// nothing is known.
#[derive(Debug, Default)]
pub(super) struct Certified(Mutex<VecDeque<(B256, Option<ResultRoot>)>>);

impl Certified {
    /// Notes the root that came with a block; beyond [`limits::LOG_CERTIFIED`] blocks the oldest is dropped.
    pub(super) fn note(&self, block: B256, root: ResultRoot) {
        let mut roots = self.lock();
        if let Some((_, known)) = roots.iter_mut().rev().find(|(of, _)| *of == block) {
            *known = known.filter(|known| *known == root);
            return;
        }
        if roots.len() >= limits::LOG_CERTIFIED {
            roots.pop_front();
        }
        roots.push_back((block, Some(root)));
    }

    /// The one root that came with a block.
    pub(super) fn of(&self, block: B256) -> Option<ResultRoot> {
        self.lock().iter().rev().find(|(of, _)| *of == block).and_then(|(_, root)| *root)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(B256, Option<ResultRoot>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_root_is_known_two_are_none_and_memory_is_bounded() {
        let (roots, block) = (Certified::default(), B256::repeat_byte);
        let root = |byte| ResultRoot([byte; 32]);
        roots.note(block(1), root(7));
        roots.note(block(1), root(7));
        assert_eq!((roots.of(block(1)), roots.of(block(2))), (Some(root(7)), None));
        roots.note(block(1), root(8));
        roots.note(block(1), root(7));
        assert_eq!(roots.of(block(1)), None, "nobody here knows which of them");
        roots.note(block(2), root(9));
        for number in 0..limits::LOG_CERTIFIED - 1 {
            roots.note(B256::from(alloy_primitives::U256::from(number)), root(1));
        }
        assert_eq!(roots.lock().len(), limits::LOG_CERTIFIED);
        assert_eq!(roots.of(block(2)), Some(root(9)));
        roots.note(block(3), root(3));
        assert_eq!(roots.of(block(2)), None, "the oldest goes");
    }
}
