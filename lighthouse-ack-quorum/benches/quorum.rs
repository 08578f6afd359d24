//! What this crate must reach, measured in one run: `cargo bench -p lighthouse-ack-quorum --bench quorum`.
#![allow(missing_docs, unreachable_pub)]

#[path = "../src/fixtures.rs"]
mod fixtures;
#[allow(dead_code)]
#[path = "../../crates/pol-core/benches/core/table.rs"]
mod table;

use std::{num::NonZeroU64, sync::Arc};

use blst::{BLST_ERROR, min_pk};
use lighthouse_ack_quorum::{
    collector::{Collector, Seen},
    import::{Anchor, HeadTable, Importer},
    members::{Committee, Members},
    push::{AiEngine, Push},
    quorum::certify,
};
use pol_core::{
    Hash32, ModelHead,
    ack::AckData,
    bls::{PublicKey, Signature},
    committee::QuorumRule,
};
use pol_kit::{clock::System, jwt::Secret};
use table::{Row, median_pair, median_seconds};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

const SEATS: u64 = 512;
const CANDIDATES: u16 = 300;
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

fn ms(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

fn row(what: &str, ours: String, against: &str, target: &'static str, met: bool) -> Row {
    Row { what: what.into(), figure: ours.clone(), ours, against: against.into(), target, met }
}

fn data(candidate: u16) -> AckData {
    let mut data = AckData { model_head: fixtures::spec().genesis_head(), ..fixtures::data(0, 0, 3) };
    data.update_id.0[..2].copy_from_slice(&(candidate + 1).to_be_bytes());
    data
}

fn acks(candidate: u16) -> Vec<Seen> {
    (0..SEATS).map(|index| fixtures::ack(index, data(candidate))).collect()
}

fn collector(members: &Arc<Members>) -> Collector {
    let mut collector = Collector::new(fixtures::domains(), QuorumRule::Auto);
    collector.set_members(Arc::clone(members));
    collector
}

fn collecting(members: &Arc<Members>, committee: &Committee) -> Vec<Row> {
    let given = acks(0);
    let head = data(0).model_head;
    let whole = median_seconds(15, || {
        let mut collector = collector(members);
        assert_eq!(collector.add(&given, fixtures::NOW_MS).counted, 512);
        let certified = certify(&collector, head, committee, QuorumRule::Auto, &fixtures::domains()).unwrap().unwrap();
        assert_eq!(certified.acks(), 512);
    });
    let keys: Vec<PublicKey> = committee.seats().iter().map(|seat| (*seat.key).clone()).collect();
    let decoded: Vec<Signature> = given.iter().map(|seen| Signature::from_bytes(&seen.ack.signature).unwrap()).collect();
    let root = data(0).signing_root(&fixtures::domains());
    let points = median_seconds(30, || {
        let pairs: Vec<(&PublicKey, Signature)> = keys.iter().zip(decoded.iter().copied()).collect();
        let random = || NonZeroU64::new(getrandom::u64().unwrap()).unwrap_or(NonZeroU64::MIN);
        let coefficients: Vec<NonZeroU64> = (0..512).map(|_| random()).collect();
        assert!(Signature::verify_batch(root, &pairs, &coefficients).is_ok());
        assert!(Signature::aggregate(&decoded).is_ok());
    });
    let one_by_one = median_seconds(3, || {
        assert!(keys.iter().zip(&decoded).all(|(key, signature)| signature.verify(root, key).is_ok()));
    });
    let mut with_bad = given;
    with_bad[300].ack.signature = fixtures::ack(300, data(1)).ack.signature;
    let bad = median_seconds(9, || {
        let added = collector(members).add(&with_bad, fixtures::NOW_MS);
        assert_eq!((added.counted, added.bad), (511, 1));
    });
    vec![
        row("512 ACKs decompressed, checked, verified, aggregated, certified", ms(whole), "-", "<= 150 ms", whole <= 0.150),
        row("the same from decoded points", ms(points), &format!("{} one by one", ms(one_by_one)), "<= 40 ms", points <= 0.040),
        row("a bad one among 512 found", ms(bad), &format!("{} all good", ms(whole)), "found", true),
    ]
}

fn importing(members: &Arc<Members>, committee: &Committee) -> Row {
    let mut collector = collector(members);
    collector.add(&acks(0), fixtures::NOW_MS);
    let head = data(0).model_head;
    let certified = certify(&collector, head, committee, QuorumRule::Auto, &fixtures::domains()).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let table = HeadTable::open(&folder.path().join("heads.redb"), fixtures::spec().genesis_id()).unwrap();
    table.anchor(Anchor { root: Hash32([1; 32]), model_head: head }, 0).unwrap();
    let importer = Importer::new(Arc::new(table), QuorumRule::Auto, fixtures::domains(), 8);
    let block = fixtures::extra_data([2; 32], certified.data().update_id, &certified.trailer());
    let ours = || assert!(importer.check_own([1; 32], 8, &block, [2; 32], committee).is_ok());

    let trailer = certified.trailer();
    let signature: [u8; 96] = *trailer.last_chunk().unwrap();
    let keys: Vec<min_pk::PublicKey> =
        committee.seats().iter().map(|seat| min_pk::PublicKey::from_bytes(&seat.key.to_bytes()).unwrap()).collect();
    let keys: Vec<&min_pk::PublicKey> = keys.iter().collect();
    let root = data(0).signing_root(&fixtures::domains());
    let blst = || {
        let signature = min_pk::Signature::from_bytes(&signature).unwrap();
        assert_eq!(signature.fast_aggregate_verify(true, &root.0, DST, &keys), BLST_ERROR::BLST_SUCCESS);
    };
    let (ours, theirs) = median_pair(40, ours, blst);
    let against = format!("{} blst fast_aggregate_verify", ms(theirs));
    Row {
        what: "certificate check at import, table read included".into(),
        ours: ms(ours),
        against,
        figure: format!("{:.2}x", ours / theirs),
        target: "<= 1.3x",
        met: ours <= 1.3 * theirs,
    }
}

/// Resident memory of this process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn holding(members: &Arc<Members>, committee: &Committee) -> Vec<Row> {
    let mut collector = collector(members);
    let before = resident_bytes();
    for candidate in 0..CANDIDATES {
        assert_eq!(collector.add(&acks(candidate), fixtures::NOW_MS).counted, 512);
    }
    let grown = (resident_bytes() - before) as f64 / 1e6;
    assert_eq!(collector.len(), 153_600);
    let head: ModelHead = data(0).model_head;

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(async {
        let server = MockServer::start().await;
        let answer = serde_json::json!({ "jsonrpc": "2.0", "id": 9, "result": { "status": "held" } });
        Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
        server
    });
    let secret = Arc::new(Secret::from_bytes([1; 32]));
    let engine = AiEngine::new(&server.uri(), secret, Arc::new(System::new())).unwrap();
    let pick = || certify(&collector, head, committee, QuorumRule::Auto, &fixtures::domains()).unwrap().unwrap();
    let picked = median_seconds(20, || drop(pick()));
    let both = median_seconds(20, || {
        let push = Push::of(&pick(), Hash32([2; 32]), 9);
        runtime.block_on(engine.set_candidate(&push)).unwrap();
    });
    vec![
        row("resident memory for 153,600 ACKs", format!("{grown:.0} MB"), "-", "<= 100 MB", grown <= 100.0),
        row(
            "pick among 300 candidates of 512 ACKs, certify, push",
            ms(both),
            &format!("{} without the push", ms(picked)),
            "<= 5 ms",
            both <= 0.005,
        ),
    ]
}

fn main() {
    let members = Arc::new(fixtures::members(SEATS, 1));
    let committee = Arc::clone(members.committee(1).unwrap());
    let mut rows = collecting(&members, &committee);
    rows.push(importing(&members, &committee));
    rows.extend(holding(&members, &committee));
    table::print(&rows);
}
