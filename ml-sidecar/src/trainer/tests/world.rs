//! A model that learns in a second, a chain that does as it is told, a DHT that remembers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pol_core::{
    GenesisId, Hash32, ModelHead, UpdateId,
    delta::{Change, Checked, Claims, Context, Profile, RawDelta, encode, encode_merge},
    model_head,
};

use super::super::*;
use crate::{
    data::{CorpusSet, SetError, TextSource},
    embedded::{self, Recipe},
    follow::{Event, Point, Publisher, Tip, shares},
    texts::DevTexts,
    train::{AdamW, TrainerOptions},
};

const SMALL: Recipe = Recipe {
    vocabulary: 400,
    layers: 1,
    tokenizer_texts: 40,
    steps: 4,
    sequences: 4,
    length: 32,
    learning_rate: 4e-3,
    threads: 1,
};

/// A plan whose deltas pass.
pub(super) fn good_plan() -> Plan {
    let optimizer = AdamW { learning_rate: 1e-2, ..AdamW::default() };
    let options = TrainerOptions { optimizer, warmup_steps: 0, ..TrainerOptions::default() };
    Plan { steps: 6, refining_steps: 4, sequences: 4, length: 32, options }
}

/// A plan that wrecks the model.
pub(super) fn bad_plan() -> Plan {
    let mut plan = good_plan();
    plan.options.optimizer.learning_rate = 3.0;
    plan
}

/// The chain, as the follower tells of it.
pub(super) struct Chain {
    pub(super) follower: Follower,
    publisher: Publisher,
    pub(super) tip: Tip,
}

impl Chain {
    pub(super) fn new(context: Context) -> Self {
        let tip = Tip::genesis(context);
        let (follower, publisher) = Follower::new(tip.clone());
        Self { follower, publisher, tip }
    }

    /// A block names this container.
    pub(super) fn accept(&mut self, bytes: &[u8]) {
        let checked = RawDelta::new(bytes.to_vec()).unwrap().check(&self.tip.context).unwrap();
        assert_eq!(checked.header().claims.model_head, self.tip.head);
        let update_id = checked.update_id();
        let Checked::Delta(delta) = checked else { panic!("no delta") };
        self.add(update_id, &Change::from(delta));
    }

    /// A block names a merge of these, by their weights; what it adds.
    pub(super) fn accept_merge(&mut self, children: &[(&[u8], u16)]) -> Change {
        let context = self.tip.context;
        let mut named = Vec::new();
        let mut deltas = Vec::new();
        for (bytes, weight) in children {
            let Checked::Delta(delta) = RawDelta::new(bytes.to_vec()).unwrap().check(&context).unwrap() else {
                panic!("no delta")
            };
            named.push((delta.update_id(), *weight));
            deltas.push(delta);
        }
        named.sort();
        let claims = Claims { model_head: self.tip.head, slot: 0, samples: Hash32::ZERO, inner_steps: 0, tokens_seen: 1 };
        let container = encode_merge(&context.genesis_id, &claims, &named).unwrap().sign(&crate::local::key(98));
        let container = container.into_bytes();
        let Checked::Merge(merge) = RawDelta::new(container.clone()).unwrap().check(&context).unwrap() else {
            panic!("no merge")
        };
        let change = Change::from(pol_core::delta::merge(&merge, &deltas).unwrap());
        let all: Vec<bytes::Bytes> =
            std::iter::once(container.into()).chain(children.iter().map(|(bytes, _)| bytes.to_vec().into())).collect();
        let trainer = self.publisher.shares_of().expect("a trainer that wants its shares");
        self.publisher.share(shares(&context, &all, &trainer));
        self.add(merge.update_id(), &change);
        change
    }

    fn add(&mut self, update_id: UpdateId, change: &Change) {
        let mut state = (*self.tip.state).clone();
        self.tip.root = state.apply(change).unwrap().root;
        self.tip.state = Arc::new(state);
        self.tip.head = model_head::child(self.tip.head, update_id);
        self.tip.number += 1;
        let event = Event::Applied {
            update_id,
            parent: self.tip.head,
            head: self.tip.head,
            number: self.tip.number,
            root: self.tip.root,
            certified: None,
        };
        self.publisher.publish(self.tip.clone(), &[event]);
    }

    /// A block names somebody else's.
    pub(super) fn accept_another(&mut self, salt: i32) {
        let change: Vec<i32> = (0..self.tip.context.shape.value_count()).map(|index| (index as i32 % 50 + salt) * 8).collect();
        let bytes = self.another(&change, salt);
        self.accept(&bytes);
    }

    /// Somebody else's delta on the head.
    pub(super) fn another(&self, change: &[i32], salt: i32) -> Vec<u8> {
        let context = self.tip.context;
        let claims =
            Claims { model_head: self.tip.head, slot: 0, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: salt as u32 };
        encode(&context, &claims, change).unwrap().sign(&crate::local::key(99)).into_bytes()
    }

    /// Everything so far is final.
    pub(super) fn finalize(&mut self) {
        self.tip.finalized = Point { head: self.tip.head, number: self.tip.number };
        self.publisher.publish(self.tip.clone(), &[]);
    }

    /// A reorg back to an earlier tip.
    pub(super) fn revert(&mut self, to: Tip) {
        self.tip = to;
        self.publisher.publish(self.tip.clone(), &[Event::Reverted { to_head: self.tip.head, number: self.tip.number }]);
    }
}

/// The DHT: remembers all that it was offered, is down when it is told to, and can kill the trainer before or after it takes an offer.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) offers: Mutex<Vec<Offer>>,
    pub(super) down: AtomicBool,
    pub(super) tries: AtomicU64,
    /// The try at which to die; 0: never.
    pub(super) die_at: AtomicU64,
}

#[derive(Debug)]
pub(super) struct ShelfOutlet(pub(super) Arc<Shelf>);

impl Outlet for ShelfOutlet {
    fn publish(&self, offer: &Offer) -> Result<(), OutletError> {
        let number = self.0.tries.fetch_add(1, Ordering::SeqCst) + 1;
        let dies = number == self.0.die_at.load(Ordering::SeqCst);
        assert!(!dies || number.is_multiple_of(2), "killed before it was offered");
        if self.0.down.load(Ordering::SeqCst) {
            return Err(OutletError::Late);
        }
        self.0.offers.lock().unwrap().push(offer.clone());
        assert!(!dies, "killed after it was offered");
        Ok(())
    }
}

impl Shelf {
    pub(super) fn offers(&self) -> Vec<Offer> {
        self.offers.lock().unwrap().clone()
    }
}

/// Texts that kill the trainer at the n-th look; 0: never.
#[derive(Debug)]
pub(super) struct DeadlyTexts {
    texts: CorpusSet,
    pub(super) left: Arc<AtomicU64>,
}

impl TextSource for DeadlyTexts {
    fn count(&self) -> u64 {
        self.texts.count()
    }

    fn get(&self, number: u64) -> Result<String, SetError> {
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1))).unwrap();
        assert!(before != 1, "killed while it trained");
        self.texts.get(number)
    }

    fn fingerprint(&self) -> Hash32 {
        self.texts.fingerprint()
    }
}

/// Everything that outlives a trainer.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) chain: Chain,
    pub(super) shelf: Arc<Shelf>,
    pub(super) deadly: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) measured: Measured,
    pub(super) ack_timeout: Duration,
    /// Which texts.
    pub(super) texts_seed: u64,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        // Tests run side by side, each a process: more threads would only wait for each other.
        tch::set_num_threads(1);
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = open(folder.path());
        let context = Context { genesis_id: GenesisId([4; 32]), shape: checkpoint.config.shape, profile: Profile::F16x20 };
        let (shelf, deadly) = (Arc::default(), Arc::default());
        let ack_timeout = Duration::from_secs(600);
        Self {
            folder,
            chain: Chain::new(context),
            shelf,
            deadly,
            clock,
            measured: Measured::default(),
            ack_timeout,
            texts_seed: 5,
        }
    }

    pub(super) fn setup(&self, plan: Plan) -> Setup {
        let checkpoint = open(self.folder.path());
        let dev_texts = DevTexts::embedded().texts().iter().map(|text| checkpoint.tokens(text).unwrap()).collect();
        Setup {
            checkpoint,
            texts: Source::here(DeadlyTexts { texts: CorpusSet::new(self.texts_seed, &[], 500), left: Arc::clone(&self.deadly) }),
            dev_texts,
            references: None,
            choice: Choice::Cpu,
            device: Device::cpu(),
            precision: None,
            plan,
            key: SigningKey::from_bytes(&[2; 32]),
            slots: Slots { genesis_time: 1_000, slot_seconds: 12 },
            folder: self.folder.path().join("trainer"),
            keep_every: Duration::ZERO,
            ack_timeout: self.ack_timeout,
        }
    }

    pub(super) fn parts(&self, plan: Plan) -> (Parts, Control) {
        let (control, wanted, progress) = Control::new();
        let (follower, outlet) = (self.chain.follower.clone(), Box::new(ShelfOutlet(Arc::clone(&self.shelf))));
        let (clock, measured) = (Arc::clone(&self.clock), self.measured.clone());
        (Parts { setup: self.setup(plan), follower, outlet, clock, measured, wanted, progress }, control)
    }

    /// A trainer on a thread of its own.
    pub(super) fn start(&self, plan: Plan) -> Running {
        let (parts, control) = self.parts(plan);
        let stop = tokio_util::sync::CancellationToken::new();
        let (token, runtime) = (stop.clone(), Handle::current());
        let thread =
            std::thread::spawn(move || catch_unwind(AssertUnwindSafe(|| job::run(&parts, runtime, token).unwrap())).is_ok());
        Running { control, stop, thread }
    }

    /// A trainer that has made one offer and makes no other.
    pub(super) async fn start_for_one_offer(&self) -> Running {
        let trainer = self.start(good_plan());
        trainer.until(|progress| progress.phase == Phase::Waiting).await;
        trainer.control.stop();
        trainer.until(|progress| progress.phase == Phase::Stopped).await;
        trainer
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::open(&self.folder.path().join("trainer"), &self.chain.tip.context, 0).unwrap()
    }
}

fn open(cache: &Path) -> Checkpoint {
    embedded::open(cache, &SMALL, 1, &mut |_| {}).unwrap()
}

/// A trainer at work.
pub(super) struct Running {
    pub(super) control: Control,
    stop: tokio_util::sync::CancellationToken,
    thread: std::thread::JoinHandle<bool>,
}

impl Running {
    /// Waits until it stands there.
    pub(super) async fn until(&self, is_there: impl Fn(&Progress) -> bool) -> Progress {
        let mut progress = self.control.progress();
        let found = tokio::time::timeout(Duration::from_secs(120), progress.wait_for(|progress| is_there(progress))).await;
        found.expect("in time").expect("it lives").clone()
    }

    /// Stops it in good order, or learns that it died: true when it lived.
    pub(super) fn stop(self) -> bool {
        self.stop.cancel();
        self.thread.join().unwrap()
    }

    /// Waits until it is dead or has offered what it could; true when it is dead.
    pub(super) async fn until_dead(self) -> bool {
        let begin = std::time::Instant::now();
        let rests = || self.control.progress().borrow().phase == Phase::Waiting;
        while !self.thread.is_finished() && !rests() {
            assert!(begin.elapsed() < Duration::from_secs(60), "it neither dies nor rests");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        !self.stop()
    }
}

/// The model head of a tip, for short.
pub(super) fn head(world: &World) -> ModelHead {
    world.chain.tip.head
}
