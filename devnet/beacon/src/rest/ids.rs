//! `head`, `genesis`, `finalized`, `justified`, a slot or a root: which block, which state.

use std::sync::Arc;

use alloy_primitives::B256;
use tokio::task::spawn_blocking;

use super::{Api, ApiError};
use crate::{
    driver::Snapshot,
    fork_choice::{ExecutionStatus, Node},
    transition::{advance, start_slot},
    types::{BeaconBlock, BeaconBlockBody, BeaconState, EthSpec, HashedBlock, SignatureBytes, SignedBeaconBlock, Slot},
};

/// Empty slots after a block that a state is computed for: each costs a hash.
const EMPTY_SLOTS: u64 = 64;

/// A parsed id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    Head,
    Genesis,
    Finalized,
    Justified,
    Slot(Slot),
    Root(B256),
}

impl Id {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        Ok(match text {
            "head" => Self::Head,
            "genesis" => Self::Genesis,
            "finalized" => Self::Finalized,
            "justified" => Self::Justified,
            _ => match text.strip_prefix("0x") {
                Some(_) => Self::Root(root(text)?),
                None => Self::Slot(text.parse().map_err(|_| ApiError::bad(format!("no block or state id: {}", short(text))))?),
            },
        })
    }
}

/// `0x` and 64 hex digits.
pub(super) fn root(text: &str) -> Result<B256, ApiError> {
    let digits = text.strip_prefix("0x").ok_or_else(|| ApiError::bad("a root begins with 0x"))?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| ApiError::bad("a root has 64 hex digits"))?;
    Ok(B256::from(bytes))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A block and where it stands.
pub(super) struct FoundBlock<E: EthSpec> {
    pub(super) block: Arc<HashedBlock<E>>,
    pub(super) canonical: bool,
    pub(super) finalized: bool,
    pub(super) optimistic: bool,
}

/// A state and where it stands.
pub(super) struct FoundState<E: EthSpec> {
    pub(super) state: Arc<BeaconState<E>>,
    pub(super) finalized: bool,
    pub(super) optimistic: bool,
}

impl<E: EthSpec> Api<E> {
    pub(super) async fn block_of(&self, id: &str) -> Result<FoundBlock<E>, ApiError> {
        let id = Id::parse(id)?;
        let snapshot = self.node.snapshot();
        let missing = || ApiError::not_found("no such block");
        let root = match id {
            Id::Head => snapshot.head,
            Id::Genesis | Id::Slot(0) => snapshot.genesis_root,
            Id::Finalized => snapshot.finalized.root,
            Id::Justified => snapshot.justified.root,
            Id::Root(root) => root,
            Id::Slot(slot) => match snapshot.ancestor(slot) {
                Some(node) if node.slot == slot => node.root,
                Some(_) => return Err(ApiError::not_found(format!("slot {slot} has no block"))),
                None => self.finalized_root(slot).await?.ok_or_else(missing)?,
            },
        };
        self.block_by_root(&snapshot, root).await?.ok_or_else(missing)
    }

    async fn finalized_root(&self, slot: Slot) -> Result<Option<B256>, ApiError> {
        Ok(self.node.read(move |chain| chain.finalized_root(slot)).await??)
    }

    async fn block_by_root(&self, snapshot: &Arc<Snapshot<E>>, root: B256) -> Result<Option<FoundBlock<E>>, ApiError> {
        if root == snapshot.genesis_root {
            let block = Arc::new(genesis_block(&snapshot.genesis).ok_or_else(|| ApiError::not_found("no genesis block"))?);
            return Ok(Some(FoundBlock { block, canonical: true, finalized: true, optimistic: false }));
        }
        let Some(block) = self.node.read(move |chain| chain.block(&root)).await?? else { return Ok(None) };
        let (slot, node) = (block.message().slot, snapshot.nodes.get(&root));
        let finalized_slot = snapshot.nodes.get(&snapshot.finalized.root).map_or(0, |node| node.slot);
        let canonical = match node {
            Some(node) => snapshot.is_canonical(node),
            None => slot <= finalized_slot && self.finalized_root(slot).await? == Some(root),
        };
        let optimistic = node.is_some_and(|node| node.execution != ExecutionStatus::Valid);
        Ok(Some(FoundBlock { block, canonical, finalized: canonical && slot <= finalized_slot, optimistic }))
    }

    pub(super) async fn state_of(&self, id: &str) -> Result<FoundState<E>, ApiError> {
        let id = Id::parse(id)?;
        let snapshot = self.node.snapshot();
        let gone = || ApiError::not_found("no such state: it is unknown, or older than finality and not kept");
        let genesis = || FoundState { state: Arc::clone(&snapshot.genesis), finalized: true, optimistic: false };
        let (node, slot) = match id {
            Id::Genesis | Id::Slot(0) => return Ok(genesis()),
            Id::Head => (snapshot.head_node(), None),
            Id::Finalized => (snapshot.nodes.get(&snapshot.finalized.root), Some(start_slot::<E>(snapshot.finalized.epoch)?)),
            Id::Justified => (snapshot.nodes.get(&snapshot.justified.root), Some(start_slot::<E>(snapshot.justified.epoch)?)),
            Id::Slot(slot) if slot > snapshot.current_slot => return Err(ApiError::not_found(format!("slot {slot} is to come"))),
            Id::Slot(slot) => (snapshot.ancestor(slot), Some(slot)),
            Id::Root(root) => (by_state_root(&snapshot, root), None),
        };
        if node.is_none() && matches!(id, Id::Root(_)) && self.is_genesis_state(&snapshot, id).await? {
            return Ok(genesis());
        }
        let node = node.ok_or_else(gone)?;
        let finalized = node.root == snapshot.finalized.root;
        let optimistic = node.execution != ExecutionStatus::Valid;
        let state = match slot {
            Some(slot) if slot > node.state.slot => self.advanced(node, slot).await?,
            _ => Arc::clone(&node.state),
        };
        Ok(FoundState { state, finalized, optimistic })
    }

    async fn is_genesis_state(&self, snapshot: &Arc<Snapshot<E>>, id: Id) -> Result<bool, ApiError> {
        let genesis = Arc::clone(&snapshot.genesis);
        let root = spawn_blocking(move || (*genesis).clone().update_root())
            .await
            .map_err(|error| ApiError::bad(error.to_string()))??;
        Ok(id == Id::Root(root))
    }

    async fn advanced(&self, node: &Node<E>, slot: Slot) -> Result<Arc<BeaconState<E>>, ApiError> {
        if slot.saturating_sub(node.state.slot) > EMPTY_SLOTS {
            return Err(ApiError::not_found(format!("no block within {EMPTY_SLOTS} slots before slot {slot}")));
        }
        let state = Arc::clone(&node.state);
        let config = self.node.read(|chain| *chain.store().config()).await?;
        let advanced =
            spawn_blocking(move || advance(&state, slot, &config)).await.map_err(|error| ApiError::bad(error.to_string()))?;
        advanced.map(Arc::new).map_err(|error| ApiError { code: 500, message: error.to_string() })
    }
}

fn by_state_root<E: EthSpec>(snapshot: &Snapshot<E>, root: B256) -> Option<&Node<E>> {
    snapshot.nodes.values().find(|node| node.block.as_ref().is_some_and(|block| block.message().state_root == root))
}

/// The block that the genesis state stands for: an empty body, no signature.
fn genesis_block<E: EthSpec>(genesis: &BeaconState<E>) -> Option<HashedBlock<E>> {
    let state_root = genesis.clone().update_root().ok()?;
    let body = BeaconBlockBody::default_values();
    let message = BeaconBlock { slot: 0, proposer_index: 0, parent_root: B256::ZERO, state_root, body };
    Some(SignedBeaconBlock { message, signature: SignatureBytes::ZERO }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name_a_slot_or_a_root_and_nothing_else() {
        assert_eq!(Id::parse("head"), Ok(Id::Head));
        assert_eq!(Id::parse("12"), Ok(Id::Slot(12)));
        assert_eq!(Id::parse(&format!("0x{}", "ab".repeat(32))), Ok(Id::Root(B256::repeat_byte(0xab))));
        for text in ["", "-1", "0x", "0x12", "heads", "18446744073709551616", "0xzz", "../etc"] {
            assert_eq!(Id::parse(text).map_err(|error| error.code), Err(400), "{text}");
        }
    }
}
