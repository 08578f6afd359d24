//! The order in which transactions are tried.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use alloy_consensus::Transaction as _;

use super::{Entry, Transaction};
use crate::execute::Offers;

/// First the higher tip, then whoever came earlier; the last number says whose queue it is the first of.
type Rank = (u128, Reverse<u64>, usize);

/// Offers to a draft: a copy of what the pool held when it was asked.
#[derive(Debug)]
pub struct Best {
    base_fee: u64,
    /// Of each sender, what follows on from his account without a gap.
    queues: Vec<VecDeque<Entry>>,
    firsts: BinaryHeap<Rank>,
    /// Whose transaction was offered last.
    last: Option<usize>,
}

impl Best {
    pub(super) fn new<'a>(queues: impl Iterator<Item = (&'a BTreeMap<u64, Entry>, u64)>, base_fee: u64) -> Self {
        let run = |(queue, first): (&BTreeMap<u64, Entry>, u64)| -> VecDeque<Entry> {
            let ready = queue.range(first..).zip(first..).take_while(|((nonce, _), expected)| *nonce == expected);
            ready.map(|((_, entry), _)| entry.clone()).collect()
        };
        let queues = queues.map(run).collect();
        let mut best = Self { base_fee, queues, firsts: BinaryHeap::new(), last: None };
        for sender in 0..best.queues.len() {
            best.enter(sender);
        }
        best
    }

    /// Puts a sender's next transaction into the race; a sender whose next one does not pay the base fee is out.
    fn enter(&mut self, sender: usize) {
        let Some(entry) = self.queues.get(sender).and_then(VecDeque::front) else { return };
        if let Some(tip) = entry.transaction.effective_tip_per_gas(self.base_fee) {
            self.firsts.push((tip, Reverse(entry.seen), sender));
        }
    }
}

impl Offers for Best {
    fn next(&mut self) -> Option<Transaction> {
        if let Some(last) = self.last.take() {
            self.enter(last);
        }
        let (_, _, sender) = self.firsts.pop()?;
        self.last = Some(sender);
        self.queues.get_mut(sender)?.pop_front().map(|entry| entry.transaction)
    }

    fn refused(&mut self) {
        if let Some(queue) = self.last.take().and_then(|sender| self.queues.get_mut(sender)) {
            queue.clear();
        }
    }
}
