//! Candidates become verdicts, once each, and good ones a merge.

use std::{path::PathBuf, time::Duration};

use ed25519_dalek::SigningKey;
use ml_sidecar::{
    checkpoint::Checkpoint,
    data::CorpusSet,
    device::Device,
    gate::Gate,
    service::MakeGate,
    session::{self, Author, Plan, Session},
    texts::DevTexts,
    train::{AdamW, TrainerOptions},
    update::Residual,
};
use pol_api::{
    sidecar::{
        Decision, Verdict,
        aggregate::Aggregated,
        model::{Validate, Validated},
        v1::{AggregateRequest, StatusRequest, VerdictsRequest, VerdictsResponse},
    },
    status::Reason,
    tonic::Streaming,
};
use pol_core::{
    GenesisId, Hash32, UpdateId,
    delta::{Checked, CheckedDelta, Claims, Context, Profile, RawDelta, encode},
    state::State,
};

use crate::{
    support::{self, SMALL},
    world::{PATIENCE, Sidecar, World, client},
};

/// Much less than the 30 s for which one announcement may be tried, and more than a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

/// A model in a folder, and the world around it.
struct Place {
    model: PathBuf,
    context: Context,
    world: World,
    _files: support::World,
}

impl Place {
    async fn new() -> Self {
        // Tests run side by side, each a process: more threads would only wait for each other.
        tch::set_num_threads(1);
        let files = support::World::new(&SMALL);
        let model = PathBuf::from(files.model());
        let shape = Checkpoint::open(&model).unwrap().config.shape;
        let context = Context { genesis_id: GenesisId([8; 32]), shape, profile: Profile::F16x20 };
        Self { model, context, world: World::new(context).await, _files: files }
    }

    fn gate(&self) -> MakeGate {
        let folder = self.model.clone();
        Box::new(move || {
            let checkpoint = Checkpoint::open(&folder)?;
            let texts = DevTexts::embedded().texts().iter().map(|text| checkpoint.tokens(text)).collect::<Result<_, _>>()?;
            Ok(Gate::new(checkpoint.load(Device::cpu(), None)?, texts, None)?)
        })
    }

    /// What a training on the corpus gives.
    fn good(&self, steps: u64) -> CheckedDelta {
        let checkpoint = Checkpoint::open(&self.model).unwrap();
        let model = checkpoint.load(Device::cpu(), None).unwrap();
        let optimizer = AdamW { learning_rate: 1e-2, ..AdamW::default() };
        let options = TrainerOptions { optimizer, warmup_steps: 0, ..TrainerOptions::default() };
        let plan = Plan { steps, refining_steps: steps, sequences: 4, length: 32, options };
        let texts = CorpusSet::new(5, &[], 500);
        let (session, key) = (Session { model: &model, checkpoint: &checkpoint, texts: &texts, plan }, key(1));
        let author = Author { context: &self.context, head: self.context.genesis_id.into(), slot: 0, key: &key };
        let state = State::initial(&self.context.genesis_id, self.context.shape);
        session::run(&session, &state, Residual::new(self.context.shape), &author, &mut |_| {}).unwrap().delta
    }

    /// A container with other values in the place of a delta's.
    fn changed(&self, of: &CheckedDelta, slot: u64, change: impl Fn(u32, i32) -> i32) -> Vec<u8> {
        let mut dense = vec![0; self.context.shape.value_count() as usize];
        of.changes().for_each(|(index, value)| dense[index as usize] = change(index, value));
        let claims = Claims { slot, samples: Hash32::ZERO, ..of.header().claims };
        encode(&self.context, &claims, &dense).unwrap().sign(&key(2)).into_bytes()
    }

    /// A trainer offers a container.
    fn offer(&mut self, bytes: &[u8], trainer: u8) -> UpdateId {
        let id = self.world.chain.keep(bytes.to_vec());
        self.world.dht.put(id, bytes);
        self.world.dht.announce(id, self.world.chain.head(), bytes.len(), key(trainer).verifying_key().to_bytes());
        id
    }

    async fn start(&self, trainer_key: Option<SigningKey>) -> Sidecar {
        let sidecar = self.world.start(Some(self.gate()), trainer_key).await;
        let begin = std::time::Instant::now();
        loop {
            let status = sidecar.client.clone().status(StatusRequest {}).await.unwrap().into_inner();
            assert!(status.gates && begin.elapsed() < PATIENCE);
            if status.self_test != 0 {
                return sidecar;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

async fn next(stream: &mut Streaming<VerdictsResponse>) -> Verdict {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a verdict in time");
    message.unwrap().expect("the stream goes on").try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_candidate_gets_one_verdict_and_an_ack_names_the_state_that_follows() {
    let mut place = Place::new().await;
    let good = place.good(8);
    let mut sidecar = place.start(None).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        // As many connections as it takes: one has 64 streams at most.
        let mut client = client(&format!("http://{}", sidecar.running.grpc));
        for _ in 0..16 {
            streams.push(client.verdicts(VerdictsRequest::default()).await.unwrap().into_inner());
        }
    }
    let never_read = sidecar.client.verdicts(VerdictsRequest::default()).await.unwrap();
    // Before there is an ACK of what it has the places of: later it would be a copy.
    let harmful = place.changed(&good, 8, |index, _| if index % 3 == 0 { 1 << 28 } else { -(1 << 28) });
    let failed = place.offer(&harmful, 5);
    for stream in &mut streams {
        let verdict = next(stream).await;
        assert_eq!((verdict.update_id, verdict.decision), (failed, Decision::ClearFail));
    }
    let acked = place.offer(good.as_bytes(), 1);
    let mut root = None;
    for stream in &mut streams {
        let verdict = next(stream).await;
        let Decision::Ack(result_root) = verdict.decision else { panic!("{verdict:?}") };
        assert_eq!((verdict.update_id, verdict.full_set), (acked, true));
        assert_eq!(*root.get_or_insert(result_root), result_root);
    }
    assert!(place.world.dht.held().stored.contains(&acked), "the bytes are in the DHT before the ACK");
    let mut stream = streams.pop().unwrap();

    // The same update again, by another trainer: no second verdict. A copy, one that adds zero, garbage: no ACK.
    place.offer(good.as_bytes(), 3);
    let copy = place.changed(&good, 7, |_, value| value);
    let initial = place.world.chain.fresh();
    let zero =
        place.changed(&good, 9, |index, _| if initial.values()[index as usize] < 0 { 1 - (1 << 30) } else { (1 << 30) - 1 });
    let garbage = [b"PLD1", vec![0; 500].as_slice()].concat();
    for (bytes, trainer) in [(copy, 4), (zero, 6), (garbage, 7)] {
        let id = place.offer(&bytes, trainer);
        let verdict = next(&mut stream).await;
        assert_eq!((verdict.update_id, verdict.decision), (id, Decision::Abstain), "trainer {trainer}");
    }
    assert_eq!(sidecar.client.status(StatusRequest {}).await.unwrap().into_inner().verdicts, 5);

    place.world.chain.accept(acked);
    let state = sidecar.until("the update", |state| state.updates == 1).await;
    assert_eq!(Some(state.root), root);
    // Made for the old head: of no use any more.
    let stale = Validate::Container(good.as_bytes().to_vec().into());
    assert!(sidecar.client.validate(pol_api::sidecar::v1::ValidateRequest::from(stale)).await.is_err());
    drop(never_read);
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_announcement_does_not_keep_an_honest_update_from_its_ack() {
    let mut place = Place::new().await;
    let good = place.good(8);
    let (id, head) = (UpdateId(pol_core::sha256(&[good.as_bytes()])), place.world.chain.head());
    place.world.dht.put(id, good.as_bytes());
    let mut sidecar = place.start(None).await;
    let mut stream = sidecar.client.verdicts(VerdictsRequest::default()).await.unwrap().into_inner();
    for (liar, size) in [(3, 1), (4, good.as_bytes().len() - 1), (5, good.as_bytes().len() + 1)] {
        place.world.dht.announce(id, head, size, key(liar).verifying_key().to_bytes());
    }
    // The liars were heard first.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(place.offer(good.as_bytes(), 1), id);
    let verdict = next(&mut stream).await;
    assert_eq!(verdict.update_id, id);
    assert!(matches!(verdict.decision, Decision::Ack(_)), "{verdict:?}");
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_good_halves_become_a_better_merge_while_announcements_without_bytes_wait() {
    let mut place = Place::new().await;
    let good = place.good(30);
    let half = |which: u32| move |index: u32, value: i32| if (index / 4_096) % 2 == which { value } else { 0 };
    let halves = [place.changed(&good, 1, half(0)), place.changed(&good, 2, half(1))];
    let mut sidecar = place.start(Some(key(9))).await;
    // Bytes that do not come hold nothing up.
    place.world.dht.announce_stalled(place.world.chain.head(), 20);
    tokio::time::sleep(Duration::from_millis(500)).await;
    for bytes in &halves {
        let request = Validate::Container(bytes.clone().into());
        let validated = sidecar.client.validate(pol_api::sidecar::v1::ValidateRequest::from(request)).await.unwrap().into_inner();
        let validated = Validated::try_from(validated).unwrap();
        assert!(matches!(validated.verdict.decision, Decision::Ack(_)), "{validated:?}");
    }
    let mut stream = sidecar.client.verdicts(VerdictsRequest::default()).await.unwrap().into_inner();
    let begin = std::time::Instant::now();
    let ids = [place.offer(&halves[0], 1), place.offer(&halves[1], 2)];
    for _ in 0..2 {
        let verdict = next(&mut stream).await;
        assert!(ids.contains(&verdict.update_id) && matches!(verdict.decision, Decision::Ack(_)), "{verdict:?}");
    }
    let verdict = next(&mut stream).await;
    let Decision::Ack(root) = verdict.decision else { panic!("{verdict:?}") };
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    let bytes = place.world.dht.held().deltas[&verdict.update_id].to_vec();
    let Checked::Merge(merge) = RawDelta::new(bytes.clone()).unwrap().check(&place.context).unwrap() else { panic!("no merge") };
    assert!(merge.children().all(|(id, _)| ids.contains(&id)) && merge.header().trainer == key(9).verifying_key().to_bytes());
    assert_eq!(place.world.chain.keep(bytes), verdict.update_id);
    // The same by a call, which publishes nothing.
    let stored = place.world.dht.held().stored.len();
    let asked: Vec<UpdateId> = merge.children().map(|(id, _)| id).collect();
    let request = AggregateRequest { update_ids: asked.iter().map(|id| id.0.to_vec().into()).collect() };
    let answer = sidecar.client.aggregate(request).await.unwrap().into_inner();
    let aggregated = Aggregated::try_from(answer).unwrap();
    assert_eq!((aggregated.update_id, aggregated.rule.as_str()), (Some(verdict.update_id), "MergeOfTwo"));
    assert_eq!(aggregated.container.as_deref(), Some(place.world.chain.bytes[&verdict.update_id].as_slice()));
    assert!(aggregated.norm > 0 && aggregated.children.iter().all(|child| child.weight > 0 && child.gain > Some(0)));
    assert_eq!(place.world.dht.held().stored.len(), stored);
    let unknown = AggregateRequest { update_ids: vec![vec![9; 32].into()] };
    let refused = sidecar.client.aggregate(unknown).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotFound));

    place.world.chain.accept(verdict.update_id);
    let state = sidecar.until("the merge", |state| state.updates == 1).await;
    assert_eq!((state.root, state.root), (root, place.world.chain.fresh().root()));
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_lost_are_left_behind_by_a_void_while_announcements_without_bytes_wait() {
    let mut place = Place::new().await;
    place.world.void_after = Duration::from_millis(200);
    let id = place.world.chain.delta(1);
    place.world.chain.accept(id);
    place.world.share();
    let lost = place.world.chain.delta(2);
    place.world.chain.accept(lost);
    let mut sidecar = place.start(Some(key(9))).await;
    sidecar.until("the first update", |state| state.updates == 1 && state.behind == 1).await;
    let before = sidecar.state().await;
    let mut stream = sidecar.client.verdicts(VerdictsRequest::default()).await.unwrap().into_inner();
    // What is not final may still be taken back: nobody offers a void for it.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(sidecar.client.status(StatusRequest {}).await.unwrap().into_inner().verdicts, 0);
    place.world.dht.announce_stalled(place.world.chain.head(), 20);
    tokio::time::sleep(Duration::from_millis(500)).await;
    place.world.chain.finalize(2);
    let begin = std::time::Instant::now();
    let verdict = next(&mut stream).await;
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert_eq!((verdict.decision, verdict.model_head), (Decision::Ack(before.root), place.world.chain.head()));
    let bytes = place.world.dht.held().deltas[&verdict.update_id].to_vec();
    let Checked::Void(void) = RawDelta::new(bytes.clone()).unwrap().check(&place.context).unwrap() else { panic!("no void") };
    assert_eq!(void.target(), before.model_head);
    assert_eq!(place.world.chain.keep(bytes), verdict.update_id);
    place.world.chain.accept(verdict.update_id);
    let state = sidecar.until("the void", |state| state.updates == 3 && state.behind == 0).await;
    assert_eq!(state.root, before.root);
    sidecar.stop().await;
}
