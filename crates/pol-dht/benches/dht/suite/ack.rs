//! An ACK published at one node of many: when each other one's watcher sees it, and whether it is found by key later.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use pol_core::record::RecordKey;
use pol_dht::{shared::News, store::Put, verify::RawRecord};
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
    time,
};

use super::{
    Options,
    cluster::{Members, Place, SEATS, cluster, stop, update},
    common::{CHAIN, Running, eventually},
    runtime,
    table::{Row, Times},
};

/// How long the last ACK is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// ACKs looked up by key after their publisher's restart.
const LOOKUPS: usize = 50;

/// One node's watcher saw one ACK.
struct Sighting {
    ack: usize,
    node: usize,
    at: Instant,
}

async fn watch(
    node: usize,
    mut news: broadcast::Receiver<News>,
    numbers: Arc<BTreeMap<RecordKey, usize>>,
    seen: mpsc::Sender<Sighting>,
) {
    // A watcher that missed some ends here, and what it missed counts as never seen.
    while let Ok(one) = news.recv().await {
        let Some(ack) = numbers.get(one.record.key()) else { continue };
        if seen.send(Sighting { ack: *ack, node, at: Instant::now() }).await.is_err() {
            return;
        }
    }
}

/// From publication to each other node's watcher; and how many never saw it.
struct Spread {
    each: Times,
    last: Times,
    missing: usize,
}

async fn publish(places: &[Place], members: &Members, count: usize, rate: u32) -> Spread {
    let acks: Vec<_> = (0..count).map(|i| members.ack(update(i / SEATS), i)).collect();
    let numbers: Arc<BTreeMap<_, _>> = Arc::new(acks.iter().zip(0..).map(|(ack, i)| (ack.raw().key(), i)).collect());
    let (seen, mut sightings) = mpsc::channel(4_096);
    let mut watchers = JoinSet::new();
    for (i, place) in places.iter().enumerate() {
        watchers.spawn(watch(i, place.running.node.watch(), Arc::clone(&numbers), seen.clone()));
    }
    drop(seen);
    let expected = count * (places.len() - 1);
    let collect = async {
        let mut found = Vec::with_capacity(expected);
        while found.len() < expected {
            match sightings.recv().await {
                Some(one) if one.node == one.ack % places.len() => {}
                Some(one) => found.push(one),
                None => break,
            }
        }
        found
    };
    let publish = async {
        // The time counts from the moment the ACK was due: a node that is late to take it does not get it for free.
        let mut ticks = time::interval(Duration::from_secs(1) / rate);
        let mut due = Vec::with_capacity(count);
        for (i, ack) in acks.iter().enumerate() {
            due.push(ticks.tick().await.into_std());
            let put = places[i % places.len()].running.node.put_value(ack.raw().key(), &ack.raw().to_value()).await.unwrap();
            assert_eq!(put, Put::Inserted);
        }
        time::sleep(PATIENCE).await;
        due
    };
    collected(collect, publish, expected, count).await
}

async fn collected(
    collect: impl Future<Output = Vec<Sighting>>,
    publish: impl Future<Output = Vec<Instant>>,
    expected: usize,
    count: usize,
) -> Spread {
    let (found, due) = tokio::join!(time::timeout(Duration::from_secs(600), collect), publish);
    let found = found.unwrap_or_default();
    let mut last = vec![Duration::ZERO; count];
    let mut each = Vec::with_capacity(expected);
    for one in &found {
        let took = one.at.saturating_duration_since(due[one.ack]);
        each.push(took);
        last[one.ack] = last[one.ack].max(took);
    }
    Spread { each: Times::new(each), last: Times::new(last), missing: expected - found.len() }
}

/// Restarts the node that published them and asks another one by key: times, and how many were found.
async fn found_after_restart(places: &mut Vec<Place>, members: &Members, count: usize) -> (Times, usize, usize) {
    let publisher = places.len() - 1;
    let mine: Vec<RecordKey> =
        (publisher..count).step_by(places.len()).map(|i| RecordKey::ack(update(i / SEATS), members.peer(i))).collect();
    let Place { running, dir } = places.pop().unwrap();
    running.stop().await;
    let running = Running::start(dir.path(), vec![places[0].running.address().await]);
    running.node.set_validators(members.set.clone()).unwrap();
    places.push(Place { running, dir });
    let met = || async { (!places[publisher].running.node.peers().await.unwrap().is_empty()).then_some(()) };
    eventually("neighbours after the restart", met).await;
    let (mut times, mut found) = (Vec::new(), 0);
    let asked = LOOKUPS.min(mine.len() * 8);
    for (turn, key) in mine.iter().cycle().take(asked).enumerate() {
        let asking = &places[turn % publisher].running.node;
        let start = Instant::now();
        let answers = asking.net().lookup(*key).await.unwrap();
        times.push(start.elapsed());
        let now = asking.shared().now();
        let is_it = |envelope: &Vec<u8>| RawRecord::new(&key.to_bytes(), envelope).is_ok_and(|raw| raw.open(CHAIN, now).is_ok());
        found += usize::from(answers.iter().any(|(_, envelope)| is_it(envelope)));
        let kept = places[publisher].running.node.shared().store.get(key, now).unwrap();
        assert!(kept.is_some(), "the publisher lost {key} over its restart");
    }
    (Times::new(times), found, asked)
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let (nodes, count) = (options.size(options.nodes, 40, 4), options.size(options.acks, 400, 8));
    assert!(count >= nodes, "each node publishes at least one ACK");
    let runtime = runtime();
    let members = Members::new(SEATS);
    runtime.block_on(async {
        let mut places = cluster(nodes, &members).await;
        let spread = publish(&places, &members, count, options.rate).await;
        let (lookups, found, asked) = found_after_restart(&mut places, &members, count).await;
        stop(places).await;
        let within = spread.last.percentile(99) <= Duration::from_millis(500) && spread.missing == 0;
        vec![
            Row::judged(
                format!(
                    "ACK published at one of {nodes} nodes ({count} ACKs, {}/s): seen by the last of the others, p99",
                    options.rate
                ),
                "<= 500 ms",
                format!("{}; {} of {} missing", spread.last.text(), spread.missing, count * (nodes - 1)),
                within,
            ),
            Row::note("the same, by each other node's watcher", spread.each.text()),
            Row::judged(
                "found by key from another node after its publisher's restart",
                "always",
                format!("{found} of {asked}; {}", lookups.text()),
                found == asked,
            ),
        ]
    })
}
