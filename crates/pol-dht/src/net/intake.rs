//! Where records of others become verified ones: one bounded queue, judged in batches off the event loop.

use std::sync::Arc;

use libp2p::{PeerId, gossipsub::MessageId};
use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    quota::Offence,
    shared::{News, Shared},
    store::{Commit, Put},
    verify::{Blame, RawRecord, VerifiedRecord, VerifyError},
};

/// Records judged in one go.
const BATCH: usize = 64;

/// A record of somebody, not yet looked at.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The bytes.
    pub(crate) raw: RawRecord,
    /// Who sent it.
    pub(crate) from: PeerId,
    /// When it came by gossip: which message waits for a verdict.
    pub(crate) message: Option<MessageId>,
}

/// What became of an [`Arrival`].
#[derive(Debug)]
pub(crate) struct Judged {
    /// Who sent it.
    pub(crate) from: PeerId,
    /// The gossip message that waits.
    pub(crate) message: Option<MessageId>,
    /// The verdict.
    pub(crate) verdict: Verdict,
}

/// The verdict on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// New here: pass it on.
    News,
    /// Known, stale, over a quota, or not ours to judge: drop it without blame.
    Ignored,
    /// No honest node sends this.
    Refused,
}

/// Verifies and stores one record of another node.
fn judge(shared: &Shared, arrival: Arrival) -> (Verdict, Option<News>) {
    let now = shared.now();
    let verified = arrival.raw.open(shared.genesis_id, now).and_then(|r| r.verify(&shared.validators(), &shared.store, now));
    let record = match verified {
        Ok(record) => record,
        Err(error) => {
            let refused = error.blame() == Blame::Peer;
            if refused {
                debug!(target: "polai::dht", peer = %arrival.from, %error, "record refused");
            }
            return (if refused { Verdict::Refused } else { Verdict::Ignored }, None);
        }
    };
    if let Err(error) = shared.admit_record(&record) {
        debug!(target: "polai::dht", peer = %arrival.from, key = %record.key(), %error, "record ignored");
        return (Verdict::Ignored, None);
    }
    match shared.store.put(&record, Commit::Lazy, now) {
        Ok(put) => {
            let verdict = if put.is_news() { Verdict::News } else { Verdict::Ignored };
            (verdict, News::of(&shared.store, &Arc::new(record), put, now))
        }
        Err(error) => {
            tracing::warn!(target: "polai::dht", %error, "record not stored");
            (Verdict::Ignored, None)
        }
    }
}

/// Judges arrivals until the queue closes. A critical task: without it nothing is accepted any more.
///
/// # Errors
/// When a judgement panicked: a bug, and the process ends with this task's name.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut arrivals: mpsc::Receiver<Arrival>,
    judged: mpsc::Sender<Judged>,
) -> Result<(), tokio::task::JoinError> {
    let mut batch = Vec::with_capacity(BATCH);
    while arrivals.recv_many(&mut batch, BATCH).await > 0 {
        let (worker, taken) = (Arc::clone(&shared), std::mem::take(&mut batch));
        let verdicts = tokio::task::spawn_blocking(move || {
            let one = |arrival: Arrival| {
                let (from, message) = (arrival.from, arrival.message.clone());
                let (verdict, news) = judge(&worker, arrival);
                (Judged { from, message, verdict }, news)
            };
            taken.into_iter().map(one).collect::<Vec<_>>()
        })
        .await?;
        for (one, news) in verdicts {
            if let Some(news) = news {
                shared.tell(news);
            }
            if judged.send(one).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What a sender is blamed for, if anything.
pub(crate) const fn offence(verdict: Verdict) -> Option<Offence> {
    match verdict {
        Verdict::Refused => Some(Offence::BadRecord),
        Verdict::News | Verdict::Ignored => None,
    }
}

/// A record that this node itself writes: verified like any other, stored and synced before anybody hears of it. Blocking.
///
/// # Errors
/// [`OwnError`].
pub fn put_own(shared: &Shared, key: &[u8], envelope: &[u8]) -> Result<(Put, Arc<VerifiedRecord>), OwnError> {
    keep_own(shared, verify_own(shared, key, envelope)?)
}

/// The first half of [`put_own`].
///
/// # Errors
/// [`VerifyError`].
pub(crate) fn verify_own(shared: &Shared, key: &[u8], envelope: &[u8]) -> Result<VerifiedRecord, VerifyError> {
    let now = shared.now();
    RawRecord::new(key, envelope)?.open(shared.genesis_id, now)?.verify(&shared.validators(), &shared.store, now)
}

/// The second half of [`put_own`].
///
/// # Errors
/// [`OwnError::Store`].
pub(crate) fn keep_own(shared: &Shared, record: VerifiedRecord) -> Result<(Put, Arc<VerifiedRecord>), OwnError> {
    let now = shared.now();
    let put = shared.store.put(&record, Commit::Synced, now)?;
    let record = Arc::new(record);
    if let Some(news) = News::of(&shared.store, &record, put, now) {
        shared.tell(news);
    }
    Ok((put, record))
}

/// Why an own record is not stored.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It breaks a rule: the caller's fault.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The disk or the database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
