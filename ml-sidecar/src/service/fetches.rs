//! Candidates whose bytes are on their way, beside the gate: it judges only what is here.
//!
//! # Contract
//! Few at a time and each for a short time, whatever is announced: an announcement costs nothing, and its bytes may not exist. Strangers never
//! take all places from trainers that a validator vouches for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pol_api::{convert::Candidate, sidecar::Decision, tonic::transport::Channel};
use pol_core::ModelHead;
use pol_kit::exit::Exit;
use tokio::task::JoinSet;

use super::{
    container::{PrepareError, Prepared, prepare},
    queue::{Room, rank},
    voids::Voids,
};
use crate::follow::Tip;

/// Candidates that are on their way, or here and not yet judged.
const PLACES: usize = 8;
/// How many of them may be strangers'.
const STRANGERS: usize = 6;
/// One try takes no longer: a stranger's, and that of a trainer that a validator vouches for, whose bytes may have a long way.
const TRIES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

/// What came of a try.
#[derive(Debug)]
pub(crate) enum Found {
    /// For a head whose state is known.
    Change(Result<Box<Prepared>, PrepareError>),
    /// For one whose state is not known: only a void helps.
    Void(Result<(Decision, Bytes), PrepareError>),
}

/// A candidate after a try.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The candidate.
    pub(crate) candidate: Candidate,
    /// Head of the state, and of the chain, when the try began.
    pub(crate) heads: (ModelHead, ModelHead),
    /// What came of it.
    pub(crate) found: Found,
}

/// Candidates that have a place.
pub(crate) struct Fetches {
    dht: Channel,
    under_way: JoinSet<Fetched>,
    here: Vec<Fetched>,
    places: Vec<Candidate>,
}

impl Fetches {
    pub(crate) fn new(dht: Channel) -> Self {
        Self { dht, under_way: JoinSet::new(), here: Vec::new(), places: Vec::new() }
    }

    /// Whose candidates find a place now.
    pub(crate) fn room(&self) -> Room {
        let strangers = self.places.iter().filter(|candidate| !candidate.verified).count();
        match self.places.len() {
            PLACES.. => Room::Nobody,
            _ if strangers >= STRANGERS => Room::Vouched,
            _ => Room::Everybody,
        }
    }

    /// Whether a candidate has a place, by the same announcement.
    pub(crate) fn holds(&self, candidate: &Candidate) -> bool {
        self.places.iter().any(|held| held.trainer == candidate.trainer && held.announcement == candidate.announcement)
    }

    /// Begins a try, `left` before nobody waits for the candidate any more.
    pub(crate) fn begin(&mut self, tip: &Arc<Tip>, candidate: Candidate, left: Duration) {
        let within = left.min(if candidate.verified { TRIES.1 } else { TRIES.0 });
        let (dht, tip) = (self.dht.clone(), Arc::clone(tip));
        self.places.push(candidate);
        self.under_way.spawn(async move {
            let announcement = &candidate.announcement;
            let (id, size) = (announcement.update_id, usize::try_from(announcement.size).ok());
            let found = match tip.is_current() {
                true => Found::Change(prepare(&dht, &tip.context, id, tip.head, size, within).await.map(Box::new)),
                false => Found::Void(Voids::judge(&dht, &tip, id, within).await),
            };
            Fetched { candidate, heads: (tip.head, tip.chain_head), found }
        });
    }

    /// Waits until a try ends; None: none is under way. It can be dropped at any await.
    pub(crate) async fn arrive(&mut self) -> Option<Result<(), Exit>> {
        Some(self.under_way.join_next().await?.map(|fetched| self.here.push(fetched)).map_err(Exit::from))
    }

    /// The first in line of those whose try has ended; its place is free again.
    ///
    /// # Errors
    /// A defect of ours.
    pub(crate) fn take(&mut self) -> Result<Option<Fetched>, Exit> {
        while let Some(fetched) = self.under_way.try_join_next() {
            self.here.push(fetched?);
        }
        let first = self.here.iter().enumerate().min_by_key(|(_, fetched)| rank(&fetched.candidate)).map(|(place, _)| place);
        let Some(fetched) = first.map(|place| self.here.swap_remove(place)) else { return Ok(None) };
        self.places.retain(|held| *held != fetched.candidate);
        Ok(Some(fetched))
    }
}
