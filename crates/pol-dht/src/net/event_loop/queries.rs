//! Kademlia queries and exchanges: what comes in, and what our own questions bring back.

use std::time::Instant;

use libp2p::{kad, kad::store::RecordStore as _, request_response};
use pol_core::{params::ENVELOPE_BYTES_MAX, record::RecordKey};
use tokio::sync::oneshot;
use tracing::debug;

use super::EventLoop;
use crate::{
    net::{
        answers,
        exchange::{Request, Response},
        handle::AskError,
        limits::{QUERY_PATIENCE, QUERY_RESULTS_MAX},
    },
    quota::Offence,
    verify::RawRecord,
};

/// Units that telling of a provider costs: it is kept for a day.
const PROVIDER_COST: u32 = 4;

/// Whether an answer ended because of what was in it. Streams also end because somebody is slow or goes away, and that may be us.
fn is_broken(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}

/// What a query of ours has brought so far.
pub(super) struct Query<T> {
    found: Vec<T>,
    /// When the first result came.
    since: Option<Instant>,
    reply: oneshot::Sender<Vec<T>>,
}

impl<T> Query<T> {
    pub(super) const fn new(reply: oneshot::Sender<Vec<T>>) -> Self {
        Self { found: Vec::new(), since: None, reply }
    }

    /// Takes results, as many as there is room for.
    fn bring(&mut self, results: impl IntoIterator<Item = T>) {
        self.found.extend(results.into_iter().take(QUERY_RESULTS_MAX.saturating_sub(self.found.len())));
        if !self.found.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn is_answered(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= QUERY_PATIENCE)
    }
}

#[expect(clippy::disallowed_types, reason = "libp2p's query ids have no order, and no result depends on the order of these maps")]
pub(super) type Queries<T> = std::collections::HashMap<kad::QueryId, Query<T>>;

impl EventLoop {
    /// Peers that never answer keep a query until its time is up; what others said meanwhile is good enough.
    pub(super) fn end_answered_queries(&mut self, now: Instant) {
        let providers = self.providers.iter().filter(|(_, query)| query.is_answered(now)).map(|(id, _)| *id);
        let lookups = self.lookups.iter().filter(|(_, query)| query.is_answered(now)).map(|(id, _)| *id);
        for id in providers.chain(lookups).collect::<Vec<_>>() {
            // Its last event comes nevertheless, and replies.
            if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                query.finish();
            }
        }
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request: kad::InboundRequest::PutRecord { source, record: Some(record), .. } } => {
                match RawRecord::new(record.key.as_ref(), &record.value) {
                    Ok(raw) => self.arrive(raw, source, None),
                    Err(_) => self.penalize(source, Offence::BadRecord),
                }
            }
            kad::Event::InboundRequest { request: kad::InboundRequest::AddProvider { record: Some(record) } } => {
                self.on_provider(record);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => self.on_query(id, result, step.last),
            _ => {}
        }
    }

    /// Kademlia itself checks that a provider speaks for himself.
    fn on_provider(&mut self, record: kad::ProviderRecord) {
        let from = record.provider;
        if !self.admit(from, PROVIDER_COST) {
            return;
        }
        if !matches!(RecordKey::parse(record.key.as_ref()), Ok(RecordKey::Update(_) | RecordKey::Snapshot(_))) {
            self.penalize(from, Offence::BadRecord);
            return;
        }
        if self.swarm.behaviour_mut().kad.store_mut().add_provider(record).is_err() {
            debug!(target: "polai::dht", peer = %from, "no room for what it provides");
        }
    }

    fn on_query(&mut self, id: kad::QueryId, result: kad::QueryResult, last: bool) {
        match result {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                if let Some(query) = self.providers.get_mut(&id) {
                    query.bring(providers);
                }
            }
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                if let (Some(query), Some(peer)) = (self.lookups.get_mut(&id), found.peer)
                    && found.record.value.len() <= ENVELOPE_BYTES_MAX
                {
                    query.bring([(peer, found.record.value)]);
                }
            }
            _ => {}
        }
        if last {
            if let Some(Query { found, reply, .. }) = self.providers.remove(&id) {
                drop(reply.send(found));
            }
            if let Some(Query { found, reply, .. }) = self.lookups.remove(&id) {
                drop(reply.send(found));
            }
        }
    }

    pub(super) fn on_exchange(&mut self, event: request_response::Event<Option<Request>, Response>) {
        use request_response::{Event, Message, OutboundFailure};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let Some(request) = request else {
                    self.penalize(peer, Offence::Protocol);
                    return;
                };
                if !self.admit(peer, answers::cost(&request)) {
                    return;
                }
                let response = answers::answer(&self.shared, request);
                drop(self.swarm.behaviour_mut().exchange.send_response(channel, response));
            }
            Event::Message { message: Message::Response { request_id, response }, .. } => {
                if let Some(reply) = self.asks.remove(&request_id) {
                    drop(reply.send(Ok(response)));
                }
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                if matches!(&error, OutboundFailure::Io(error) if is_broken(error)) {
                    self.penalize(peer, Offence::Protocol);
                }
                if let Some(reply) = self.asks.remove(&request_id) {
                    drop(reply.send(Err(AskError::Peer(error.to_string()))));
                }
            }
            _ => {}
        }
    }
}
