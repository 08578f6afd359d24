//! Other people's programs beside `pol-execution`, and its chain computed again by the official execution specification.

use std::process::Command;

use e2e::{
    SEED,
    clients::{Execution, cache, file, python, run},
};

#[test]
fn web3_py_transfers_deploys_traces_and_subscribes_and_every_root_is_computed_again() {
    let node = Execution::dev();
    println!("{}", python("wallet.py", &[node.http().as_ref(), node.genesis().as_ref(), SEED.as_ref()]));
}

#[test]
fn ethers_transfers_deploys_traces_and_subscribes() {
    let modules = cache().join("clients-ethers/node_modules");
    if !modules.exists() {
        println!("SKIPPED: scripts/setup found no Node.js 18 or newer with npm; scripts/test says so at its end");
        return;
    }
    let node = Execution::dev();
    let mut command = Command::new("node");
    command.arg(file("wallet.mjs")).arg(modules).arg(node.http()).arg(node.funded_key()).arg(file("Counter.hex"));
    println!("{}", run(&mut command));
}

#[test]
fn a_python_consensus_client_builds_imports_and_reorgs_and_everything_wrong_is_refused_by_the_letter() {
    let node = Execution::old_chain();
    let (http, auth, ai_engine) = (node.http(), node.auth(), node.ai_engine());
    let (genesis, secret) = (node.genesis(), node.secret());
    let arguments = [http.as_ref(), auth.as_ref(), ai_engine.as_ref(), genesis.as_os_str(), secret.as_os_str(), SEED.as_ref()];
    println!("{}", python("engine.py", &arguments));
}

#[test]
fn bad_tokens_batch_bombs_deep_json_and_oversized_bodies_are_refused_and_the_memory_stays() {
    let node = Execution::old_chain();
    let (http, auth, ai_engine, pid) = (node.http(), node.auth(), node.ai_engine(), node.pid().to_string());
    let secret = node.secret();
    println!("{}", python("hostile.py", &[http.as_ref(), auth.as_ref(), ai_engine.as_ref(), secret.as_os_str(), pid.as_ref()]));
}
