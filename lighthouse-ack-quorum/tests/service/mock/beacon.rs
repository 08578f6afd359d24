//! A beacon node that shows what the test wrote into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use pol_core::{Hash32, UpdateId, bls::SecretKey, fault::SignedHeader, genesis::ChainSpec, sha256, ssz::BeaconBlockHeader};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use super::{hex0x, lock};

/// A block, and what the Beacon API says about it.
#[derive(Debug, Clone)]
pub struct Block {
    pub root: Hash32,
    pub signed: SignedHeader,
    pub payload_parent_hash: [u8; 32],
    pub payload_hash: [u8; 32],
    pub extra_data: Vec<u8>,
}

/// How the node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// HTTP 500 to everything.
    Broken,
    /// HTML instead of JSON.
    Garbage,
    /// Answers after this time.
    Slow(Duration),
    /// Refuses every slashing of ours, as an unpatched node does.
    Unpatched,
}

#[derive(Debug)]
pub struct Chain {
    pub spec: ChainSpec,
    pub keys: Vec<SecretKey>,
    pub blocks: BTreeMap<Hash32, Block>,
    pub head: Hash32,
    /// Blocks that it did not import, as a patched Lighthouse does.
    pub refused: BTreeSet<Hash32>,
    pub finalized: (u64, Hash32),
    pub slashed: BTreeSet<u64>,
    pub posted: Vec<Value>,
    pub events: String,
    pub mood: Mood,
    pub genesis: Hash32,
}

/// The node. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Beacon {
    pub chain: Arc<Mutex<Chain>>,
    pub url: String,
    _server: Arc<MockServer>,
}

impl Beacon {
    pub async fn start(spec: ChainSpec, keys: Vec<SecretKey>) -> Self {
        let genesis = block(&spec, &keys, 0, 0, Hash32::ZERO, [0; 32], vec![]);
        let chain = Chain {
            spec,
            keys,
            head: genesis.root,
            genesis: genesis.root,
            refused: BTreeSet::new(),
            finalized: (0, Hash32::ZERO),
            slashed: BTreeSet::new(),
            posted: Vec::new(),
            events: String::new(),
            mood: Mood::Well,
            blocks: BTreeMap::from([(genesis.root, genesis)]),
        };
        let chain = Arc::new(Mutex::new(chain));
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(Answers(Arc::clone(&chain))).mount(&server).await;
        Self { chain, url: server.uri(), _server: Arc::new(server) }
    }

    pub fn head(&self) -> Block {
        let chain = lock(&self.chain);
        chain.blocks[&chain.head].clone()
    }

    pub fn set_mood(&self, mood: Mood) {
        lock(&self.chain).mood = mood;
    }

    /// Makes a block on the head and says so; it becomes the head when `canonical`.
    pub fn propose(&self, slot: u64, update_id: UpdateId, trailer: &[u8], canonical: bool) -> Block {
        let parent = self.head();
        let mut chain = lock(&self.chain);
        let proposer = slot % chain.keys.len() as u64;
        let extra = crate::fixtures::extra_data(parent.payload_hash, update_id, trailer);
        let block = block(&chain.spec, &chain.keys, slot, proposer, parent.root, parent.payload_hash, extra);
        chain.blocks.insert(block.root, block.clone());
        let event = json!({ "slot": slot.to_string(), "block": hex0x(block.root.0), "execution_optimistic": false });
        chain.events.push_str(&format!("event: block\ndata: {event}\n\n"));
        if canonical {
            chain.head = block.root;
            chain.events.push_str(&format!("event: head\ndata: {event}\n\n"));
        }
        block
    }
}

fn block(
    spec: &ChainSpec,
    keys: &[SecretKey],
    slot: u64,
    proposer_index: u64,
    parent_root: Hash32,
    payload_parent_hash: [u8; 32],
    extra_data: Vec<u8>,
) -> Block {
    let payload_hash = sha256(&[b"payload", &slot.to_le_bytes(), &payload_parent_hash, &extra_data]);
    let header = BeaconBlockHeader {
        slot,
        proposer_index,
        parent_root,
        state_root: Hash32(sha256(&[b"state", &slot.to_le_bytes()])),
        body_root: Hash32(sha256(&[b"body", &payload_hash])),
    };
    let mut signed = SignedHeader { header, signature: [0; 96] };
    let key = &keys[usize::try_from(proposer_index).unwrap()];
    signed.signature = key.sign(signed.signing_root(&spec.domains())).to_bytes();
    Block { root: header.root(), signed, payload_parent_hash, payload_hash, extra_data }
}

struct Answers(Arc<Mutex<Chain>>);

impl Respond for Answers {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut chain = lock(&self.0);
        let mood = chain.mood;
        match mood {
            Mood::Broken => return ResponseTemplate::new(500).set_body_json(json!({ "code": 500, "message": "broken" })),
            Mood::Garbage => return ResponseTemplate::new(200).set_body_string("<html>"),
            Mood::Well | Mood::Slow(_) | Mood::Unpatched => {}
        }
        let path = request.url.path();
        let answer = if path == "/eth/v1/events" {
            let events = std::mem::take(&mut chain.events);
            ResponseTemplate::new(200).set_body_raw(events, "text/event-stream")
        } else if path == "/eth/v1/beacon/pool/proposer_slashings" {
            match mood {
                Mood::Unpatched => {
                    ResponseTemplate::new(400).set_body_json(json!({ "code": 400, "message": "InvalidSignature" }))
                }
                _ => {
                    chain.posted.push(serde_json::from_slice(&request.body).unwrap());
                    ResponseTemplate::new(200)
                }
            }
        } else {
            match chain.get(path) {
                Some(data) => ResponseTemplate::new(200).set_body_json(json!({ "finalized": false, "data": data })),
                None => ResponseTemplate::new(404).set_body_json(json!({ "code": 404, "message": "not found" })),
            }
        };
        if let Mood::Slow(delay) = mood { answer.set_delay(delay) } else { answer }
    }
}

impl Chain {
    fn get(&self, path: &str) -> Option<Value> {
        let parts: Vec<&str> = path.trim_start_matches("/eth").trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["v1", "beacon", "genesis"] => Some(json!({
                "genesis_time": self.spec.parameters().genesis_time.to_string(),
                "genesis_validators_root": hex0x(self.spec.parameters().genesis_validators_root.0),
                "genesis_fork_version": hex0x(self.spec.domains().fork_version(pol_core::domains::Fork::Phase0)),
            })),
            ["v1", "config", "spec"] => Some(json!({
                "SLOTS_PER_EPOCH": self.spec.parameters().preset.slots_per_epoch().to_string(),
                "SECONDS_PER_SLOT": self.spec.parameters().slot_seconds.to_string(),
                "GENESIS_FORK_VERSION": hex0x(self.spec.domains().fork_version(pol_core::domains::Fork::Phase0)),
                "DENEB_FORK_VERSION": hex0x(self.spec.domains().fork_version(pol_core::domains::Fork::Deneb)),
            })),
            ["v1", "beacon", "headers", id] => self.block(id).filter(|block| !self.is_refused(block)).map(header_json),
            ["v2", "beacon", "blocks", id] => self.block(id).filter(|block| !self.is_refused(block)).map(block_json),
            ["lighthouse", "ai", "faults"] => {
                Some(self.refused.iter().map(|root| json!({ "block_root": hex0x(root.0) })).collect())
            }
            ["lighthouse", "ai", "headers", id] => self.block(id).filter(|block| self.is_refused(block)).map(header_json),
            ["lighthouse", "ai", "blocks", id] => self.block(id).filter(|block| self.is_refused(block)).map(block_json),
            ["v1", "beacon", "states", "head", "finality_checkpoints"] => {
                let checkpoint = json!({ "epoch": self.finalized.0.to_string(), "root": hex0x(self.finalized.1.0) });
                Some(json!({ "previous_justified": checkpoint, "current_justified": checkpoint, "finalized": checkpoint }))
            }
            ["v1", "beacon", "states", "head", "validators"] => {
                Some((0..self.keys.len() as u64).map(|index| self.validator(index)).collect())
            }
            ["v1", "beacon", "states", "head", "validators", index] => Some(self.validator(index.parse().ok()?)),
            _ => None,
        }
    }

    fn is_refused(&self, block: &Block) -> bool {
        self.refused.contains(&block.root)
    }

    fn block(&self, id: &str) -> Option<&Block> {
        match id {
            "head" => self.blocks.get(&self.head),
            "genesis" => self.blocks.get(&self.genesis),
            _ => self.blocks.get(&id.strip_prefix("0x")?.parse().ok()?),
        }
    }

    fn validator(&self, index: u64) -> Value {
        let key = self.keys[usize::try_from(index).unwrap()].public_key().to_bytes();
        json!({ "index": index.to_string(), "balance": "32000000000", "status": "active_ongoing", "validator": {
            "pubkey": hex0x(key), "slashed": self.slashed.contains(&index), "activation_epoch": "0",
            "exit_epoch": u64::MAX.to_string(), "effective_balance": "32000000000" } })
    }
}

fn header_json(block: &Block) -> Value {
    let header = block.signed.header;
    json!({ "root": hex0x(block.root.0), "canonical": true, "header": { "signature": hex0x(block.signed.signature), "message": {
        "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
        "parent_root": hex0x(header.parent_root.0), "state_root": hex0x(header.state_root.0), "body_root": hex0x(header.body_root.0) } } })
}

fn block_json(block: &Block) -> Value {
    let header = block.signed.header;
    json!({ "signature": hex0x(block.signed.signature), "message": {
        "slot": header.slot.to_string(), "proposer_index": header.proposer_index.to_string(),
        "parent_root": hex0x(header.parent_root.0), "state_root": hex0x(header.state_root.0),
        "body": { "graffiti": hex0x([0; 32]), "execution_payload": {
            "parent_hash": hex0x(block.payload_parent_hash), "block_hash": hex0x(block.payload_hash),
            "extra_data": hex0x(&block.extra_data), "block_number": header.slot.to_string() } } } })
}
