//! Losses that were measured before.

use pol_core::{ModelHead, ResultRoot};

use crate::loss::TextLoss;

/// Heads of which losses are kept: the current one and, after a reorg, the one before.
const HEADS_MAX: usize = 2;

/// Losses by model head and text. The oldest head goes first.
#[derive(Debug, Default)]
pub(super) struct Measured {
    heads: Vec<OfHead>,
}

#[derive(Debug)]
struct OfHead {
    head: ModelHead,
    /// What a head stands for follows from it; a caller that mixes them up measures again.
    root: ResultRoot,
    losses: Vec<Option<TextLoss>>,
}

impl Measured {
    /// Whether anything of a head is known.
    pub(super) fn knows(&self, head: &ModelHead) -> bool {
        self.heads.iter().any(|known| known.head == *head)
    }

    /// Those of `order` that are not known.
    pub(super) fn missing(&self, head: ModelHead, root: ResultRoot, order: &[usize]) -> Vec<usize> {
        let known = self.heads.iter().find(|known| known.head == head && known.root == root);
        let is_missing = |text: &&usize| known.and_then(|known| known.losses.get(**text).copied().flatten()).is_none();
        order.iter().filter(is_missing).copied().collect()
    }

    /// Keeps losses of texts.
    pub(super) fn keep(&mut self, head: ModelHead, root: ResultRoot, texts: &[usize], losses: &[TextLoss]) {
        self.heads.retain(|known| known.head != head || known.root == root);
        if !self.knows(&head) {
            if self.heads.len() >= HEADS_MAX {
                self.heads.remove(0);
            }
            self.heads.push(OfHead { head, root, losses: Vec::new() });
        }
        let Some(known) = self.heads.iter_mut().find(|known| known.head == head) else { return };
        for (text, loss) in texts.iter().zip(losses) {
            if known.losses.len() <= *text {
                known.losses.resize(text.saturating_add(1), None);
            }
            if let Some(place) = known.losses.get_mut(*text) {
                *place = Some(*loss);
            }
        }
    }

    /// Losses of texts that are known.
    pub(super) fn get(&self, head: ModelHead, order: &[usize]) -> Vec<TextLoss> {
        let known = self.heads.iter().find(|known| known.head == head);
        order.iter().filter_map(|text| known?.losses.get(*text).copied().flatten()).collect()
    }
}
