//! Kademlia queries and exchanges: what comes in, and what our own questions bring back.

use libp2p::{kad, kad::store::RecordStore as _, request_response};
use pol_core::{params::ENVELOPE_BYTES_MAX, record::RecordKey};
use tracing::debug;

use super::EventLoop;
use crate::{
    net::{
        answers,
        exchange::{Request, Response},
        handle::AskError,
        limits::QUERY_RESULTS_MAX,
    },
    quota::Offence,
    verify::RawRecord,
};

/// Units that telling of a provider costs: it is kept for a day.
const PROVIDER_COST: u32 = 4;

/// Whether a stream ended because of what was in it. Streams also end because somebody is slow or goes away, and that may be us.
fn is_broken(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::InvalidData
}

impl EventLoop {
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
                if let Some((found, _)) = self.providers.get_mut(&id) {
                    let room = QUERY_RESULTS_MAX.saturating_sub(found.len());
                    found.extend(providers.into_iter().take(room));
                }
            }
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                if let (Some((list, _)), Some(peer)) = (self.lookups.get_mut(&id), found.peer)
                    && list.len() < QUERY_RESULTS_MAX
                    && found.record.value.len() <= ENVELOPE_BYTES_MAX
                {
                    list.push((peer, found.record.value));
                }
            }
            _ => {}
        }
        if last {
            if let Some((found, reply)) = self.providers.remove(&id) {
                drop(reply.send(found));
            }
            if let Some((found, reply)) = self.lookups.remove(&id) {
                drop(reply.send(found));
            }
        }
    }

    pub(super) fn on_exchange(&mut self, event: request_response::Event<Request, Response>) {
        use request_response::{Event, InboundFailure, Message, OutboundFailure};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
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
            Event::InboundFailure { peer, error: InboundFailure::Io(error), .. } if is_broken(&error) => {
                self.penalize(peer, Offence::Protocol);
            }
            _ => {}
        }
    }
}
