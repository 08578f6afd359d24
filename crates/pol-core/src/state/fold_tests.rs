use std::collections::BTreeMap;

use super::*;
use crate::{
    GenesisId,
    delta::{RawDelta, encode, encode_merge, encode_void, fixtures},
    state::{Outcome, State, VALUE_LIMIT},
};

const HEAD: ModelHead = ModelHead([1; 32]);

fn sealed(raw: RawDelta) -> (UpdateId, Vec<u8>) {
    (UpdateId(sha256(&[raw.as_bytes()])), raw.into_bytes())
}

fn delta(seed: u64, head: ModelHead) -> (UpdateId, Vec<u8>) {
    let delta = fixtures::delta(seed, head);
    (delta.update_id(), delta.into_bytes())
}

fn merge_of(ids: &[UpdateId]) -> (UpdateId, Vec<u8>) {
    let mut named: Vec<(UpdateId, u16)> = ids.iter().map(|id| (*id, 3)).collect();
    named.sort_unstable();
    sealed(encode_merge(&fixtures::context().genesis_id, &fixtures::claims(HEAD), &named).unwrap().sign(&fixtures::key(2)))
}

fn void_to(target: ModelHead) -> (UpdateId, Vec<u8>) {
    sealed(encode_void(&fixtures::context().genesis_id, &fixtures::claims(HEAD), &target).sign(&fixtures::key(2)))
}

fn folded(update: &(UpdateId, Vec<u8>), store: &BTreeMap<UpdateId, Vec<u8>>) -> Result<Transition, FoldError> {
    fold(
        &fixtures::context(),
        &HEAD,
        &update.0,
        Some(&update.1),
        |id| store.get(id).cloned(),
        |_| panic!("no ancestor asked for"),
    )
}

#[test]
fn a_delta_of_the_parents_head_is_added() {
    let update = delta(1, HEAD);
    let Ok(Transition::Add(change)) = folded(&update, &BTreeMap::new()) else { panic!("not added") };
    assert!(change.iter().eq(fixtures::delta(1, HEAD).changes()));
    let mut state = State::initial(&fixtures::context().genesis_id, fixtures::shape());
    let before = state.clone();
    let applied = state.apply(&change).unwrap();
    assert_ne!(applied.root, before.root());
    state.undo(&applied.undo).unwrap();
    assert_eq!(state, before);
}

#[test]
fn a_delta_of_another_head_adds_zero() {
    let elsewhere = ModelHead([2; 32]);
    let expected = Transition::Zero(ZeroReason::OtherHead { found: elsewhere, expected: HEAD });
    assert_eq!(folded(&delta(1, elsewhere), &BTreeMap::new()), Ok(expected));
}

#[test]
fn a_delta_that_reaches_64_adds_zero_as_a_whole() {
    let transition = folded(&delta(1, HEAD), &BTreeMap::new()).unwrap();
    let Transition::Add(change) = &transition else { panic!("not added") };
    let (index, value) = change.iter().last().unwrap();
    let mut values = vec![0; fixtures::dense_change(0, &fixtures::shape()).len()];
    values[usize::try_from(index).unwrap()] = (VALUE_LIMIT - 1) * value.signum();
    let mut state = State::from_values(fixtures::shape(), values).unwrap();
    let before = state.clone();
    let followed = state.follow(&transition, &[]).unwrap();
    assert!(matches!(followed.outcome, Outcome::Zero(ZeroReason::Bound { index: at, .. }) if at == index));
    assert_eq!((followed.root, &state), (before.root(), &before));
}

#[test]
fn a_container_that_breaks_a_rule_adds_zero() {
    let (_, mut bytes) = delta(1, HEAD);
    bytes[152] = 1;
    let update = (UpdateId(sha256(&[&bytes])), bytes);
    let expected = ZeroReason::Container(DeltaError::Reserved { offset: 152, found: 1 });
    assert_eq!(folded(&update, &BTreeMap::new()), Ok(Transition::Zero(expected)));
    let (_, mut bytes) = delta(1, HEAD);
    *bytes.last_mut().unwrap() ^= 0x10;
    let update = (UpdateId(sha256(&[&bytes])), bytes);
    assert_eq!(folded(&update, &BTreeMap::new()), Ok(Transition::Zero(DeltaError::Signature.into())));
}

#[test]
fn bytes_above_the_limit_are_out_of_reach_whoever_gives_them() {
    let named = |length: usize| {
        let bytes = vec![0; length];
        (UpdateId(sha256(&[&bytes])), bytes)
    };
    let long = named(DELTA_MAX_BYTES + 1);
    assert_eq!(folded(&long, &BTreeMap::new()), Err(FoldError::Missing { id: long.0 }));
    // Missing before they are hashed: wrong bytes of that length are no different.
    let wrong = (UpdateId([5; 32]), long.1.clone());
    assert_eq!(folded(&wrong, &BTreeMap::new()), Err(FoldError::Missing { id: wrong.0 }));
    let longest = named(DELTA_MAX_BYTES);
    let expected = ZeroReason::Container(DeltaError::Magic { found: [0; 4] });
    assert_eq!(folded(&longest, &BTreeMap::new()), Ok(Transition::Zero(expected)));

    let good = delta(1, HEAD);
    let update = merge_of(&[good.0, long.0]);
    let store = BTreeMap::from([good, long.clone()]);
    assert_eq!(folded(&update, &store), Err(FoldError::Missing { id: long.0 }));
}

#[test]
fn missing_or_wrong_bytes_are_no_verdict() {
    let context = fixtures::context();
    let (id, bytes) = delta(1, HEAD);
    let ask = |bytes: Option<&[u8]>| fold(&context, &HEAD, &id, bytes, |_| None, |_| Ancestry::Proper);
    assert_eq!(ask(None), Err(FoldError::Missing { id }));
    let (other, other_bytes) = delta(2, HEAD);
    assert_eq!(ask(Some(&other_bytes)), Err(FoldError::WrongBytes { id, found: other }));
    let broken = &bytes[..100];
    assert_eq!(ask(Some(broken)), Err(FoldError::WrongBytes { id, found: UpdateId(sha256(&[broken])) }));
}

#[test]
fn an_empty_ai_block_adds_zero_and_asks_for_no_bytes() {
    let nothing = fold(&fixtures::context(), &HEAD, &UpdateId::ZERO, None, |_| panic!("asked"), |_| panic!("asked"));
    assert_eq!(nothing, Ok(Transition::Zero(ZeroReason::NoUpdate)));
}

#[test]
fn a_merge_adds_the_mean_of_its_children() {
    let (a, b) = (delta(1, HEAD), delta(2, HEAD));
    let update = merge_of(&[a.0, b.0]);
    let store = BTreeMap::from([a, b]);
    let Ok(Transition::Add(change)) = folded(&update, &store) else { panic!("not added") };
    let Checked::Merge(of) = decode(&update.1, &fixtures::context()).unwrap() else { panic!("no merge") };
    let children = [fixtures::delta(1, HEAD), fixtures::delta(2, HEAD)];
    assert_eq!(change, merge(&of, &children).unwrap().into());
}

#[test]
fn a_merge_waits_for_its_children() {
    let (a, b) = (delta(1, HEAD), delta(2, HEAD));
    let update = merge_of(&[a.0, b.0]);
    let first = a.0.min(b.0);
    assert_eq!(folded(&update, &BTreeMap::new()), Err(FoldError::Missing { id: first }));
    let swapped = BTreeMap::from([(a.0, b.1.clone()), (b.0, a.1)]);
    assert!(matches!(folded(&update, &swapped), Err(FoldError::WrongBytes { id, .. }) if id == first));
    let half = BTreeMap::from([(b.0, b.1)]);
    assert_eq!(folded(&update, &half), Err(FoldError::Missing { id: a.0 }));
}

#[test]
fn one_broken_child_makes_a_merge_zero_whether_or_not_the_others_are_here() {
    let good = delta(1, HEAD);
    let elsewhere = delta(2, ModelHead([2; 32]));
    let mut broken = delta(3, HEAD).1;
    broken[7] = 1;
    let broken = (UpdateId(sha256(&[&broken])), broken);
    let void = void_to(ModelHead([3; 32]));
    let mut foreign_context = fixtures::context();
    foreign_context.genesis_id = GenesisId([0xee; 32]);
    let change = fixtures::dense_change(4, &foreign_context.shape);
    let foreign = sealed(encode(&foreign_context, &fixtures::claims(HEAD), &change).unwrap().sign(&fixtures::key(2)));
    let found = foreign_context.genesis_id;
    let expected = fixtures::context().genesis_id;
    let cases = [
        (
            elsewhere.clone(),
            ZeroReason::Merge(MergeError::OtherHead { child: elsewhere.0, found: ModelHead([2; 32]), expected: HEAD }),
        ),
        (broken.clone(), ZeroReason::Child { child: broken.0, error: DeltaError::Padding { found: 1 } }),
        (void.clone(), ZeroReason::ChildKind { child: void.0 }),
        (foreign.clone(), ZeroReason::Child { child: foreign.0, error: DeltaError::OtherGenesis { found, expected } }),
    ];
    for (bad, reason) in cases {
        let update = merge_of(&[good.0, bad.0]);
        let expected = Ok(Transition::Zero(reason));
        assert_eq!(folded(&update, &BTreeMap::from([bad.clone(), good.clone()])), expected);
        assert_eq!(folded(&update, &BTreeMap::from([bad])), expected);
    }
}

#[test]
fn a_merge_of_merges_adds_zero() {
    let (a, b, c) = (delta(1, HEAD), delta(2, HEAD), delta(3, HEAD));
    let inner = merge_of(&[a.0, b.0]);
    let update = merge_of(&[inner.0, c.0]);
    let expected = ZeroReason::ChildKind { child: inner.0 };
    assert_eq!(folded(&update, &BTreeMap::from([a, b, c, inner])), Ok(Transition::Zero(expected)));
}

#[test]
fn a_void_returns_to_a_proper_ancestor_only() {
    let context = fixtures::context();
    let target = ModelHead([8; 32]);
    let ask = |target: ModelHead, answer: Ancestry| {
        let (id, bytes) = void_to(target);
        fold(
            &context,
            &HEAD,
            &id,
            Some(&bytes),
            |_| None,
            |asked| {
                assert_eq!(*asked, target);
                answer
            },
        )
    };
    assert_eq!(ask(target, Ancestry::Proper), Ok(Transition::ReturnTo(target)));
    assert_eq!(ask(target, Ancestry::Not), Ok(Transition::Zero(ZeroReason::NotAncestor { target })));
    // The head itself is no proper ancestor, whatever the history says, even an unknown one.
    for answer in [Ancestry::Proper, Ancestry::Unknown] {
        assert_eq!(ask(HEAD, answer), Ok(Transition::Zero(ZeroReason::NotAncestor { target: HEAD })));
    }
}

#[test]
fn a_void_waits_while_the_history_is_unknown() {
    let target = ModelHead([8; 32]);
    let (id, bytes) = void_to(target);
    let answer = fold(&fixtures::context(), &HEAD, &id, Some(&bytes), |_| None, |_| Ancestry::Unknown);
    assert_eq!(answer, Err(FoldError::UnknownAncestor { target }));
}
