use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use pol_api::convert::{ChainEvent, ChainUpdate, Head};
use pol_core::{
    GenesisId, Hash32,
    delta::{Claims, Profile, encode_exact, encode_merge, encode_void},
    model_head, sha256,
};

use super::*;

/// A chain of made-up updates, and all bytes there are.
pub(crate) struct Script {
    pub(crate) context: Context,
    pub(crate) bytes: BTreeMap<UpdateId, Vec<u8>>,
    /// Id and head of each update of the chain.
    pub(crate) chain: Vec<(UpdateId, ModelHead)>,
    blocks: u64,
}

impl Script {
    pub(crate) fn new() -> Self {
        let shape = Shape::new(2, 24, 24, 8, 40).unwrap();
        let context = Context { genesis_id: GenesisId([5; 32]), shape, profile: Profile::F16x20 };
        Self { context, bytes: BTreeMap::new(), chain: Vec::new(), blocks: 0 }
    }

    pub(crate) fn head(&self) -> ModelHead {
        self.chain.last().map_or(self.context.genesis_id.into(), |(_, head)| *head)
    }

    fn claims(&self) -> Claims {
        Claims { model_head: self.head(), slot: 1, samples: Hash32::ZERO, inner_steps: 1, tokens_seen: 9 }
    }

    fn keep(&mut self, bytes: Vec<u8>) -> UpdateId {
        let id = UpdateId(sha256(&[&bytes]));
        self.bytes.insert(id, bytes);
        id
    }

    /// A delta on the head, different for each seed.
    pub(crate) fn delta(&mut self, seed: u8) -> UpdateId {
        let changes: Vec<(u32, i32)> = (0..20).map(|i| (i * 200 + u32::from(seed), (i32::from(seed) + 1) * 1_024)).collect();
        let container = encode_exact(&self.context, &self.claims(), &changes).unwrap().sign(&SigningKey::from_bytes(&[7; 32]));
        self.keep(container.into_bytes())
    }

    pub(crate) fn merge(&mut self, children: &[UpdateId]) -> UpdateId {
        let mut children: Vec<(UpdateId, u16)> = children.iter().map(|id| (*id, 1_024)).collect();
        children.sort();
        let container = encode_merge(&self.context.genesis_id, &self.claims(), &children).unwrap();
        self.keep(container.sign(&SigningKey::from_bytes(&[7; 32])).into_bytes())
    }

    pub(crate) fn void(&mut self, target: ModelHead) -> UpdateId {
        let container = encode_void(&self.context.genesis_id, &self.claims(), &target);
        self.keep(container.sign(&SigningKey::from_bytes(&[7; 32])).into_bytes())
    }

    /// The event of the next block, which names an update.
    pub(crate) fn accept(&mut self, update_id: UpdateId) -> ChainEvent {
        let model_head = model_head::child(self.head(), update_id);
        self.chain.push((update_id, model_head));
        let (block, number) = (self.block(), self.chain.len() as u64);
        ChainEvent::Update(ChainUpdate {
            block,
            update_id,
            model_head,
            number,
            timestamp: 9,
            finalized: false,
            result_root: None,
        })
    }

    /// The same, with a certificate that names the right root.
    pub(crate) fn certify(&mut self, update_id: UpdateId) -> ChainEvent {
        let ChainEvent::Update(update) = self.accept(update_id) else { unreachable!() };
        ChainEvent::Update(ChainUpdate { result_root: Some(self.fresh().root()), ..update })
    }

    /// Drops all but the first `keep` updates.
    pub(crate) fn revert(&mut self, keep: usize) -> ChainEvent {
        self.chain.truncate(keep);
        let block = self.block();
        ChainEvent::Reverted(Head { block, model_head: self.head(), updates: keep as u64 })
    }

    pub(crate) fn finalize(&mut self, number: usize) -> ChainEvent {
        let model_head = self.chain[number - 1].1;
        ChainEvent::Finalized(Head { block: self.block(), model_head, updates: number as u64 })
    }

    fn block(&mut self) -> Cursor {
        self.blocks += 1;
        Cursor { height: self.blocks, block_hash: Hash32(sha256(&[&self.blocks.to_le_bytes()])) }
    }

    /// The state by pol-core alone, from the beginning.
    pub(crate) fn fresh(&self) -> State {
        let mut states = vec![State::initial(&self.context.genesis_id, self.context.shape)];
        let mut undos: Vec<Undo> = Vec::new();
        for (number, (id, _)) in self.chain.iter().enumerate() {
            let head_at = |n: usize| if n == 0 { self.context.genesis_id.into() } else { self.chain[n - 1].1 };
            let place = |target: &ModelHead| (0..number).find(|n| head_at(*n) == *target);
            let child = |id: &UpdateId| self.bytes.get(id).cloned();
            let ancestry = |target: &ModelHead| if place(target).is_some() { Ancestry::Proper } else { Ancestry::Not };
            let container = self.bytes.get(id).map(Vec::as_slice);
            let transition = fold(&self.context, &head_at(number), id, container, child, ancestry).unwrap();
            let back: Vec<Undo> = match &transition {
                Transition::ReturnTo(target) => undos[place(target).unwrap()..].iter().rev().cloned().collect(),
                _ => Vec::new(),
            };
            let mut state = states.last().unwrap().clone();
            undos.push(state.follow(&transition, &back).unwrap().undo);
            states.push(state);
        }
        states.pop().unwrap()
    }

    /// Follows as far as bytes go; gives what is missing.
    pub(crate) fn go(&self, engine: &mut Engine) -> Vec<UpdateId> {
        loop {
            match engine.advance(&|id| self.bytes.get(id).cloned()).unwrap() {
                Advanced::Applied { .. } => {
                    engine.settle().unwrap();
                }
                Advanced::Missing(wanted) => return wanted,
                Advanced::UpToDate | Advanced::OutOfReach => return Vec::new(),
            }
        }
    }
}

fn open(folder: &tempfile::TempDir, script: &Script) -> Engine {
    Engine::open(folder.path(), script.context).unwrap()
}

#[test]
fn after_reverts_the_state_is_that_of_a_fresh_fold_and_so_it_is_after_a_restart() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    for seed in 0..5 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
    }
    assert!(script.go(&mut engine).is_empty());
    assert_eq!(*engine.tip().unwrap().state, script.fresh());
    let reverted = engine.take(&script.revert(3)).unwrap();
    assert_eq!(reverted, [Event::Reverted { to_head: script.head(), number: 3 }]);
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
    for seed in 10..13 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
        script.go(&mut engine);
    }
    let (before, cursor) = (engine.tip().unwrap(), engine.cursor());
    assert_eq!((*before.state).clone(), script.fresh());
    assert_eq!((before.number, before.head, before.norms.len()), (6, script.head(), 6));
    drop(engine);
    let mut engine = open(&folder, &script);
    assert_eq!((engine.tip().unwrap(), engine.cursor()), (before, cursor));
    let finalized = engine.take(&script.finalize(2)).unwrap();
    assert_eq!(finalized.len(), 2);
    assert_eq!(engine.tip().unwrap().finalized, Point { head: script.chain[1].1, number: 2 });
}

#[test]
fn while_bytes_are_missing_nothing_is_decided_and_a_revert_still_is_followed() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    let first = script.delta(1);
    engine.take(&script.accept(first)).unwrap();
    let second = script.delta(2);
    engine.take(&script.accept(second)).unwrap();
    let bytes = script.bytes.remove(&second).unwrap();
    let third = script.delta(3);
    engine.take(&script.accept(third)).unwrap();
    assert_eq!(script.go(&mut engine), [second]);
    let tip = engine.tip().unwrap();
    assert_eq!((tip.number, tip.behind, tip.chain_head), (1, 2, script.head()));
    drop(engine);
    let mut engine = open(&folder, &script);
    assert_eq!(script.go(&mut engine), [second]);
    // Other bytes under the id are no bytes.
    script.bytes.insert(second, script.bytes[&third].clone());
    assert_eq!(script.go(&mut engine), [second]);
    script.bytes.insert(second, bytes);
    assert!(script.go(&mut engine).is_empty());
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
    engine.take(&script.revert(0)).unwrap();
    assert_eq!(engine.tip().unwrap().root, State::initial(&script.context.genesis_id, script.context.shape).root());
}

#[test]
fn an_update_that_breaks_a_rule_adds_zero_and_moves_the_head() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    let stale = script.delta(1);
    let fine = script.delta(2);
    engine.take(&script.accept(fine)).unwrap();
    // Made for the head before.
    engine.take(&script.accept(stale)).unwrap();
    let broken = script.keep(b"no container at all".to_vec());
    engine.take(&script.accept(broken)).unwrap();
    script.go(&mut engine);
    let tip = engine.tip().unwrap();
    assert_eq!((tip.number, tip.norms.len(), tip.head), (3, 1, script.head()));
    assert_eq!(tip.root, script.fresh().root());
}

#[test]
fn a_merge_waits_for_its_children() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    let (a, b) = (script.delta(1), script.delta(2));
    let merge = script.merge(&[a, b]);
    engine.take(&script.accept(merge)).unwrap();
    let bytes = script.bytes.remove(&a).unwrap();
    assert_eq!(script.go(&mut engine), [a]);
    script.bytes.insert(a, bytes);
    assert!(script.go(&mut engine).is_empty());
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
}

#[test]
fn a_void_returns_to_an_ancestor_and_a_reorg_takes_the_return_back() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    for seed in 0..4 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
    }
    let void = script.void(script.chain[1].1);
    engine.take(&script.accept(void)).unwrap();
    script.go(&mut engine);
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
    // The changes that it returns from were added: they stay in the history of norms.
    assert_eq!(engine.tip().unwrap().norms.len(), 4);
    engine.take(&script.revert(4)).unwrap();
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
}

#[test]
fn a_void_leads_over_updates_whose_bytes_nobody_has() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    for seed in 0..4 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
    }
    let lost = script.chain[2].0;
    let void = script.void(script.chain[1].1);
    engine.take(&script.accept(void)).unwrap();
    let expected = script.fresh().root();
    let bytes = script.bytes.remove(&lost).unwrap();
    assert!(script.go(&mut engine).is_empty());
    let tip = engine.tip().unwrap();
    assert_eq!((tip.root, tip.number, tip.behind, tip.head), (expected, 5, 0, script.head()));
    drop(engine);
    let mut engine = open(&folder, &script);
    assert_eq!(engine.tip().unwrap().root, expected);
    // The reorg takes the void away: the node waits again, before the lost one.
    engine.take(&script.revert(4)).unwrap();
    assert_eq!((engine.tip().unwrap().number, script.go(&mut engine)), (2, vec![lost]));
    script.bytes.insert(lost, bytes);
    script.go(&mut engine);
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
}

#[test]
fn what_contradicts_the_chain_is_not_taken_in() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    for seed in 0..3 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
    }
    engine.take(&script.finalize(2)).unwrap();
    let cursor = engine.cursor();
    let refused =
        |engine: &mut Engine, event: &ChainEvent| assert!(matches!(engine.take(event), Err(EngineError::Feed(_))), "{event:?}");
    let ChainEvent::Update(next) =
        (Script { bytes: BTreeMap::new(), chain: script.chain.clone(), ..script }).accept(UpdateId([9; 32]))
    else {
        panic!("an update")
    };
    refused(&mut engine, &ChainEvent::Update(ChainUpdate { number: 3, ..next }));
    refused(&mut engine, &ChainEvent::Update(ChainUpdate { number: 5, ..next }));
    refused(&mut engine, &ChainEvent::Update(ChainUpdate { model_head: ModelHead([1; 32]), ..next }));
    let head = Head { block: next.block, model_head: engine.head_at(1).unwrap(), updates: 1 };
    refused(&mut engine, &ChainEvent::Reverted(head));
    refused(&mut engine, &ChainEvent::Reverted(Head { updates: 9, ..head }));
    refused(&mut engine, &ChainEvent::Finalized(Head { updates: 3, ..head }));
    assert_eq!(engine.cursor(), cursor);
    assert!(engine.take(&ChainEvent::Update(next)).is_ok());
}

#[test]
fn a_state_file_takes_over_and_old_rows_are_not_needed() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    for seed in 0..70 {
        let id = script.delta(seed);
        engine.take(&script.accept(id)).unwrap();
        script.go(&mut engine);
    }
    engine.take(&script.finalize(66)).unwrap();
    assert!(engine.settle().unwrap());
    assert!(state_file(folder.path(), 66).exists());
    assert!(matches!(engine.store.redo(66), Err(StoreError::Row { .. })));
    drop(engine);
    let mut engine = open(&folder, &script);
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
    engine.take(&script.revert(66)).unwrap();
    assert_eq!(engine.tip().unwrap().root, script.fresh().root());
}

#[test]
fn a_journal_of_another_chain_or_with_a_damaged_state_is_refused() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    let mut engine = open(&folder, &script);
    let id = script.delta(1);
    engine.take(&script.accept(id)).unwrap();
    script.go(&mut engine);
    drop(engine);
    let other = Context { genesis_id: GenesisId([6; 32]), ..script.context };
    assert!(matches!(Engine::open(folder.path(), other), Err(EngineError::Store(StoreError::Chain { .. }))));
    let store = Store::open(&folder.path().join(JOURNAL), script.context.genesis_id).unwrap();
    let step = store.step(1).unwrap();
    store.put_step(1, &step, &[], &[(0, 5)]).unwrap();
    drop(store);
    assert!(matches!(Engine::open(folder.path(), script.context), Err(EngineError::Undo(_))));
}

/// Measured on 2 shared cores: 60 to 70 ms, every chunk touched.
#[test]
fn long_an_update_of_a_model_of_1_5_b_is_applied_in_time() {
    let (folder, mut script) = (tempfile::tempdir().unwrap(), Script::new());
    script.context.shape = Shape::new(28, 1_536, 1_536, 256, 8_960).unwrap();
    let mut engine = open(&folder, &script);
    for seed in 0..3 {
        let change: Vec<i32> = (0..script.context.shape.value_count()).map(|i| ((i * 7 + seed) % 1_000) as i32 * 16).collect();
        let container = pol_core::delta::encode(&script.context, &script.claims(), &change).unwrap();
        let id = script.keep(container.sign(&SigningKey::from_bytes(&[7; 32])).into_bytes());
        engine.take(&script.accept(id)).unwrap();
        let begin = std::time::Instant::now();
        script.go(&mut engine);
        let took = begin.elapsed();
        println!("{:.0} ms", took.as_secs_f64() * 1e3);
        assert!(took.as_millis() < 1_000 && engine.tip().unwrap().behind == 0, "{took:?}");
    }
}
