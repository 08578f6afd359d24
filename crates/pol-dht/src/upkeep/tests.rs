#![allow(clippy::arithmetic_side_effects)]

use pol_core::{record::IdData, sha256};
use pol_kit::{clock::Manual, metrics::Health, tasks::Root};

use super::*;
use crate::{
    NodeConfig,
    fixtures::{CHAIN, bls, domains, validators},
    net::NetConfig,
    scratch::Scratch,
    service::{
        alarms::Alarms,
        watch::{Measured, Watch},
    },
};

const HOUR: u64 = 3_600;
/// Before any file of this run was made: the node's own upkeep, which runs beside the one that is tested, finds every new pin young.
const NOW: u64 = 1_700_000_000;

struct Alone {
    upkeep: Upkeep,
    clock: Arc<Manual>,
    root: Root,
    dir: Scratch,
}

/// A node without peers, whose time stands still.
fn start() -> Alone {
    let (root, dir, clock) = (Root::new("test"), Scratch::new(), Arc::new(Manual::at(NOW)));
    let config = NodeConfig { data_dir: dir.path().to_owned(), genesis_id: CHAIN, domains: domains(), net: NetConfig::default() };
    let node = Node::start(&config, clock.clone(), &root.child("node")).unwrap();
    Alone { upkeep: Upkeep::new(node), clock, root, dir }
}

impl Alone {
    /// Puts an identity of this member that names `node_key`, or this node's.
    async fn put(&self, member: u8, node_key: Option<[u8; 32]>, sequence: u64) -> PeerId {
        let node = &self.upkeep.node;
        let node_key = node_key.unwrap_or_else(|| node.identity().node_key());
        let data = IdData { public_key: bls(member).public_key().to_bytes(), node_key, trainers: vec![], sequence };
        let record = data.sign(&bls(member), &domains()).unwrap().raw().clone();
        assert!(node.put_identity(&record).await.unwrap().is_news());
        PeerId::of_bytes(&record.data.public_key)
    }

    fn ends(&self, peer: PeerId) -> Option<u64> {
        let shared = self.upkeep.node.shared();
        Some(shared.store.get(&RecordKey::Id { peer }, shared.now()).unwrap()?.expires_at)
    }

    async fn hours_later(&self, hours: u64) -> u64 {
        self.clock.advance(Duration::from_secs(hours * HOUR));
        self.upkeep.identities().await.unwrap();
        self.upkeep.node.shared().now()
    }

    /// What the daemon would say about identities.
    async fn identity_alarm(&self) -> Option<String> {
        let (node, alarms) = (self.upkeep.node.clone(), Alarms::default());
        let (measured, health) = (Measured::default(), Health::new());
        Watch { node, measured, health, alarms: alarms.clone(), connections: None, solo: true }.look().await;
        alarms.list().into_iter().map(|alarm| alarm.code).find(|code| code.starts_with("identity"))
    }

    async fn stop(self) {
        drop(self.upkeep);
        self.root.stop(Duration::from_secs(10)).await.into_result().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_identity_outlives_a_week_and_a_foreign_one_its_day() {
    for with_set in [false, true] {
        let alone = start();
        if with_set {
            alone.upkeep.node.set_validators(validators(2)).unwrap();
        }
        let (ours, theirs) = (alone.put(1, None, 1).await, alone.put(2, Some([9; 32]), 1).await);
        let mut now = alone.hours_later(11).await;
        assert_eq!((alone.ends(ours), alone.ends(theirs)), (Some(NOW + 24 * HOUR), Some(NOW + 24 * HOUR)), "no sooner than due");
        while now < NOW + 7 * 24 * HOUR {
            now = alone.hours_later(3).await;
            let ends = alone.ends(ours).unwrap();
            assert!(ends >= now + 12 * HOUR && ends <= now + 24 * HOUR, "{}", ends - now);
            assert_eq!(alone.upkeep.own.all(), [(ours, ends)]);
        }
        assert_eq!(alone.ends(theirs), None);
        alone.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_cannot_be_renewed_is_named_until_another_one_comes() {
    let alone = start();
    alone.upkeep.node.set_validators(validators(1)).unwrap();
    let peer = alone.put(1, None, 1).await;
    alone.hours_later(1).await;
    // Its validator has left: nobody takes the record any more.
    let mut builder = alone.upkeep.node.shared().validators().successor();
    let other = crate::validators::Validator { index: 7, public_key: bls(2).public_key().to_bytes() };
    builder.add(crate::validators::EpochSlot::Current, &[other]).unwrap();
    alone.upkeep.node.set_validators(builder.finish().unwrap()).unwrap();
    // 13, 19 and 25 hours old.
    for (hours, alarm) in [(12, None), (6, Some("identity-expires")), (6, Some("identity-expired"))] {
        alone.hours_later(hours).await;
        assert_eq!(alone.upkeep.own.first_to_end(), Some((peer, NOW + 24 * HOUR)));
        assert_eq!(alone.identity_alarm().await.as_deref(), alarm);
    }
    assert_eq!(alone.ends(peer), None);
    // Another node speaks for the validator now: this one is not asked any more.
    alone.upkeep.node.set_validators(validators(1)).unwrap();
    alone.put(1, Some([9; 32]), 2).await;
    alone.hours_later(0).await;
    assert_eq!(alone.upkeep.own.first_to_end(), None);
    assert_eq!(alone.identity_alarm().await, None);
    alone.stop().await;
}

#[test]
fn a_provider_record_is_told_when_somebody_hears_it_and_again_at_half_its_life() {
    let told = Some(&Offer::Told(NOW));
    for (offer, in_company, now, expected) in [
        (None, false, NOW, true),
        (None, true, NOW, true),
        (Some(&Offer::Unheard), false, NOW + 100 * HOUR, false),
        (Some(&Offer::Unheard), true, NOW, true),
        (told, true, NOW + 12 * HOUR - 1, false),
        (told, true, NOW + 12 * HOUR, true),
        (told, false, NOW + 12 * HOUR, false),
    ] {
        assert_eq!(is_due(offer, in_company, now), expected, "{offer:?} {in_company} {}", now - NOW);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_offered_what_is_gone_is_not_and_old_pins_are_given_up() {
    let mut alone = start();
    let bytes = [7; 300];
    let id = UpdateId(sha256(&[&bytes]));
    let node = alone.upkeep.node.clone();
    let deltas = node.shared().store.deltas();
    deltas.add(id, &bytes).unwrap();
    deltas.pin(id).unwrap();
    alone.upkeep.offer().await;
    assert_eq!(alone.upkeep.offers, BTreeMap::from([(RecordKey::Update(id), Offer::Unheard)]));
    let local = node.net().local_peer_id();
    assert_eq!(node.net().providers(id).await.unwrap(), [local]);

    // Pins are as old as their files say, and this node's clock stands.
    let [young, old] = [PIN_SECONDS - 10, PIN_SECONDS + 10].map(|age| std::time::UNIX_EPOCH + Duration::from_secs(NOW - age));
    let path = alone.dir.path().join(format!("deltas/{id}.pin"));
    for (made, expected) in [(young, true), (old, false)] {
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(made).unwrap();
        alone.upkeep.pins().await.unwrap();
        assert_eq!(deltas.is_pinned(&id), expected);
    }
    assert!(deltas.remove(&id).unwrap());
    alone.upkeep.offer().await;
    assert!(alone.upkeep.offers.is_empty());
    assert!(node.net().providers(id).await.unwrap().is_empty());
    drop(node);
    alone.stop().await;
}
