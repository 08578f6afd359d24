//! The chain that is measured.

use core::num::NonZeroUsize;
use std::sync::Arc;

use alloy_consensus::{BlockBody, Header, SignableTransaction as _, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_eips::eip4895::Withdrawals;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use alloy_rpc_types_engine::{ExecutionPayload, ExecutionPayloadSidecar, PayloadAttributes};
use k256::ecdsa::SigningKey;
use pol_core::{UpdateId, identity::GenesisSeed};
use pol_execution::{
    args::DevArgs,
    chain::{Chain, Executed, HeadsRequest, History},
    child, dev,
    execute::{Block, Offers},
    state::StateAt,
};
use pol_kit::clock::System;
use reth_ai_exex::{
    genesis::ExecutionGenesis,
    metrics::Metrics,
    sealer::{Cancel, SealJob, Sealer},
    wire::{self, HashedBlock},
};

/// Seconds of a slot: the default of `polai genesis`.
pub(crate) const SLOT: u64 = 3;

fn address(number: u64) -> Address {
    let mut address = [0x11; 20];
    address.split_last_chunk_mut::<8>().unwrap().1.copy_from_slice(&number.to_be_bytes());
    address.into()
}

fn genesis(accounts: u64) -> ExecutionGenesis {
    let dev = DevArgs { block_time: SLOT, seed: GenesisSeed::from_bytes([7; 32]), chain_id: 1337 };
    let mut genesis = dev::new_genesis(&dev, 1_700_000_000).unwrap().genesis().clone();
    let rich = || GenesisAccount { balance: U256::from(1), ..GenesisAccount::default() };
    genesis.alloc.extend((0..accounts).map(|number| (address(number), rich())));
    ExecutionGenesis::check(genesis).unwrap()
}

/// A chain of many accounts, and whoever pays.
pub(crate) struct Bench {
    pub(crate) chain: Chain,
    pub(crate) sealer: Sealer,
    key: SigningKey,
    sender: Address,
    nonce: u64,
    accounts: u64,
    pub(crate) directory: tempfile::TempDir,
}

/// What a consensus client asks for.
pub(crate) fn attributes(timestamp: u64) -> PayloadAttributes {
    PayloadAttributes {
        timestamp,
        withdrawals: Some(vec![]),
        parent_beacon_block_root: Some(B256::with_last_byte(1)),
        ..PayloadAttributes::default()
    }
}

struct List(std::vec::IntoIter<Recovered<TxEnvelope>>);

impl Offers for List {
    fn next(&mut self) -> Option<Recovered<TxEnvelope>> {
        self.0.next()
    }

    fn refused(&mut self) {
        panic!("a transfer was refused");
    }
}

impl Bench {
    pub(crate) fn new(accounts: u64) -> Self {
        let (directory, genesis) = (tempfile::tempdir().unwrap(), genesis(accounts));
        let sealer = Sealer::start(NonZeroUsize::MIN, genesis.chain(), Arc::new(System::new()), Metrics::new()).unwrap();
        let chain = Chain::open(directory.path(), genesis, History::default(), Metrics::new()).unwrap();
        let account = GenesisSeed::from_bytes([7; 32]).funded_account().unwrap();
        let key = SigningKey::from_slice(account.secret()).unwrap();
        Self { chain, sealer, key, sender: account.address().into(), nonce: 0, accounts, directory }
    }

    /// A transfer to some account.
    pub(crate) fn transfer(&mut self) -> Recovered<TxEnvelope> {
        let to = address(self.nonce.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.accounts);
        let transaction = TxEip1559 {
            chain_id: 1337,
            nonce: self.nonce,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value: U256::from(1),
            ..TxEip1559::default()
        };
        self.nonce += 1;
        let signature: Signature = self.key.sign_prehash_recoverable(&transaction.signature_hash().0).unwrap().into();
        Recovered::new_unchecked(transaction.into_signed(signature).into(), self.sender)
    }

    pub(crate) fn on(&self, parent: &Executed) -> StateAt {
        StateAt::new(parent.state.clone(), Arc::new(self.chain.ancestors(parent.data.hash)))
    }

    /// A sealed block in the wire form.
    pub(crate) fn payload(&mut self, parent: &Executed, transfers: u64) -> (ExecutionPayload, ExecutionPayloadSidecar) {
        let last = &parent.data.block.header;
        let attributes = attributes(last.timestamp + SLOT);
        let mut header = child::begin(&parent.data, &attributes, last.gas_limit, self.chain.executor().spec());
        let offers: Vec<_> = (0..transfers).map(|_| self.transfer()).collect();
        let draft =
            self.chain.executor().draft(&header, &[], &self.on(parent), &mut List(offers.into_iter()), &|| false).unwrap();
        let transactions: Vec<_> = draft.transactions.into_iter().map(Recovered::into_inner).collect();
        let state_root = parent.state.apply(&draft.outcome.diff).root();
        child::complete(&mut header, &transactions, &[], &draft.outcome, state_root);
        let job = self.job(header, parent);
        let (header, hash) = self.sealer.seal(job, &Cancel::new()).unwrap().into_parts();
        let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Withdrawals::default()) };
        wire::join(&Block { header, body }, hash, &[]).unwrap()
    }

    fn job(&self, header: Header, parent: &Executed) -> SealJob {
        let rule = self.chain.genesis().chain().difficulty();
        SealJob::new(header, parent.data.hash, &parent.data.block.header, UpdateId::ZERO, rule).unwrap()
    }

    /// A block as the Engine API takes it in.
    pub(crate) fn block(&mut self, parent: &Executed, transfers: u64) -> HashedBlock<TxEnvelope> {
        let (payload, sidecar) = self.payload(parent, transfers);
        wire::split(payload).unwrap().into_block(&sidecar).unwrap()
    }

    /// A run of blocks with a transfer each, final 32 behind the head.
    pub(crate) fn grow(&mut self, blocks: u64) {
        let mut recent = std::collections::VecDeque::new();
        for _ in 0..blocks {
            let parent = self.chain.head();
            let hashed = self.block(&parent, 1);
            recent.push_front(hashed.hash());
            recent.truncate(33);
            self.chain.import(hashed).unwrap();
            let finalized = recent.get(32).copied();
            self.chain.set_heads(HeadsRequest { head: recent[0], safe: finalized, finalized }).unwrap();
        }
    }

    pub(crate) fn make_head(&self, head: B256) {
        self.chain.set_heads(HeadsRequest { head, safe: None, finalized: None }).unwrap();
    }
}
