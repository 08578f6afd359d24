//! The daemon and its peers.

use libp2p::{Multiaddr, PeerId};
use pol_api::{
    common::v1::BuildInfo,
    convert::{self, Direction, Page, Peer, printable},
    dht::v1::{PeersRequest, PeersResponse, RecordCount, RecordKind, StatusResponse},
    limits::{ADDRESS_BYTES, OWN_ADDRESSES, PEERS_PER_PAGE},
    status::Reason,
    tonic::Status,
};

use super::{Service, WATCHES_MAX, refuse::refuse};
use crate::net::PeerInfo;

fn shown(info: PeerInfo) -> Peer {
    Peer {
        peer_id: info.peer.to_string(),
        addresses: info.addresses.iter().map(ToString::to_string).collect(),
        direction: if info.inbound { Direction::Inbound } else { Direction::Outbound },
        latency_us: info.latency.and_then(|latency| u64::try_from(latency.as_micros()).ok()),
        agent: info.agent.unwrap_or_default(),
        since_unix_ms: info.since.saturating_mul(1_000),
    }
}

fn addresses(list: &[Multiaddr]) -> Vec<String> {
    list.iter().take(OWN_ADDRESSES).map(|address| printable(&address.to_string(), ADDRESS_BYTES)).collect()
}

fn kind(prefix: &str) -> RecordKind {
    match prefix {
        "ack:" => RecordKind::Ack,
        "ann:" => RecordKind::Announcement,
        "id:" => RecordKind::Identity,
        "fault:" => RecordKind::Fault,
        _ => RecordKind::Unspecified,
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Service {
    pub(super) async fn peers_page(&self, request: &PeersRequest) -> Result<PeersResponse, Status> {
        let page = Page::of(request.page.as_ref(), PEERS_PER_PAGE)?;
        let after = match page.token.as_ref() {
            [] => None,
            token => Some(PeerId::from_bytes(token).map_err(|error| Reason::BadToken.refuse(error.to_string()))?),
        };
        // By peer id: that is how the event loop keeps them.
        let peers = self.node.peers().await.map_err(refuse)?;
        let mut rest = peers.into_iter().filter(|info| Some(info.peer) > after).peekable();
        let shown_peers: Vec<PeerInfo> = rest.by_ref().take(page.size).collect();
        let last = shown_peers.last().map(|info| convert::field(info.peer.to_bytes()));
        let next_token = last.filter(|_| rest.peek().is_some()).unwrap_or_default();
        Ok(PeersResponse { peers: shown_peers.into_iter().map(|info| shown(info).into()).collect(), next_token })
    }

    pub(super) async fn state(&self) -> Result<StatusResponse, Status> {
        let net = self.node.net();
        let (peers, listening, external) = tokio::join!(net.peers(), net.listeners(), net.externals());
        let counts = self.node.blocking(|shared| (shared.store.kind_counts(), shared.store.disk_bytes()));
        let (counts, store_bytes) = counts.await.map_err(refuse)?;
        let shared = self.node.shared();
        let (deltas, delta_bytes) = shared.store.deltas().usage();
        // A store that cannot be read is an alarm, and no reason to say nothing else.
        let records = counts.map_or_else(|_| Vec::new(), |counts| counts.to_vec());
        let record = |(prefix, members, unverified): (&str, u64, u64)| RecordCount {
            kind: kind(prefix).into(),
            count: members.saturating_add(unverified),
            unverified,
        };
        Ok(StatusResponse {
            build: Some(BuildInfo {
                name: "pol-dht".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                genesis_id: convert::field(shared.genesis_id.0),
                started_unix_ms: self.started_unix_ms,
            }),
            peer_id: net.local_peer_id().to_string(),
            node_key: convert::field(self.node.identity().node_key()),
            listen_addresses: addresses(&listening.map_err(refuse)?),
            external_addresses: addresses(&external.map_err(refuse)?),
            peers: small(peers.map_err(refuse)?.len()),
            records: records.into_iter().map(record).collect(),
            deltas: number(deltas),
            delta_bytes,
            delta_bytes_limit: shared.store.deltas().limits().budget_bytes,
            store_bytes,
            solo: self.options.solo,
            alarms: self.options.alarms.list(),
            validators_epoch: self.epoch.get(),
            validators: small(shared.validators().len()),
            watches: small(WATCHES_MAX.saturating_sub(self.places.available_permits())),
        })
    }
}
