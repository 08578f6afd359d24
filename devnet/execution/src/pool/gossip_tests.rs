use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, TxKind, U256};
use k256::ecdsa::SigningKey;
use pol_core::identity::GenesisSeed;
use reth_ai_exex::metrics::Metrics;
use tokio::sync::mpsc;

use super::*;
use crate::{chain::History, fixtures::genesis};

fn pool(directory: &std::path::Path) -> Pool {
    Pool::new(Chain::open(directory, genesis(), History::default(), Metrics::new()).unwrap())
}

/// A transfer of the fixtures' funded account.
fn transfer(nonce: u64) -> Transaction {
    let account = GenesisSeed::from_bytes([7; 32]).funded_account().unwrap();
    let inner = TxEip1559 {
        chain_id: 1337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(1)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let key = SigningKey::from_slice(account.secret()).unwrap();
    let signature = key.sign_prehash_recoverable(&inner.signature_hash().0).unwrap();
    Recovered::new_unchecked(inner.into_signed(signature.into()).into(), account.address().into())
}

#[tokio::test]
async fn what_a_wallet_sends_goes_to_the_network_and_what_the_network_brings_does_not_go_back() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (left, right) = (pool(here.path()), pool(there.path()));
    let ((to_right, from_left), (to_left, mut from_right)) = (mpsc::channel(8), mpsc::channel(8));
    let (own, incoming) = mpsc::channel(8);
    drop(tokio::spawn(gossip(left.clone(), to_right, incoming)));
    drop(tokio::spawn(gossip(right.clone(), to_left, from_left)));
    tokio::task::yield_now().await;
    let mut arrivals = right.watch();

    let first = left.add(transfer(0)).unwrap();
    assert_eq!(arrivals.recv().await.unwrap(), first);
    assert_eq!(right.get(&first), Some(transfer(0)));
    // The second is the right pool's own: it comes out, and the first before it did not.
    let second = right.add(transfer(1)).unwrap();
    let bytes = from_right.recv().await.unwrap();
    assert_eq!(decode(&bytes).unwrap().tx_hash(), &second);

    // Nonsense from the network ends nothing.
    let mut taken = left.watch();
    own.send(vec![2; 40].into()).await.unwrap();
    own.send(vec![2; limits::POOL_TRANSACTION_BYTES + 1].into()).await.unwrap();
    own.send(bytes).await.unwrap();
    assert_eq!(taken.recv().await.unwrap(), second);
}

#[test]
fn bytes_that_are_no_transaction_are_refused_before_they_are_read_far() {
    let large = vec![0; limits::POOL_TRANSACTION_BYTES + 1];
    assert!(matches!(decode(&large), Err(PoolError::Oversized { .. })));
    let good = alloy_eips::eip2718::Encodable2718::encoded_2718(transfer(0).inner());
    assert_eq!(decode(&good), Ok(transfer(0)));
    for cut in 0..good.len() {
        assert!(decode(&good[..cut]).is_err(), "{cut}");
    }
}
