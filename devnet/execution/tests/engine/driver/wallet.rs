//! Whoever knows the seed owns the funded account.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use k256::ecdsa::SigningKey;
use pol_core::identity::GenesisSeed;

pub const CHAIN_ID: u64 = 1337;
pub const GWEI: u128 = 1_000_000_000;

pub struct Wallet {
    key: SigningKey,
    pub address: Address,
}

/// What a test wants to say of a transaction.
#[derive(Debug, Clone)]
pub struct Ask {
    pub nonce: u64,
    pub to: TxKind,
    pub value: U256,
    pub input: Bytes,
    pub gas: u64,
    pub max_fee: u128,
    pub tip: u128,
}

impl Ask {
    pub fn transfer(nonce: u64, to: Address, value: u64) -> Self {
        let (max_fee, tip) = (10 * GWEI, GWEI);
        Self { nonce, to: TxKind::Call(to), value: U256::from(value), input: Bytes::new(), gas: 21_000, max_fee, tip }
    }

    pub fn create(nonce: u64, code: Bytes) -> Self {
        Self { to: TxKind::Create, input: code, gas: 1_000_000, ..Self::transfer(nonce, Address::ZERO, 0) }
    }
}

impl Wallet {
    pub fn funded(seed: &GenesisSeed) -> Self {
        let account = seed.funded_account().unwrap();
        let key = SigningKey::from_slice(account.secret()).unwrap();
        Self { key, address: account.address().into() }
    }

    pub fn sign(&self, ask: &Ask) -> TxEnvelope {
        let transaction = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: ask.nonce,
            gas_limit: ask.gas,
            max_fee_per_gas: ask.max_fee,
            max_priority_fee_per_gas: ask.tip,
            to: ask.to,
            value: ask.value,
            access_list: Default::default(),
            input: ask.input.clone(),
        };
        let signature = self.signature(&transaction.signature_hash().0);
        transaction.into_signed(signature).into()
    }

    pub fn legacy(&self, nonce: u64, chain_id: Option<u64>) -> TxEnvelope {
        let to = TxKind::Call(Address::repeat_byte(1));
        let transaction = TxLegacy { chain_id, nonce, gas_price: 10 * GWEI, gas_limit: 21_000, to, ..TxLegacy::default() };
        let signature = self.signature(&transaction.signature_hash().0);
        transaction.into_signed(signature).into()
    }

    fn signature(&self, hash: &[u8; 32]) -> Signature {
        self.key.sign_prehash_recoverable(hash).unwrap().into()
    }
}

pub fn raw(transaction: &TxEnvelope) -> Bytes {
    transaction.encoded_2718().into()
}
