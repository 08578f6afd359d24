#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;
use crate::{
    GenesisId,
    delta::{Change, SparseChange, fixtures},
    state::{Shape, VALUE_LIMIT},
};

/// One value is within two steps of the bound, so that a change can violate it.
fn start(shape: Shape) -> State {
    let mut values = State::initial(&GenesisId([4; 32]), shape).values().to_vec();
    values[9] = VALUE_LIMIT - 3;
    State::from_values(shape, values).unwrap()
}

fn add(list: &[(u32, i32)]) -> Transition {
    Transition::Add(Change::from(SparseChange::new(list.to_vec()).unwrap()))
}

fn zero() -> Transition {
    Transition::Zero(ZeroReason::NoUpdate)
}

/// A step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(u32, i32)>),
    Violate(Vec<(u32, i32)>),
    Zero,
    /// Back over so many steps.
    Void(prop::sample::Index),
}

fn step(values: u32) -> impl Strategy<Value = Step> {
    // Few places, so that changes meet.
    let place = prop_oneof![10..40_u32, 4_090..4_110_u32, values - 20..values];
    let list = proptest::collection::btree_map(place, -1_000_000..1_000_000_i32, 0..12);
    let list = list.prop_map(|map| map.into_iter().collect::<Vec<_>>());
    prop_oneof![
        4 => list.clone().prop_map(Step::Add),
        1 => list.prop_map(|list| Step::Violate([vec![(9, 3)], list].concat())),
        1 => Just(Step::Zero),
        2 => any::<prop::sample::Index>().prop_map(Step::Void),
    ]
}

/// Undos of the last `count` transitions, newest first.
fn newest(undos: &[Undo], count: usize) -> Vec<Undo> {
    undos.iter().rev().take(count).cloned().collect()
}

proptest! {
    #[test]
    fn whatever_was_followed_is_undone_to_the_exact_roots(
        steps in proptest::collection::vec(step(fixtures::shape().value_count()), 1..14),
    ) {
        let mut state = start(fixtures::shape());
        let mut states = vec![state.clone()];
        let mut undos: Vec<Undo> = Vec::new();
        for step in steps {
            let mut expected = state.clone();
            let followed = match step {
                Step::Add(list) => {
                    let mut values = state.values().to_vec();
                    list.iter().for_each(|(index, value)| values[usize::try_from(*index).unwrap()] += value);
                    expected = State::from_values(fixtures::shape(), values).unwrap();
                    let followed = state.follow(&add(&list), &[]).unwrap();
                    let added = matches!(followed.outcome, Outcome::Added { values, .. } if values == list.len());
                    prop_assert!(added);
                    followed
                }
                Step::Violate(list) => {
                    let followed = state.follow(&add(&list), &[]).unwrap();
                    let reason = ZeroReason::Bound { index: 9, value: i64::from(VALUE_LIMIT) };
                    prop_assert_eq!(&followed.outcome, &Outcome::Zero(reason));
                    followed
                }
                Step::Zero => {
                    let followed = state.follow(&zero(), &[]).unwrap();
                    prop_assert_eq!(&followed.outcome, &Outcome::Zero(ZeroReason::NoUpdate));
                    followed
                }
                Step::Void(_) if undos.is_empty() => continue,
                Step::Void(back) => {
                    let count = back.index(undos.len()) + 1;
                    expected = states[states.len() - 1 - count].clone();
                    let back = newest(&undos, count);
                    let followed = state.follow(&Transition::ReturnTo(ModelHead([7; 32])), &back).unwrap();
                    prop_assert_eq!(&followed.outcome, &Outcome::Returned);
                    followed
                }
            };
            prop_assert_eq!(&state, &expected);
            prop_assert_eq!((followed.undo.before(), followed.undo.after()), (states.last().unwrap().root(), state.root()));
            prop_assert_eq!(followed.root, state.root());
            let is_zero = matches!(followed.outcome, Outcome::Zero(_));
            prop_assert!(!is_zero || followed.undo.old().is_empty());
            undos.push(followed.undo);
            states.push(state.clone());
        }
        states.pop();
        while let (Some(undo), Some(before)) = (undos.pop(), states.pop()) {
            // In a wrong order nothing happens.
            for other in undos.iter().filter(|other| other.after() != undo.after()) {
                let now = state.clone();
                let refused = matches!(state.undo(other), Err(UndoError::OtherState { .. }));
                prop_assert!(refused);
                prop_assert_eq!(&state, &now);
            }
            prop_assert_eq!(state.undo(&undo), Ok(before.root()));
            prop_assert_eq!(&state, &before);
        }
    }
}

/// A state after three changes of one place, and its undos, oldest first.
fn three() -> (State, Vec<Undo>) {
    let mut state = start(fixtures::shape());
    let lists: [&[(u32, i32)]; 3] = [&[(0, 5), (5_000, 1)], &[(0, 7)], &[(0, -1), (1, 9)]];
    let undos = lists.map(|list| state.follow(&add(list), &[]).unwrap().undo).to_vec();
    (state, undos)
}

#[test]
fn undos_that_do_not_link_up_return_nowhere() {
    let (mut state, undos) = three();
    let before = state.clone();
    let target = ModelHead([7; 32]);
    let mut ask = |back: &[Undo]| {
        let error = state.follow(&Transition::ReturnTo(target), back).unwrap_err();
        assert_eq!(state, before);
        error
    };
    assert_eq!(ask(&[]), FollowError::NoUndo { target });
    let [a, b, c] = [&undos[0], &undos[1], &undos[2]];
    // Oldest first, a gap, the newest missing, one twice.
    let link = |position, found: &Undo, expected| FollowError::Link { position, found: found.after(), expected };
    assert_eq!(ask(&undos), link(0, a, c.after()));
    assert_eq!(ask(&[c.clone(), a.clone()]), link(1, a, c.before()));
    assert_eq!(ask(&[b.clone(), a.clone()]), link(0, b, c.after()));
    assert_eq!(ask(&[c.clone(), c.clone()]), link(1, c, c.before()));
    // A value that was not there: the roots link, the bytes do not.
    let forged = Undo::new(b.before(), b.after(), vec![(0, 1)]).unwrap();
    assert!(
        matches!(ask(&[c.clone(), forged]), FollowError::Undo(UndoError::Damaged { expected, .. }) if expected == b.before())
    );
    let values = fixtures::shape().value_count();
    let beyond = Undo::new(b.before(), b.after(), vec![(values, 1)]).unwrap();
    assert_eq!(ask(&[c.clone(), beyond]), FollowError::Undo(UndoError::Index { index: values, values }));
}

#[test]
fn a_return_is_undone_in_one_step() {
    let (mut state, undos) = three();
    let before = state.clone();
    let followed = state.follow(&Transition::ReturnTo(ModelHead([7; 32])), &newest(&undos, 3)).unwrap();
    assert_eq!(state, start(fixtures::shape()));
    // Every touched place once, with what stood there before the return.
    let old: Vec<(u32, i32)> = [0, 1, 5_000].map(|index| (index, before.values()[usize::try_from(index).unwrap()])).to_vec();
    assert_eq!(followed.undo.old(), old);
    assert_eq!(state.undo(&followed.undo), Ok(before.root()));
    assert_eq!(state, before);
}

#[test]
fn a_return_over_updates_that_added_zero_changes_nothing_but_is_a_return() {
    let mut state = start(fixtures::shape());
    let before = state.clone();
    let undo = state.follow(&zero(), &[]).unwrap().undo;
    let followed = state.follow(&Transition::ReturnTo(ModelHead([7; 32])), &[undo]).unwrap();
    assert_eq!((followed.outcome, followed.root), (Outcome::Returned, before.root()));
    assert_eq!(state, before);
}

#[test]
fn a_change_beyond_the_adapter_is_our_mistake_and_not_a_zero() {
    let mut state = start(fixtures::shape());
    let before = state.clone();
    let values = fixtures::shape().value_count();
    assert_eq!(state.follow(&add(&[(0, 1), (values, 1)]), &[]), Err(FollowError::Index { index: values, values }));
    assert_eq!(state, before);
}
