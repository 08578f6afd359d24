//! A stopped node is started for the check alone: without keys, so that nothing new is signed or proposed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use pol_kit::{
    clock::System,
    exit::Exit,
    tasks::{self, Tasks},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Node, check};
use crate::{
    args::TrainingArgs,
    busy,
    layout::Layout,
    programs::Programs,
    run_file,
    supervise::{Event, Supervisor},
    up::{
        data::TrainData,
        execution::Execution,
        plan::{Ai, Plan},
        say,
    },
};

const LOOK: Duration = Duration::from_millis(50);
const STOP: Duration = Duration::from_millis(4_500);
const SHUTDOWN: Duration = Duration::from_secs(10);
/// Time in which the processes must answer.
const START: Duration = Duration::from_secs(60);

pub(super) fn verify(layout: &Layout, programs: &Programs, node: Node) -> Result<(), Exit> {
    let execution = Execution::of_folder(layout);
    let plan = Plan {
        layout,
        programs,
        execution: &execution,
        ports: node.ports,
        ai: Ai::Off,
        data: &TrainData::Corpus,
        training: &TrainingArgs::default(),
        lighthouse: None,
    };
    if layout.chain_data().join("lighthouse").exists() {
        return Err(Exit::usage("a chain of Lighthouse is checked while its node runs: polai up --consensus lighthouse first"));
    }
    let parts = plan.parts(None, &[])?;
    let _lock = run_file::hold(layout)?;
    busy::check(&plan.needed_ports())?;
    say("starting   the node's processes, without keys");
    let mut supervisor = Supervisor::new(std::env::current_exe()?, parts, Arc::new(System::new()));
    let outcome = Arc::new(Mutex::new(Err(Exit::failure("stopped before the chain was checked"))));
    let told = Arc::clone(&outcome);
    tasks::run("polai", SHUTDOWN, move |tasks: Tasks| async move {
        let (stop, failed) = (tasks.clone(), Arc::clone(&told));
        tasks.spawn_blocking_critical("supervisor", move |token| {
            while !token.is_cancelled() {
                for event in supervisor.step() {
                    if let Event::GivenUp { part, line, .. } = event {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) =
                            Err(Exit::usage(format!("{part} cannot run: {line}")));
                        stop.stop("a process cannot run");
                    }
                }
                thread::sleep(LOOK);
            }
            supervisor.stop(STOP);
            Ok::<(), Exit>(())
        });
        let done = tasks.clone();
        tasks.spawn_until_stopped("check", async move {
            let result = match answers(&node).await {
                true => check(&node).await.map_err(Exit::from),
                false => Err(Exit::failure(format!("the processes do not answer within {} s", START.as_secs()))),
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = result;
            done.stop("the chain was checked");
            Ok::<(), Exit>(())
        });
        Ok(())
    })?;
    std::mem::replace(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))
}

/// Waits until both sides have their chain.
async fn answers(node: &Node) -> bool {
    let answered = async {
        loop {
            let head: Option<Value> = node.ask.call(&node.execution(), "polai_modelHead", json!([null])).await.ok().flatten();
            let beacon = node.ask.data(&node.beacon("/eth/v1/beacon/headers/head")).await.ok().flatten();
            if head.is_some() && beacon.is_some() {
                return;
            }
            sleep(LOOK).await;
        }
    };
    tokio::time::timeout(START, answered).await.is_ok()
}
