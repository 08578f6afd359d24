//! Every validator of a small chain in one place: proposes, attests and signs. For the example, the tests and the benchmark.

#![allow(dead_code, reason = "each user takes what it needs")]

use alloy_primitives::{Address, B256};
use milhouse::List;
use pol_beacon::{
    genesis::{GenesisFiles, GenesisInputs, genesis_state, validators_root},
    transition::{advance, apply_unsigned, epoch_at, expected_withdrawals, next_sync_committee, start_slot},
    types::{
        Attestation, AttestationData, BeaconBlock, BeaconBlockBody, BeaconState, Checkpoint, Config, DomainType, EthSpec,
        HashedBlock, MAX_EFFECTIVE_BALANCE, SignatureBytes, SignedBeaconBlock, SigningData, Slot, SyncAggregate, Validator,
        signing_root,
    },
};
use pol_core::{
    Hash32,
    bls::{SecretKey, Signature},
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    header::Header,
    identity::GenesisSeed,
    params::SELF_TEST_TEXTS,
    state::Shape,
};
use ssz_types::{BitList, BitVector};
use tree_hash::TreeHash as _;

/// The chain and all its keys.
pub(crate) struct Devnet<E: EthSpec> {
    /// Configuration of both the chain and its fork choice.
    pub(crate) config: Config,
    /// The state at slot 0.
    pub(crate) genesis: BeaconState<E>,
    /// chain.toml.
    pub(crate) spec: ChainSpec,
    keys: Vec<SecretKey>,
}

const fn execution(timestamp: u64) -> Header {
    let zero = Hash32::ZERO;
    Header {
        parent_hash: zero,
        ommers_hash: zero,
        beneficiary: [0; 20],
        state_root: zero,
        transactions_root: zero,
        receipts_root: zero,
        logs_bloom: [0; 256],
        difficulty: 1_024,
        number: 0,
        gas_limit: 30_000_000,
        gas_used: 0,
        timestamp,
        extra_data: [0; 64],
        mix_hash: zero,
        nonce: 0,
        base_fee_per_gas: 1_000_000_000,
        withdrawals_root: zero,
        blob_gas_used: 0,
        excess_blob_gas: 0,
        parent_beacon_block_root: zero,
    }
}

impl<E: EthSpec> Devnet<E> {
    /// A chain from the seed 42, with this many validators.
    pub(crate) fn new(validators: u32) -> Self {
        Self::at(validators, 1_700_000_000, 3)
    }

    /// The same with its own time, for a node that runs by the real clock.
    pub(crate) fn at(validators: u32, genesis_time: u64, slot_seconds: u64) -> Self {
        let (seed, execution) = (GenesisSeed::from_bytes([42; 32]), execution(genesis_time));
        let chain = ChainSpec::new(&ChainParameters {
            genesis_time: execution.timestamp,
            preset: E::PRESET,
            slot_seconds,
            chain_id: 1_337_001,
            genesis_validators_root: validators_root(&seed, validators).expect("a root"),
            execution_genesis_hash: execution.block_hash(),
            quorum: QuorumRule::Auto,
            difficulty_floor: execution.difficulty,
            manifest_hash: Hash32([8; 32]),
            shape: Shape::new(2, 64, 64, 32, 96).expect("a shape"),
            dev_texts_hash: Hash32([9; 32]),
            reference_losses: [NanoNats::MAX; SELF_TEST_TEXTS],
            profile: Profile::F16x20,
            dev_slash_small: false,
        })
        .expect("a chain");
        let deposit_contract = Address::repeat_byte(0x42);
        let inputs = GenesisInputs { chain: &chain, seed: &seed, validators, execution: &execution, deposit_contract };
        let genesis = genesis_state::<E>(&inputs).expect("genesis");
        let keys = (0..validators).map(|i| seed.validator_key(i).expect("a key")).collect();
        Self { config: Config::of_chain(&chain, deposit_contract), genesis, spec: chain, keys }
    }

    /// A chain whose keys are 1, 2, 3, ...: deriving thousands from a seed would take minutes.
    pub(crate) fn crowd(validators: u64) -> Self {
        let secret = |i: u64| {
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&i.to_be_bytes());
            SecretKey::from_bytes(&bytes).expect("a key")
        };
        let keys: Vec<SecretKey> = (1..=validators).map(secret).collect();
        let Self { config, genesis: mut state, spec, .. } = Self::new(1);
        let like = state.validators.get(0).expect("one validator").clone();
        let entry = |key: &SecretKey| Validator { pubkey: key.public_key().to_bytes().into(), ..like.clone() };
        state.validators = List::try_from_iter(keys.iter().map(entry)).expect("a registry");
        state.balances = List::repeat(MAX_EFFECTIVE_BALANCE, keys.len()).expect("balances");
        for list in [&mut state.previous_epoch_participation, &mut state.current_epoch_participation] {
            *list = List::repeat(0, keys.len()).expect("flags");
        }
        state.inactivity_scores = List::repeat(0, keys.len()).expect("scores");
        state.drop_caches();
        let committee = next_sync_committee(&state).expect("a committee");
        state.current_sync_committee = committee.clone();
        state.next_sync_committee = committee;
        Self { config, genesis: state, spec, keys }
    }

    /// The files that a node is started with.
    pub(crate) fn files(&self) -> GenesisFiles {
        let parameters = self.spec.parameters();
        let execution = execution(parameters.genesis_time);
        GenesisFiles::new(&GenesisInputs {
            chain: &self.spec,
            seed: &GenesisSeed::from_bytes([42; 32]),
            validators: u32::try_from(self.keys.len()).expect("few"),
            execution: &execution,
            deposit_contract: self.config.deposit_contract_address,
        })
        .expect("files")
    }

    fn sign(&self, index: u64, root: B256) -> Signature {
        self.keys[usize::try_from(index).expect("an index")].sign(Hash32(root.0))
    }

    /// Votes of all committees of the slot of `state`, which is the state after that slot's block (or the slot itself when empty).
    pub(crate) fn attestations(&self, state: &BeaconState<E>) -> Vec<Attestation> {
        let slot = state.slot;
        let epoch = epoch_at::<E>(slot);
        // The block root of a slot is known from the next slot on.
        let next = advance(state, slot + 1, &self.config).expect("a slot");
        let head = next.block_root_at_slot(slot).expect("a root");
        let target = next.block_root_at_slot(start_slot::<E>(epoch).expect("a slot")).expect("a root");
        let shuffling = state.shuffling(epoch).expect("committees");
        let attestation = |index: u64| {
            let members = shuffling.committee(slot, index).expect("a committee");
            let data = AttestationData {
                slot,
                index,
                beacon_block_root: head,
                source: state.current_justified_checkpoint,
                target: Checkpoint { epoch, root: target },
            };
            let root = signing_root(&data, state.domain(DomainType::BeaconAttester, epoch));
            let signatures: Vec<Signature> = members.iter().map(|i| self.sign(*i, root)).collect();
            let signature = Signature::aggregate(&signatures).ok()?.to_bytes().into();
            let mut aggregation_bits = BitList::with_capacity(members.len()).expect("bits");
            (0..members.len()).for_each(|bit| aggregation_bits.set(bit, true).expect("a bit"));
            Some(Attestation { aggregation_bits, data, signature })
        };
        (0..shuffling.committees_per_slot()).filter_map(attestation).collect()
    }

    /// Signatures of the whole sync committee over the slot before that of `state`.
    fn sync_aggregate(&self, state: &BeaconState<E>) -> SyncAggregate<E> {
        let previous = state.slot - 1;
        let object_root = state.block_root_at_slot(previous).expect("a root");
        let domain = state.domain(DomainType::SyncCommittee, epoch_at::<E>(previous));
        let root = SigningData { object_root, domain }.tree_hash_root();
        let seats = state.current_sync_committee.pubkeys.iter();
        let members: Vec<u64> = seats.map(|key| state.index_of(key).expect("a member")).collect();
        let signatures: Vec<Signature> = members.iter().map(|i| self.sign(*i, root)).collect();
        let mut sync_committee_bits = BitVector::default();
        (0..members.len()).for_each(|bit| sync_committee_bits.set(bit, true).expect("a bit"));
        let signature = Signature::aggregate(&signatures).expect("members").to_bytes();
        SyncAggregate { sync_committee_bits, sync_committee_signature: signature.into() }
    }

    /// The signed block of `slot` on the block that `parent` is the state after.
    pub(crate) fn block(
        &self,
        parent: &BeaconState<E>,
        slot: Slot,
        attestations: &[Attestation],
        graffiti: u8,
    ) -> HashedBlock<E> {
        let state = advance(parent, slot, &self.config).expect("a slot");
        let epoch = state.current_epoch();
        let proposer_index = state.proposer_index(slot).expect("a proposer");
        let reveal = signing_root(&epoch, state.domain(DomainType::Randao, epoch));
        let mut body = BeaconBlockBody::<E>::default_values();
        body.randao_reveal = self.sign(proposer_index, reveal).to_bytes().into();
        body.eth1_data = state.eth1_data;
        body.graffiti = B256::repeat_byte(graffiti);
        body.attestations = attestations.to_vec().try_into().expect("at most 128");
        body.sync_aggregate = if attestations.is_empty() { SyncAggregate::empty() } else { self.sync_aggregate(&state) };
        let payload = &mut body.execution_payload;
        payload.parent_hash = state.latest_execution_payload_header.block_hash;
        payload.prev_randao = state.randao_mix(epoch);
        payload.timestamp = state.time_at_slot(slot, &self.config).expect("a time");
        payload.block_hash = B256::from(pol_core::sha256(&[&slot.to_le_bytes(), &[graffiti], &payload.parent_hash.0]));
        payload.withdrawals = expected_withdrawals(&state).expect("a registry").try_into().expect("at most 16");

        let parent_root = state.latest_block_header.tree_hash_root();
        let mut block = BeaconBlock { slot, proposer_index, parent_root, state_root: B256::ZERO, body };
        let mut after = apply_unsigned(parent, &block, &self.config).expect("a good block");
        block.state_root = after.update_root().expect("a root");
        let root = signing_root(&block, state.domain(DomainType::BeaconProposer, epoch));
        let signature = SignatureBytes::from(self.sign(proposer_index, root).to_bytes());
        SignedBeaconBlock { message: block, signature }.into()
    }
}
