//! Every lie that section 7 makes possible, as bytes.

use ed25519_dalek::SigningKey;
use pol_core::{
    GenesisId, Hash32, UpdateId,
    ack::RawAck,
    domains::Domains,
    record::{Announcement, Envelope, RecordKey, Topic},
};
use prost::Message as _;

use super::{
    CHAIN, ack, domains,
    liar::{Command, Wire},
    member, sign_ack, trainer, update,
    wire::{Answer, Ask, Chunk, Digests, KeyEntry, Keys, Records, Request, Response, SnapshotPart, WireRecord},
};

/// Members that are none.
const STRANGER: u8 = 100;

/// A record that must not be stored anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Forged {
    /// Under which key.
    pub(crate) key: Vec<u8>,
    /// What.
    pub(crate) value: Vec<u8>,
    /// Where it is gossiped too, if anywhere.
    pub(crate) topic: Option<Topic>,
}

fn seal(now: u64, value: &[u8]) -> Vec<u8> {
    Envelope::seal(&SigningKey::from_bytes(&[77; 32]), CHAIN, now, value)
}

fn ack_under(key: Vec<u8>, now: u64, raw: &RawAck) -> Forged {
    Forged { key, value: seal(now, &raw.to_value()), topic: None }
}

/// The lies about records, one list for each kind of lie. `salt` makes them different for each liar.
pub(crate) fn forged(salt: u64, now: u64) -> Vec<(&'static str, Vec<Forged>)> {
    let id = |i: u64| update(1_000_000 + salt * 1_000 + i);
    let honest = |i: u64| *ack(id(i), 1).raw();
    let broken = |i: u64| RawAck { signature: honest(i + 1).signature, ..honest(i) };
    let other_domains = Domains::new(GenesisId([0x77; 32]), Hash32([4; 32]));
    let gossiped = |raw: RawAck| Forged { topic: Some(Topic::Ack), ..ack_under(raw.key().to_bytes(), now, &raw) };
    let many = |make: &dyn Fn(u64) -> Forged| (0..6).map(|i| make(i * 10)).collect::<Vec<_>>();
    vec![
        ("forged ACKs", many(&|i| gossiped(broken(i)))),
        ("keys that are no BLS keys", many(&|i| gossiped(RawAck { public_key: [0xff; 48], ..honest(i) }))),
        ("another member's key", many(&|i| ack_under(ack(id(i), 2).raw().key().to_bytes(), now, &honest(i)))),
        ("foreign keys", many(&|i| ack_under(format!("blk:{i:016x}:0123456789abcdef").into_bytes(), now, &honest(i)))),
        ("provider keys", many(&|i| ack_under(RecordKey::Update(id(i)).to_bytes(), now, &honest(i)))),
        ("upper-case keys", many(&|i| ack_under(honest(i).key().to_string().to_uppercase().into_bytes(), now, &honest(i)))),
        ("10 KB keys", many(&|i| ack_under([honest(i).key().to_bytes(), vec![b'a'; 10_240]].concat(), now, &honest(i)))),
        ("oversize values", many(&|i| Forged { value: vec![7; 1_900 + 10 * i as usize], ..gossiped(honest(i)) })),
        ("huge values", many(&|i| Forged { value: vec![7; 15_000], topic: None, ..gossiped(honest(i)) })),
        (
            "replays of another chain",
            many(&|i| {
                let raw = sign_ack(id(i), &member(1), &other_domains);
                let value = Envelope::seal(&trainer(9), GenesisId([0x77; 32]), now, &raw.raw().to_value());
                Forged { value, ..gossiped(*raw.raw()) }
            }),
        ),
        ("another chain's ACKs in our envelope", many(&|i| gossiped(*sign_ack(id(i), &member(1), &other_domains).raw()))),
        ("ACKs by non-members", many(&|i| gossiped(*sign_ack(id(i), &member(STRANGER), &domains()).raw()))),
        (
            "ACKs of tomorrow and of yesterday",
            many(&|i| {
                let at = if i % 20 == 0 { now + 3_000 } else { now - 4_000 };
                Forged { value: seal(at, &honest(i).to_value()), ..gossiped(honest(i)) }
            }),
        ),
        (
            "announcements of strangers",
            many(&|i| {
                let head = pol_core::ModelHead([2; 32]);
                let value = Announcement { update_id: id(i), model_head: head, size: 1_000, sequence: i }.to_value();
                let stranger = trainer(50);
                let key = RecordKey::ann(head, stranger.verifying_key().to_bytes()).to_bytes();
                Forged { key, value: Envelope::seal(&stranger, CHAIN, now, &value), topic: Some(Topic::Ann) }
            }),
        ),
        ("garbage", many(&|i| Forged { value: vec![i as u8; 300], ..gossiped(honest(i)) })),
    ]
}

/// All ways to hand a forged record to others.
pub(crate) fn told(forged: &Forged) -> Vec<Command> {
    let mut commands =
        vec![Command::Put(forged.key.clone(), forged.value.clone()), Command::Serve(forged.key.clone(), forged.value.clone())];
    if let Some(topic) = forged.topic {
        commands.push(Command::Publish(topic.name(CHAIN), forged.value.clone()));
    }
    commands
}

/// What a lying peer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tongue {
    /// Chunks of the right length with wrong bytes; digests and keys of records that are forged.
    Smooth,
    /// One byte now and then.
    Slow,
    /// More than anybody takes.
    Loud,
    /// Bytes that are no message.
    Mad,
    /// Another size, another chunk than asked for.
    Confused,
    /// Keys of 10 KB, and records under them.
    Wide,
}

/// All of them.
pub(crate) const TONGUES: [Tongue; 6] = [Tongue::Smooth, Tongue::Slow, Tongue::Loud, Tongue::Mad, Tongue::Confused, Tongue::Wide];

fn chunk(size: usize, offset: u32, shift: usize) -> Answer {
    let rest = size.saturating_sub(offset as usize + shift);
    Answer::Chunk(Chunk { size: (size + shift) as u32, bytes: vec![0x5a; rest.min(32 * 1_024)] })
}

/// The answers of a liar who knows how long the delta is that everybody wants, and has forged records to offer.
pub(crate) fn answers(tongue: Tongue, delta_bytes: usize, forged: Vec<Forged>) -> impl Fn(&[u8]) -> Wire + Send {
    let wide = move |forged: &Forged| Forged { key: [forged.key.clone(), vec![b'f'; 10_000]].concat(), ..forged.clone() };
    let offered: Vec<Forged> = if tongue == Tongue::Wide { forged.iter().map(wide).collect() } else { forged };
    move |request| {
        let Ok(Request { ask: Some(ask) }) = Request::decode(request) else { return Wire::Stuck };
        let shift = if tongue == Tongue::Confused { 1_000 } else { 0 };
        let answer = match ask {
            Ask::Chunk(ask) => chunk(delta_bytes, ask.offset, shift),
            Ask::Snapshot(ask) => Answer::Snapshot(SnapshotPart { root: ask.root, bytes: vec![7; 64 * 1024] }),
            Ask::Digests(_) => Answer::Digests(Digests { buckets: vec![0xdead_beef; 256] }),
            Ask::Keys(_) => Answer::Keys(Keys {
                entries: offered.iter().take(12).map(|f| KeyEntry { key: f.key.clone(), short_hash: 1 }).collect(),
                more: true,
            }),
            Ask::Records(_) => Answer::Records(Records {
                records: offered.iter().take(12).map(|f| WireRecord { key: f.key.clone(), envelope: f.value.clone() }).collect(),
            }),
        };
        let bytes = Response { answer: Some(answer) }.encode_to_vec();
        match tongue {
            Tongue::Smooth | Tongue::Confused | Tongue::Wide => Wire::Bytes(bytes),
            Tongue::Slow => Wire::Drip(bytes),
            Tongue::Loud => Wire::Endless,
            Tongue::Mad => Wire::Bytes(vec![0xff; 1_000]),
        }
    }
}

/// Asks for records by key, as a peer does.
pub(crate) fn ask_records(keys: &[Vec<u8>]) -> Wire {
    let ask = Ask::Records(super::wire::AskRecords { keys: keys.to_vec() });
    Wire::Bytes(Request { ask: Some(ask) }.encode_to_vec())
}

/// The envelopes in an answer to [`ask_records`].
pub(crate) fn records_in(answer: &[u8]) -> Vec<WireRecord> {
    match Response::decode(answer) {
        Ok(Response { answer: Some(Answer::Records(found)) }) => found.records,
        _ => Vec::new(),
    }
}

/// The id of the update that a liar says to have.
pub(crate) fn provided(id: UpdateId) -> Command {
    Command::Provide(RecordKey::Update(id).to_bytes())
}
