//! The seed corpora: valid inputs made by our own encoders, compared with the committed files.
//!
//! `POLAI_WRITE_SEEDS=1 cargo test -p pol-fuzz --test seeds` writes them.

#[path = "seeds/execution.rs"]
mod execution;

use std::{fs, path::Path};

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, ModelHead, ResultRoot, UpdateId,
    ack::{AckData, RawCertificate, VerifiedAck},
    bls::SecretKey,
    committee::QuorumRule,
    delta::{Claims, Context, Profile, Unsigned, encode, encode_merge, encode_void},
    domains::Domains,
    extra_data::ExtraData,
    fault::{FaultProof, Malfeasance, SignedHeader, SlashingPair, VerifiedFaultVote, VerifiedHeader},
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    header::Header,
    params::Preset,
    record::{Announcement, IdData, RecordKey},
    ssz::BeaconBlockHeader,
    state::{Shape, SnapshotManifest, State},
    wire::WireHead,
};

fn domains() -> Domains {
    Domains::new(GenesisId([5; 32]), Hash32([4; 32]))
}

fn key(i: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(i + 1).unwrap(); 32]).unwrap()
}

fn ack(signer: usize, root: u8) -> VerifiedAck {
    let data = AckData { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), result_root: ResultRoot([root; 32]) };
    VerifiedAck::sign(data, &key(signer), &domains()).unwrap()
}

fn certificate(n: usize) -> Vec<u8> {
    let acks: Vec<VerifiedAck> = (0..n.min(20)).map(|i| ack(i, 3)).collect();
    RawCertificate::build(n, acks.iter().enumerate()).unwrap().encode()
}

fn wire(n: usize) -> Vec<u8> {
    let update_id = if n == 0 { UpdateId::ZERO } else { UpdateId([1; 32]) };
    let head = WireHead { extra_data: ExtraData { parent_hash: Hash32([7; 32]), update_id }, nonce: 5, difficulty: 16_384 };
    let trailer = if n == 0 { Vec::new() } else { certificate(n) };
    [head.encode().to_vec(), trailer].concat()
}

fn header() -> Vec<u8> {
    let header = Header {
        parent_hash: Hash32([1; 32]),
        ommers_hash: Hash32([2; 32]),
        beneficiary: [3; 20],
        state_root: Hash32([4; 32]),
        transactions_root: Hash32([5; 32]),
        receipts_root: Hash32([6; 32]),
        logs_bloom: [0; 256],
        difficulty: 16_384,
        number: 300,
        gas_limit: 30_000_000,
        gas_used: 21_000,
        timestamp: 1_800_000_000,
        extra_data: ExtraData { parent_hash: Hash32([1; 32]), update_id: UpdateId([9; 32]) }.encode(),
        mix_hash: Hash32([7; 32]),
        nonce: 77,
        base_fee_per_gas: 7,
        withdrawals_root: Hash32([8; 32]),
        blob_gas_used: 0,
        excess_blob_gas: 131_072,
        parent_beacon_block_root: Hash32([9; 32]),
    };
    header.encode()
}

fn accused() -> VerifiedHeader {
    let [parent_root, state_root, body_root] = [1, 2, 3].map(|b| Hash32([b; 32]));
    let header = BeaconBlockHeader { slot: 100, proposer_index: 2, parent_root, state_root, body_root };
    let mut signed = SignedHeader { header, signature: [0; 96] };
    signed.signature = key(2).sign(signed.signing_root(&domains())).to_bytes();
    signed.verify(|_| Some(key(2).public_key()), &domains()).unwrap()
}

fn pair(pair: &SlashingPair) -> Vec<u8> {
    let signed = |s: &SignedHeader| [s.header.to_bytes().to_vec(), s.signature.to_vec()].concat();
    [signed(&pair.first), signed(&pair.second)].concat()
}

fn fault_pairs() -> Vec<Vec<u8>> {
    let votes: Vec<(usize, VerifiedFaultVote)> =
        [0, 1, 3, 4, 5].map(|seat| (seat, VerifiedFaultVote::sign(&accused(), &key(seat), &domains()))).to_vec();
    let proof = FaultProof::build(8, votes.iter().map(|(seat, vote)| (*seat, vote))).unwrap();
    let malfeasance = Malfeasance::build(2, &ack(2, 3), &ack(2, 4)).unwrap();
    let plain = SlashingPair { first: *accused().signed(), second: *accused().signed() };
    vec![pair(&proof.to_pair()), pair(&malfeasance.to_pair()), pair(&plain)]
}

fn id(trainers: u8) -> Vec<u8> {
    let trainers = (0..trainers).map(|i| [i; 32]).collect();
    let data = IdData { public_key: key(0).public_key().to_bytes(), node_key: [1; 32], trainers, sequence: 4 };
    data.sign(&key(0), &domains()).unwrap().raw().to_value()
}

fn chain_toml() -> Vec<u8> {
    let spec = ChainSpec::new(&ChainParameters {
        genesis_time: 1_800_000_000,
        preset: Preset::Minimal,
        slot_seconds: 3,
        chain_id: 7_777,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 16_384,
        manifest_hash: Hash32([3; 32]),
        shape: Shape::new(4, 128, 128, 64, 352).unwrap(),
        dev_texts_hash: Hash32([4; 32]),
        reference_losses: [NanoNats::new(2_000_000_000).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: false,
    });
    spec.unwrap().to_toml().into_bytes()
}

/// The choice byte of the fuzz body, then a container without its signature.
fn containers() -> Vec<Vec<u8>> {
    let signer = SigningKey::from_bytes(&[9; 32]);
    let claims = Claims { model_head: ModelHead([2; 32]), slot: 7, samples: Hash32::ZERO, inner_steps: 50, tokens_seen: 4_096 };
    let genesis_id = GenesisId([0x11; 32]);
    let shape = Shape::new(5, 64, 64, 32, 96).unwrap();
    // Changes in chunks 0, 1, 5 and the short last one (9), growing and of both signs.
    let mut change = vec![0; usize::try_from(shape.value_count()).unwrap()];
    for (i, value) in (0_i32..).zip(change.iter_mut()) {
        if matches!(i / 4_096, 0 | 1 | 5 | 9) && i % 3 == 0 {
            *value = if i % 2 == 0 { i + 1 } else { -7 * i };
        }
    }
    let delta = |profile| encode(&Context { genesis_id, shape, profile }, &claims, &change).unwrap();
    let merge = encode_merge(&genesis_id, &claims, &[(UpdateId([1; 32]), 1), (UpdateId([2; 32]), 1_024)]).unwrap();
    let void = encode_void(&genesis_id, &claims, &ModelHead([3; 32]));
    let all = [(0, delta(Profile::F16x20)), (1, delta(Profile::Q2x48)), (0, merge), (1, void)];
    let without_signature = |unsigned: Unsigned| {
        let mut bytes = unsigned.sign(&signer).into_bytes();
        bytes.truncate(bytes.len() - 64);
        bytes
    };
    all.map(|(choice, unsigned)| [vec![choice], without_signature(unsigned)].concat()).to_vec()
}

/// A manifest and its only chunk.
fn snapshots() -> Vec<Vec<u8>> {
    let state = State::initial(&GenesisId([0x11; 32]), Shape::new(1, 3, 3, 3, 3).unwrap());
    let of = |norms: &[u64]| [SnapshotManifest::of(&state, 256, norms).encode(), state.chunk_bytes(0).unwrap()].concat();
    vec![of(&[]), of(&[7, 0, 9]), of(&[u64::MAX; 64])]
}

fn corpora() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let peer = ack(0, 3).raw().peer_id();
    let keys = [
        ack(0, 3).raw().key(),
        RecordKey::ann(ModelHead([2; 32]), [3; 32]),
        RecordKey::Id { peer },
        RecordKey::fault(Hash32([4; 32]), peer),
        RecordKey::Update(UpdateId([5; 32])),
        RecordKey::Snapshot(ModelHead([6; 32])),
    ];
    let announcement = Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), size: 150_000, sequence: 9 };
    vec![
        ("extra_data", vec![vec![0; 64], wire(1)[..64].to_vec()]),
        ("wire", vec![wire(0), wire(1), wire(9), wire(512)]),
        ("header", vec![header()]),
        ("record_key", keys.iter().map(RecordKey::to_bytes).collect()),
        ("ack_value", vec![ack(0, 3).raw().to_value().to_vec()]),
        ("announcement", vec![announcement.to_value().to_vec()]),
        ("id_record", vec![id(0), id(1), id(4)]),
        ("fault_vote", vec![VerifiedFaultVote::sign(&accused(), &key(0), &domains()).raw().to_value().to_vec()]),
        ("certificate", vec![certificate(1), certificate(9), certificate(512)]),
        ("certificate_check", vec![certificate(1), certificate(9)]),
        ("fault_proof", fault_pairs()),
        ("chain_toml", vec![chain_toml()]),
        ("delta", containers()),
        ("snapshot", snapshots()),
        ("alloy_header", vec![header()]),
        ("engine_payload", execution::payloads()),
        ("engine_api", execution::engine_calls()),
        ("transaction", execution::transactions()),
        ("ai_engine", execution::calls()),
        ("watch_updates", execution::feed()),
        ("genesis_json", vec![execution::genesis()]),
        ("bls_points", vec![key(0).public_key().to_bytes().to_vec(), ack(0, 3).raw().signature.to_vec()]),
    ]
}

#[test]
fn seed_corpora_are_what_our_encoders_write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = std::env::var_os("POLAI_WRITE_SEEDS").is_some();
    for (name, seeds) in corpora() {
        for (i, seed) in seeds.iter().enumerate() {
            let file = root.join(name).join(format!("{i:02}"));
            if write {
                fs::create_dir_all(root.join(name)).unwrap();
                fs::write(&file, seed).unwrap();
            }
            let found = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}; POLAI_WRITE_SEEDS=1 writes it", file.display()));
            assert!(found == *seed, "{} is not what the encoder writes", file.display());
        }
    }
}
