//! What is said while a node starts and runs.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use pol_kit::{clock::Clock, exit::Exit};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Shared, say};
use crate::{
    args::Ports,
    ask::{Ask, number},
    health, programs,
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A node that is not ready says what is missing every so many looks.
const PATIENCE: u32 = 20;

/// How a part's health page answers.
fn words(part: &str, page: Option<&(u16, Value)>, runs: bool) -> String {
    let state = health::words(part, page.map(|(status, _)| *status), runs);
    let Some((_, report)) = page else { return state.to_owned() };
    let reasons: Vec<&str> = report
        .get("reasons")
        .and_then(Value::as_array)
        .map(|reasons| reasons.iter().filter_map(|reason| reason.get("reason")?.as_str()).collect())
        .unwrap_or_default();
    if reasons.is_empty() { state.to_owned() } else { format!("{state} ({})", reasons.join("; ")) }
}

/// Says when the node is ready, and what changes then.
pub(super) async fn run(shared: Shared, clock: Arc<dyn Clock>) -> Result<(), Exit> {
    let ask = Ask::new()?;
    let ports = shared.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).ports;
    ready(&shared, &ask, &ports).await;
    summary(&shared, &ask, &ports, clock.as_ref()).await;
    shared.ready.store(true, Ordering::Relaxed);
    let (mut said, mut seen) = (BTreeMap::<String, String>::new(), BTreeMap::<String, String>::new());
    let mut chain = Chain::default();
    loop {
        sleep(LOOK.saturating_mul(4)).await;
        for state in shared.states() {
            let Some(url) = health::url(&state.name, &ports) else { continue };
            let words = words(&state.name, ask.page(&url).await.as_ref(), state.pid.is_some());
            // Twice the same: what comes and goes is no news.
            let steady = seen.insert(state.name.clone(), words.clone()).as_ref() == Some(&words);
            if steady && said.get(&state.name) != Some(&words) {
                if said.contains_key(&state.name) || words != "ok" {
                    say(&format!("{}: {words}", state.name));
                }
                said.insert(state.name, words);
            }
        }
        chain.look(&ask, &ports).await;
    }
}

/// Waits until blocks can come: execution client and beacon node answer.
async fn ready(shared: &Shared, ask: &Ask, ports: &Ports) {
    let mut answered: Vec<&str> = Vec::new();
    let mut looks = 0_u32;
    loop {
        let parts = shared.states();
        let runs = |name: &&str| parts.iter().any(|part| part.name == **name);
        let mut waiting: Vec<&str> = Vec::new();
        for name in programs::MAKE_BLOCKS.into_iter().filter(runs) {
            if answered.contains(&name) {
                continue;
            }
            let answers = match health::url(name, ports) {
                Some(url) => ask.page(&url).await.is_some(),
                None => true,
            };
            if answers {
                let pid = parts.iter().find(|state| state.name == name).and_then(|state| state.pid);
                say(&format!("started    {name}{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()));
                answered.push(name);
            } else {
                waiting.push(name);
            }
        }
        if !parts.is_empty() && waiting.is_empty() {
            return;
        }
        looks = looks.saturating_add(1);
        if looks.is_multiple_of(PATIENCE) && !waiting.is_empty() {
            say(&format!("waiting    for {}", waiting.join(", ")));
        }
        sleep(LOOK).await;
    }
}

async fn summary(shared: &Shared, ask: &Ask, ports: &Ports, clock: &dyn Clock) {
    let file = shared.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    say(&format!("\nThe node of chain {} runs.", file.genesis_id));
    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}{path}");
    say(&format!("  JSON-RPC    {}", url(ports.http, "")));
    say(&format!("  Beacon API  {}", url(ports.beacon, "/eth/v1/beacon/headers/head")));
    say(&format!("  DHT         {}", url(ports.dht, "/dht/peers")));
    for state in &file.parts {
        let asked = health::url(&state.name, ports);
        let page = match &asked {
            Some(url) => ask.page(url).await,
            None => None,
        };
        let words = match &state.given_up {
            Some(line) => format!("given up: {line}"),
            None if asked.is_some() && page.is_none() && state.pid.is_some() => "starting".to_owned(),
            None => words(&state.name, page.as_ref(), state.pid.is_some()),
        };
        say(&format!("  {:<14}{words}", state.name));
    }
    say(
        "  polai status shows how it does, polai logs what it says, polai verify checks all of it; Ctrl-C or polai down stops it.",
    );
    match file.genesis_time.checked_sub(clock.unix_seconds()) {
        Some(seconds @ 1..) => say(&format!("  Slot 0 is in {seconds} s.\n")),
        _ => say(""),
    }
}

/// What was said of the chain.
#[derive(Debug, Default)]
struct Chain {
    has_block: bool,
    has_final: bool,
    updates: Option<u64>,
}

impl Chain {
    async fn look(&mut self, ask: &Ask, ports: &Ports) {
        let url = format!("http://127.0.0.1:{}", ports.http);
        let head: Option<Value> = ask.call(&url, "polai_modelHead", json!([null])).await.ok().flatten();
        let Some(head) = head else { return };
        let field = |name: &str| head.get(name).and_then(number).unwrap_or(0);
        let (height, updates) = (field("height"), field("updates"));
        if height > 0 && !self.has_block {
            self.has_block = true;
            say(&format!("block      {height} is the head"));
        }
        if updates > self.updates.unwrap_or(0) {
            if self.updates.is_some() || height > 0 {
                say(&format!("AI block   {updates} update(s) accepted, the last by block {height}"));
            }
            self.updates = Some(updates);
        }
        if !self.has_final {
            let path = "/eth/v1/beacon/states/head/finality_checkpoints";
            let data = ask.data(&format!("http://127.0.0.1:{}{path}", ports.beacon)).await.ok().flatten();
            let epoch = data.as_ref().and_then(|data| number(data.get("finalized")?.get("epoch")?)).unwrap_or(0);
            if epoch > 0 {
                self.has_final = true;
                say(&format!("finalized  epoch {epoch}, at block {height}"));
            }
        }
    }
}
