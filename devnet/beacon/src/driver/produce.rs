//! A block of our own, from plan to signature.

use alloy_primitives::{Address, B256};
use alloy_rpc_types_engine::{ForkchoiceState, PayloadAttributes};
use lighthouse_ack_quorum::{guard::Key, import::OwnPayload, signer::Harmless};
use pol_core::{Hash32, ModelHead};
use tree_hash::TreeHash as _;

use super::{chain::Chain, error::DriverError};
use crate::{
    engine::withdrawal,
    fork_choice::Store,
    transition::{apply_unsigned, expected_withdrawals},
    types::{
        BeaconBlock, BeaconBlockBody, BeaconState, DomainType, EthSpec, ExecutionPayload, HashedBlock, SignatureBytes,
        SignedBeaconBlock, Slot, ValidatorIndex, signing_root,
    },
};

/// A slot in which a local key proposes.
#[derive(Debug, Clone)]
pub(super) struct Plan<E: EthSpec> {
    pub(super) slot: Slot,
    pub(super) proposer: ValidatorIndex,
    pub(super) key: Key,
    pub(super) parent: B256,
    /// The parent's state at the slot.
    pub(super) state: BeaconState<E>,
    pub(super) model_head: Option<ModelHead>,
    pub(super) forkchoice: ForkchoiceState,
    pub(super) attributes: PayloadAttributes,
}

impl<E: EthSpec> Plan<E> {
    pub(super) const fn builds_on(&self) -> B256 {
        self.state.latest_execution_payload_header.block_hash
    }
}

/// Hashes for `forkchoiceUpdated`. Zero stands for "none yet", as before the first justified block.
pub(super) fn forkchoice<E: EthSpec>(store: &Store<E>, head: &B256) -> ForkchoiceState {
    let hash =
        |root: &B256| store.node(root).map(|node| node.state.latest_execution_payload_header.block_hash).unwrap_or_default();
    let of = |checkpoint: crate::types::Checkpoint| if checkpoint.epoch == 0 { B256::ZERO } else { hash(&checkpoint.root) };
    ForkchoiceState {
        head_block_hash: hash(head),
        safe_block_hash: of(store.justified_checkpoint()),
        finalized_block_hash: of(store.finalized_checkpoint()),
    }
}

impl<E: EthSpec> Chain<E> {
    /// What is needed to propose in a slot on the head; None when no local key is due, the slot has its block, or the head is not VALID.
    pub(super) fn plan(&self, slot: Slot, fee_recipient: Address) -> Result<Option<Plan<E>>, DriverError> {
        let head = self.head_state()?;
        if head.slot >= slot || !self.head_is_valid() {
            return Ok(None);
        }
        let state = self.head_state_at(slot)?;
        let proposer = state.proposer_index(slot)?;
        let validator = state.validator(proposer)?;
        let key: Key = validator.pubkey.0;
        if !self.ai.keys().contains(&key) || validator.slashed {
            return Ok(None);
        }
        let attributes = PayloadAttributes {
            timestamp: state.time_at_slot(slot, &self.config)?,
            prev_randao: state.randao_mix(state.current_epoch()),
            suggested_fee_recipient: fee_recipient,
            withdrawals: Some(expected_withdrawals(&state)?.iter().map(withdrawal).collect()),
            parent_beacon_block_root: Some(self.head),
            slot_number: None,
            target_gas_limit: None,
        };
        let forkchoice = forkchoice(&self.store, &self.head);
        let row = self.gate.importer().table().row(Hash32(self.head.0))?;
        let model_head = row.map(|row| row.model_head);
        Ok(Some(Plan { slot, proposer, key, parent: self.head, state, model_head, forkchoice, attributes }))
    }

    /// The block of a plan, signed. None when the guard refuses: the slot is missed.
    ///
    /// # Errors
    /// [`DriverError`].
    pub(super) fn produce(
        &mut self,
        plan: &Plan<E>,
        payload: ExecutionPayload<E>,
        own: &OwnPayload,
        graffiti: B256,
    ) -> Result<Option<HashedBlock<E>>, DriverError> {
        let Some(block) = self.unsigned(plan, payload, graffiti)? else { return Ok(None) };
        let root = signing_root(&block, plan.state.domain(DomainType::BeaconProposer, plan.state.current_epoch()));
        match self.ai.guard.block(&plan.key, plan.slot, Hash32(root.0), own)? {
            Ok(receipt) => {
                let signature = SignatureBytes::from(self.ai.signer.standard(receipt)?);
                Ok(Some(SignedBeaconBlock { message: block, signature }.into()))
            }
            Err(refusal) => {
                tracing::warn!(target: "polai::beacon", slot = plan.slot, proposer = plan.proposer, %refusal, "slot missed");
                Ok(None)
            }
        }
    }

    /// The same without signature, its state root filled in. None when our own transition refuses even a block without operations: the
    /// payload, or deposits that are due and not known yet.
    pub(super) fn unsigned(
        &self,
        plan: &Plan<E>,
        payload: ExecutionPayload<E>,
        graffiti: B256,
    ) -> Result<Option<BeaconBlock<E>>, DriverError> {
        let epoch = plan.state.current_epoch();
        let version = plan.state.fork.current_version.0;
        let reveal = self.ai.signer.harmless(&plan.key, Harmless::Randao, version, Hash32(epoch.tree_hash_root().0))?;
        let mut bare = BeaconBlockBody::<E>::default_values();
        bare.randao_reveal = reveal.into();
        bare.graffiti = graffiti;
        bare.execution_payload = payload;
        bare.sync_aggregate = self.sync.aggregate(&plan.state, plan.parent);
        let vote = self.eth1_vote(&plan.state)?;
        let (vote, deposits) = match self.due_deposits(&plan.state, vote) {
            Some(deposits) => (vote, deposits),
            None => {
                tracing::warn!(target: "polai::beacon", slot = plan.slot, "deposits are due that the log has not shown yet");
                (plan.state.eth1_data, Vec::new())
            }
        };
        bare.eth1_data = vote;
        bare.deposits = deposits.try_into().unwrap_or_default();

        let mut body = bare.clone();
        let mut state = plan.state.clone();
        self.operations.pack(&mut state, &self.config, &mut body);
        body.attestations = self.attestations.pack(&mut state, &self.config).try_into().unwrap_or_default();
        self.operations.pack_exits(&mut state, &self.config, &mut body);
        match self.complete(plan, body) {
            Ok(block) => Ok(Some(block)),
            Err(error) => {
                // What the pools gave did not fit together: an empty block is better than none.
                tracing::error!(target: "polai::beacon", slot = plan.slot, %error, "own block refused by our own transition; proposing without operations");
                let bare = self.complete(plan, bare);
                Ok(bare
                    .inspect_err(|error| tracing::error!(target: "polai::beacon", slot = plan.slot, %error, "slot missed"))
                    .ok())
            }
        }
    }

    fn complete(&self, plan: &Plan<E>, body: BeaconBlockBody<E>) -> Result<BeaconBlock<E>, DriverError> {
        let parent = self.state_of(&plan.parent)?;
        let (slot, proposer_index, parent_root) = (plan.slot, plan.proposer, plan.parent);
        let mut block = BeaconBlock { slot, proposer_index, parent_root, state_root: B256::ZERO, body };
        let mut after = apply_unsigned(&parent, &block, &self.config)?;
        block.state_root = after.update_root()?;
        Ok(block)
    }
}
