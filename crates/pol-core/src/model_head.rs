//! Model heads: the name of a point in the model's history (section 6).

use crate::{ModelHead, UpdateId, sha256};

/// Prefix of the hash that folds one accepted update into the head.
const TAG: &[u8] = b"pol-ai/model/v1";

/// Head after a block with this `update_id`: unchanged by an empty AI block (zero id).
///
/// Anyone folds the head of any block from execution headers alone, starting at `M_0 = genesis_id`.
pub fn child(parent: ModelHead, update_id: UpdateId) -> ModelHead {
    if update_id.is_zero() { parent } else { ModelHead(sha256(&[TAG, &parent.0, &update_id.0])) }
}

/// Head after all of `updates`, in chain order.
pub fn fold(parent: ModelHead, updates: impl IntoIterator<Item = UpdateId>) -> ModelHead {
    updates.into_iter().fold(parent, child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ai_block_leaves_the_head() {
        assert_eq!(child(ModelHead([9; 32]), UpdateId::ZERO), ModelHead([9; 32]));
    }

    #[test]
    fn the_order_of_updates_is_part_of_the_name() {
        let (a, b) = (UpdateId([1; 32]), UpdateId([2; 32]));
        let start = ModelHead([0; 32]);
        assert_ne!(fold(start, [a, b]), fold(start, [b, a]));
        assert_eq!(fold(start, [a, UpdateId::ZERO, b]), fold(start, [a, b]));
    }
}
