//! What the gate, the caps and the aggregation do against trainers that mean harm: a table.
//!
//! Seven trainers, three of them attackers of one kind, on the embedded model. First one round: what happens to an attacker's candidate, and what
//! it would do to texts that nobody trains on. Then some rounds with the defence (container checks, caps, loss gate, near-copies, section 15's
//! aggregation) and without it (the mean of all that came).
//!
//! `just bench-attacks --rounds 10`

#![allow(clippy::print_stdout, reason = "it prints a table")]

mod arena;
mod attackers;

use std::{path::PathBuf, time::Instant};

use clap::Parser;
use eyre::Result;
use ml_sidecar::gate::{Judgement, Ruling};
use pol_core::{
    UpdateId,
    aggregate::{Choice, Input, aggregate, near_copy},
    delta::{Change, Checked, CheckedDelta, RawDelta},
    gate::Verdict,
};

use arena::{Arena, Head, mean};
use attackers::Attack;

const TRAINERS: u64 = 7;
const ATTACKERS: u64 = 3;

#[derive(Debug, Parser)]
struct Args {
    /// Rounds of the second part
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Steps of a trainer in a round, and as many with the values of the delta alone
    #[arg(long, default_value_t = 8)]
    steps: u64,
    /// Directory of models; by default one for temporary files
    #[arg(long)]
    model_cache: Option<PathBuf>,
}

/// What becomes of a candidate.
enum Fate {
    /// No container.
    Refused(String),
    /// The gate's judgement.
    Judged(Box<Judgement>),
    /// Of one that was ACKed before.
    NearCopy,
}

impl Fate {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::NearCopy => "no ACK (near-copy)",
            Self::Judged(judged) => match judged.ruling {
                Ruling::OverCap(_) => "abstained (cap)",
                Ruling::AddsZero(_) => "abstained (zero)",
                Ruling::Loss(Verdict::Ack(_)) => "ACKed",
                Ruling::Loss(Verdict::Abstain(_)) => "abstained",
                Ruling::Loss(Verdict::ClearFail(_)) => "clear fail",
            },
        }
    }

    fn ratio(&self) -> String {
        match self {
            Self::Judged(judged) if judged.ratio().is_finite() => format!("{:.5}", judged.ratio()),
            Self::Refused(why) => why.chars().take(28).collect(),
            _ => "-".to_owned(),
        }
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    tch::set_num_threads(2);
    let cache = args.model_cache.unwrap_or_else(|| std::env::temp_dir().join("pol-ai-attacks"));
    std::fs::create_dir_all(&cache)?;
    let mut arena = Arena::new(&cache, args.steps)?;
    // Eight updates first, so that the norm cap is asked.
    let mut start = Head::genesis(&arena.context);
    let genesis = arena.held_out(&start.state)?;
    for round in 0..8 {
        let delta = arena.train(&start, &Arena::texts(1 + round % 4), 1 + round % 4, 900 + round)?;
        start = start.with(&delta.into());
    }
    println!(
        "Embedded model, {TRAINERS} trainers, {ATTACKERS} of them attackers, {} rounds of {} + {} steps.",
        args.rounds, args.steps, args.steps
    );
    println!(
        "Held-out loss of the base model {genesis:.4}, after 8 updates, where the rounds begin, {:.4}.\n",
        arena.held_out(&start.state)?
    );
    println!(
        "| attack | fate of one candidate | loss ratio at the gate | held-out if it were added | held-out after the rounds, no defence | with it | attackers' ACKs |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for attack in Attack::ALL {
        let begin = Instant::now();
        let (fate, added) = one(&mut arena, &start, attack)?;
        let without = rounds(&mut arena, &start, attack, args.rounds, false)?;
        let with = rounds(&mut arena, &start, attack, args.rounds, true)?;
        let attackers = if attack == Attack::None { 0 } else { ATTACKERS };
        println!(
            "| {} | {} | {} | {} | {:.4} | {:.4} | {} of {} | {} of {} |",
            attack.name(),
            fate.word(),
            fate.ratio(),
            added.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}")),
            without.loss,
            with.loss,
            with.acked[1],
            attackers * args.rounds,
            with.acked[0],
            (TRAINERS - attackers) * args.rounds,
        );
        eprintln!("{}: {:.0} s", attack.name(), begin.elapsed().as_secs_f64());
    }
    Ok(())
}

/// One candidate of an attacker, after an honest one.
fn one(arena: &mut Arena, start: &Head, attack: Attack) -> Result<(Fate, Option<f64>)> {
    let honest = arena.train(start, &Arena::texts(1), 1, 0)?;
    let container = attack.container(arena, start, &honest, 5, 0)?;
    let (fate, delta) = judge(arena, start, container, &[honest])?;
    let added = delta.map(|delta| arena.held_out(&start.with(&delta.into()).state)).transpose()?;
    Ok((fate, added))
}

/// What a member does with a candidate: container, copies, caps, losses.
fn judge(arena: &mut Arena, at: &Head, container: RawDelta, acked: &[CheckedDelta]) -> Result<(Fate, Option<CheckedDelta>)> {
    let delta = match container.check(&arena.context) {
        Ok(Checked::Delta(delta)) => delta,
        Ok(_) => return Ok((Fate::Refused("not a delta".to_owned()), None)),
        Err(error) => return Ok((Fate::Refused(error.to_string()), None)),
    };
    if acked.iter().any(|other| near_copy(other, &delta)) {
        return Ok((Fate::NearCopy, Some(delta)));
    }
    let change = Change::from(delta.clone());
    let judged = arena.judge(at, delta.update_id(), &change)?;
    Ok((Fate::Judged(Box::new(judged)), Some(delta)))
}

/// How some rounds ended.
struct End {
    loss: f64,
    /// Of honest trainers, of attackers.
    acked: [u64; 2],
}

fn rounds(arena: &mut Arena, start: &Head, attack: Attack, rounds: u64, is_defended: bool) -> Result<End> {
    let (mut at, mut acked) = (start.clone(), [0; 2]);
    let attackers = if attack == Attack::None { 0 } else { ATTACKERS };
    for round in 1..=rounds {
        let honest = (0..TRAINERS - attackers).map(|trainer| arena.train(&at, &Arena::texts(1 + trainer), 1 + trainer, round));
        let honest = honest.collect::<Result<Vec<_>>>()?;
        let attackers = (0..attackers).map(|attacker| attack.container(arena, &at, &honest[0], 20 + attacker, round));
        let attackers = attackers.collect::<Result<Vec<_>>>()?;
        let change = if is_defended {
            let (change, now) = defended(arena, &at, honest, attackers)?;
            acked = [acked[0] + now[0], acked[1] + now[1]];
            change
        } else {
            let came = attackers.into_iter().filter_map(|container| match container.check(&arena.context) {
                Ok(Checked::Delta(delta)) => Some(delta),
                _ => None,
            });
            Some(mean(&honest.into_iter().chain(came).collect::<Vec<_>>())?)
        };
        at = change.map_or_else(|| at.clone(), |change| at.with(&change));
    }
    Ok(End { loss: arena.held_out(&at.state)?, acked })
}

/// A round with the defence: what is added, and how many candidates were ACKed. Attackers come first: they are quick.
fn defended(
    arena: &mut Arena,
    at: &Head,
    honest: Vec<CheckedDelta>,
    attackers: Vec<RawDelta>,
) -> Result<(Option<Change>, [u64; 2])> {
    let count = attackers.len();
    let honest = honest.into_iter().map(|delta| RawDelta::new(delta.into_bytes())).collect::<Result<Vec<_>, _>>()?;
    let (mut acked, mut inputs, mut counts) = (Vec::new(), Vec::new(), [0; 2]);
    for (number, container) in attackers.into_iter().chain(honest).enumerate() {
        let (Fate::Judged(judged), Some(delta)) = judge(arena, at, container, &acked)? else { continue };
        let Some((before, after)) = judged.losses.filter(|_| judged.is_ack()) else { continue };
        counts[usize::from(number < count)] += 1;
        acked.push(delta.clone());
        inputs.push(Input { delta, gain: ((before - after) * 1e9) as i64, first_seen: number as u64 });
    }
    let mut number = 0_u8;
    let chosen = aggregate(&inputs, |plan| {
        number += 1;
        let judged = arena.judge(at, UpdateId([number; 32]), &plan.change()).ok()?;
        judged.losses.filter(|_| judged.is_ack()).map(|(before, after)| ((before - after) * 1e9) as i64)
    })?;
    let change = match chosen.choice {
        Choice::Nothing => None,
        Choice::Single(delta) => Some(delta.clone().into()),
        Choice::Merge(plan) => Some(plan.change()),
    };
    Ok((change, counts))
}
