//! Kademlia queries and exchanges: what comes in, and what our own questions bring back.

use libp2p::{kad, kad::store::RecordStore as _, request_response};
use pol_core::record::RecordKey;

use super::EventLoop;
use crate::{
    net::{
        answers,
        exchange::{Request, Response},
        handle::AskError,
    },
    quota::Offence,
    verify::RawRecord,
};

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
                let known = matches!(RecordKey::parse(record.key.as_ref()), Ok(RecordKey::Update(_) | RecordKey::Snapshot(_)));
                if known {
                    drop(self.swarm.behaviour_mut().kad.store_mut().add_provider(record));
                }
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => self.on_query(id, result, step.last),
            _ => {}
        }
    }

    fn on_query(&mut self, id: kad::QueryId, result: kad::QueryResult, last: bool) {
        match result {
            kad::QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders { providers, .. })) => {
                if let Some((found, _)) = self.providers.get_mut(&id) {
                    found.extend(providers);
                }
            }
            kad::QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))) => {
                if let (Some((list, _)), Some(peer)) = (self.lookups.get_mut(&id), found.peer) {
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
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                let address = self.address_of(&peer);
                if self.shared.admit_message(peer, address, answers::cost(&request)).is_err() {
                    self.penalize(peer, Offence::Flood);
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
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(reply) = self.asks.remove(&request_id) {
                    drop(reply.send(Err(AskError::Peer(error.to_string()))));
                }
            }
            Event::InboundFailure { peer, error: request_response::InboundFailure::Io(_), .. } => {
                self.penalize(peer, Offence::Protocol);
            }
            _ => {}
        }
    }
}
