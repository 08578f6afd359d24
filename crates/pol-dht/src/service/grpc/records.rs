//! Records that validators sign: putting them, and one update's ACKs by page.

use pol_api::{
    convert::{self, Outcome, Stored},
    dht::v1::{GetAcksRequest, GetAcksResponse, PutAckRequest, PutFaultRequest, PutIdentityRequest},
    status::Reason,
    tonic::Status,
};
use pol_core::{UpdateId, ack::RawAck, fault::RawFaultVote, identity::PeerId, record::RawIdRecord, record::RecordKey};
use pol_kit::telemetry::{self, Stage};

use super::{
    Service,
    refuse::{reason_of_put, refuse},
    watch::{Acks, Faults, Kind, Seen, seen},
};
use crate::{
    shared::Shared,
    store::{Put, StoreError},
    validators::ValidatorSet,
};

/// Records read in one go.
const PAGE: usize = 256;

/// Whether this is the signer's first ACK (0) or the one that contradicts it (1), after the signer: what a page token holds.
type Place = (PeerId, u8);

fn place_of(token: &[u8]) -> Result<Option<Place>, Status> {
    match token {
        [] => Ok(None),
        [a, b, c, d, e, f, g, h, which @ (0 | 1)] => Ok(Some((PeerId([*a, *b, *c, *d, *e, *f, *g, *h]), *which))),
        _ => Err(Reason::BadToken.refuse(format!("page.token: found {} bytes that this daemon did not give", token.len()))),
    }
}

fn token_of((peer, which): Place) -> Vec<u8> {
    [peer.0.as_slice(), &[which]].concat()
}

/// ACKs of exactly this update from `from` on, at most one more than `size`.
fn acks_from(shared: &Shared, id: UpdateId, from: Option<Place>, size: usize) -> Result<Vec<(Place, Seen)>, StoreError> {
    let now = shared.now();
    let first = RecordKey::ack(id, from.map_or(PeerId([0; 8]), |(peer, _)| peer));
    let last = RecordKey::ack(id, PeerId([0xff; 8]));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = shared.store.range((&first, &last), after.as_ref(), PAGE, now)?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|record| record.key);
        for record in &page {
            let RecordKey::Ack { peer, .. } = record.key else { continue };
            let entries = seen(shared, record)?.into_iter().zip(0_u8..);
            let entries = entries.map(|(ack, which)| ((peer, which), ack)).filter(|(place, _)| Some(*place) > from);
            // The key holds 64 bits of the id only.
            found.extend(entries.filter(|(_, ack)| RawAck::decode(&ack.value).is_ok_and(|ack| ack.data.update_id == id)));
            if found.len() > size {
                return Ok(found);
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

/// What stands under a key after a put.
fn standing<K: Kind>(shared: &Shared, kind: &K, key: &RecordKey, outcome: Outcome) -> Result<Stored, StoreError> {
    let held = shared.store.get(key, shared.now())?.ok_or(StoreError::Damaged { table: "records" })?;
    let set: &ValidatorSet = &shared.validators();
    let verified = kind.is_verified(&Seen::first(&held), set);
    Ok(Stored { outcome, verified, expires_unix_s: held.expires_at })
}

/// What the caller is told about a put; `newest_wins` for records that carry a sequence.
fn outcome_of(put: Put, newest_wins: bool) -> Result<Outcome, Status> {
    match put {
        Put::Inserted | Put::Promoted | Put::Replaced | Put::Resealed => Ok(Outcome::Stored),
        Put::Duplicate => Ok(Outcome::Duplicate),
        Put::Stale => Ok(Outcome::Outdated),
        Put::Outranked if !newest_wins => Ok(Outcome::Conflict),
        Put::Conflict { .. } | Put::Collision => Ok(Outcome::Conflict),
        Put::Outranked => {
            Err(reason_of_put(put)
                .refuse("identity: a validator's own is held, and without a validator set it cannot be replaced"))
        }
        Put::Full => Err(reason_of_put(put).refuse("the room for members' records is used up: nothing was evicted")),
    }
}

impl Service {
    async fn put<K: Kind>(&self, kind: K, key: RecordKey, value: &[u8], newest_wins: bool) -> Result<Stored, Status> {
        let put = self.node.put_value(key, value).await.map_err(refuse)?;
        let outcome = outcome_of(put, newest_wins)?;
        let standing = self.node.blocking(move |shared| standing(shared, &kind, &key, outcome)).await;
        standing.map_err(refuse)?.map_err(refuse)
    }

    pub(super) async fn take_ack(&self, request: &PutAckRequest) -> Result<Stored, Status> {
        let ack = RawAck::try_from(request)?;
        let stored = self.put(Acks::default(), ack.key(), &ack.to_value(), false).await?;
        if stored.outcome == Outcome::Conflict {
            return Ok(stored);
        }
        let id = ack.data.update_id;
        telemetry::update(Stage::Acked, &id.0);
        // Section 8: a member provides what it ACKs for as long as the ACK lives.
        let pinned = self.node.blocking(move |shared| {
            let deltas = shared.store.deltas();
            if deltas.contains(&id) { deltas.pin(id) } else { Ok(()) }
        });
        if let Err(error) = pinned.await.map_err(refuse)? {
            tracing::warn!(target: "polai::dht", update_id = %id, %error, "the bytes behind an ACK are not pinned");
        }
        Ok(stored)
    }

    pub(super) async fn take_fault(&self, request: &PutFaultRequest) -> Result<Stored, Status> {
        let vote = RawFaultVote::try_from(request)?;
        self.put(Faults::default(), vote.key(), &vote.to_value(), false).await
    }

    pub(super) async fn take_identity(&self, request: &PutIdentityRequest) -> Result<Stored, Status> {
        let record = RawIdRecord::try_from(request)?;
        let (found, expected) = (record.data.node_key, self.node.identity().node_key());
        if found != expected {
            let (found, expected) = (hex::encode(found), hex::encode(expected));
            return Err(Reason::BadField.refuse(format!("identity node_key: found {found}, expected this daemon's {expected}")));
        }
        self.put(Identities, record.key(), &record.to_value(), true).await
    }

    pub(super) async fn acks_page(&self, request: &GetAcksRequest) -> Result<GetAcksResponse, Status> {
        let (id, page) = convert::acks_target(request)?;
        let from = place_of(&page.token)?;
        let found = self.node.blocking(move |shared| acks_from(shared, id, from, page.size)).await;
        let mut found = found.map_err(refuse)?.map_err(refuse)?;
        let is_last = found.len() <= page.size;
        found.truncate(page.size);
        let last = found.last().map(|(place, _)| token_of(*place).into());
        let (all, set) = (Acks::default(), self.node.shared().validators());
        let acks = found.iter().filter_map(|(_, seen)| all.record(seen, &set)).collect();
        Ok(GetAcksResponse { acks, next_token: last.filter(|_| !is_last).unwrap_or_default() })
    }
}

/// Identities: never watched, but put like the others.
#[derive(Debug, Clone, Copy)]
struct Identities;

impl Kind for Identities {
    type Message = ();

    fn range(&self) -> (RecordKey, RecordKey) {
        let [first, last] = [[0; 8], [0xff; 8]].map(|peer| RecordKey::Id { peer: PeerId(peer) });
        (first, last)
    }

    fn is_verified(&self, seen: &Seen, set: &ValidatorSet) -> bool {
        RawIdRecord::decode(&seen.value).is_ok_and(|id| set.contains_key(&id.data.public_key))
    }

    fn message(&self, _: &Seen, _: &ValidatorSet) -> Option<()> {
        None
    }
}
