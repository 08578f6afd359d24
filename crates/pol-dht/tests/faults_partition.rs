//! All traffic between two halves is dropped, silently; healed, everybody has everything.

mod common;

use std::time::{Duration, Instant};

use common::{cluster::Cluster, container, eventually, partition::Partition, trainer, update};
use pol_core::UpdateId;

const MEMBERS: u8 = 8;

/// One ACK per number at nodes of a half in turn.
async fn publish(cluster: &Cluster, half: &[usize], numbers: std::ops::Range<u64>) {
    for number in numbers {
        let at = half[usize::try_from(number).unwrap() % half.len()];
        cluster.put_ack(at, update(number), u8::try_from(number % u64::from(MEMBERS)).unwrap()).await;
    }
}

async fn all_have(cluster: &Cluster, who: &[usize], numbers: std::ops::Range<u64>) {
    for at in who {
        for number in numbers.clone() {
            cluster.has_ack(*at, update(number)).await;
        }
    }
}

fn none_has(cluster: &Cluster, who: &[usize], numbers: std::ops::Range<u64>) {
    for at in who {
        for number in numbers.clone() {
            assert!(cluster.node(*at).acks(update(number), 1).unwrap().is_empty(), "node {at} has ACK {number}: nothing was cut");
        }
    }
}

fn cut(cluster: &Cluster, one: &[usize], other: &[usize]) -> Partition {
    let addresses = |half: &[usize]| half.iter().map(|at| cluster.addresses[*at].clone()).collect::<Vec<_>>();
    Partition::cut(&addresses(one), &addresses(other))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_both_halves_converge_when_a_partition_heals() {
    let (one, other) = ([0, 1, 2], [3, 4, 5]);
    let cluster = Cluster::start(6, MEMBERS).await;
    cluster.met(5).await;
    let partition = cut(&cluster, &one, &other);
    publish(&cluster, &one, 0..30).await;
    publish(&cluster, &other, 30..60).await;
    all_have(&cluster, &one, 0..30).await;
    all_have(&cluster, &other, 30..60).await;
    none_has(&cluster, &one, 30..60);
    none_has(&cluster, &other, 0..30);
    partition.heal();
    let healed = Instant::now();
    all_have(&cluster, &[0, 1, 2, 3, 4, 5], 0..60).await;
    println!("converged {:?} after healing", healed.elapsed());
    cluster.nobody_honest_is_banned();
    cluster.stop().await;
}

/// No node of one half names one of the other as its bootstrap peer but node 3, which names node 0.
#[tokio::test(flavor = "multi_thread")]
async fn long_halves_whose_connections_all_broke_find_each_other_and_converge() {
    let (one, other) = ([0, 1, 2], [3, 4, 5]);
    let mut cluster = Cluster::start(3, MEMBERS).await;
    let first = cluster.addresses[0].clone();
    cluster.add(vec![first], MEMBERS).await;
    let third = cluster.addresses[3].clone();
    cluster.add(vec![third.clone()], MEMBERS).await;
    cluster.add(vec![third], MEMBERS).await;
    cluster.met(5).await;
    cluster.name_trainer(0).await;
    let partition = cut(&cluster, &one, &other);
    let before: UpdateId = cluster.node(0).publish_delta(&container(1), &trainer(0), 1).await.unwrap();
    publish(&cluster, &one, 0..30).await;
    publish(&cluster, &other, 30..60).await;
    // Nobody is told: only silence ends a connection.
    for (half, rest) in [(&one, &other), (&other, &one)] {
        let gone: Vec<_> = rest.iter().map(|at| cluster.node(*at).net().local_peer_id()).collect();
        for at in half {
            let parted = || async {
                let peers = cluster.node(*at).peers().await.unwrap();
                peers.iter().all(|info| !gone.contains(&info.peer)).then_some(())
            };
            eventually("silence", parted).await;
        }
    }
    // Long enough that whoever dials has learnt to wait.
    tokio::time::sleep(Duration::from_secs(20)).await;
    none_has(&cluster, &one, 30..60);
    none_has(&cluster, &other, 0..30);
    assert!(cluster.node(4).fetch_delta(before).await.is_err());
    partition.heal();
    let healed = Instant::now();
    while healed.elapsed() < Duration::from_secs(120) && (0..6).any(|at| cluster.keys(at).len() < 62) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("converged {:?} after healing", healed.elapsed());
    all_have(&cluster, &[0, 1, 2, 3, 4, 5], 0..60).await;
    for at in other {
        assert_eq!(cluster.node(at).fetch_delta(before).await.unwrap(), container(1));
    }
    cluster.nobody_honest_is_banned();
    cluster.stop().await;
}
