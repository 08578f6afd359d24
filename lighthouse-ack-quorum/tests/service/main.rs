//! The service against scripted peers.
#![allow(missing_docs, unreachable_pub)]

mod chain;
mod engine;
#[path = "../../src/fixtures.rs"]
mod fixtures;
mod mock;
mod python;
mod trouble;
mod world;

use std::net::SocketAddr;

use pol_core::{
    Hash32,
    fault::{SignedHeader, SlashingPair},
    ssz::BeaconBlockHeader,
};
use serde_json::Value;

pub async fn http_get(address: SocketAddr, path: &str) -> String {
    reqwest::get(format!("http://{address}{path}")).await.unwrap().text().await.unwrap()
}

/// A posted `ProposerSlashing`.
pub fn pair_of(json: &Value) -> SlashingPair {
    let signed = |name: &str| {
        let (message, signature) = (&json[name]["message"], &json[name]["signature"]);
        let number = |field: &str| message[field].as_str().unwrap().parse().unwrap();
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap();
        let root = |field: &str| Hash32(bytes(&message[field]).try_into().unwrap());
        let header = BeaconBlockHeader {
            slot: number("slot"),
            proposer_index: number("proposer_index"),
            parent_root: root("parent_root"),
            state_root: root("state_root"),
            body_root: root("body_root"),
        };
        SignedHeader { header, signature: bytes(signature).try_into().unwrap() }
    };
    SlashingPair { first: signed("signed_header_1"), second: signed("signed_header_2") }
}
