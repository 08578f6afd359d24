//! What finality makes final: on disk, in memory, in the table of model heads and in the guard.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pol_core::Hash32;

use super::{chain::Chain, error::DriverError, events::Event};
use crate::{
    storage::Finalized,
    types::{EthSpec, Slot},
};

impl<E: EthSpec> Chain<E> {
    /// Moves the anchor to the finalized block, when that is another one than before.
    pub(super) fn finalize(&mut self) -> Result<(), DriverError> {
        let checkpoint = self.store.finalized_checkpoint();
        let root = checkpoint.root;
        if root == self.anchor {
            return Ok(());
        }
        let state = self.state_of(&root)?;
        let slot = self.store.node(&root).map_or(0, |node| node.slot);
        let dropped: BTreeMap<B256, (Slot, B256)> =
            self.store.prune().into_iter().map(|node| (node.root, (node.slot, node.parent_root))).collect();
        let mut canonical = vec![(slot, root)];
        let mut parent = self.store.node(&root).map(|node| node.parent_root).unwrap_or_default();
        while let Some((slot, next)) = dropped.get(&parent) {
            canonical.push((*slot, parent));
            parent = *next;
        }
        let is_canonical = |root: &B256| canonical.iter().any(|(_, of)| of == root);
        let forks: Vec<B256> = dropped.keys().filter(|root| !is_canonical(root)).copied().collect();
        self.database.finalize(&Finalized { root, state: &state, canonical: &canonical, dropped: &forks })?;
        self.anchor = root;

        let table = self.gate.importer().table();
        let closed = table.finalize(Hash32(root.0))?;
        self.ai.close_heads(&closed, &table.heads()?)?;
        self.operations.prune(&state);
        let state_root = state.latest_block_header.state_root;
        let block = self.block(&root)?;
        let state_root = block.map_or(state_root, |block| block.message().state_root);
        self.happened.push(Event::Finalized { checkpoint, state: state_root });
        tracing::info!(target: "polai::beacon", epoch = checkpoint.epoch, slot, root = %root, "finalized");
        Ok(())
    }
}
