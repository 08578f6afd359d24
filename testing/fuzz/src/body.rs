//! The bodies.

use pol_core::{
    GenesisId, Hash32, ModelHead, UpdateId,
    ack::{RawAck, RawCertificate},
    bls::{PublicKey, SecretKey, Signature},
    domains::Domains,
    extra_data::ExtraData,
    fault::{FaultProof, Malfeasance, RawFaultVote, SignedHeader, SlashingKind, SlashingPair},
    genesis::ChainSpec,
    header::Header,
    record::{Announcement, RawIdRecord, RecordKey},
    ssz::{BEACON_BLOCK_HEADER_BYTES, BeaconBlockHeader},
    wire::{Wire, WireHead},
};

use crate::{
    engine_api, execution,
    update::{delta, snapshot},
};

/// A name and the body behind it.
pub type Target = (&'static str, fn(&[u8]));

/// Parsers of bytes: cheap, a million bounded cases each.
pub const PARSER_TARGETS: &[Target] = &[
    ("extra_data", extra_data),
    ("wire", wire),
    ("header", header),
    ("record_key", record_key),
    ("ack_value", ack_value),
    ("announcement", announcement),
    ("id_record", id_record),
    ("fault_vote", fault_vote),
    ("certificate", certificate),
    ("fault_proof", fault_proof),
    ("delta", delta),
    ("snapshot", snapshot),
    ("chain_toml", chain_toml),
];

/// Checks that decode curve points and pair: a thousand bounded cases each.
pub const PAIRING_TARGETS: &[Target] = &[("bls_points", bls_points), ("certificate_check", certificate_check)];

/// What reaches an execution client, through other crates' parsers: a hundred thousand bounded cases each.
pub const EXECUTION_TARGETS: &[Target] = &[
    ("alloy_header", execution::alloy_header),
    ("engine_payload", execution::engine_payload),
    ("engine_api", engine_api::engine_api),
    ("transaction", engine_api::transaction),
    ("ai_engine", execution::ai_engine),
    ("watch_updates", execution::watch_updates),
    ("genesis_json", execution::genesis_json),
];

/// All of them.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    PARSER_TARGETS.iter().chain(EXECUTION_TARGETS).chain(PAIRING_TARGETS)
}

/// An error must say something.
pub(crate) fn explained<T, E: core::fmt::Display>(result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn extra_data(data: &[u8]) {
    if let Some(value) = explained(ExtraData::decode(data)) {
        assert_eq!(value.encode(), data);
    }
}

fn wire(data: &[u8]) {
    let head = explained(WireHead::read(data));
    assert_eq!(head.is_some(), data.len() >= 80);
    if let Some(wire) = explained(Wire::decode(data)) {
        assert_eq!(wire.encode(), data);
        assert_eq!(Some(*wire.head()), head);
        assert_eq!(wire.trailer().is_empty(), wire.head().extra_data.is_empty());
    }
}

fn header(data: &[u8]) {
    if let Some(header) = explained(Header::decode(data)) {
        assert_eq!(header.encode(), data);
    }
}

fn record_key(data: &[u8]) {
    if let Some(key) = explained(RecordKey::parse(data)) {
        assert_eq!(key.to_bytes(), data);
    }
}

fn ack_value(data: &[u8]) {
    if let Some(ack) = explained(RawAck::decode(data)) {
        assert_eq!(ack.to_value(), data);
        assert_eq!(RawAck::decode_at(&ack.key(), data), Ok(ack));
    }
}

fn announcement(data: &[u8]) {
    if let Some(announcement) = explained(Announcement::decode(data)) {
        assert_eq!(announcement.to_value(), data);
    }
}

fn id_record(data: &[u8]) {
    if let Some(record) = explained(RawIdRecord::decode(data)) {
        assert_eq!(record.to_value(), data);
    }
}

fn fault_vote(data: &[u8]) {
    if let Some(vote) = explained(RawFaultVote::decode(data)) {
        assert_eq!(vote.to_value(), data);
    }
}

fn certificate(data: &[u8]) {
    if let Some(certificate) = explained(RawCertificate::decode(data)) {
        assert_eq!(certificate.encode(), data);
        assert!(certificate.seats.ones().all(|seat| seat < certificate.seats.seats()));
    }
}

/// 2 * (112 + 96) bytes of a `ProposerSlashing`; shorter input is padded with zeros, longer is cut.
fn slashing_pair(data: &[u8]) -> SlashingPair {
    let mut bytes = data.iter().copied().chain(core::iter::repeat(0));
    let mut signed = || {
        let header: [u8; BEACON_BLOCK_HEADER_BYTES] = core::array::from_fn(|_| bytes.next().unwrap_or(0));
        let signature = core::array::from_fn(|_| bytes.next().unwrap_or(0));
        SignedHeader { header: BeaconBlockHeader::from_bytes(&header), signature }
    };
    SlashingPair { first: signed(), second: signed() }
}

fn fault_proof(data: &[u8]) {
    let pair = slashing_pair(data);
    let kind = explained(pair.kind());
    let proof = explained(FaultProof::decode(&pair));
    let malfeasance = explained(Malfeasance::decode(&pair));
    assert!(proof.is_none() || kind == Some(SlashingKind::Fault));
    assert!(malfeasance.is_none() || kind == Some(SlashingKind::Malfeasance));
    if let Some(proof) = proof {
        assert_eq!(proof.to_pair(), pair);
        let committee: Vec<u64> = (0..8).collect();
        explained(proof.check_votes(&committee, true));
    }
    if let Some(malfeasance) = malfeasance {
        assert_eq!(malfeasance.to_pair(), pair);
    }
}

fn chain_toml(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Some(spec) = explained(ChainSpec::parse(text)) {
        assert_eq!(ChainSpec::parse(&spec.to_toml()), Ok(spec));
    }
}

fn bls_points(data: &[u8]) {
    if let Ok(bytes) = <[u8; 48]>::try_from(data)
        && let Some(key) = explained(PublicKey::from_bytes(&bytes))
    {
        assert_eq!(key.to_bytes(), bytes);
    }
    if let Ok(bytes) = <[u8; 96]>::try_from(data)
        && let Some(signature) = explained(Signature::from_bytes(&bytes))
    {
        assert_eq!(signature.to_bytes(), bytes);
    }
}

/// Whatever the bytes: without the committee's signature there is no certificate. The seeds' own signature is over another message.
fn certificate_check(data: &[u8]) {
    let Ok(raw) = RawCertificate::decode(data) else { return };
    let Ok(secret) = SecretKey::from_bytes(&[0x33; 32]) else { return };
    let committee = vec![secret.public_key(); raw.seats.seats()];
    let verdict = raw.verify(UpdateId([0x77; 32]), ModelHead::ZERO, &committee, 1, &Domains::new(GenesisId::ZERO, Hash32::ZERO));
    assert!(explained(verdict).is_none(), "a certificate that nobody signed for this update");
}
