//! What a node's processes say of it.

use std::time::Duration;

use pol_api::{
    sidecar::v1::{Decision, Verdict, VerdictsRequest, sidecar_client::SidecarClient},
    tonic::transport::Endpoint,
};
use pol_kit::clock::Clock;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    ask::{Ask, number},
    health, programs,
    run_file::RunFile,
};

/// What is held comes at once: whoever is silent so long has said it all.
const QUIET: Duration = Duration::from_millis(250);
/// Verdicts that are looked at: more than an hour of them.
const VERDICTS: usize = 4_096;

/// How a node does. What nobody answered is None.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// The chain's name.
    pub genesis_id: String,
    /// Slot by this machine's clock; None before slot 0.
    pub slot: Option<u64>,
    /// Slot of the beacon head.
    pub head_slot: Option<u64>,
    /// Finalized epoch.
    pub finalized_epoch: Option<u64>,
    /// Slots without a block so far.
    pub missed_slots: Option<u64>,
    /// Height of the execution head.
    pub block: Option<u64>,
    /// AI blocks up to it: accepted updates.
    pub updates: Option<u64>,
    /// AI blocks up to the finalized one.
    pub finalized_updates: Option<u64>,
    /// Model head, hex.
    pub model_head: Option<String>,
    /// Seats of the committee.
    pub seats: Option<u64>,
    /// ACKs that make a quorum.
    pub quorum: Option<u64>,
    /// ACKs that are held.
    pub acks: Option<u64>,
    /// Losses of the last accepted update, as this node's gate measured them.
    pub losses: Option<Losses>,
    /// Peers of the DHT.
    pub peers: Option<usize>,
    /// The processes.
    pub parts: Vec<PartHealth>,
}

/// What the gate measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Losses {
    /// The update, hex.
    pub update_id: String,
    /// Nats before it.
    pub before: f64,
    /// Nats with it.
    pub after: f64,
}

/// How a process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// Its name.
    pub name: String,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// Restarts so far.
    pub restarts: u32,
    /// HTTP status of its health page: 200, 206 (blocks yes, AI no), 503.
    pub health: Option<u16>,
    /// What it, or its supervisor, says about that.
    pub reasons: Vec<String>,
}

impl Status {
    /// Whether what blocks need is there.
    pub fn makes_blocks(&self) -> bool {
        self.missing().is_empty()
    }

    /// What blocks need and is not there.
    pub fn missing(&self) -> Vec<&str> {
        let needed = self.parts.iter().filter(|part| programs::MAKE_BLOCKS.contains(&part.name.as_str()));
        needed.filter(|part| !matches!(part.health, Some(200 | 206))).map(|part| part.name.as_str()).collect()
    }
}

/// Asks all of them.
pub async fn gather(ask: &Ask, file: &RunFile, clock: &dyn Clock) -> Status {
    let mut status = Status { genesis_id: file.genesis_id.clone(), ..Status::default() };
    let elapsed = clock.unix_seconds().checked_sub(file.genesis_time);
    status.slot = elapsed.and_then(|elapsed| elapsed.checked_div(file.slot_seconds));
    let (beacon, execution, (peers, parts), verdicts) =
        tokio::join!(beacon(ask, file), execution(ask, file), others(ask, file), verdicts(file));
    let field = |of: &Option<Value>, path: &str| of.as_ref().and_then(|of| number(of.pointer(path)?));
    let (ai, finality) = beacon;
    status.head_slot = field(&ai, "/head/slot");
    status.finalized_epoch = field(&finality, "/finalized/epoch").or_else(|| field(&ai, "/finalized_epoch"));
    status.model_head = ai.as_ref().and_then(|ai| ai.get("model_head")?.as_str().map(str::to_owned));
    (status.seats, status.quorum, status.acks) = (field(&ai, "/seats"), field(&ai, "/quorum"), field(&ai, "/acks"));
    let (head, finalized) = execution;
    (status.block, status.updates) = (field(&head, "/height"), field(&head, "/updates"));
    status.finalized_updates = field(&finalized, "/updates");
    // One block per slot is what should be; slot 0 is genesis.
    status.missed_slots = status.head_slot.zip(status.block).map(|(slot, block)| slot.saturating_sub(block));
    (status.peers, status.parts) = (peers, parts);
    status.losses = last_accepted(ask, file, verdicts).await;
    status
}

async fn beacon(ask: &Ask, file: &RunFile) -> (Option<Value>, Option<Value>) {
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", file.ports.beacon);
    let mut ai = ask.data(&url("/pol/v1/ai/status")).await.ok().flatten();
    if ai.is_none() {
        ai = ask.data(&url("/lighthouse/ai/status")).await.ok().flatten();
    }
    (ai, ask.data(&url("/eth/v1/beacon/states/head/finality_checkpoints")).await.ok().flatten())
}

async fn execution(ask: &Ask, file: &RunFile) -> (Option<Value>, Option<Value>) {
    let url = format!("http://127.0.0.1:{}", file.ports.http);
    let head = ask.call(&url, "polai_modelHead", json!([null])).await.ok().flatten();
    (head, ask.call(&url, "polai_finalizedModelHead", json!([])).await.ok().flatten())
}

async fn others(ask: &Ask, file: &RunFile) -> (Option<usize>, Vec<PartHealth>) {
    let peers = ask.page(&format!("http://127.0.0.1:{}/dht/peers", file.ports.dht)).await;
    let peers = peers.and_then(|(_, peers)| Some(peers.get("peers")?.as_array()?.len()));
    let mut parts = Vec::new();
    for part in &file.parts {
        let page = match health::url(&part.name, &file.ports) {
            Some(url) => ask.page(&url).await,
            None => None,
        };
        let mut reasons: Vec<String> = part.given_up.iter().map(|line| format!("given up: {line}")).collect();
        let said = page.as_ref().and_then(|(_, report)| report.get("reasons")?.as_array());
        reasons.extend(said.into_iter().flatten().filter_map(|reason| Some(reason.get("reason")?.as_str()?.to_owned())));
        let (name, health) = (part.name.clone(), page.map(|(code, _)| code));
        parts.push(PartHealth { name, pid: part.pid, restarts: part.restarts, health, reasons });
    }
    (peers, parts)
}

/// The ACKs among the verdicts that the sidecar holds, oldest first.
async fn verdicts(file: &RunFile) -> Vec<Verdict> {
    let port = file.ports.sidecar;
    let asked = async {
        let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).ok()?.connect().await.ok()?;
        let request = VerdictsRequest { model_head: Default::default() };
        Some(SidecarClient::new(channel).verdicts(request).await.ok()?.into_inner())
    };
    let Ok(Some(mut stream)) = timeout(QUIET.saturating_mul(4), asked).await else { return Vec::new() };
    let mut verdicts = Vec::new();
    while let Ok(Ok(Some(message))) = timeout(QUIET, stream.message()).await {
        verdicts.extend(message.verdict.filter(|verdict| verdict.decision() == Decision::Ack));
        if verdicts.len() >= VERDICTS {
            break;
        }
    }
    verdicts
}

/// Of the newest verdict whose update is in a block.
async fn last_accepted(ask: &Ask, file: &RunFile, verdicts: Vec<Verdict>) -> Option<Losses> {
    let url = format!("http://127.0.0.1:{}", file.ports.http);
    for verdict in verdicts.into_iter().rev() {
        let (update_id, losses) = (hex::encode(&verdict.update_id), verdict.losses);
        let included: Option<Value> = ask.call(&url, "polai_updateById", json!([format!("0x{update_id}")])).await.ok().flatten();
        if let (Some(_), Some(losses)) = (included, losses) {
            let nats = |nano: i64| nano as f64 / 1e9;
            return Some(Losses { update_id, before: nats(losses.before_nano_nats), after: nats(losses.after_nano_nats) });
        }
    }
    None
}
