//! The table of section 15: one rule per number of inputs.

use core::cmp::Reverse;

use super::{
    krum::{KrumError, krum_scores},
    overlap::near_copy,
};
use crate::{
    GenesisId, ModelHead, UpdateId,
    delta::{Change, CheckedDelta, weighted_mean},
    params::MERGE_CHILDREN,
};

/// Deltas that count in one aggregation, at most: the first seen, without near-copies.
pub const MAX_KEPT: usize = 64;
/// Children of one merge, at most.
const MAX_CHILDREN: usize = *MERGE_CHILDREN.end();

/// A delta that passed the gate, and what this node knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The delta.
    pub delta: CheckedDelta,
    /// Loss before minus loss after, nano-nats.
    pub gain: i64,
    /// Number in the order in which this node first saw deltas; of near-copies the earliest stays.
    pub first_seen: u64,
}

impl Input {
    /// Better first: greater gain, ties by smaller id.
    const fn rank(&self) -> (Reverse<i64>, UpdateId) {
        (Reverse(self.gain), self.delta.update_id())
    }
}

/// Why there is no aggregation. The caller's fault: it mixed what does not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "id: the delta; found and expected: what the names say")]
pub enum AggregateError {
    /// A delta of another model head than that of the smallest id.
    #[error("delta {id}: model head {found}, expected {expected}")]
    OtherHead { id: UpdateId, found: ModelHead, expected: ModelHead },
    /// A delta of another chain than that of the smallest id.
    #[error("delta {id}: genesis_id {found}, expected {expected}")]
    OtherGenesis { id: UpdateId, found: GenesisId, expected: GenesisId },
    /// Cannot happen with the f this rule computes; kept so that no score is ever made up.
    #[error(transparent)]
    Krum(#[from] KrumError),
}

/// Which line of section 15's table decided, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No input.
    Nothing,
    /// One input: itself.
    Single,
    /// Two inputs: the better one.
    BestOfTwo,
    /// Two inputs: their merge beats both.
    MergeOfTwo,
    /// Three or four inputs: the best one, no other improves it.
    ZenoSingle,
    /// Three or four inputs: a greedy merge.
    ZenoMerge,
    /// Five or more: the best of those that Multi-Krum selected.
    MultiKrumSingle {
        /// Bad deltas it bears.
        f: usize,
        /// Deltas it selected.
        m: usize,
    },
    /// Five or more: the merge of those that Multi-Krum selected.
    MultiKrumMerge {
        /// Bad deltas it bears.
        f: usize,
        /// Deltas it selected.
        m: usize,
    },
}

/// What goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<'a> {
    /// No update.
    Nothing,
    /// A delta as it is.
    Single(&'a CheckedDelta),
    /// A merge to publish.
    Merge(MergePlan<'a>),
}

/// The result of an aggregation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Which rule decided.
    pub rule: Rule,
    /// What it decided.
    pub choice: Choice<'a>,
    /// Deltas that counted, by (first seen, id); 64 at most.
    pub kept: Vec<UpdateId>,
    /// Near-copies of them that were dropped, in the same order. What came after the 64th was not looked at and is in neither list.
    pub dropped: Vec<UpdateId>,
}

/// Weights of deltas with these tokens in one merge: t = max(1, tokens seen), m = the smallest t, `w = min(t, 4m) * 1024 / m`.
///
/// Tokens are claims, which is why they count at most 4-fold.
pub fn weights(tokens: &[u32]) -> Vec<u16> {
    let counted = |tokens: &u32| u64::from(*tokens).max(1);
    let least = tokens.iter().map(counted).min().unwrap_or(1);
    let weight = |tokens: &u32| {
        let capped = counted(tokens).min(least.saturating_mul(4)).saturating_mul(1024);
        // 1024..=4096 by construction.
        capped.checked_div(least).and_then(|weight| u16::try_from(weight).ok()).unwrap_or(1024)
    };
    tokens.iter().map(weight).collect()
}

/// The children of a merge and their weights, by increasing id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergePlan<'a> {
    children: Vec<(&'a CheckedDelta, u16)>,
}

impl<'a> MergePlan<'a> {
    fn new(mut deltas: Vec<&'a CheckedDelta>) -> Self {
        deltas.sort_unstable_by_key(|delta| delta.update_id());
        let tokens: Vec<u32> = deltas.iter().map(|delta| delta.header().claims.tokens_seen).collect();
        Self { children: deltas.into_iter().zip(weights(&tokens)).collect() }
    }

    /// (delta, weight) by increasing update id.
    pub fn children(&self) -> &[(&'a CheckedDelta, u16)] {
        &self.children
    }

    /// (update id, weight) as [`crate::delta::encode_merge`] wants them.
    pub fn named(&self) -> Vec<(UpdateId, u16)> {
        self.children.iter().map(|(delta, weight)| (delta.update_id(), *weight)).collect()
    }

    /// What the merge adds to the state: for the gate to measure.
    pub fn change(&self) -> Change {
        weighted_mean(&self.children).into()
    }
}

/// Decides by section 15. `merged_gain` measures a merge at the gate: nano-nats, `None` when not finite; it is called once per
/// merge that the rule asks about, 3 times at most.
///
/// Of inputs with one id the one seen first counts (then the one with the smaller gain). Any number of inputs may be given; beyond the
/// 64th that is kept they cost no more than sorting and a look at their heads.
///
/// With 64 full deltas of a 1.5 B model this takes 1.5 to 3 s on one thread, and every near-copy up to 64 overlaps more: run it off
/// every path that has a deadline.
///
/// # Errors
/// [`AggregateError`] when inputs are not of one head.
pub fn aggregate<'a>(
    inputs: &'a [Input],
    mut merged_gain: impl FnMut(&MergePlan<'a>) -> Option<i64>,
) -> Result<Outcome<'a>, AggregateError> {
    let (inputs, dropped) = without_copies(distinct(inputs)?);
    let kept = inputs.iter().map(|input| input.delta.update_id()).collect();
    let (rule, choice) = match inputs.as_slice() {
        [] => (Rule::Nothing, Choice::Nothing),
        [one] => (Rule::Single, Choice::Single(&one.delta)),
        [_, _] => two(&inputs, &mut merged_gain),
        [_, _, _] | [_, _, _, _] => zeno(&inputs, &mut merged_gain),
        _ => multi_krum(inputs, &mut merged_gain)?,
    };
    Ok(Outcome { rule, choice, kept, dropped })
}

/// One input per id, all of one head, by (first seen, id).
fn distinct(inputs: &[Input]) -> Result<Vec<&Input>, AggregateError> {
    let mut all: Vec<&Input> = inputs.iter().collect();
    all.sort_unstable_by_key(|input| (input.delta.update_id(), input.first_seen, input.gain));
    all.dedup_by_key(|input| input.delta.update_id());
    if let Some(first) = all.first().map(|input| input.delta.header()) {
        for input in &all {
            let (id, header) = (input.delta.update_id(), input.delta.header());
            if header.genesis_id != first.genesis_id {
                return Err(AggregateError::OtherGenesis { id, found: header.genesis_id, expected: first.genesis_id });
            }
            let (found, expected) = (header.claims.model_head, first.claims.model_head);
            if found != expected {
                return Err(AggregateError::OtherHead { id, found, expected });
            }
        }
    }
    all.sort_unstable_by_key(|input| (input.first_seen, input.delta.update_id()));
    Ok(all)
}

/// Those that are kept, and the near-copies of them; ends with the 64th that is kept.
fn without_copies(inputs: Vec<&Input>) -> (Vec<&Input>, Vec<UpdateId>) {
    let mut kept: Vec<&Input> = Vec::with_capacity(inputs.len().min(MAX_KEPT));
    let mut dropped = Vec::new();
    for input in inputs {
        if kept.len() == MAX_KEPT {
            break;
        }
        if kept.iter().any(|other| near_copy(&other.delta, &input.delta)) {
            dropped.push(input.delta.update_id());
        } else {
            kept.push(input);
        }
    }
    (kept, dropped)
}

/// The better one; or the merge of both if its gain is greater than both.
fn two<'a>(pair: &[&'a Input], merged_gain: &mut impl FnMut(&MergePlan<'a>) -> Option<i64>) -> (Rule, Choice<'a>) {
    match merge_if_better(pair, merged_gain) {
        Some(plan) => (Rule::MergeOfTwo, Choice::Merge(plan)),
        None => (Rule::BestOfTwo, best(pair)),
    }
}

/// Greedy: best first, each next one joins if the merge with it has a greater gain than the set so far.
fn zeno<'a>(inputs: &[&'a Input], merged_gain: &mut impl FnMut(&MergePlan<'a>) -> Option<i64>) -> (Rule, Choice<'a>) {
    let mut sorted = inputs.to_vec();
    sorted.sort_unstable_by_key(|input| input.rank());
    let mut sorted = sorted.into_iter();
    let Some(first) = sorted.next() else { return (Rule::Nothing, Choice::Nothing) };
    let (mut set, mut gain, mut merged) = (vec![&first.delta], first.gain, None);
    for next in sorted {
        let mut with = set.clone();
        with.push(&next.delta);
        let plan = MergePlan::new(with.clone());
        if let Some(greater) = merged_gain(&plan).filter(|found| *found > gain) {
            (set, gain, merged) = (with, greater, Some(plan));
        }
    }
    match merged {
        Some(plan) => (Rule::ZenoMerge, Choice::Merge(plan)),
        None => (Rule::ZenoSingle, Choice::Single(&first.delta)),
    }
}

fn multi_krum<'a>(
    inputs: Vec<&'a Input>,
    merged_gain: &mut impl FnMut(&MergePlan<'a>) -> Option<i64>,
) -> Result<(Rule, Choice<'a>), AggregateError> {
    let n = inputs.len();
    let f = n.saturating_sub(3) / 2;
    let m = n.saturating_sub(f).saturating_sub(2).min(MAX_CHILDREN);
    let deltas: Vec<&CheckedDelta> = inputs.iter().map(|input| &input.delta).collect();
    let scores = krum_scores(&deltas, f)?;
    let mut scored: Vec<(u128, &Input)> = scores.into_iter().zip(inputs).collect();
    scored.sort_unstable_by_key(|(score, input)| (*score, input.delta.update_id()));
    let chosen: Vec<&Input> = scored.into_iter().take(m).map(|(_, input)| input).collect();
    Ok(match merge_if_better(&chosen, merged_gain) {
        Some(plan) => (Rule::MultiKrumMerge { f, m }, Choice::Merge(plan)),
        None => (Rule::MultiKrumSingle { f, m }, best(&chosen)),
    })
}

/// The merge of all, if its gain is greater than every single one.
fn merge_if_better<'a>(
    inputs: &[&'a Input],
    merged_gain: &mut impl FnMut(&MergePlan<'a>) -> Option<i64>,
) -> Option<MergePlan<'a>> {
    let best = inputs.iter().map(|input| input.gain).max()?;
    let plan = MergePlan::new(inputs.iter().map(|input| &input.delta).collect());
    merged_gain(&plan).filter(|gain| *gain > best).map(|_| plan)
}

fn best<'a>(inputs: &[&'a Input]) -> Choice<'a> {
    inputs.iter().min_by_key(|input| input.rank()).map_or(Choice::Nothing, |input| Choice::Single(&input.delta))
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
