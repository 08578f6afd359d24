//! A daemon whose disk is full.

use pol_api::{
    client,
    convert::{self, StoredAck},
    dht::v1,
    prost::bytes::Bytes,
    status::Reason,
};
use pol_core::{
    Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, VerifiedAck},
    bls::SecretKey,
    delta::{Claims, encode},
    record::{Announcement, Envelope},
    sha256,
};
use pol_kit::clock::{Clock as _, System};

use crate::{
    chain::spec,
    common::{eventually, trainer},
    daemon::{Daemon, free_ports},
    support::{call_reason, reason},
};

/// Room for records beside what an empty database takes.
const ROOM_KIB: u64 = 256;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_clear_refusal_and_an_alarm_while_reads_go_on() {
    let (spec, dir, ports) = (spec(), tempfile::tempdir().unwrap(), free_ports());
    std::fs::write(dir.path().join("chain.toml"), spec.to_toml()).unwrap();
    let daemon = Daemon::start(ports, dir.path(), None);
    daemon.client().await;
    daemon.terminate();
    let database = std::fs::metadata(dir.path().join("data/dht_db/records.redb")).unwrap().len();
    let daemon = Daemon::start_limited(ports, dir.path(), None, Some(database / 1_024 + ROOM_KIB));
    let mut client = daemon.client().await;

    let key = SecretKey::from_bytes(&[5; 32]).unwrap();
    let put = |i: u64| {
        let update_id = UpdateId(sha256(&[&i.to_le_bytes()]));
        let data = AckData { update_id, model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
        v1::PutAckRequest::from(VerifiedAck::sign(data, &key, &spec.domains()).unwrap().raw())
    };
    let mut held = Vec::new();
    let refused = loop {
        let request = put(u64::try_from(held.len()).unwrap());
        match client.put_ack(request.clone()).await {
            Ok(_) => held.push(request.value),
            Err(status) => break status,
        }
        assert!(held.len() < 5_000, "the disk is never full");
    };
    assert!(refused.message().contains("full"), "{refused}");
    assert_eq!(reason::<()>(Err(refused)), Reason::StoreFull);
    assert!(held.len() > 20, "{}", held.len());

    // An upload whose announcement cannot be stored leaves no bytes either.
    let claims = Claims { model_head: ModelHead([2; 32]), slot: 1, samples: Hash32::ZERO, inner_steps: 10, tokens_seen: 4_096 };
    let context = spec.delta_context();
    let change: Vec<i32> = (1..).take(usize::try_from(context.shape.value_count()).unwrap()).collect();
    let bytes = Bytes::from(encode(&context, &claims, &change).unwrap().sign(&trainer(0)).into_bytes());
    let size = u32::try_from(bytes.len()).unwrap();
    let announcement = Announcement { update_id: UpdateId(sha256(&[&bytes])), model_head: claims.model_head, size, sequence: 1 };
    let envelope = Envelope::seal(&trainer(0), spec.genesis_id(), System::new().unix_seconds(), &announcement.to_value());
    assert_eq!(call_reason(client::publish_delta(&mut client, &bytes, Some(envelope.into())).await), Reason::StoreFull);

    let alarmed = || {
        let mut client = client.clone();
        async move {
            let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
            status.alarms.iter().any(|alarm| alarm.code == "store-full").then_some(status)
        }
    };
    let status = eventually("alarm", alarmed).await;
    assert_eq!(status.deltas, 0);
    for value in &held {
        let update_id = convert::field(pol_core::ack::RawAck::decode(value).unwrap().data.update_id.0);
        let answer = client.get_acks(v1::GetAcksRequest { update_id, page: None }).await.unwrap().into_inner();
        let [ack] = answer.acks.try_into().unwrap();
        assert_eq!(ack.value, value);
        StoredAck::try_from(&ack).unwrap();
    }
    daemon.terminate();

    // With room again everything is there, and puts go on.
    let daemon = Daemon::start(ports, dir.path(), None);
    let mut client = daemon.client().await;
    client.put_ack(put(1_000_000)).await.unwrap();
    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    let acks = status.records.iter().find(|of| of.kind() == v1::RecordKind::Ack).unwrap().count;
    assert_eq!(acks, u64::try_from(held.len()).unwrap() + 1);
    daemon.terminate();
}
