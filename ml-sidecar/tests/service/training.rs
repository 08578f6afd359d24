//! A trainer and three gates make a model better: the whole of the sidecar, with a scripted chain and a DHT in memory.

use std::{io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use ml_sidecar::{
    adapter::Adapter,
    checkpoint::Checkpoint,
    corpus::{Corpus, Topic},
    data::{CorpusSet, DataAcquisition, SourceArgs, TextSource},
    device::{Choice, Device},
    gate::Gate,
    hub::{Hub, HubArgs},
    service::{self, MakeGate, Parts, Ports, Running},
    session::Plan,
    texts::DevTexts,
    train::{AdamW, TrainerOptions},
    trainer::{Phase, Progress, Setup, Slots, Source},
};
use pol_api::{
    serve,
    sidecar::{
        self, Decision, Verdict,
        order::TextsWanted,
        train::{TrainPhase, TrainProgress},
        v1::{
            StatusRequest, StopTrainingRequest, TrainRequest, TrainTexts, VerdictsRequest, VerdictsResponse,
            sidecar_client::SidecarClient,
        },
    },
    status::Reason,
    tonic::{Streaming, transport::Channel},
};
use pol_core::{
    GenesisId, UpdateId,
    delta::{Context, Profile},
    state::State,
};
use pol_kit::{clock::System, tasks::Root};

use crate::{
    server::{Repositories, TestHub},
    support::{self, SMALL},
    world::{PATIENCE, World, until},
};

/// Gates beside the trainer.
const GATES: usize = 3;

struct Place {
    model: PathBuf,
    world: World,
    _files: support::World,
}

struct Node {
    root: Root,
    running: Running,
    client: SidecarClient<Channel>,
}

impl Place {
    async fn new() -> Self {
        // Four models in one process: more threads would only wait for each other.
        tch::set_num_threads(1);
        let files = support::World::new(&SMALL);
        let model = PathBuf::from(files.model());
        let shape = Checkpoint::open(&model).unwrap().config.shape;
        let context = Context { genesis_id: GenesisId([8; 32]), shape, profile: Profile::F16x20 };
        Self { model, world: World::new(context).await, _files: files }
    }

    fn dev_texts(checkpoint: &Checkpoint) -> Vec<Vec<u32>> {
        DevTexts::embedded().texts().iter().map(|text| checkpoint.tokens(text).unwrap()).collect()
    }

    fn gate(&self) -> MakeGate {
        let folder = self.model.clone();
        Box::new(move || {
            let checkpoint = Checkpoint::open(&folder)?;
            Ok(Gate::new(checkpoint.load(Device::cpu(), None)?, Self::dev_texts(&checkpoint), None)?)
        })
    }

    fn trainer(&self) -> Setup {
        let checkpoint = Checkpoint::open(&self.model).unwrap();
        let optimizer = AdamW { learning_rate: 1e-2, ..AdamW::default() };
        let options = TrainerOptions { optimizer, warmup_steps: 0, ..TrainerOptions::default() };
        Setup {
            dev_texts: Self::dev_texts(&checkpoint),
            checkpoint,
            texts: Source::here(CorpusSet::new(5, &[], 5_000)),
            references: None,
            choice: Choice::Cpu,
            device: Device::cpu(),
            precision: None,
            plan: Plan { steps: 10, refining_steps: 10, sequences: 4, length: 48, options },
            key: SigningKey::from_bytes(&[7; 32]),
            slots: Slots { genesis_time: 1_700_000_000, slot_seconds: 12 },
            folder: self.world.folder.path().join("trainer"),
            keep_every: Duration::from_secs(1),
            ack_timeout: Setup::ACK_TIMEOUT,
        }
    }

    /// A sidecar with a folder of its own.
    async fn start(&self, name: &str, gate: Option<MakeGate>, trainer: Option<Setup>) -> Node {
        let root = Root::new("test");
        let parts = Parts {
            context: self.world.chain.context,
            folder: self.world.folder.path().join(name),
            dht: self.world.uris.0.clone(),
            feed: self.world.uris.1.clone(),
            gate,
            spare_gate: None,
            public_key: None,
            trainer_key: None,
            void_after: self.world.void_after,
            snapshots: self.world.snapshots,
            trainer,
            texts: Some(Arc::new(|wanted: &TextsWanted| {
                let texts: Box<dyn TextSource> = Box::new(CorpusSet::new(wanted.seed, &[], 100));
                Ok(texts)
            })),
            clock: Arc::new(System::new()),
        };
        let running = service::start(&root.child("sidecar"), parts, Ports { grpc: 0, metrics: 0 }).await.unwrap();
        let channel = serve::endpoint(format!("http://{}", running.grpc)).unwrap().connect_lazy();
        Node { root, running, client: sidecar::client(channel) }
    }

    fn held_out(&self, state: &State) -> f64 {
        let checkpoint = Checkpoint::open(&self.model).unwrap();
        let texts: Vec<Vec<u32>> = (0..30).map(|text| checkpoint.tokens(&Corpus::new(77, &[]).get(text)).unwrap()).collect();
        let adapter = Adapter::from_state(state, Device::cpu()).unwrap();
        checkpoint.load(Device::cpu(), None).unwrap().losses(Some(&adapter), &texts).unwrap().mean().unwrap()
    }
}

/// The update that this gate ACKs next.
async fn next_ack(stream: &mut Streaming<VerdictsResponse>) -> UpdateId {
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a verdict in time").unwrap();
        let verdict: Verdict = message.expect("the stream goes on").try_into().unwrap();
        if let Decision::Ack(_) = verdict.decision {
            return verdict.update_id;
        }
    }
}

/// A call says how long to train and on what, and what it must not say is refused.
async fn trains_by_order(client: &mut SidecarClient<Channel>) {
    let texts = Some(TrainTexts { seed: 3, ..TrainTexts::default() });
    let order = TrainRequest { steps: 3, learning_rate: 0.005, batch: 2, length: 16, texts, ..TrainRequest::default() };
    let mut progress = client.train(order.clone()).await.unwrap().into_inner();
    loop {
        let message = tokio::time::timeout(PATIENCE, progress.message()).await.expect("progress in time").unwrap();
        let now = TrainProgress::try_from(message.expect("it goes on")).unwrap();
        if now.phase == TrainPhase::Training && now.steps == 6 {
            break;
        }
    }
    assert!(client.stop_training(StopTrainingRequest {}).await.unwrap().into_inner().was_training);
    let refused = client.train(TrainRequest { learning_rate: 2.0, ..order }).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::BadField));
}

async fn make_it_better(updates: usize) {
    let mut place = Place::new().await;
    let mut gates = Vec::new();
    for name in ["gate-0", "gate-1", "gate-2"] {
        gates.push(place.start(name, Some(place.gate()), None).await);
    }
    assert_eq!(gates.len(), GATES);
    let mut streams = Vec::new();
    for gate in &mut gates {
        streams.push(gate.client.verdicts(VerdictsRequest::default()).await.unwrap().into_inner());
    }
    let mut trainer = place.start("trainer-state", None, Some(place.trainer())).await;
    for number in 1..=updates {
        // All three: a quorum by any rule.
        let mut acked = Vec::new();
        for stream in &mut streams {
            acked.push(next_ack(stream).await);
        }
        assert!(acked.iter().all(|id| *id == acked[0]), "{acked:?}");
        let bytes = place.world.dht.held().deltas[&acked[0]].to_vec();
        assert_eq!(place.world.chain.keep(bytes), acked[0]);
        place.world.chain.accept(acked[0]);
        place.world.chain.finalize(number);
        if number == updates / 2 {
            // In the middle of a round: it goes on, and offers nothing twice under another name.
            trainer.root.stop(Duration::from_secs(10)).await;
            trainer = place.start("trainer-state", None, Some(place.trainer())).await;
        }
    }
    let expected = place.world.chain.fresh();
    let count = updates as u64;
    for node in gates.iter_mut().chain([&mut trainer]) {
        let state =
            until(&mut node.client, "all updates", |state| state.updates == count && state.finalized_updates == count).await;
        assert_eq!(state.root, expected.root());
    }
    let before = place.held_out(&State::initial(&place.world.chain.context.genesis_id, place.world.chain.context.shape));
    let after = place.held_out(&expected);
    println!("held-out loss {before:.4} -> {after:.4} after {updates} updates");
    assert!(after < before * 0.999, "{before} {after}");
    assert!(trainer.running.trainer.is_some() && gates[0].running.trainer.is_none());
    trains_by_order(&mut trainer.client).await;
    for node in gates.into_iter().chain([trainer]) {
        node.root.stop(Duration::from_secs(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trainer_and_three_gates_lower_the_held_out_loss_and_end_with_one_state() {
    make_it_better(3).await;
}

/// A dataset of one file.
fn repositories() -> Repositories {
    let text = |number: u64| {
        let [first, second] = [2 * number, 2 * number + 1].map(|index| ml_sidecar::corpus::text(1, Topic::Events, index));
        format!("{}\n", serde_json::json!({ "text": format!("Number {number}. {first} {second}") }))
    };
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    file.write_all((0..50).map(text).collect::<String>().as_bytes()).unwrap();
    let files = [("en/c4-train.00000-of-00001.json.gz".to_owned(), file.finish().unwrap())];
    Repositories::from([("datasets/allenai/c4".to_owned(), files.into())])
}

/// Waits until the trainer stands there.
async fn trainer_until(node: &Node, is_there: impl Fn(&Progress) -> bool) -> Progress {
    let mut progress = node.running.trainer.clone().unwrap().progress();
    let found = tokio::time::timeout(PATIENCE, progress.wait_for(|progress| is_there(progress))).await;
    found.expect("in time").expect("it lives").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_out_of_reach_holds_up_the_trainer_alone_and_training_begins_when_it_is_back() {
    let place = Place::new().await;
    // Bound, but nobody listens yet: whoever connects is refused.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let folder = place.world.folder.path();
    let hf_endpoint = format!("http://{}", socket.local_addr().unwrap());
    let args = HubArgs { hf_endpoint, hf_home: Some(folder.join("hf_home")), ..HubArgs::default() };
    let hub = Hub::new(&args, &folder.join("cache"), 1 << 30).unwrap().pausing(Duration::from_millis(2));
    let acquisition = DataAcquisition::new(hub, &folder.join("cache"), 1 << 30);
    let source = SourceArgs { datasets: vec!["c4_en".parse().unwrap()], num_samples: Some(30), ..SourceArgs::default() };
    let texts = Source::Get(Arc::new(move || {
        let texts: Arc<dyn TextSource> = Arc::new(source.texts(&acquisition)?);
        Ok(texts)
    }));
    let mut node = place.start("state", Some(place.gate()), Some(Setup { texts, ..place.trainer() })).await;

    let failed = trainer_until(&node, |progress| progress.problem.is_some()).await;
    let problem = failed.problem.unwrap();
    assert!(failed.phase == Phase::Failed && problem.contains("127.0.0.1 is out of reach"), "{problem}");
    // The gate has loaded its model and answers meanwhile.
    let begin = std::time::Instant::now();
    while node.client.status(StatusRequest {}).await.unwrap().into_inner().self_test == 0 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let still = node.running.trainer.clone().unwrap().progress().borrow().clone();
    assert!(still.step == 0 && still.problem.is_some(), "{still:?}");

    let listener = socket.listen(64).unwrap().into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    let hub = TestHub::start_on(listener, repositories());
    let back = trainer_until(&node, |progress| progress.phase == Phase::Training && progress.step > 0).await;
    assert!(back.problem.is_none() && !hub.requests().is_empty(), "{back:?}");
    node.root.stop(Duration::from_secs(10)).await;
}
