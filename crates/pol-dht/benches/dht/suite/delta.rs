//! A delta of 150,000 bytes: fetched from the one peer that has it, also by a node that joined after it was published.

use std::time::{Duration, Instant};

use pol_core::{UpdateId, sha256};
use pol_dht::Node;

use super::{
    Options,
    cluster::{Members, Place, cluster, stop},
    common::{self, Running, eventually, trainer},
    runtime,
    table::{Row, Times, ms},
};

const DELTA_BYTES: usize = 150_000;
/// Nodes of the network that somebody joins later.
const NODES: usize = 8;

/// A header's magic, chain and head.
const HEAD_BYTES: usize = 72;

/// As many bytes as a container may have, behind the head of a real one; they do not compress either.
fn container(salt: usize) -> Vec<u8> {
    let mut bytes = common::container(0)[..HEAD_BYTES].to_vec();
    for block in 0..DELTA_BYTES.div_ceil(32) {
        bytes.extend(sha256(&[&salt.to_le_bytes(), &block.to_le_bytes()]));
    }
    bytes.truncate(DELTA_BYTES);
    bytes
}

/// Publishes so many deltas; the ids in order.
async fn publish(node: &Node, salts: std::ops::Range<usize>) -> Vec<UpdateId> {
    let mut ids = Vec::new();
    for salt in salts {
        ids.push(node.publish_delta(&container(salt), &trainer(0), salt as u64 + 1).await.unwrap());
    }
    ids
}

async fn fetch_all(node: &Node, ids: &[UpdateId]) -> Vec<Duration> {
    let mut times = Vec::new();
    for id in ids {
        let start = Instant::now();
        let bytes = node.fetch_delta(*id).await.unwrap();
        times.push(start.elapsed());
        assert_eq!(bytes.len(), DELTA_BYTES);
    }
    times
}

/// Fetches by a node that starts only now and knows the first node alone, which does not have them.
async fn fetch_late(places: &[Place], ids: &[UpdateId]) -> Vec<Duration> {
    let dir = tempfile::tempdir().unwrap();
    let late = Running::start(dir.path(), vec![places[0].running.address().await]);
    eventually("neighbour", || async { (!late.node.peers().await.unwrap().is_empty()).then_some(()) }).await;
    let times = fetch_all(&late.node, ids).await;
    late.stop().await;
    times
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    // More at once and the one peer's quota would be measured: after a burst of about 200 it gives a dozen a second.
    let count = options.size(options.deltas, 120, 4);
    // No validators are told: whoever announces is taken, unverified.
    let members = Members::new(0);
    runtime().block_on(async {
        let pair = cluster(2, &members).await;
        let ids = publish(&pair[0].running.node, 0..count).await;
        let direct = Times::new(fetch_all(&pair[1].running.node, &ids).await);
        stop(pair).await;

        let nodes = if options.quick { 3 } else { NODES };
        let places = cluster(nodes, &members).await;
        let ids = publish(&places[nodes - 1].running.node, count..2 * count).await;
        let times = fetch_late(&places, &ids).await;
        stop(places).await;
        let (first, late) = (times[0], Times::new(times));
        let row = |what: String, times: &Times, more: &str| {
            Row::judged(what, "<= 30 ms", format!("{}{more}", times.text()), times.percentile(50) <= Duration::from_millis(30))
        };
        vec![
            row(format!("{DELTA_BYTES}-byte delta fetched from one peer ({count} deltas), p50"), &direct, ""),
            row(
                format!("the same by a node that joined {nodes} others after it was published, p50"),
                &late,
                &format!(", the very first {}", ms(first)),
            ),
        ]
    })
}
