use pol_core::{
    GenesisId,
    delta::SparseChange,
    gate::{AbstainReason, AckReason, ClearFailReason, Verdict},
    state::Shape,
};

use super::*;
use crate::{
    batch::Batch,
    device::Device,
    fixtures::{LLAMA, Memory, QWEN2, model, tokens},
    model::ModelConfig,
    precision::Precision,
    train::{AdamW, Trainer, TrainerOptions},
};

const HEAD: ModelHead = ModelHead([1; 32]);

/// Texts that begin alike, so that there is something to learn.
fn texts(model: &Model) -> Vec<Vec<u32>> {
    (0..GATE_TEXTS).map(|text| tokens(model, &format!("text {}", text % 4), 6 + text % 5)).collect()
}

fn gate(references: Option<&[NanoNats; SELF_TEST_TEXTS]>) -> Gate {
    let model = model(QWEN2);
    let texts = texts(&model);
    Gate::new(model, texts, references).unwrap()
}

fn state(gate: &Gate) -> State {
    State::initial(&GenesisId([3; 32]), *gate.model().shape())
}

fn sparse(changes: impl Iterator<Item = (u32, i32)>) -> Change {
    SparseChange::new(changes.collect()).unwrap().into()
}

/// What some steps on the gate's own texts change.
fn good(gate: &Gate, state: &State) -> Change {
    let start = Adapter::from_state(state, Device::cpu()).unwrap();
    let optimizer = AdamW { learning_rate: 1e-2, ..AdamW::default() };
    let options = TrainerOptions { optimizer, warmup_steps: 0, dropout: 0.0, ..TrainerOptions::default() };
    let mut trainer = Trainer::new(&start, options).unwrap();
    let batch = Batch::new(&gate.texts[..16]).unwrap();
    for _ in 0..8 {
        trainer.step(gate.model(), std::slice::from_ref(&batch)).unwrap();
    }
    let change = crate::update::difference(&start, &trainer.adapter().unwrap()).unwrap();
    sparse((0_u32..).zip(change).filter(|(_, value)| *value != 0))
}

/// The same with every sign turned: uphill.
fn bad(gate: &Gate, state: &State) -> Change {
    sparse(good(gate, state).iter().map(|(index, value)| (index, -value)))
}

fn judge(gate: &mut Gate, change: &Change, extent: Extent) -> Judgement {
    let state = state(gate);
    let candidate = Candidate { update_id: UpdateId([9; 32]), head: HEAD, state: &state, change, norms: &[] };
    gate.judge(&candidate, extent).unwrap()
}

#[test]
fn what_lowers_the_loss_is_acked_what_raises_it_is_a_clear_fail_and_nothing_is_an_abstention() {
    let mut gate = gate(None);
    let state = state(&gate);
    let (good, bad) = (good(&gate, &state), bad(&gate, &state));
    let acked = judge(&mut gate, &good, Extent::Full);
    assert_eq!((&acked.ruling, acked.verdict()), (&Ruling::Loss(Verdict::Ack(AckReason::Better)), "ACK"));
    assert!(acked.is_ack() && acked.ratio() < 0.999 && acked.texts == TextSet::Full);
    assert_eq!(acked.tokens, gate.texts.iter().map(|text| text.len() as u64 - 1).sum::<u64>());
    let mut child = state;
    assert_eq!(acked.result_root, Some(child.apply(&good).unwrap().root));
    let failed = judge(&mut gate, &bad, Extent::Full);
    assert_eq!(failed.ruling, Ruling::Loss(Verdict::ClearFail(ClearFailReason::Worse)));
    let nothing = judge(&mut gate, &sparse([(0, 1)].into_iter()), Extent::Full);
    assert_eq!(nothing.ruling, Ruling::Loss(Verdict::Abstain(AbstainReason::NotBetter)));
    let line = acked.to_string();
    assert!(line.starts_with("Loss gate: ACK, loss ") && line.contains("(ratio 0.") && line.contains("on cpu in fp32"), "{line}");
}

/// Texts that the model itself would write: their loss is low, and can rise.
fn liked(model: &Model) -> Vec<Vec<u32>> {
    let text = |text: usize| {
        let mut all = tokens(model, &format!("liked {text}"), 2);
        let prompt = all.clone();
        let mut push = |token| {
            all.push(token);
            true
        };
        crate::generate::generate(model, None, &prompt, 8, crate::generate::Choice::Greedy, &mut push).unwrap();
        all
    };
    let some: Vec<Vec<u32>> = (0..8).map(text).collect();
    some.iter().cycle().take(GATE_TEXTS).cloned().collect()
}

#[test]
fn a_change_that_explodes_the_loss_is_a_clear_fail_and_one_beyond_the_bounds_adds_zero() {
    let model = model(QWEN2);
    let texts = liked(&model);
    let mut gate = Gate::new(model, texts, None).unwrap();
    let count = gate.model().shape().value_count();
    let sign = |index: u32| if pol_core::sha256(&[&index.to_le_bytes()])[0] & 1 == 0 { 1 } else { -1 };
    let huge = sparse((0..count).map(|index| (index, sign(index) << 29)));
    let exploded = judge(&mut gate, &huge, Extent::Full);
    assert!(matches!(exploded.ruling, Ruling::Loss(Verdict::ClearFail(_))), "{exploded}");
    let beyond = sparse((0..count).map(|index| (index, (1 << 30) - 1)));
    let refused = judge(&mut gate, &beyond, Extent::Full);
    assert!(matches!(refused.ruling, Ruling::AddsZero(_)) && refused.losses.is_none(), "{refused}");
}

#[test]
fn a_norm_over_the_cap_is_an_abstention_before_any_loss() {
    let mut gate = gate(None);
    let state = state(&gate);
    let change = good(&gate, &state);
    let norms = [change.norm() / 4; 8];
    let candidate = Candidate { update_id: UpdateId([9; 32]), head: HEAD, state: &state, change: &change, norms: &norms };
    let capped = gate.judge(&candidate, Extent::Full).unwrap();
    assert!(matches!(capped.ruling, Ruling::OverCap(_)) && capped.verdict() == "ABSTAIN", "{capped}");
    assert!(capped.losses.is_none() && !gate.before.knows(&HEAD));
    let few = Candidate { norms: &norms[..7], ..candidate };
    assert!(gate.judge(&few, Extent::Full).unwrap().is_ack());
}

#[test]
fn a_module_with_more_than_a_quarter_of_the_energy_is_an_abstention_in_deep_models() {
    let deep = QWEN2.replace("\"num_hidden_layers\":3", "\"num_hidden_layers\":8");
    let model = model(&deep);
    let texts = texts(&model);
    let mut gate = Gate::new(model, texts, None).unwrap();
    let change = sparse((0..20).map(|index| (index, 1_000)));
    let capped = judge(&mut gate, &change, Extent::Full);
    assert!(matches!(capped.ruling, Ruling::OverCap(_)) && capped.reason().contains("quarter"), "{capped}");
}

#[test]
fn the_loss_before_is_measured_once_per_head_and_again_for_another_state() {
    let mut gate = gate(None);
    let own = state(&gate);
    let change = good(&gate, &own);
    let first = judge(&mut gate, &change, Extent::Full);
    assert!(gate.before.missing(HEAD, own.root(), &(0..GATE_TEXTS).collect::<Vec<_>>()).is_empty());
    let again = judge(&mut gate, &change, Extent::Full);
    assert_eq!((first.losses, first.ruling), (again.losses, again.ruling));
    // Another head whose state is another: its losses are its own, and the oldest head goes.
    let mut child = own;
    child.apply(&change).unwrap();
    for number in 2..5 {
        let head = ModelHead([number; 32]);
        let candidate = Candidate { update_id: UpdateId([9; 32]), head, state: &child, change: &change, norms: &[] };
        let judged = gate.judge(&candidate, Extent::Full).unwrap();
        assert_eq!(judged.losses.unwrap().0, first.losses.unwrap().1);
    }
    assert!(!gate.before.knows(&HEAD) && gate.before.knows(&ModelHead([4; 32])));
}

#[test]
fn losses_that_differ_from_the_chains_take_the_vote_away() {
    let own = gate(None).own_losses().map(|loss| loss.unwrap());
    let scaled = |by: i64| own.map(|loss| NanoNats::new(loss.get() + loss.get() / by).unwrap());
    for (references, expected) in [(own, SelfTest::Full), (scaled(500), SelfTest::AckOnly), (scaled(100), SelfTest::NoVotes)] {
        let mut gate = gate(Some(&references));
        assert_eq!(gate.self_test(), expected);
        let state = state(&gate);
        let (good, bad) = (good(&gate, &state), bad(&gate, &state));
        let acked = judge(&mut gate, &good, Extent::Full).is_ack();
        let failed = judge(&mut gate, &bad, Extent::Full).verdict() == "CLEAR FAIL";
        assert_eq!((acked, failed), (expected != SelfTest::NoVotes, expected == SelfTest::Full));
    }
}

#[test]
fn a_slow_machine_measures_its_own_prefix_and_never_says_clear_fail() {
    let mut gate = gate(None);
    let state = state(&gate);
    let (good, bad) = (good(&gate, &state), bad(&gate, &state));
    let prefix = |key| Extent::Prefix { tokens: 0, public_key: [key; 48] };
    let acked = judge(&mut gate, &good, prefix(1));
    assert!(acked.is_ack() && (2_000..2_020).contains(&acked.tokens), "{acked}");
    assert_eq!(acked.texts, TextSet::Prefix { tokens: acked.tokens });
    assert_eq!(judge(&mut gate, &bad, prefix(1)).ruling, Ruling::Loss(Verdict::Abstain(AbstainReason::NotBetter)));
    assert_ne!(judge(&mut gate, &good, prefix(2)).losses, acked.losses);
    assert_eq!(gate.within(1e9, &HEAD, [0; 48]), Extent::Full);
    assert!(matches!(gate.within(1e-9, &HEAD, [0; 48]), Extent::Prefix { .. }));
}

#[test]
fn a_gate_needs_all_texts_exact_numbers_and_its_own_models_state() {
    let few = model(LLAMA);
    let two = texts(&few)[..2].to_vec();
    assert!(matches!(Gate::new(few, two, None), Err(GateError::Texts { found: 2 })));
    let config = ModelConfig::parse(QWEN2).unwrap();
    let bf16 = Model::load(&Memory::random(&config), config, Device::cpu(), Precision::Bf16).unwrap();
    let all = texts(&bf16);
    assert!(matches!(Gate::new(bf16, all, None), Err(GateError::Precision(_))));
    let mut gate = gate(None);
    let foreign = State::initial(&GenesisId([3; 32]), Shape::new(1, 8, 8, 8, 8).unwrap());
    let change = sparse([(0, 1)].into_iter());
    let candidate = Candidate { update_id: UpdateId([9; 32]), head: HEAD, state: &foreign, change: &change, norms: &[] };
    assert!(matches!(gate.judge(&candidate, Extent::Full), Err(GateError::Model(_) | GateError::Adapter(_))));
}
