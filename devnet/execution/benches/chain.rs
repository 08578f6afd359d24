//! Import against bare execution, and what a chain costs to open again: `cargo bench -p pol-execution --bench chain`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::unwrap_used,
    reason = "a benchmark may fail loudly, and its figures are floats"
)]

use core::num::NonZeroUsize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{
    BlockBody, Header, SignableTransaction as _, TxEip1559, TxEnvelope,
    constants::EMPTY_OMMER_ROOT_HASH,
    proofs,
    transaction::{Recovered, SignerRecoverable as _},
};
use alloy_eips::{eip1559::BaseFeeParams, eip4895::Withdrawals};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use k256::ecdsa::SigningKey;
use pol_core::{UpdateId, identity::GenesisSeed};
use pol_execution::{
    args::DevArgs,
    chain::{Chain, Executed, HeadsRequest, History},
    dev,
    execute::{Block, Offers},
    state::StateAt,
    validate,
};
use pol_kit::clock::System;
use reth_ai_exex::{
    genesis::ExecutionGenesis,
    metrics::Metrics,
    sealer::{Cancel, SealJob, Sealer},
    wire::{self, HashedBlock},
};

const TRANSFERS: u64 = 100;
const BLOCKS: u64 = 100;
const SLOT: u64 = 2;

fn main() {
    println!("| what | measured | target | met |\n| --- | --- | --- | --- |");
    let (small, ratio) = import(10_000);
    row(
        "import of 100 transfers on 10,000 accounts / bare execution",
        format!("{small:.1?}, {ratio:.2} times"),
        "<= 2",
        ratio <= 2.0,
    );
    let (large, _) = import(100_000);
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    row("the same on 100,000 accounts / on 10,000", format!("{large:.1?}, {ratio:.2} times"), "<= 1.3", ratio <= 1.3);
    let took = reopen(1_000);
    row("a chain of 1,000 blocks opened again", format!("{took:.1?}"), "<= 3 s", took <= Duration::from_secs(3));
}

fn row(what: &str, measured: String, target: &str, met: bool) {
    println!("| {what} | {measured} | {target} | {} |", if met { "yes" } else { "NO" });
}

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

struct Bench {
    chain: Chain,
    sealer: Sealer,
    key: SigningKey,
    sender: Address,
    nonce: u64,
    accounts: u64,
    _directory: tempfile::TempDir,
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
    fn new(accounts: u64) -> Self {
        let (directory, genesis) = (tempfile::tempdir().unwrap(), genesis(accounts));
        let sealer = Sealer::start(NonZeroUsize::MIN, genesis.chain(), Arc::new(System::new()), Metrics::new()).unwrap();
        let chain = Chain::open(directory.path(), genesis, History::default(), Metrics::new()).unwrap();
        let account = GenesisSeed::from_bytes([7; 32]).funded_account().unwrap();
        let key = SigningKey::from_slice(account.secret()).unwrap();
        Self { chain, sealer, key, sender: account.address().into(), nonce: 0, accounts, _directory: directory }
    }

    /// A transfer to some account.
    fn transfer(&mut self) -> Recovered<TxEnvelope> {
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

    fn on(&self, parent: &Executed) -> StateAt {
        StateAt::new(parent.state.clone(), Arc::new(self.chain.ancestors(parent.data.hash)))
    }

    fn block(&mut self, parent: &Executed, transfers: u64) -> HashedBlock<TxEnvelope> {
        let last = &parent.data.block.header;
        let mut header = Header {
            parent_hash: parent.data.hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            number: last.number + 1,
            gas_limit: last.gas_limit,
            timestamp: last.timestamp + SLOT,
            base_fee_per_gas: last.next_block_base_fee(BaseFeeParams::ethereum()),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::with_last_byte(1)),
            ..Header::default()
        };
        let offers: Vec<_> = (0..transfers).map(|_| self.transfer()).collect();
        let draft =
            self.chain.executor().draft(&header, &[], &self.on(parent), &mut List(offers.into_iter()), &|| false).unwrap();
        let transactions: Vec<_> = draft.transactions.into_iter().map(Recovered::into_inner).collect();
        header.state_root = parent.state.apply(&draft.outcome.diff).root();
        header.transactions_root = proofs::calculate_transaction_root(&transactions);
        header.receipts_root = proofs::calculate_receipt_root(&draft.outcome.receipts);
        header.withdrawals_root = Some(proofs::calculate_withdrawals_root(&[]));
        header.logs_bloom = validate::bloom(&draft.outcome);
        header.gas_used = draft.outcome.gas_used;
        let rule = self.chain.genesis().chain().difficulty();
        let job = SealJob::new(header, parent.data.hash, last, UpdateId::ZERO, rule).unwrap();
        let (header, hash) = self.sealer.seal(job, &Cancel::new()).unwrap().into_parts();
        let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(Withdrawals::default()) };
        let (payload, sidecar) = wire::join(&Block { header, body }, hash, &[]).unwrap();
        wire::split(payload).unwrap().into_block(&sidecar).unwrap()
    }

    fn make_head(&self, head: B256) {
        self.chain.set_heads(HeadsRequest { head, safe: None, finalized: None }).unwrap();
    }
}

/// The mean time of an import (execution, root, disk), and how many times that of executing the same blocks alone.
fn import(accounts: u64) -> (Duration, f64) {
    let mut bench = Bench::new(accounts);
    let (mut bare, mut whole) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..BLOCKS {
        let parent = bench.chain.head();
        let hashed = bench.block(&parent, TRANSFERS);
        let (block, on, hash) = (hashed.block().clone(), bench.on(&parent), hashed.hash());
        let start = Instant::now();
        let senders: Vec<_> = block.body.transactions.iter().map(|transaction| transaction.recover_signer().unwrap()).collect();
        bench.chain.executor().import(&block, &senders, &on).unwrap();
        bare += start.elapsed();
        let start = Instant::now();
        bench.chain.import(hashed).unwrap();
        whole += start.elapsed();
        bench.make_head(hash);
    }
    (whole / u32::try_from(BLOCKS).unwrap(), whole.as_secs_f64() / bare.as_secs_f64())
}

fn reopen(blocks: u64) -> Duration {
    let mut bench = Bench::new(1_000);
    for _ in 0..blocks {
        let parent = bench.chain.head();
        let hashed = bench.block(&parent, 1);
        let hash = hashed.hash();
        bench.chain.import(hashed).unwrap();
        bench.make_head(hash);
    }
    let (directory, genesis, head) = (bench._directory, bench.chain.genesis().clone(), bench.chain.head().data.hash);
    drop(bench.chain);
    let start = Instant::now();
    let chain = Chain::open(directory.path(), genesis, History::default(), Metrics::new()).unwrap();
    assert_eq!(chain.head().data.hash, head);
    start.elapsed()
}
