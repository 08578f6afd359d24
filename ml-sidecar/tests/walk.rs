//! What a person does with the program: make a model, train, cut a delta, judge it, look at it, take it elsewhere.

#[path = "support/mod.rs"]
mod support;

use ml_sidecar::embedded::Recipe;
use pol_core::model_head;
use support::{SMALL, World};

/// Own text: the protocol, line by line.
const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");

fn loss(world: &World, arguments: &[&str]) -> f64 {
    let said = world.done(&[&["eval", "--model", world.model()], arguments].concat());
    said.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Every tenth line is held out.
fn own_text(world: &World) -> (String, String) {
    let lines: Vec<&str> = PROTOCOL.lines().map(str::trim).filter(|line| line.len() > 40).collect();
    let part = |held_out: bool| lines.iter().enumerate().filter(move |(i, _)| (i % 10 == 0) == held_out).map(|(_, line)| *line);
    let train = world.write("own.txt", part(false).collect::<Vec<_>>().join("\n\n").as_bytes());
    (train, world.write("held-out.txt", part(true).collect::<Vec<_>>().join("\n").as_bytes()))
}

fn train_judge_and_export(world: &World, steps: &str) {
    let model = world.model();
    let [delta, state, lora] = ["d.pld", "s.pols", "lora"].map(|name| world.path(name));
    let said = world.say(&format!("train --model {model} --out {delta} --state-out {state} --steps {steps}"));
    let heads = said.lines().find_map(|line| line.strip_prefix("model head")).unwrap().to_owned();
    let (before, after) = heads.trim().split_once(" -> ").unwrap();
    let id = said.lines().find_map(|line| line.strip_prefix("update id")).unwrap().trim().parse().unwrap();
    assert_eq!(model_head::child(before.parse().unwrap(), id).to_string(), after);

    let judged = world.done(&["gate", "--model", model, "--delta", &delta]);
    assert!(judged.starts_with("Loss gate: ACK"), "{judged}");
    let judged = world.done(&["gate", "--model", model, "--delta", &world.random_delta()]);
    assert!(judged.starts_with("Loss gate: CLEAR FAIL") || judged.starts_with("Loss gate: ABSTAIN"), "{judged}");
    // On the state that holds it already it is of another head.
    world.refused(&["gate", "--model", model, "--delta", &delta, "--state", &state, "--head", after], "for model head");
    let prefix = world.done(&["gate", "--model", model, "--delta", &delta, "--within", "0.000001"]);
    assert!(prefix.contains("a prefix of the texts") && !prefix.contains("CLEAR FAIL"), "{prefix}");

    let inspected = world.done(&["delta", "inspect", "--model", model, &delta]);
    assert!(
        inspected.contains("signature valid") && inspected.contains("energy by projection") && inspected.contains("#"),
        "{inspected}"
    );
    world.done(&["adapter", "export", &state, &lora]);
    world.done(&["adapter", "import", &lora, &world.path("again.pols")]);
    assert!(
        std::fs::read(world.path("again.pols")).unwrap() == std::fs::read(&state).unwrap(),
        "through PEFT's folder, bit for bit"
    );
    let say =
        |extra: &[&str]| world.done(&[&["generate", "--model", model, "--prompt", "The rain", "--tokens", "8"], extra].concat());
    assert!(say(&[]).starts_with("The rain") && say(&[]) == say(&[]));
    let drawn = ["--temperature", "0.8", "--seed", "3", "--adapter", &lora];
    assert_eq!(say(&drawn), say(&drawn));
}

fn own_text_lowers_the_held_out_loss(world: &World, steps: &str, by: f64) {
    let (train, held_out) = own_text(world);
    let (delta, lora) = (world.path("own.pld"), world.path("own-lora"));
    let before = loss(world, &["--texts", &held_out]);
    let flags = format!("--refining-steps 0 --data {train} --out {delta} --adapter-out {lora} --steps {steps}");
    world.say(&format!("train --model {} {flags}", world.model()));
    let after = loss(world, &["--texts", &held_out, "--adapter", &lora]);
    assert!(after < before * by, "{before} -> {after}");
}

#[test]
fn a_trained_delta_is_acked_and_a_random_one_is_not() {
    train_judge_and_export(&World::new(&SMALL), "40 --learning-rate 1e-2 --batch 4 --length 64");
}

#[test]
fn training_on_own_text_lowers_the_loss_of_text_that_was_held_out() {
    own_text_lowers_the_held_out_loss(&World::new(&SMALL), "30 --batch 4 --length 64", 0.99);
}

#[test]
fn long_the_embedded_model_learns_a_real_text_in_200_steps_and_its_deltas_are_acked() {
    let world = World::new(&Recipe::default());
    train_judge_and_export(&world, "100 --learning-rate 4e-3");
    own_text_lowers_the_held_out_loss(&world, "200", 0.95);
}

/// What one delta leaves out comes with the next: a chain of one trainer.
#[test]
fn trainings_that_go_on_from_each_other_are_acked_one_after_the_other() {
    let world = World::new(&SMALL);
    let (model, residual) = (world.model(), world.path("r.pols"));
    let mut at: Vec<String> = Vec::new();
    for round in ["1", "2", "3"] {
        let (delta, state) = (world.path(&format!("{round}.pld")), world.path(&format!("{round}.pols")));
        let place: Vec<&str> = at.iter().map(String::as_str).collect();
        let flags = "--steps 40 --batch 4 --length 64 --learning-rate 1e-2";
        let files = format!("--residual {residual} --out {delta} --state-out {state}");
        let said = world.say(&format!("train --model {model} --seed {round} {flags} {files} {}", at.join(" ")));
        let judged = world.done(&[&["gate", "--model", model, "--delta", &delta][..], &place[..]].concat());
        assert!(judged.starts_with("Loss gate: ACK"), "round {round}: {judged}");
        let head =
            said.lines().find_map(|line| line.strip_prefix("model head")).and_then(|line| line.split(" -> ").nth(1)).unwrap();
        at = ["--state", &state, "--head", head].map(str::to_owned).to_vec();
    }
}
