#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;
use crate::{
    delta::{Claims, fixtures},
    sha256,
};

const HEAD: ModelHead = ModelHead([1; 32]);

fn input(seed: u64, gain: i64, first_seen: u64, tokens_seen: u32) -> Input {
    let claims = Claims { tokens_seen, ..fixtures::claims(HEAD) };
    let change = fixtures::dense_change(seed, &fixtures::shape());
    Input { delta: fixtures::delta_of(&fixtures::context(), &claims, &change), gain, first_seen }
}

/// A gain that depends on the children and weights alone, sometimes above and sometimes below those of the inputs.
fn pseudo_gain(plan: &MergePlan<'_>, salt: u8) -> Option<i64> {
    let mut bytes = vec![salt];
    for (id, weight) in plan.named() {
        bytes.extend(id.as_bytes());
        bytes.extend(weight.to_le_bytes());
    }
    let digest = sha256(&[&bytes]);
    (digest[0] > 20).then(|| i64::from(digest[1]))
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for shorter in permutations(n - 1) {
        for place in 0..n {
            let mut longer = shorter.clone();
            longer.insert(place, n - 1);
            all.push(longer);
        }
    }
    all
}

fn single(outcome: &Outcome<'_>) -> UpdateId {
    match &outcome.choice {
        Choice::Single(delta) => delta.update_id(),
        other => panic!("not a single: {other:?}"),
    }
}

fn ids(inputs: &[Input]) -> Vec<UpdateId> {
    inputs.iter().map(|input| input.delta.update_id()).collect()
}

/// An owned outcome, to compare aggregations of differently ordered slices.
fn shown(inputs: &[Input], salt: u8) -> String {
    let outcome = aggregate(inputs, |plan| pseudo_gain(plan, salt)).unwrap();
    let choice = match &outcome.choice {
        Choice::Nothing => String::new(),
        Choice::Single(delta) => delta.update_id().to_string(),
        Choice::Merge(plan) => format!("{:?}", plan.named()),
    };
    format!("{:?} {choice} {:?}", outcome.rule, outcome.dropped)
}

#[test]
fn every_permutation_of_up_to_five_inputs_gives_one_result() {
    for n in 0..=5_u64 {
        // Two of them with equal gains and equal first-seen numbers, so that ties are decided too.
        let inputs: Vec<Input> = (0..n).map(|i| input(i, 50 * i64::try_from(i.max(1)).unwrap(), i / 2, 100)).collect();
        for salt in 0..6 {
            let expected = shown(&inputs, salt);
            for order in permutations(inputs.len()) {
                let shuffled: Vec<Input> = order.iter().map(|i| inputs[*i].clone()).collect();
                assert_eq!(shown(&shuffled, salt), expected, "{n} {salt}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn more_inputs_give_one_result_in_every_order(
        order in Just((0..13_usize).collect::<Vec<_>>()).prop_shuffle(),
        gains in proptest::collection::vec(0_i64..200, 13),
        salt: u8,
    ) {
        // The last two repeat ids (with other gains), the two before are near-copies.
        let mut inputs: Vec<Input> = (0..9_u64).map(|i| input(i, gains[usize::try_from(i).unwrap()], i % 4, 100)).collect();
        inputs.push(input(3, gains[9], 0, 200));
        inputs.push(input(4, gains[10], 7, 300));
        inputs.push(Input { gain: gains[11], ..inputs[0].clone() });
        inputs.push(Input { gain: gains[12], first_seen: 0, ..inputs[1].clone() });
        let shuffled: Vec<Input> = order.iter().map(|i| inputs[*i].clone()).collect();
        prop_assert_eq!(shown(&shuffled, salt), shown(&inputs, salt));
    }
}

#[test]
fn no_input_gives_nothing_and_one_gives_itself_without_asking_the_gate() {
    let never = |_: &MergePlan<'_>| -> Option<i64> { panic!("asked") };
    let outcome = aggregate(&[], never).unwrap();
    assert_eq!((outcome.rule, outcome.choice), (Rule::Nothing, Choice::Nothing));
    let one = [input(1, -5, 0, 1)];
    let outcome = aggregate(&one, never).unwrap();
    assert_eq!((outcome.rule, single(&outcome)), (Rule::Single, one[0].delta.update_id()));
}

#[test]
fn of_two_the_merge_wins_only_above_both() {
    let pair = [input(1, 10, 0, 1), input(2, 12, 1, 1)];
    for (gain, rule) in
        [(Some(13), Rule::MergeOfTwo), (Some(12), Rule::BestOfTwo), (Some(11), Rule::BestOfTwo), (None, Rule::BestOfTwo)]
    {
        let outcome = aggregate(&pair, |_| gain).unwrap();
        assert_eq!(outcome.rule, rule);
        if rule == Rule::BestOfTwo {
            assert_eq!(single(&outcome), pair[1].delta.update_id());
        }
    }
}

#[test]
fn equal_gains_go_to_the_smaller_id() {
    let pair = [input(1, 10, 0, 1), input(2, 10, 1, 1)];
    let outcome = aggregate(&pair, |_| None).unwrap();
    assert_eq!(single(&outcome), *ids(&pair).iter().min().unwrap());
}

#[test]
fn zeno_adds_greedily_in_order_of_gain() {
    let four = [input(1, 10, 0, 1), input(2, 40, 1, 1), input(3, 30, 2, 1), input(4, 20, 3, 1)];
    let all = ids(&four);
    // 40 alone; with 30: worse; with 20: better; with 20 and 10: not better.
    let mut asked = Vec::new();
    let outcome = aggregate(&four, |plan| {
        let mut names: Vec<usize> = plan.named().iter().map(|(id, _)| all.iter().position(|x| x == id).unwrap()).collect();
        names.sort_unstable();
        asked.push(names.clone());
        match names.as_slice() {
            [1, 2] => Some(40),
            [1, 3] => Some(41),
            [0, 1, 3] => Some(41),
            other => panic!("asked about {other:?}"),
        }
    })
    .unwrap();
    assert_eq!(asked, [vec![1, 2], vec![1, 3], vec![0, 1, 3]]);
    let Choice::Merge(plan) = &outcome.choice else { panic!("no merge") };
    let mut expected = vec![all[1], all[3]];
    expected.sort_unstable();
    assert_eq!(plan.named().iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected);
    assert_eq!(outcome.rule, Rule::ZenoMerge);
    let outcome = aggregate(&four[..3], |_| Some(40)).unwrap();
    assert_eq!((outcome.rule, single(&outcome)), (Rule::ZenoSingle, all[1]));
}

#[test]
fn five_or_more_go_through_multi_krum() {
    for n in 5..=19_u64 {
        let inputs: Vec<Input> = (0..n).map(|i| input(i, i64::try_from(i).unwrap(), i, 1)).collect();
        let count = inputs.len();
        let f = (count - 3) / 2;
        let m = (count - f - 2).min(8);
        let deltas: Vec<&CheckedDelta> = inputs.iter().map(|input| &input.delta).collect();
        let mut scored: Vec<(u128, UpdateId, i64)> = krum_scores(&deltas, f)
            .unwrap()
            .into_iter()
            .zip(&inputs)
            .map(|(score, input)| (score, input.delta.update_id(), input.gain))
            .collect();
        scored.sort_unstable();
        scored.truncate(m);
        let best = *scored.iter().max_by_key(|(_, _, gain)| *gain).unwrap();

        let outcome = aggregate(&inputs, |_| Some(best.2 + 1)).unwrap();
        assert_eq!(outcome.rule, Rule::MultiKrumMerge { f, m });
        let Choice::Merge(plan) = &outcome.choice else { panic!("no merge") };
        let mut expected: Vec<UpdateId> = scored.iter().map(|(_, id, _)| *id).collect();
        expected.sort_unstable();
        assert_eq!(plan.named().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), expected);

        let outcome = aggregate(&inputs, |_| Some(best.2)).unwrap();
        assert_eq!((outcome.rule, single(&outcome)), (Rule::MultiKrumSingle { f, m }, best.1));
    }
}

#[test]
fn an_outlier_is_not_selected() {
    // Four trainers agree on 7 of 20 coordinates; the fifth has the best gain and says the opposite there.
    let context = fixtures::context();
    let of = |seed: u32, shared: i32, gain: i64| {
        let own = (0..13).map(|i| (100 + seed * 13 + i, 100));
        let list: Vec<(u32, i32)> = (0..7).map(|i| (i, shared)).chain(own).collect();
        let change = fixtures::change_of(&list, &context.shape);
        Input { delta: fixtures::delta_of(&context, &fixtures::claims(HEAD), &change), gain, first_seen: u64::from(seed) }
    };
    let mut inputs: Vec<Input> = (0..4).map(|seed| of(seed, 1_000, 10)).collect();
    inputs.push(of(4, -1_000, 1_000));
    let outcome = aggregate(&inputs, |_| None).unwrap();
    assert!(outcome.dropped.is_empty());
    assert_eq!(outcome.rule, Rule::MultiKrumSingle { f: 1, m: 2 });
    assert_ne!(single(&outcome), inputs[4].delta.update_id());
}

#[test]
fn near_copies_of_earlier_inputs_are_dropped() {
    let first = input(1, 5, 3, 100);
    let copy = input(1, 500, 4, 101);
    let other = input(2, 7, 9, 100);
    let inputs = [copy.clone(), other.clone(), first.clone()];
    let outcome = aggregate(&inputs, |_| None).unwrap();
    assert_eq!(outcome.dropped, [copy.delta.update_id()]);
    assert_eq!((outcome.rule, single(&outcome)), (Rule::BestOfTwo, other.delta.update_id()));
    // Seen at the same time the smaller id stays.
    let tie = [Input { first_seen: 3, ..copy.clone() }, first.clone()];
    let outcome = aggregate(&tie, |_| None).unwrap();
    assert_eq!(outcome.dropped, [copy.delta.update_id().max(first.delta.update_id())]);
}

#[test]
fn a_repeated_id_counts_once_as_first_seen() {
    let one = input(1, 5, 3, 100);
    let again = Input { gain: 9, first_seen: 1, ..one.clone() };
    let other = input(2, 7, 2, 100);
    let inputs = [one.clone(), again, other, one.clone()];
    let outcome = aggregate(&inputs, |_| None).unwrap();
    assert_eq!((outcome.rule, single(&outcome)), (Rule::BestOfTwo, one.delta.update_id()));
    assert!(outcome.dropped.is_empty());
}

#[test]
fn the_first_64_without_copies_are_kept_and_the_rest_is_not_looked_at() {
    // 70 that differ, a copy of each third one right behind it, and a copy of the first one at the end: given in reverse.
    let mut inputs: Vec<Input> = Vec::new();
    for i in 0..70_u64 {
        inputs.push(input(i, i64::try_from(i).unwrap(), 2 * i, 100));
        if i % 3 == 0 {
            inputs.push(input(i, 1_000, 2 * i + 1, 101));
        }
    }
    inputs.push(input(0, 1_000, 1_000, 102));
    let by_seen: Vec<UpdateId> = ids(&inputs);
    inputs.reverse();
    let outcome = aggregate(&inputs, |_| None).unwrap();
    // Numbers 0 to 63 are kept; the copy of 63 comes after the 64th.
    let place = |i: usize| i + i.div_ceil(3);
    assert_eq!(outcome.kept, (0..64).map(|i| by_seen[place(i)]).collect::<Vec<_>>());
    assert_eq!(outcome.dropped, (0..63).step_by(3).map(|i| by_seen[place(i) + 1]).collect::<Vec<_>>());
    assert_eq!(outcome.rule, Rule::MultiKrumSingle { f: 30, m: 8 });
}

#[test]
fn many_copies_of_one_delta_are_one() {
    let inputs: Vec<Input> = (0..100).map(|i| input(1, 0, i, u32::try_from(i).unwrap())).collect();
    let outcome = aggregate(&inputs, |_| None).unwrap();
    assert_eq!((outcome.rule, outcome.kept.len(), outcome.dropped.len()), (Rule::Single, 1, 99));
}

#[test]
fn deltas_of_another_head_or_chain_are_refused() {
    let mut inputs = [input(1, 0, 0, 1), input(2, 0, 1, 1)];
    let elsewhere = ModelHead([9; 32]);
    inputs[1].delta = fixtures::delta(2, elsewhere);
    assert!(matches!(aggregate(&inputs, |_| None), Err(AggregateError::OtherHead { .. })));
    let mut context = fixtures::context();
    context.genesis_id = GenesisId([0xcd; 32]);
    let change = fixtures::dense_change(2, &context.shape);
    inputs[1].delta = fixtures::delta_of(&context, &fixtures::claims(HEAD), &change);
    assert!(matches!(aggregate(&inputs, |_| None), Err(AggregateError::OtherGenesis { .. })));
}

#[test]
fn weights_follow_tokens_up_to_four_times_the_smallest() {
    let deltas: Vec<CheckedDelta> =
        [0, 1, 3, 4, 5, u32::MAX].into_iter().zip(0..).map(|(tokens, seed)| input(seed, 0, 0, tokens).delta).collect();
    let plan = MergePlan::new(deltas.iter().collect());
    let weight = |i: usize| plan.children().iter().find(|(d, _)| *d == &deltas[i]).unwrap().1;
    assert_eq!([0, 1, 2, 3, 4, 5].map(weight), [1024, 1024, 3072, 4096, 4096, 4096]);
    let pair: Vec<CheckedDelta> = [700, 1_000].into_iter().map(|tokens| input(u64::from(tokens), 0, 0, tokens).delta).collect();
    let mut weights: Vec<u16> = MergePlan::new(pair.iter().collect()).named().into_iter().map(|(_, w)| w).collect();
    weights.sort_unstable();
    assert_eq!(weights, [1024, 1462]);
    let change = MergePlan::new(pair.iter().collect()).change();
    assert!(change.iter().count() > pair[0].change_count());
}
