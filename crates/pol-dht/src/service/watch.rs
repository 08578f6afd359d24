//! Metrics, alarms and health of a node, looked up every few seconds.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use pol_api::{common::v1::Severity, connections::Counts};
use pol_core::params::ID_TTL_SECONDS;
use pol_kit::metrics::{Condition, Health};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::time;

use super::alarms::{Alarms, code};
use crate::Node;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// An own identity that lives no longer than this is worth an alarm, seconds: the node itself renews it long before.
const IDENTITY_ALARM_SECONDS: u64 = ID_TTL_SECONDS / 4;
/// A validator set older than this is worth an alarm, seconds; a new one comes with every epoch.
const FEED_ALARM_SECONDS: u64 = 3_600;

type Number = Gauge<u64, AtomicU64>;

/// What is measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    peers: Number,
    alone: Number,
    records_members: Number,
    records_unverified: Number,
    deltas: Number,
    delta_bytes: Number,
    validators: Number,
    identity_seconds_left: Number,
    bans: Number,
    bans_first_end: Number,
    bans_last_end: Number,
    grpc_connections: Number,
    grpc_refused: Number,
}

impl Measured {
    /// Puts the gauges into a registry as `polai_dht_...`.
    pub fn register(registry: &mut Registry) -> Self {
        let measured = Self::default();
        let registry = registry.sub_registry_with_prefix("dht");
        for (name, help, gauge) in [
            ("peers", "Peers connected", &measured.peers),
            ("alone", "1 when no peer is connected and --solo was not given: alert on it", &measured.alone),
            ("records_members", "Records of validators", &measured.records_members),
            ("records_unverified", "Records of unknown writers", &measured.records_unverified),
            ("deltas", "Deltas held", &measured.deltas),
            ("delta_bytes", "Bytes of the deltas held", &measured.delta_bytes),
            ("validators", "Validators in the set; 0: nobody has told it", &measured.validators),
            ("identity_left_seconds", "Life left of the own identity that ends first", &measured.identity_seconds_left),
            ("bans", "Peers and address groups banned now", &measured.bans),
            ("bans_first_end_seconds", "Seconds until the first of the bans ends", &measured.bans_first_end),
            ("bans_last_end_seconds", "Seconds until the last of the bans ends", &measured.bans_last_end),
            ("grpc_connections", "Open gRPC connections", &measured.grpc_connections),
            ("grpc_connections_refused", "gRPC connections refused since the start", &measured.grpc_refused),
        ] {
            registry.register(name, help, gauge.clone());
        }
        measured
    }
}

/// What is looked at, and where it is shown.
#[derive(Debug)]
pub struct Watch {
    /// The node.
    pub node: Node,
    /// For scrapers.
    pub measured: Measured,
    /// For supervisors.
    pub health: Health,
    /// For `Status`.
    pub alarms: Alarms,
    /// Connections of the gRPC server.
    pub connections: Option<Arc<Counts>>,
    /// Being alone is fine.
    pub solo: bool,
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

const fn minutes(seconds: u64) -> u64 {
    seconds / 60
}

impl Watch {
    /// Looks every five seconds. A critical task.
    ///
    /// # Errors
    /// Never; a node that stopped answering ends it.
    pub async fn run(self) -> Result<(), Infallible> {
        let mut ticks = time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(peers) = self.node.peers().await else { return Ok(()) };
            self.peers(peers.len());
            self.store().await;
            self.validators();
            self.identities();
            self.counters();
        }
    }

    fn raise(&self, code: &'static str, severity: Severity, text: Option<String>) {
        self.alarms.set(code, text.map(|text| (severity, text)), self.node.shared().now_millis());
    }

    fn peers(&self, peers: usize) {
        let alone = peers == 0 && !self.solo;
        let text = alone.then(|| "no peer is connected: nothing goes out and nothing comes in".to_owned());
        self.health.set("dht", text.clone().map_or(Condition::Ok, Condition::Degraded));
        self.raise(code::NO_PEERS, Severity::Error, text);
        self.measured.peers.set(count(peers));
        self.measured.alone.set(u64::from(alone));
    }

    async fn store(&self) {
        let found = self.node.blocking(|shared| (shared.store.counts(), shared.store.is_full(shared.now()))).await;
        let (full, failing) = match found {
            Ok((Ok((members, unverified)), full)) => {
                self.measured.records_members.set(members);
                self.measured.records_unverified.set(unverified);
                (full.then(|| "the disk of the data directory is full: puts are refused, reads go on".to_owned()), None)
            }
            Ok((Err(error), _)) => (None, Some(error.to_string())),
            Err(panic) => (None, Some(panic.to_string())),
        };
        let condition = match (&failing, &full) {
            (Some(text), _) => Condition::Down(text.clone()),
            (None, Some(text)) => Condition::Degraded(text.clone()),
            (None, None) => Condition::Ok,
        };
        self.health.set("store", condition);
        self.raise(code::STORE_FULL, Severity::Error, full);
        self.raise(code::STORE_FAILING, Severity::Error, failing);
        let (deltas, bytes) = self.node.shared().store.deltas().usage();
        self.measured.deltas.set(count(deltas));
        self.measured.delta_bytes.set(bytes);
    }

    fn validators(&self) {
        let (set, now) = (self.node.shared().validators(), self.node.shared().now());
        let none = set.is_empty().then(|| "nobody has told the validator set: records are taken, marked unverified".to_owned());
        let age = self.alarms.last_fed().filter(|_| !set.is_empty()).map_or(0, |fed| now.saturating_sub(fed));
        let old = (age > FEED_ALARM_SECONDS).then(|| format!("the validator set is {} minutes old", minutes(age)));
        self.raise(code::NO_VALIDATORS, Severity::Warning, none);
        self.raise(code::OLD_VALIDATORS, Severity::Warning, old);
        self.measured.validators.set(count(set.len()));
    }

    /// The node renews identities itself as long as their validators are members; only they can put a new one.
    fn identities(&self) {
        let first = self.node.own_identities().first_to_end();
        let left = first.map(|(validator, ends)| (validator, ends.saturating_sub(self.node.shared().now())));
        self.measured.identity_seconds_left.set(left.map_or(0, |(_, left)| left));
        let (mut soon, mut over) = (None, None);
        match left {
            Some((validator, 0)) => over = Some(format!("the identity of validator {validator} has ended: put it again")),
            Some((validator, left)) if left < IDENTITY_ALARM_SECONDS => {
                soon = Some(format!("the identity of validator {validator} ends in {} minutes: put it again", minutes(left)));
            }
            _ => {}
        }
        self.health.set("identity", over.clone().map_or(Condition::Ok, Condition::Degraded));
        self.raise(code::IDENTITY_EXPIRES, Severity::Warning, soon);
        self.raise(code::IDENTITY_EXPIRED, Severity::Error, over);
    }

    fn counters(&self) {
        let (bans, now) = (self.node.shared().bans(), self.node.shared().now());
        let left = |end: Option<u64>| end.map_or(0, |end| end.saturating_sub(now));
        self.measured.bans.set(count(bans.count));
        self.measured.bans_first_end.set(left(bans.first_end));
        self.measured.bans_last_end.set(left(bans.last_end));
        if let Some(connections) = &self.connections {
            self.measured.grpc_connections.set(count(connections.open()));
            self.measured.grpc_refused.set(connections.refused());
        }
    }
}
