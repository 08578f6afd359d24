//! The program, killed at any moment, goes on where it was.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use ml_sidecar::{checkpoint::Checkpoint, local, texts::DevTexts};
use pol_core::{
    Hash32,
    committee::QuorumRule,
    delta::Profile,
    gate::NanoNats,
    genesis::{ChainParameters, ChainSpec},
    params::Preset,
    sha256,
};

use crate::{
    support::{self, TINY},
    world::{World, client, until},
};

/// A chain of the model. Its losses are nobody's: the gate has no votes, and follows all the same.
pub(crate) fn spec(model: &str) -> ChainSpec {
    let folder = std::path::Path::new(model);
    let parameters = ChainParameters {
        genesis_time: 1_700_000_000,
        preset: Preset::Minimal,
        slot_seconds: 12,
        chain_id: 7,
        genesis_validators_root: Hash32([1; 32]),
        execution_genesis_hash: Hash32([2; 32]),
        quorum: QuorumRule::Auto,
        difficulty_floor: 1,
        manifest_hash: local::manifest_hash(folder).unwrap(),
        shape: Checkpoint::open(folder).unwrap().config.shape,
        dev_texts_hash: DevTexts::embedded().hash(),
        reference_losses: [NanoNats::new(1).unwrap(); 32],
        profile: Profile::F16x20,
        dev_slash_small: true,
    };
    ChainSpec::new(&parameters).unwrap()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Ends its process with the test.
struct Process(Child);

impl Process {
    fn start(files: &support::World, world: &World, port: u16) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"));
        command.args(["serve", "--roles", "gate", "--model", files.model(), "--chain", &files.path("chain.toml")]);
        command.args(["--dht", &world.uris.0, "--feed", &world.uris.1, "--port", &port.to_string(), "--metrics-port", "0"]);
        command.args(["--data-dir", &files.path("data"), "--threads", "1", "--device", "cpu"]);
        Self(command.env("OMP_WAIT_POLICY", "passive").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn killed(times: u64) {
    let files = support::World::new(&TINY);
    let spec = spec(files.model());
    files.write("chain.toml", spec.to_toml().as_bytes());
    let mut world = World::new(spec.delta_context()).await;
    let port = free_port();
    let mut sidecar = client(&format!("http://127.0.0.1:{port}"));
    let mut seen = 0;
    for round in 0..times {
        let mut process = Process::start(&files, &world, port);
        let state = until(&mut sidecar, "it answers", |_| true).await;
        assert!(state.updates >= seen, "what it told is on disk: {seen} updates, then {}", state.updates);
        // Updates come, and sometimes go, while it works; the blow falls somewhere in between.
        let chance = sha256(&[b"killed", &round.to_le_bytes()]);
        for step in 0..=chance[0] % 12 {
            let id = world.chain.delta(i32::from(chance[1]) + i32::from(step) + round as i32 * 300);
            world.chain.accept(id);
            world.share();
            if chance[2].wrapping_add(step) % 7 == 0 {
                let keep = world.chain.updates.len() - 1;
                world.chain.revert(keep);
            }
            tokio::time::sleep(Duration::from_millis(u64::from(chance[usize::from(step) + 3] % 20))).await;
        }
        let asked = sidecar.model_state(pol_api::sidecar::v1::ModelStateRequest {}).await;
        process.kill();
        // A revert may have come after the answer.
        seen = asked
            .map_or(0, |state| state.into_inner().state.unwrap().updates)
            .min(world.chain.updates.len() as u64)
            .saturating_sub(2);
    }
    let _process = Process::start(&files, &world, port);
    let (root, updates) = (world.chain.fresh().root(), world.chain.updates.len() as u64);
    let state =
        until(&mut sidecar, "all updates", |state| state.updates == updates && state.model_head == world.chain.head()).await;
    assert_eq!(state.root, root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_goes_on_with_the_same_root() {
    killed(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_a_sidecar_that_is_killed_again_and_again_goes_on_with_the_same_root() {
    killed(30).await;
}

#[test]
fn a_chain_of_another_model_or_no_chain_is_one_line_and_exit_code_2() {
    let files = support::World::new(&TINY);
    let right = spec(files.model());
    let wrong = ChainSpec::new(&ChainParameters { manifest_hash: Hash32([9; 32]), ..right.parameters() }).unwrap();
    let path = files.write("wrong.toml", wrong.to_toml().as_bytes());
    for command in [["serve", "--roles=gate"], ["gate", "--serve"]] {
        let [first, second] = command;
        files.refused(&[first, second, "--model", files.model(), "--chain", &path], "another base model");
        files.refused(&[first, second, "--model", files.model()], "chain.toml");
    }
    files.refused(&["gate", "--model", files.model()], "--delta");
}
