//! Sections 2, 5, 7, 8: signing roots, points, DHT records.

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, AckError, RawAck},
    bls::{BlsError, PublicKey, SecretKey, Signature},
    domains::{Domains, Fork},
    fault::{FaultVote, FaultVoteError, RawFaultVote},
    identity::PeerId,
    params::{DOMAIN_AI_ACK, DOMAIN_AI_FAULT, DOMAIN_AI_ID},
    record::{Announcement, AnnouncementError, Envelope, EnvelopeError, IdData, IdError, RawIdRecord, RecordKey},
    ssz::{BeaconBlockHeader, compute_domain, signing_root},
};
use pol_vectors::{Object, agree, cases, open};

pub(crate) fn keys(file: &str) {
    cases(file, |case| {
        assert!(case.num::<u32>("index") < 512);
        let key = SecretKey::from_bytes(&case.bytes("secret_key")).unwrap().public_key();
        assert_eq!(key.to_bytes(), case.bytes("public_key"), "{}", case.name());
        assert_eq!(PublicKey::from_bytes(&key.to_bytes()), Ok(key.clone()));
        assert_eq!(PeerId::of(&key).to_string(), case.text("peer_id"));
    });
}

/// Keys of validators 0..512 by index.
pub(crate) fn validators() -> Vec<PublicKey> {
    let mut file = open("keys");
    let keys = file.all("cases", |case| {
        let key = PublicKey::from_bytes(&case.bytes("public_key")).unwrap();
        case.keys().iter().for_each(|rest| drop(case.take(rest)));
        key
    });
    assert_eq!(keys.len(), 512);
    keys
}

pub(crate) fn beacon_header(object: &mut Object) -> BeaconBlockHeader {
    let header = BeaconBlockHeader {
        slot: object.num("slot"),
        proposer_index: object.num("proposer_index"),
        parent_root: Hash32(object.bytes("parent_root")),
        state_root: Hash32(object.bytes("state_root")),
        body_root: Hash32(object.bytes("body_root")),
    };
    object.finish();
    header
}

/// Root of a container that we sign, and its SSZ where we serialize it ourselves.
fn object_root(kind: &str, fields: &mut Object) -> (Option<Vec<u8>>, Hash32) {
    match kind {
        "AckData" => {
            let [update_id, model_head, result_root] = ["update_id", "model_head", "result_root"].map(|key| fields.bytes(key));
            let data = AckData {
                update_id: UpdateId(update_id),
                model_head: ModelHead(model_head),
                result_root: ResultRoot(result_root),
            };
            (Some([update_id, model_head, result_root].concat()), data.root())
        }
        "FaultVote" => {
            let vote = FaultVote {
                block_root: Hash32(fields.bytes("block_root")),
                slot: fields.num("slot"),
                proposer_index: fields.num("proposer_index"),
                reason: fields.num("reason"),
            };
            (None, vote.root())
        }
        "IdData" => {
            let trainers = crate::pld1::blobs(fields, "trainers").into_iter().map(|key| key.try_into().unwrap()).collect();
            let data = IdData {
                public_key: fields.bytes("public_key"),
                node_key: fields.bytes("node_key"),
                trainers,
                sequence: fields.num("sequence"),
            };
            (None, data.root())
        }
        "BeaconBlockHeader" => {
            let header = BeaconBlockHeader {
                slot: fields.num("slot"),
                proposer_index: fields.num("proposer_index"),
                parent_root: Hash32(fields.bytes("parent_root")),
                state_root: Hash32(fields.bytes("state_root")),
                body_root: Hash32(fields.bytes("body_root")),
            };
            (Some(header.to_bytes().to_vec()), header.root())
        }
        "SigningData" => (None, signing_root(Hash32(fields.bytes("object_root")), Hash32(fields.bytes("domain")))),
        other => panic!("unknown type {other}"),
    }
}

/// A file's chain: `genesis_id` and `genesis_validators_root`.
pub(crate) fn domains(file: &mut Object) -> Domains {
    Domains::new(GenesisId(file.bytes("genesis_id")), Hash32(file.bytes("genesis_validators_root")))
}

pub(crate) fn signing(file: &str) {
    let mut file = open(file);
    let chain = domains(&mut file);
    file.each("fork_versions", |case| {
        let domains = Domains::new(GenesisId(case.bytes("genesis_id")), Hash32::ZERO);
        let forks = [Fork::Phase0, Fork::Altair, Fork::Bellatrix, Fork::Capella, Fork::Deneb];
        for (fork, name) in forks.into_iter().zip(["phase0", "altair", "bellatrix", "capella", "deneb"]) {
            assert_eq!(domains.fork_version(fork), case.bytes(name), "{}: {name}", case.name());
        }
    });
    file.each("cases", |case| {
        let root = Hash32(case.bytes("genesis_validators_root"));
        let domain = compute_domain(case.bytes("domain_type"), case.bytes("fork_version"), root);
        assert_eq!(domain.0, case.bytes("domain"), "{}", case.name());
        let fork_data_root: [u8; 32] = case.bytes("fork_data_root");
        assert_eq!(domain.0[4..], fork_data_root[..28]);
    });
    file.each("objects", |case| {
        let (kind, ssz) = (case.text("type"), case.hex("ssz"));
        let mut fields = case.object("fields");
        if kind == "ProposerSlashing" {
            check_slashing(case, fields, &ssz);
            return;
        }
        let (bytes, root) = object_root(&kind, &mut fields);
        fields.finish();
        assert!(bytes.is_none_or(|bytes| bytes == ssz), "{}", case.name());
        assert_eq!(root.0, case.bytes("root"), "{}", case.name());
        if case.has("domain") {
            let ours = match kind.as_str() {
                "AckData" => chain.ai(DOMAIN_AI_ACK),
                "FaultVote" => chain.ai(DOMAIN_AI_FAULT),
                "IdData" => chain.ai(DOMAIN_AI_ID),
                _ => chain.beacon_proposer(),
            };
            assert_eq!(ours.0, case.bytes("domain"), "{}", case.name());
            let found = signing_root(root, ours);
            assert_eq!(found.0, case.bytes("signing_root"), "{}", case.name());
        }
    });
    file.each("points", |case| {
        let (kind, bytes, valid) = (case.text("kind"), case.hex("bytes"), case.flag("valid_point"));
        let found = match kind.as_str() {
            "key" => <[u8; 48]>::try_from(bytes).is_ok_and(|bytes| PublicKey::from_bytes(&bytes).is_ok()),
            "signature" => <[u8; 96]>::try_from(bytes).is_ok_and(|bytes| Signature::from_bytes(&bytes).is_ok()),
            other => panic!("unknown kind {other}"),
        };
        assert_eq!(found, valid, "{}", case.name());
    });
    file.finish();
}

/// A whole `ProposerSlashing`: its bytes are our pair's; its root is the client's business, from the two header roots.
fn check_slashing(case: &mut Object, mut fields: Object, ssz: &[u8]) {
    let mut signed = Vec::new();
    let mut roots = Vec::new();
    for i in [1, 2] {
        let header = beacon_header(&mut fields.object(&format!("header_{i}")));
        let signature: [u8; 96] = fields.bytes(&format!("signature_{i}"));
        signed.extend(header.to_bytes());
        signed.extend(signature);
        // Root of the Bytes96: three chunks padded to four.
        let chunk = |at: usize| <[u8; 32]>::try_from(&signature[at..at + 32]).unwrap();
        let right = node(chunk(64), [0; 32]);
        roots.push(node(header.root().0, node(node(chunk(0), chunk(32)), right)));
    }
    fields.finish();
    assert_eq!(signed, ssz, "{}", case.name());
    assert_eq!(node(roots[0], roots[1]), case.bytes("root"), "{}", case.name());
}

fn node(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    pol_core::sha256(&[&left, &right])
}

/// `envelope`: sealing gives the vector's bytes, opening gives them back.
pub(crate) fn envelopes(file: &str) {
    cases(file, |case| {
        let (genesis_id, bytes) = (GenesisId(case.bytes("genesis_id")), case.hex("envelope"));
        let error = case.error();
        let words = |e: &EnvelopeError| -> &[&str] {
            match e {
                EnvelopeError::TooLong { .. } => &["too_long"],
                EnvelopeError::Encoding => &["wrong_encoding", "bad_encoding"],
                EnvelopeError::Signature => &["bad_signature"],
            }
        };
        if let Some(opened) = agree(case.name(), Envelope::open(&bytes, genesis_id), error.as_deref(), words) {
            let secret = SigningKey::from_bytes(&case.bytes("secret"));
            assert_eq!(secret.verifying_key().to_bytes(), case.bytes("public_key"));
            let (sealed_at, value) = (case.num("sealed_at"), case.hex("value"));
            assert_eq!(Envelope::seal(&secret, genesis_id, sealed_at, &value), bytes, "{}", case.name());
            assert_eq!(opened, Envelope { signer: secret.verifying_key().to_bytes(), sealed_at, value });
        }
    });
}

/// What can be wrong with a record, as the vectors' words.
#[derive(Debug)]
struct Refused(&'static [&'static str], String);

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.1)
    }
}

fn refuse<E: core::fmt::Display>(words: impl Fn(&E) -> &'static [&'static str]) -> impl Fn(E) -> Refused {
    move |error| Refused(words(&error), error.to_string())
}

const fn bls_words(error: &BlsError) -> &'static [&'static str] {
    match error {
        BlsError::Mismatch => &["bad_signature"],
        BlsError::Encoding { field } | BlsError::Subgroup { field } | BlsError::Infinity { field } => {
            if field.len() == "public key".len() { &["bad_public_key"] } else { &["bad_signature"] }
        }
        BlsError::SecretKey | BlsError::Empty => &[],
    }
}

type Fields = Vec<(&'static str, serde_json::Value)>;

fn text(bytes: &[u8]) -> serde_json::Value {
    hex::encode(bytes).into()
}

fn ack_record(key: &RecordKey, value: &[u8], domains: &Domains) -> Result<Fields, Refused> {
    let refused = refuse(|e: &AckError| match e {
        AckError::Length { .. } => &["wrong_length"],
        AckError::Version { .. } => &["wrong_version"],
        AckError::ZeroUpdate => &["zero_update_id"],
        AckError::Key { .. } => &["key_mismatch"],
        AckError::Bls(e) => bls_words(e),
    });
    let raw = RawAck::decode_at(key, value).map_err(&refused)?;
    raw.verify(domains).map_err(&refused)?;
    Ok(vec![
        ("update_id", text(&raw.data.update_id.0)),
        ("model_head", text(&raw.data.model_head.0)),
        ("result_root", text(&raw.data.result_root.0)),
        ("public_key", text(&raw.public_key)),
        ("signature", text(&raw.signature)),
    ])
}

fn announcement(key: &RecordKey, value: &[u8]) -> Result<Fields, Refused> {
    let RecordKey::Ann { trainer, .. } = key else { panic!("not an announcement") };
    let refused = refuse(|e: &AnnouncementError| match e {
        AnnouncementError::Length { .. } => &["wrong_length"],
        AnnouncementError::Version { .. } => &["wrong_version"],
        AnnouncementError::ZeroUpdate => &["zero_update_id"],
        AnnouncementError::Size { .. } => &["size_out_of_range"],
        AnnouncementError::Key { .. } => &["key_mismatch"],
    });
    let found = Announcement::decode_at(key, *trainer, value).map_err(refused)?;
    Ok(vec![
        ("update_id", text(&found.update_id.0)),
        ("model_head", text(&found.model_head.0)),
        ("size", found.size.into()),
        ("sequence", found.sequence.into()),
        ("trainer", text(trainer)),
    ])
}

fn id_record(key: &RecordKey, value: &[u8], domains: &Domains) -> Result<Fields, Refused> {
    let refused = refuse(|e: &IdError| match e {
        IdError::Length { .. } => &["wrong_length"],
        IdError::Version { .. } => &["wrong_version"],
        IdError::TooManyTrainers { .. } => &["too_many_trainers"],
        IdError::Order => &["trainers_not_increasing"],
        IdError::Key { .. } => &["key_mismatch"],
        IdError::Bls(e) => bls_words(e),
    });
    let raw = RawIdRecord::decode_at(key, value).map_err(&refused)?;
    let verified = raw.verify(domains).map_err(&refused)?;
    let (data, raw) = (verified.data(), verified.raw());
    Ok(vec![
        ("public_key", text(&data.public_key)),
        ("node_key", text(&data.node_key)),
        ("sequence", data.sequence.into()),
        ("trainers", data.trainers.iter().map(|key| text(key)).collect::<Vec<_>>().into()),
        ("signature", text(&raw.signature)),
    ])
}

fn fault_record(key: &RecordKey, value: &[u8], accused: &PublicKey, domains: &Domains) -> Result<Fields, Refused> {
    let refused = refuse(|e: &FaultVoteError| match e {
        FaultVoteError::Length { .. } => &["wrong_length"],
        FaultVoteError::Version { .. } => &["wrong_version"],
        FaultVoteError::Reason { .. } => &["bad_reason"],
        FaultVoteError::Header => &["header_mismatch"],
        FaultVoteError::Key { .. } => &["key_mismatch"],
        FaultVoteError::Voter(e) => bls_words(e),
        FaultVoteError::Accused(_) => &["bad_header_signature"],
    });
    let raw = RawFaultVote::decode_at(key, value).map_err(&refused)?;
    raw.verify(|_| Some(accused), domains).map_err(&refused)?;
    Ok(vec![
        ("block_root", text(&raw.vote.block_root.0)),
        ("slot", raw.vote.slot.into()),
        ("proposer_index", raw.vote.proposer_index.into()),
        ("reason", raw.vote.reason.into()),
        ("public_key", text(&raw.public_key)),
        ("signature", text(&raw.signature)),
        ("header", text(&raw.accused.header.to_bytes())),
        ("header_signature", text(&raw.accused.signature)),
    ])
}

/// `ack`, `record`: keys and values.
pub(crate) fn records(file: &str) {
    let mut file = open(file);
    let domains = domains(&mut file);
    file.each("cases", |case| {
        let (key, value) = (case.text("key"), case.hex("value"));
        let accused = case.has("accused_public_key").then(|| case.bytes("accused_public_key"));
        let accused = accused.map(|bytes| PublicKey::from_bytes(&bytes).unwrap());
        let parsed = RecordKey::parse(key.as_bytes()).map_err(|e| Refused(&["bad_key"], e.to_string()));
        let result = parsed.and_then(|key| {
            let (kind, fields) = match &key {
                RecordKey::Ack { .. } => ("ack", ack_record(&key, &value, &domains)?),
                RecordKey::Ann { .. } => ("ann", announcement(&key, &value)?),
                RecordKey::Id { .. } => ("id", id_record(&key, &value, &domains)?),
                RecordKey::Fault { .. } => ("fault", fault_record(&key, &value, accused.as_ref().unwrap(), &domains)?),
                RecordKey::Update(id) => ("upd", vec![("of", text(&id.0))]),
                RecordKey::Snapshot(head) => ("snap", vec![("of", text(&head.0))]),
            };
            Ok((key, kind, fields))
        });
        let error = case.error();
        let Some((parsed, kind, fields)) = agree(case.name(), result, error.as_deref(), |e| e.0) else { return };
        assert_eq!(parsed.to_string(), key);
        let mut expect = case.object("expect");
        assert_eq!(kind, expect.text("kind"));
        for (name, found) in fields {
            let wanted = expect.take(name);
            let same = wanted == found || pol_vectors::int(&wanted).is_some_and(|w| Some(w) == pol_vectors::int(&found));
            assert!(same, "{}: {name}: {found} and {wanted}", case.name());
        }
        expect.finish();
    });
    file.finish();
}
