//! What a person and a supervisor are told.

use std::{sync::Arc, time::Duration};

use pol_api::{convert, dht::v1};
use pol_dht::{
    quota::Offence,
    service::watch::{Measured, Watch},
};
use pol_kit::{
    clock::Manual,
    metrics::{Health, Status, registry},
};

use crate::support::Served;

fn watch(served: &Served, measured: &Measured, health: &Health, solo: bool) -> Watch {
    Watch {
        node: served.node.clone(),
        measured: measured.clone(),
        health: health.clone(),
        alarms: served.alarms.clone(),
        connections: None,
        solo,
    }
}

async fn alarms(served: &mut Served) -> Vec<String> {
    let status = served.client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    convert::Node::try_from(status.clone()).unwrap();
    status.alarms.into_iter().map(|alarm| alarm.code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_stand_as_long_as_their_states_and_health_is_206_without_peers_unless_solo() {
    let clock = Arc::new(Manual::at(1_900_000_000));
    let mut served = Served::start_with(clock.clone(), vec![]).await;
    let (measured, health) = (Measured::default(), Health::new());
    assert_eq!(health.report().status, Status::Down, "nobody has looked yet");
    assert!(watch(&served, &measured, &health, false).look().await);
    let report = health.report();
    assert_eq!((report.status, report.reasons.len()), (Status::Degraded, 1));
    assert!(report.reasons[0].reason.contains("no peer is connected"), "{report:?}");
    assert_eq!(alarms(&mut served).await, ["no-peers", "no-validators"]);

    served.feed(1, &[0]).await.unwrap();
    watch(&served, &measured, &health, true).look().await;
    assert_eq!(health.report().status, Status::Ok, "alone by choice");
    assert!(alarms(&mut served).await.is_empty());
    clock.advance(Duration::from_secs(3_601));
    watch(&served, &measured, &health, true).look().await;
    assert_eq!(alarms(&mut served).await, ["old-validators"]);
    served.feed(2, &[0]).await.unwrap();
    watch(&served, &measured, &health, true).look().await;
    assert!(alarms(&mut served).await.is_empty());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_and_when_they_end_are_metrics() {
    let clock = Arc::new(Manual::at(1_900_000_000));
    let served = Served::start_with(clock.clone(), vec![]).await;
    let mut registry = registry();
    let measured = Measured::register(&mut registry);
    let ban = || {
        let peer = libp2p::PeerId::random();
        assert!(!served.node.shared().penalize(peer, None, Offence::BadDelta));
        assert!(served.node.shared().penalize(peer, None, Offence::BadDelta));
    };
    ban();
    clock.advance(Duration::from_secs(600));
    ban();
    watch(&served, &measured, &Health::new(), true).look().await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in ["polai_dht_bans 2\n", "polai_dht_bans_first_end_seconds 3000\n", "polai_dht_bans_last_end_seconds 3600\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    served.stop().await;
}
