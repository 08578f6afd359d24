//! A certificate of 512 seats, all signed, against blst's own `fast_aggregate_verify` of the same keys.

use blst::{BLST_ERROR, min_pk};
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, RawCertificate, VerifiedAck},
    bls::{PublicKey, SecretKey},
    domains::Domains,
};

use crate::table::{Row, median_pair};

const SEATS: usize = 512;
const RUNS: usize = 60;
const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

fn domains() -> Domains {
    Domains::new(GenesisId([5; 32]), Hash32([4; 32]))
}

fn check(raw: &RawCertificate, data: &AckData, committee: &[PublicKey]) -> bool {
    raw.verify(data.update_id, data.model_head, committee, SEATS / 2, &domains()).is_ok()
}

pub fn rows() -> Vec<Row> {
    let data = AckData { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([3; 32]) };
    let master = SecretKey::derive_master(&[7; 32]).unwrap();
    let secrets: Vec<SecretKey> = (0..SEATS as u32).map(|i| master.derive_child(i)).collect();
    let committee: Vec<PublicKey> = secrets.iter().map(SecretKey::public_key).collect();
    let acks: Vec<VerifiedAck> = secrets.iter().map(|key| VerifiedAck::sign(data, key, &domains()).unwrap()).collect();
    let good = RawCertificate::build(SEATS, acks.iter().enumerate()).unwrap();
    let wrong = VerifiedAck::sign(AckData { update_id: UpdateId([9; 32]), ..data }, &secrets[0], &domains()).unwrap();
    let bad = RawCertificate { signature: wrong.raw().signature, ..good };
    assert!(check(&good, &data, &committee) && !check(&bad, &data, &committee));

    // What blst does by itself with the same 512 affine points, message and 96 bytes, group check included.
    let points: Vec<min_pk::PublicKey> =
        committee.iter().map(|key| min_pk::PublicKey::from_bytes(&key.to_bytes()).unwrap()).collect();
    let references: Vec<&min_pk::PublicKey> = points.iter().collect();
    let root = data.signing_root(&domains());
    let blst = || {
        let signature = min_pk::Signature::from_bytes(&good.signature).unwrap();
        let verdict = signature.fast_aggregate_verify(true, &root.0, DST, &references);
        assert_eq!(verdict, BLST_ERROR::BLST_SUCCESS);
    };
    let (ours, theirs) = median_pair(RUNS, || assert!(check(&good, &data, &committee)), blst);
    let (refused, accepted) = median_pair(
        RUNS,
        || assert!(!check(&bad, &data, &committee)),
        || {
            assert!(check(&good, &data, &committee));
        },
    );
    let ms = |seconds: f64| format!("{:.2} ms", seconds * 1e3);
    vec![
        Row {
            what: "certificate check, 512 of 512 seats".into(),
            ours: ms(ours),
            against: format!("{} blst fast_aggregate_verify", ms(theirs)),
            figure: format!("{:.2}x", ours / theirs),
            target: "<= 1.3x",
            met: ours <= 1.3 * theirs,
        },
        Row {
            what: "certificate with an invalid signature refused".into(),
            ours: ms(refused),
            against: format!("{} the valid one accepted", ms(accepted)),
            figure: format!("{:.2}x", refused / accepted),
            target: "<= 1.05x",
            met: refused <= 1.05 * accepted,
        },
    ]
}
