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

/// An account that can pay for anything.
fn rich() -> AccountFields {
    AccountFields { balance: U256::MAX, ..AccountFields::default() }
}

fn held(transactions: &[Transaction]) -> Held {
    let mut held = Held::default();
    for transaction in transactions {
        held.add(transaction.clone(), &rich()).unwrap();
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
        assert_eq!(held.add(transaction(1, 0, tip, fee), &rich()), Err(PoolError::Underpriced), "{tip} {fee}");
    }
    held.add(transaction(1, 0, 110, 1_100), &rich()).unwrap();
    assert_eq!((held.by_hash.len(), order(best(&held, 1, 0))), (1, vec![(1, 0)]));
    assert_eq!(held.add(transaction(1, 0, 110, 1_100), &rich()), Err(PoolError::AlreadyKnown));
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
        held.add(Recovered::new_unchecked(inner, sender), &rich()).unwrap();
    }
    assert_eq!(held.add(transaction(0xee, 0, 5, 1_000), &rich()), Err(PoolError::Full));
    held.add(transaction(0xee, 0, 6, 1_000), &rich()).unwrap();
    assert_eq!(held.by_hash.len(), limits::POOL_TRANSACTIONS);
    assert!(held.by_sender.contains_key(&Address::repeat_byte(0xee)));
}

#[test]
fn what_is_in_a_block_or_cannot_be_paid_leaves() {
    let mut held = held(&[transaction(1, 0, 1, 10), transaction(1, 1, 1, 10), transaction(2, 0, 1, 10)]);
    held.drop_spent(|sender| {
        let balance = if sender.0[0] == 1 { U256::from(210_000) } else { U256::from(209_999) };
        AccountFields { nonce: 1, balance, ..Default::default() }
    });
    assert_eq!(order(best(&held, 1, 1)), [(1, 1)]);
    assert_eq!(held.by_hash.len(), 1);
}

/// The same with so much input.
fn with_input(sender: u8, nonce: u64, (tip, fee): (u128, u128), bytes: usize) -> Transaction {
    let (inner, sender) = transaction(sender, nonce, tip, fee).into_parts();
    let TxEnvelope::Eip1559(signed) = inner else { panic!("not 1559") };
    let (mut inner, signature, _) = signed.into_parts();
    inner.input = vec![0; bytes].into();
    Recovered::new_unchecked(inner.into_signed(signature).into(), sender)
}

#[test]
fn the_bytes_of_a_pool_are_bounded_and_who_tips_least_leaves_for_what_is_large() {
    let size = limits::POOL_TRANSACTION_BYTES - 1_000;
    let mut held = held(&[with_input(0xcc, 0, (10, 1_000), 0)]);
    let large = |number: usize| {
        let (sender, nonce) = (number / limits::POOL_SENDER, number % limits::POOL_SENDER);
        with_input(u8::try_from(sender).unwrap(), u64::try_from(nonce).unwrap(), (10, 1_000), size)
    };
    let fits = limits::POOL_BYTES / large(0).encode_2718_len();
    for number in 0..fits {
        held.add(large(number), &rich()).unwrap();
    }
    let check = |held: &Held, count: usize| {
        let sum = held.by_sender.values().flat_map(BTreeMap::values).map(|entry| entry.bytes).sum::<usize>();
        assert!(held.bytes == sum && sum <= limits::POOL_BYTES, "{sum} {}", held.bytes);
        assert_eq!(held.by_hash.len(), count);
    };
    check(&held, fits + 1);
    assert_eq!(held.add(large(fits), &rich()), Err(PoolError::Full), "no better tip");
    check(&held, fits + 1);
    held.add(with_input(0xcc, 0, (20, 2_000), size), &rich()).unwrap();
    check(&held, fits);
    held.add(with_input(0xee, 0, (11, 1_000), size), &rich()).unwrap();
    check(&held, fits);
    held.drop_spent(|_| AccountFields { nonce: 64, ..rich() });
    check(&held, 0);
}

#[test]
fn what_a_sender_queues_costs_no_more_than_his_balance() {
    // Each may cost 21,000 gas at 1,000 wei.
    let account = AccountFields { nonce: 1, balance: U256::from(63_000_000), ..AccountFields::default() };
    let mut held = held(&[transaction(1, 0, 1, 1_000)]);
    for nonce in [1, 2, 4] {
        held.add(transaction(1, nonce, 1, 1_000), &account).unwrap();
    }
    let short = |expected: u64| Err(PoolError::Funds { found: account.balance, expected: U256::from(expected) });
    assert_eq!(held.add(transaction(1, 3, 1, 1_000), &account), short(84_000_000));
    assert_eq!(held.add(transaction(1, 4, 2, 1_100), &account), short(65_100_000), "a replacement counts once, at its own price");
    held.add(transaction(2, 0, 1, 1_000), &AccountFields { nonce: 0, ..account }).unwrap();
    let richer = AccountFields { balance: U256::from(65_100_000), ..account };
    held.add(transaction(1, 4, 2, 1_100), &richer).unwrap();
}
