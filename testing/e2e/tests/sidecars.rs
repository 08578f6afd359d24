//! One trainer and three gates, each a process, with a real pol-dht: the model gets better, and all of them agree on it.

use e2e::sidecars::Cluster;

/// All four, the trainer first.
const ALL: std::ops::Range<usize> = 0..4;

async fn make_it_better(updates: u64) {
    let mut cluster = Cluster::start().await;
    cluster.add("trainer", "train").await;
    for name in ["gate-1", "gate-2", "gate-3"] {
        cluster.add(name, "gate").await;
    }
    for number in 1..=updates {
        let (update_id, root) = cluster.acked(1..4).await;
        cluster.accept(update_id, root);
        // One after the other is killed, and goes on.
        let which = usize::try_from(number).expect("a number") % 4;
        if number <= 4 || number == updates {
            cluster.restart(which).await;
        }
        println!("update {number} of {updates}: {update_id}");
    }
    let mut roots = Vec::new();
    for which in ALL {
        let is_there =
            |state: &pol_api::sidecar::model::ModelState| state.updates == updates && state.finalized_updates == updates;
        let state = cluster.until(which, "all updates", is_there).await;
        assert!(state.confirmed, "no certificate contradicted the fold");
        roots.push(state.root);
    }
    assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
    let (before, after) = cluster.held_out(1).await;
    println!("held-out loss {before:.4} -> {after:.4} after {updates} updates");
    assert!(after < before * 0.999, "{before} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trainer_and_three_gate_processes_agree_on_a_better_model_whoever_is_killed() {
    make_it_better(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_one_trainer_and_three_gate_processes_go_on_for_20_updates() {
    make_it_better(20).await;
}
