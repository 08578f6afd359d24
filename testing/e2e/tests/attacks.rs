//! Bad trainers: whom validators vouch for, and who send what harms.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use e2e::{
    bend, deep, events,
    up::Up,
    wire::{Trainer, Wire},
};
use pol_core::UpdateId;

const PATIENCE: Duration = Duration::from_secs(240);
/// Changes that are known before norms are compared.
const STEPS: u64 = 8;
/// Each is this part of the trained delta: far from the optimum, all of them help.
const STEP: i32 = 2;
/// Candidates are dropped 30 s after they were seen: a verdict comes before, or never.
const VERDICT: Duration = Duration::from_secs(40);

/// Every update that a block names is one of these, and the chain is sound.
fn only_these_are_in_blocks(up: &Up, wanted: impl Fn(&str) -> bool) {
    let named = events::in_blocks(up);
    assert!(!named.is_empty() && named.iter().all(|update| wanted(update)), "{named:?}");
    let verified = up.run(&["verify"]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && text.contains("the chain is what it should be"), "{text}{:?}", verified.stderr);
}

/// Offers a container, and waits for what the gate says.
fn judged(up: &Up, wire: &Wire, by: &mut Trainer, container: &[u8]) -> (String, String) {
    let update = wire.offer(by, container).to_string();
    let said = events::until_gated(up, &update, VERDICT);
    (update, said)
}

/// The model has eight layers, so that the cap on single modules holds. Every delta is announced by a trainer that the validator vouches for.
#[test]
fn scaled_flipped_nan_single_module_and_copied_deltas_get_into_no_block_and_an_honest_one_does() {
    let mut up = Up::new();
    let model = deepened(&up);
    let [mut honest, mut bad, mut worse] = [1, 2, 3].map(Trainer::new);
    let trainers = [&honest, &bad, &worse].map(Trainer::public).join(",");
    up.start(&up.with_ai(2, &["--no-train", "--model", &model, "--trainer", &trainers]));
    up.until("block", 1, PATIENCE);
    let (file, chain) = (up.beside("honest.pld"), up.data().join("chain.toml"));
    let (out, chain) = (file.display().to_string(), chain.display().to_string());
    let train = ["train", "--out", &out, "--chain", &chain, "--model", &model, "--steps", "16", "--learning-rate", "0.004"];
    up.sidecar(&train);
    let wire = up.wire();
    let context = wire.spec.delta_context();
    let trained = bend::honest(&context, &std::fs::read(&file).expect("a delta"));

    let keys = [&honest, &bad, &worse].map(|trainer| trainer.key.clone());
    let mut refused = BTreeSet::new();
    let (update, said) = judged(&up, &wire, &mut bad, &bend::flipped(&context, &trained, &keys[1]));
    assert!(said.contains("CLEAR FAIL"), "{update}: {said}");
    refused.insert(update);
    // No container at all: the node's own DHT does not even store it.
    let said = wire.try_offer(&mut worse, &bend::not_a_number(&trained, &keys[2])).expect_err("NaN");
    assert!(said.contains("NaN"), "{said}");
    let (update, said) = judged(&up, &wire, &mut worse, &bend::single_module(&context, &trained, &keys[2]));
    assert!(said.contains("over a cap"), "{update}: {said}");
    refused.insert(update);

    // The norm of a change is compared with those before it once there are eight: eight steps in the direction that was trained.
    let mut good = BTreeSet::new();
    for number in 0..STEPS {
        let head = up.until_model(&wire, number);
        let step = bend::step(&context, &trained, head, STEP, &keys[0]);
        let update = wire.offer(&mut honest, step.as_bytes()).to_string();
        events::until(&up, &update, "imported", PATIENCE);
        good.insert(update);
    }
    let head = up.until_model(&wire, STEPS);
    let scaled = bend::scaled(&context, &bend::step(&context, &trained, head, STEP, &keys[0]), &keys[1], 10);
    let (update, said) = judged(&up, &wire, &mut bad, &scaled);
    assert!(said.contains("over a cap"), "{update}: {said}");
    refused.insert(update);
    let step = bend::step(&context, &trained, head, STEP, &keys[0]);
    let last = wire.offer(&mut honest, step.as_bytes()).to_string();
    // Seen later, and so judged later: on the same head, unless the next block is there already.
    let copy = wire.offer(&mut worse, &bend::copied(&context, &step, &keys[2])).to_string();
    events::until(&up, &last, "imported", PATIENCE);
    if let Some(said) = events::gate(&up, &copy) {
        assert!(said.contains("near-copy"), "{said}");
    }
    good.insert(last);
    refused.insert(copy);
    let block = up.until("block", 1, PATIENCE)["block"].as_u64().expect("a block");
    up.until("block", block + 3, PATIENCE);
    only_these_are_in_blocks(&up, |update| good.contains(update));
    assert!(refused.len() == 4 && refused.is_disjoint(&good));
    let signed: BTreeSet<String> =
        events::all(&up).into_iter().filter(|event| event.stage == "acked").map(|event| event.update).collect();
    assert_eq!(signed, good, "nothing else was even signed for");
}

fn deepened(up: &Up) -> String {
    let to = up.beside("deep");
    up.sidecar(&["model", "init"]);
    deep::deepened(&e2e::embedded_model(), &to);
    to.display().to_string()
}

/// Attackers who see each honest candidate of the node's own trainer and at once send what they make of it.
struct Attackers {
    flipper: Trainer,
    scaler: Trainer,
    copier: Trainer,
    seen: BTreeSet<UpdateId>,
    sent: BTreeMap<String, &'static str>,
}

impl Attackers {
    fn attack(&mut self, wire: &Wire, updates: u64) {
        let context = wire.spec.delta_context();
        let own = [&self.flipper, &self.scaler, &self.copier].map(|trainer| trainer.key.verifying_key().to_bytes());
        for candidate in wire.candidates() {
            let id = candidate.announcement.update_id;
            if own.contains(&candidate.trainer) || !self.seen.insert(id) {
                continue;
            }
            let bytes = wire.fetch(id);
            // A merge is nobody's delta.
            if bytes[5] != 0 {
                continue;
            }
            let delta = bend::honest(&context, &bytes);
            let broken = bend::not_a_number(&delta, &self.flipper.key);
            assert!(wire.try_offer(&mut self.flipper, &broken).is_err_and(|said| said.contains("NaN")));
            let flipped = bend::flipped(&context, &delta, &self.flipper.key);
            let copied = bend::copied(&context, &delta, &self.copier.key);
            self.sent.insert(wire.offer(&mut self.copier, &copied).to_string(), "copied");
            self.sent.insert(wire.offer(&mut self.flipper, &flipped).to_string(), "flipped");
            // Until eight changes are known there is no norm to compare with: far from its optimum ten times as far helps the model.
            if updates >= 8 {
                let scaled = bend::scaled(&context, &delta, &self.scaler.key, 10);
                self.sent.insert(wire.offer(&mut self.scaler, &scaled).to_string(), "scaled");
            }
        }
    }
}

#[test]
fn long_attackers_that_bend_every_candidate_of_an_honest_trainer_get_nothing_into_twelve_updates() {
    let mut up = Up::new();
    let [flipper, scaler, copier] = [1, 2, 3].map(Trainer::new);
    let trainers = [&flipper, &scaler, &copier].map(Trainer::public).join(",");
    up.start(&up.with_ai(3, &["--trainer", &trainers]));
    up.until("block", 1, PATIENCE);
    let (wire, start) = (up.wire(), Instant::now());
    let mut attackers = Attackers { flipper, scaler, copier, seen: BTreeSet::new(), sent: BTreeMap::new() };
    let mut updates = 0;
    while updates < 12 {
        attackers.attack(&wire, updates);
        updates = up.status()["updates"].as_u64().unwrap_or(updates);
        assert!(start.elapsed() < Duration::from_secs(900), "{updates} updates, {:?}", attackers.sent);
    }
    only_these_are_in_blocks(&up, |update| !attackers.sent.contains_key(update));
    let mut verdicts: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for (update, kind) in &attackers.sent {
        // One that came after its head had gone is not judged.
        let said = events::gate(&up, update).unwrap_or_else(|| "never judged".to_owned());
        assert!(!said.contains("Loss gate: ACK"), "{kind} {update}: {said}");
        *verdicts.entry((kind, said.split(':').take(2).collect())).or_default() += 1;
    }
    println!("{verdicts:#?}");
    // The near-copy rule looks at coordinates, not at values: of a delta that was ACKed it sees every bent one before any loss.
    for kind in ["flipped", "scaled", "copied"] {
        let is_refused = |said: &str| ["near-copy", "CLEAR FAIL", "over a cap"].iter().any(|reason| said.contains(reason));
        assert!(verdicts.keys().any(|(of, said)| *of == kind && is_refused(said)), "no {kind} was judged: {verdicts:#?}");
    }
}
