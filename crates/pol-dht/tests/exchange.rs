//! Two and three nodes on loopback, over QUIC.

mod common;

use common::{Running, ack, container, eventually, trainer};
use pol_core::{GenesisId, UpdateId, sha256};
use pol_dht::store::Put;
use tempfile::tempdir;

#[tokio::test(flavor = "multi_thread")]
async fn a_solo_node_keeps_what_it_is_given_from_the_first_second() {
    let dir = tempdir().unwrap();
    let alone = Running::start(dir.path(), vec![]);
    let update_id = alone.node.publish_delta(&container(1), &trainer(0), 1).await.unwrap();
    let mine = ack(update_id, 0);
    assert_eq!(alone.node.put_value(mine.raw().key(), &mine.raw().to_value()).await.unwrap(), Put::Inserted);
    assert_eq!(alone.node.acks(update_id, 10).unwrap().len(), 1);
    assert_eq!(alone.node.fetch_delta(update_id).await.unwrap(), container(1));
    alone.stop().await;

    let again = Running::start(dir.path(), vec![]);
    assert_eq!(again.node.acks(update_id, 10).unwrap().len(), 1, "kept over a restart");
    assert_eq!(again.node.fetch_delta(update_id).await.unwrap(), container(1));
    // And offered again: another node learns by the DHT who has it.
    let other_dir = tempdir().unwrap();
    let other = Running::start(other_dir.path(), vec![again.address().await]);
    let local = again.node.net().local_peer_id();
    let told = || async { other.node.net().providers(update_id).await.unwrap().contains(&local).then_some(()) };
    eventually("provider after a restart", told).await;
    other.stop().await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_exchange_a_delta_and_an_ack() {
    let (one_dir, two_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let one = Running::start(one_dir.path(), vec![]);
    let two = Running::start(two_dir.path(), vec![one.address().await]);
    eventually("connection", || async { (!two.node.peers().await.unwrap().is_empty()).then_some(()) }).await;

    let mut seen = two.node.watch();
    let update_id = one.node.publish_delta(&container(2), &trainer(0), 1).await.unwrap();
    let mine = ack(update_id, 0);
    one.node.put_value(mine.raw().key(), &mine.raw().to_value()).await.unwrap();
    eventually("ACK at the other node", || async { (two.node.acks(update_id, 10).unwrap().len() == 1).then_some(()) }).await;
    assert!(seen.try_recv().is_ok(), "a watcher hears of it");
    assert_eq!(two.node.fetch_delta(update_id).await.unwrap(), container(2));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_later_gets_what_was_there_before() {
    let dirs: Vec<_> = (0..3).map(|_| tempdir().unwrap()).collect();
    let one = Running::start(dirs[0].path(), vec![]);
    let update_id = one.node.publish_delta(&container(3), &trainer(0), 1).await.unwrap();
    for by in 0..10 {
        let theirs = ack(update_id, by);
        one.node.put_value(theirs.raw().key(), &theirs.raw().to_value()).await.unwrap();
    }
    let two = Running::start(dirs[1].path(), vec![one.address().await]);
    eventually("ten ACKs by sync", || async { (two.node.acks(update_id, 20).unwrap().len() == 10).then_some(()) }).await;
    // From the second, which never was the author.
    let address = two.address().await;
    assert_eq!(two.node.fetch_delta(update_id).await.unwrap(), container(3));
    one.stop().await;
    let three = Running::start(dirs[2].path(), vec![address]);
    eventually("ten ACKs of the second", || async { (three.node.acks(update_id, 20).unwrap().len() == 10).then_some(()) }).await;
    assert_eq!(three.node.fetch_delta(update_id).await.unwrap(), container(3));
    two.stop().await;
    three.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_two_chains_have_nothing_in_common() {
    let (one_dir, two_dir) = (tempdir().unwrap(), tempdir().unwrap());
    let one = Running::start(one_dir.path(), vec![]);
    let update_id = one.node.publish_delta(&container(4), &trainer(0), 1).await.unwrap();
    let mine = ack(update_id, 0);
    one.node.put_value(mine.raw().key(), &mine.raw().to_value()).await.unwrap();
    let foreign = Running::start_on(GenesisId([9; 32]), two_dir.path(), vec![one.address().await]);
    // It connects, says who it is, and is sent away: again and again, since it goes on dialling. Records would arrive within
    // milliseconds, so two seconds of dialling are a window in which a leak would show.
    let parted = || async {
        let met = foreign.node.peers().await.unwrap().is_empty() && one.node.peers().await.unwrap().is_empty();
        met.then_some(())
    };
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    eventually("parting", parted).await;
    assert!(foreign.node.acks(update_id, 10).unwrap().is_empty());
    assert!(foreign.node.fetch_delta(update_id).await.is_err());
    one.stop().await;
    foreign.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_nobody_has_is_an_error_that_says_so() {
    let dir = tempdir().unwrap();
    let alone = Running::start(dir.path(), vec![]);
    let error = alone.node.fetch_delta(UpdateId(sha256(&[b"nothing"]))).await.unwrap_err();
    assert!(error.to_string().contains("no peer is known"), "{error}");
    alone.stop().await;
}
