//! What the follower tells the rest of the process: where the model stands, and what changed.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pol_api::convert::Cursor;
use pol_core::{ModelHead, ResultRoot, UpdateId, delta::Context, state::State};
use tokio::sync::{broadcast, watch};

use super::shares::Share;

/// Events that wait for a slow reader; then it has missed some and looks at the tip and at [`Follower::placed`] instead.
const EVENTS: usize = 1_024;
/// Updates of which [`Follower::placed`] knows, at most: the newest.
pub const FOLLOWED_MAX: usize = 65_536;

/// A place in the model's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The model head.
    pub head: ModelHead,
    /// Updates up to it; 0 is the chain's first state.
    pub number: u64,
}

/// An accepted update whose bytes are out of reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The update.
    pub update_id: UpdateId,
    /// Since when, unix milliseconds: since it was first asked for in vain, by this process.
    pub since_unix_ms: u64,
    /// Whether it can never be reverted.
    pub finalized: bool,
}

/// The newest state that this node knows. It never changes: a new one takes its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Tip {
    /// The chain.
    pub context: Context,
    /// The model head of the state.
    pub head: ModelHead,
    /// Updates up to it.
    pub number: u64,
    /// The block of the last update in it, or that a revert went back to; none before the first.
    pub cursor: Option<Cursor>,
    /// The newest final head whose state is known.
    pub finalized: Point,
    /// The state.
    pub state: Arc<State>,
    /// Its root.
    pub root: ResultRoot,
    /// Norms of the last changes that were added, oldest first, 64 at most: see [`pol_core::delta::norm_cap`].
    pub norms: Vec<u64>,
    /// Canonical updates after it whose bytes are not here yet. While there are any, nothing made for `head` can be included.
    pub behind: u64,
    /// What holds it up, once it was asked for in vain.
    pub missing: Option<Missing>,
    /// The chain's own head: another than `head` while `behind` is not 0.
    pub chain_head: ModelHead,
    /// False while the state is a snapshot's that no certificates confirmed: no ACK then (section 13).
    pub confirmed: bool,
}

impl Tip {
    /// The chain's first state.
    pub fn genesis(context: Context) -> Self {
        let state = State::initial(&context.genesis_id, context.shape);
        let head = context.genesis_id.into();
        let finalized = Point { head, number: 0 };
        let root = state.root();
        let (state, norms) = (Arc::new(state), Vec::new());
        Self {
            context,
            head,
            number: 0,
            cursor: None,
            finalized,
            state,
            root,
            norms,
            behind: 0,
            missing: None,
            chain_head: head,
            confirmed: true,
        }
    }

    /// Whether updates for its head can still be part of the chain, as far as this node knows.
    pub const fn is_current(&self) -> bool {
        self.behind == 0
    }
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An update is part of the state (it may have added zero).
    Applied {
        /// The update.
        update_id: UpdateId,
        /// Model head that it applies to.
        parent: ModelHead,
        /// Model head after it.
        head: ModelHead,
        /// Which update of the chain it is, from 1.
        number: u64,
        /// Root of the state after it.
        root: ResultRoot,
        /// Root that its certificate names, where the feed says so.
        certified: Option<ResultRoot>,
    },
    /// The state went back, in a reorg: all updates above are not part of it any more.
    Reverted {
        /// The model head that stays.
        to_head: ModelHead,
        /// Updates that stay.
        number: u64,
    },
    /// An update of the state can never be reverted.
    Finalized {
        /// The update.
        update_id: UpdateId,
        /// Model head after it.
        head: ModelHead,
        /// Which update of the chain it is.
        number: u64,
    },
}

/// Where an update stands in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Which update of the chain it is.
    pub number: u64,
    /// Whether it can never be reverted.
    pub finalized: bool,
}

/// Shares that are kept, at most: as many as own updates a trainer remembers.
const SHARES_MAX: usize = 64;

/// Numbers of updates, and updates by number.
type Numbers = (BTreeMap<UpdateId, u64>, BTreeMap<u64, UpdateId>);

/// A trainer, and shares of its deltas.
type Shares = (Option<[u8; 32]>, VecDeque<Arc<Share>>);

/// What is shared by both ends.
#[derive(Debug, Default)]
struct Places {
    numbers: Mutex<Numbers>,
    /// The trainer of this process, and what its deltas added as children of merges, oldest first.
    shares: Mutex<Shares>,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading end. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Follower {
    tip: watch::Receiver<Arc<Tip>>,
    events: broadcast::Sender<Event>,
    places: Arc<Places>,
}

impl Follower {
    /// A follower that says what the [`Publisher`] is given: the real one, or a test's script.
    pub fn new(tip: Tip) -> (Self, Publisher) {
        let (sender, receiver) = watch::channel(Arc::new(tip));
        let (events, _) = broadcast::channel(EVENTS);
        let places = Arc::new(Places::default());
        let publisher = Publisher { tip: sender, events: events.clone(), places: Arc::clone(&places) };
        (Self { tip: receiver, events, places }, publisher)
    }

    /// Now, and whenever it changes. A tip is published before the event that tells of it.
    pub fn tip(&self) -> watch::Receiver<Arc<Tip>> {
        self.tip.clone()
    }

    /// The tip now.
    pub fn now(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.borrow())
    }

    /// What changes from now on. A reader that lags looks at [`Self::now`] and [`Self::placed`], and reads on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Whether an update is part of the state, of the newest 65,536 ones: what became of it while nobody listened.
    pub fn placed(&self, update_id: UpdateId) -> Option<Placed> {
        let number = self.places.lock().0.get(&update_id).copied()?;
        Some(Placed { number, finalized: number <= self.now().finalized.number })
    }

    /// From now on the shares of this trainer's deltas in merges are kept.
    pub(crate) fn keep_shares_of(&self, trainer: [u8; 32]) {
        self.places.lock_shares().0 = Some(trainer);
    }

    /// What a delta of that trainer added as a child of a merge, the newest one; its merge may have been reverted since.
    pub(crate) fn share(&self, update_id: UpdateId) -> Option<Arc<Share>> {
        self.places.lock_shares().1.iter().rev().find(|share| share.update_id == update_id).map(Arc::clone)
    }
}

/// The writing end: there is one.
#[derive(Debug)]
pub struct Publisher {
    tip: watch::Sender<Arc<Tip>>,
    events: broadcast::Sender<Event>,
    places: Arc<Places>,
}

impl Publisher {
    /// Says what happened, and where the model now stands.
    pub fn publish(&self, tip: Tip, events: &[Event]) {
        for event in events {
            self.place(event);
        }
        self.tip.send_replace(Arc::new(tip));
        for event in events {
            // Nobody may be listening.
            let _ = self.events.send(*event);
        }
    }

    /// Changes what is told of the same state.
    pub(crate) fn amend(&self, change: impl FnOnce(&mut Tip)) {
        self.tip.send_modify(|tip| change(Arc::make_mut(tip)));
    }

    /// Whose shares are kept.
    pub(crate) fn shares_of(&self) -> Option<[u8; 32]> {
        self.places.lock_shares().0
    }

    /// Keeps shares, before the merge is told of.
    pub(crate) fn share(&self, shares: Vec<Share>) {
        let held = &mut self.places.lock_shares().1;
        held.extend(shares.into_iter().map(Arc::new));
        let surplus = held.len().saturating_sub(SHARES_MAX);
        held.drain(..surplus);
    }

    /// Updates that were part of the state before this process began.
    pub fn remember(&self, updates: impl IntoIterator<Item = (u64, UpdateId)>) {
        for (number, update_id) in updates {
            self.numbered(update_id, number);
        }
    }

    fn place(&self, event: &Event) {
        match event {
            Event::Applied { update_id, number, .. } => self.numbered(*update_id, *number),
            Event::Reverted { number, .. } => {
                let mut numbers = self.places.lock();
                for (number, gone) in numbers.1.split_off(&number.saturating_add(1)) {
                    if numbers.0.get(&gone) == Some(&number) {
                        numbers.0.remove(&gone);
                    }
                }
            }
            Event::Finalized { .. } => {}
        }
    }

    fn numbered(&self, update_id: UpdateId, number: u64) {
        let mut numbers = self.places.lock();
        numbers.0.insert(update_id, number);
        numbers.1.insert(number, update_id);
        while numbers.1.len() > FOLLOWED_MAX {
            let Some((number, oldest)) = numbers.1.pop_first() else { break };
            if numbers.0.get(&oldest) == Some(&number) {
                numbers.0.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pol_core::{GenesisId, delta::Profile, state::Shape};

    fn tip(number: u64) -> Tip {
        let shape = Shape::new(1, 3, 3, 3, 3).unwrap();
        let context = Context { genesis_id: GenesisId([1; 32]), shape, profile: Profile::F16x20 };
        Tip { number, ..Tip::genesis(context) }
    }

    fn applied(number: u64) -> Event {
        let (update_id, head, root) = (UpdateId([number as u8; 32]), ModelHead([0; 32]), ResultRoot([0; 32]));
        Event::Applied { update_id, parent: head, head, number, root, certified: None }
    }

    #[tokio::test]
    async fn a_reader_finds_the_tip_that_an_event_tells_of() {
        let (follower, publisher) = Follower::new(tip(0));
        let mut events = follower.events();
        publisher.publish(tip(1), &[applied(1)]);
        assert_eq!(events.recv().await, Ok(applied(1)));
        assert_eq!(follower.now().number, 1);
    }

    #[test]
    fn an_update_that_was_reverted_has_no_place_any_more() {
        let (follower, publisher) = Follower::new(tip(0));
        publisher.remember((1..=3).map(|number| (number, UpdateId([number as u8; 32]))));
        let mut now = tip(3);
        now.finalized.number = 1;
        publisher.publish(now.clone(), &[]);
        assert_eq!(follower.placed(UpdateId([1; 32])), Some(Placed { number: 1, finalized: true }));
        assert_eq!(follower.placed(UpdateId([3; 32])), Some(Placed { number: 3, finalized: false }));
        now.number = 2;
        publisher.publish(now, &[Event::Reverted { to_head: ModelHead([0; 32]), number: 2 }]);
        assert_eq!(follower.placed(UpdateId([3; 32])), None);
        assert!(follower.placed(UpdateId([2; 32])).is_some());
    }
}
