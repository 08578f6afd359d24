use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Signature, U256};

use super::*;
use crate::execute::Offers as _;

/// A transaction of a sender who signed nothing: what is tested here never asks.
fn transaction(sender: u8, nonce: u64, tip: u128, fee: u128) -> Transaction {
    let inner =
        TxEip1559 { nonce, max_priority_fee_per_gas: tip, max_fee_per_gas: fee, gas_limit: 21_000, ..TxEip1559::default() };
    let signature = Signature::new(U256::from(sender), U256::from(1), false);
    Recovered::new_unchecked(inner.into_signed(signature).into(), Address::repeat_byte(sender))
}

fn held(transactions: &[Transaction]) -> Held {
    let mut held = Held::default();
    for transaction in transactions {
        held.add(transaction.clone(), 0).unwrap();
    }
    held
}

fn best(held: &Held, base_fee: u64, account_nonce: u64) -> Best {
    Best::new(held.by_sender.values().map(|queue| (queue, account_nonce)), base_fee)
}

fn order(mut best: Best) -> Vec<(u8, u64)> {
    core::iter::from_fn(|| best.next()).map(|offer| (offer.signer().0[0], offer.nonce())).collect()
}

#[test]
fn the_best_tip_goes_first_then_the_earliest_and_each_senders_nonces_in_order() {
    let held = held(&[
        transaction(1, 1, 90, 1_000),
        transaction(1, 0, 10, 1_000),
        transaction(2, 0, 50, 1_000),
        transaction(2, 1, 50, 1_000),
        transaction(3, 0, 50, 1_000),
    ]);
    assert_eq!(order(best(&held, 100, 0)), [(2, 0), (2, 1), (3, 0), (1, 0), (1, 1)]);
}

#[test]
fn gaps_spent_nonces_and_fees_below_the_base_fee_are_not_offered() {
    let held = held(&[
        transaction(1, 0, 1, 1_000),
        transaction(1, 2, 1, 1_000),
        transaction(2, 0, 1, 99),
        transaction(2, 1, 1, 1_000),
        transaction(3, 1, 1, 1_000),
    ]);
    assert_eq!(order(best(&held, 100, 0)), [(1, 0)]);
    assert_eq!(order(best(&held, 100, 1)), [(2, 1), (3, 1)]);
}

#[test]
fn what_follows_from_a_refused_one_is_not_tried() {
    let held = held(&[transaction(1, 0, 9, 100), transaction(1, 1, 9, 100), transaction(2, 0, 5, 100)]);
    let mut best = best(&held, 1, 0);
    assert_eq!(best.next().map(|offer| offer.signer().0[0]), Some(1));
    best.refused();
    assert_eq!(order(best), [(2, 0)]);
}

#[test]
fn a_replacement_pays_a_tenth_more_of_both() {
    let mut held = held(&[transaction(1, 0, 100, 1_000)]);
    for (tip, fee) in [(109, 1_100), (110, 1_099), (100, 2_000)] {
        assert_eq!(held.add(transaction(1, 0, tip, fee), 0), Err(PoolError::Underpriced), "{tip} {fee}");
    }
    held.add(transaction(1, 0, 110, 1_100), 0).unwrap();
    assert_eq!((held.by_hash.len(), order(best(&held, 1, 0))), (1, vec![(1, 0)]));
    assert_eq!(held.add(transaction(1, 0, 110, 1_100), 0), Err(PoolError::AlreadyKnown));
}

#[test]
fn a_full_pool_lets_go_of_who_tips_least_and_of_nobody_better() {
    let mut held = Held::default();
    for number in 0..limits::POOL_TRANSACTIONS {
        let mut sender = Address::ZERO;
        sender.0[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        let tip = if number == 7 { 5 } else { 10 };
        let (inner, _) = transaction(1, 0, tip, 1_000).into_parts();
        let TxEnvelope::Eip1559(signed) = inner else { panic!("not 1559") };
        let signature = Signature::new(U256::from(number), U256::from(1), false);
        let inner = signed.strip_signature().into_signed(signature).into();
        held.add(Recovered::new_unchecked(inner, sender), 0).unwrap();
    }
    assert_eq!(held.add(transaction(0xee, 0, 5, 1_000), 0), Err(PoolError::Full));
    held.add(transaction(0xee, 0, 6, 1_000), 0).unwrap();
    assert_eq!(held.by_hash.len(), limits::POOL_TRANSACTIONS);
    assert!(held.by_sender.contains_key(&Address::repeat_byte(0xee)));
}

#[test]
fn what_is_in_a_block_or_cannot_be_paid_leaves() {
    let mut held = held(&[transaction(1, 0, 1, 10), transaction(1, 1, 1, 10), transaction(2, 0, 1, 10)]);
    held.drop_spent(|sender| {
        let balance = if sender.0[0] == 1 { U256::from(210_000) } else { U256::from(209_999) };
        crate::state::AccountFields { nonce: 1, balance, ..Default::default() }
    });
    assert_eq!(order(best(&held, 1, 1)), [(1, 1)]);
    assert_eq!(held.by_hash.len(), 1);
}
