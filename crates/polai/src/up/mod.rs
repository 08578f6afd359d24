//! `polai up`: a whole node as one command.
//!
//! # Purpose
//! From an empty folder to blocks: model, seed, genesis, processes; then it keeps them running until it is told to stop.
//!
//! # Contract
//! Nothing is begun that is known to fail: programs, ports, disk and clock are looked at first. One node per folder, by the folder's lock.
//!
//! # What it does not protect against
//! A machine that loses power: every store is made for that, polai is not needed. Processes of other nodes on the same keys.

pub mod chain;
pub mod data;
mod detach;
pub mod execution;
mod hung;
pub mod lighthouse;
mod model;
pub mod plan;
mod preflight;
pub mod prepare;
mod sidecar;
#[cfg(test)]
pub(crate) use model::tests::spec;
pub(crate) use preflight::free_bytes;
mod watch;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use pol_kit::{
    clock::{Clock, System},
    exit::{Exit, OrUsage as _},
    fs::{LockError, create_private_directory, remove_unfinished},
    jwt::Secret,
    tasks::{self, Tasks},
};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Consensus, UpArgs},
    ask::Ask,
    busy, health,
    layout::Layout,
    programs::Programs,
    refeed::{self, Refeed},
    run_file::{self, RunFile},
    seed,
    supervise::{Event, Part, PartState, Supervisor},
};
use data::TrainData;
use execution::Execution;
use lighthouse::Lighthouse;
use plan::{Ai, Plan};

/// Trainer keys that one identity record can name (docs/PROTOCOL.md section 7).
const TRAINERS_MAX: usize = 4;
/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);
/// All processes have ended by then, the last by force.
const STOP: Duration = Duration::from_millis(4_500);
/// Lighthouse writes its fork choice at the end, and begins an epoch back without it.
const STOP_LIGHTHOUSE: Duration = Duration::from_secs(20);
/// When even that fails.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// A line for whoever started us. A terminal that is gone stops nobody.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// What the watch and the supervisor both know.
#[derive(Debug, Clone)]
struct Shared {
    file: Arc<Mutex<RunFile>>,
    ready: Arc<AtomicBool>,
    /// Processes that are silent, by part.
    hung: Arc<Mutex<BTreeMap<&'static str, u32>>>,
}

impl Shared {
    fn states(&self) -> Vec<PartState> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).parts.clone()
    }
}

/// Runs a node until a signal, or starts one that stays.
///
/// # Errors
/// The operator's, exit code 2, one line each. A process that is needed and cannot be had.
pub fn run(layout: &Layout, args: &UpArgs) -> Result<(), Exit> {
    if args.detach {
        return detach::detach(layout);
    }
    if args.detached {
        detach::stay()?;
    }
    let (clock, programs) = (Arc::new(System::new()), Programs::of_process());
    let ports = args.ports.ports()?;
    let ai = match (args.no_ai, args.no_train) {
        (true, _) => Ai::Off,
        (false, true) => Ai::Gate,
        (false, false) => Ai::Train,
    };
    let data = if ai == Ai::Train { TrainData::read(&args.train_data, &programs)? } else { TrainData::Corpus };
    let execution = Execution::of(args)?;
    let lighthouse = (args.consensus == Consensus::Lighthouse).then(|| Lighthouse::of(args)).transpose()?;
    let lighthouse = lighthouse.as_ref();
    let plan =
        Plan { layout, programs: &programs, execution: &execution, ports, ai, data: &data, training: &args.training, lighthouse };
    plan.find_programs()?;
    if ai != Ai::Off {
        sidecar::starts(&programs)?;
    }
    create_private_directory(layout.directory()).or_usage()?;
    let _lock = run_file::hold(layout).map_err(in_use)?;
    busy::check(&plan.needed_ports())?;
    lighthouse::one_beacon_node(layout, args.consensus)?;
    preflight::check(layout, clock.as_ref())?;
    remove_unfinished(layout.directory())?;

    let chain = chain::find_or_make(layout, args, &programs, clock.as_ref())?;
    let own = (ai == Ai::Train).then(|| seed::trainer(&layout.trainer_key())).transpose()?;
    let parts = plan.parts(Some(&chain), &trainers(own, &args.trainers)?)?;
    let parameters = chain.spec.parameters();
    let what = chain::summary(&parameters, chain.validators);
    say(&format!("chain      {}{}: {what}", chain.spec.genesis_id(), if chain.is_new { ", made" } else { "" }));
    let file = RunFile {
        pid: process::id(),
        genesis_id: chain.spec.genesis_id().to_string(),
        validators: chain.validators,
        genesis_time: parameters.genesis_time,
        slot_seconds: parameters.slot_seconds,
        ports,
        ready: false,
        parts: Vec::new(),
    };
    let stop = if lighthouse.is_some() { STOP_LIGHTHOUSE } else { STOP };
    let secret = Arc::new(Secret::load(&layout.jwt()).or_usage()?);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let refeed = Refeed::new(Ask::new()?, url(ports.beacon), url(ports.auth), secret, clock.clone());
    let ended = supervise(layout, parts, (file, refeed), clock, stop);
    // What it says is over.
    drop(std::fs::remove_file(layout.run_file()));
    ended
}

/// Keys that the validators vouch for, each once.
fn trainers(own: Option<String>, others: &[String]) -> Result<Vec<String>, Exit> {
    let mut keys: Vec<String> = own.into_iter().chain(others.iter().map(|key| key.to_ascii_lowercase())).collect();
    keys.sort_unstable();
    keys.dedup();
    let found = keys.len();
    if found > TRAINERS_MAX {
        return Err(Exit::usage(format!(
            "--trainer: {found} trainers with this node's own, at most {TRAINERS_MAX} can be vouched for"
        )));
    }
    Ok(keys)
}

fn in_use(error: LockError) -> Exit {
    let is_running = matches!(error, LockError::InUse { .. });
    let exit = Exit::from(error);
    if is_running { Exit::usage(format!("{exit}: a node runs here already (polai status, polai down)")) } else { exit }
}

/// Keeps the parts running until the process is told to stop.
fn supervise(
    layout: &Layout,
    parts: Vec<Part>,
    (file, refeed): (RunFile, Refeed),
    clock: Arc<System>,
    end: Duration,
) -> Result<(), Exit> {
    let polai = std::env::current_exe()?;
    let pages: Vec<_> = parts.iter().filter_map(|part| Some((part.name, health::url(part.name, &file.ports)?))).collect();
    let supervisor = Supervisor::new(polai, parts, clock.clone());
    let slot = Duration::from_secs(file.slot_seconds);
    let shared = Shared { file: Arc::new(Mutex::new(file)), ready: Arc::default(), hung: Arc::default() };
    let (layout, outcome) = (layout.clone(), Arc::new(Mutex::new(Ok(()))));
    let told = Arc::clone(&outcome);
    tasks::run("polai", SHUTDOWN, move |tasks: Tasks| async move {
        let (of_watch, stop) = (shared.clone(), tasks.clone());
        for (part, page) in pages {
            tasks.spawn_until_stopped("hung", hung::watch(shared.clone(), part, page));
        }
        tasks.spawn_until_stopped("watch", watch::run(of_watch, clock));
        tasks.spawn_until_stopped("refeed", refeed::run(refeed, slot));
        // One thread for all of it: the kernel ends the children with the thread that started them.
        tasks.spawn_blocking_critical("supervisor", move |token| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = keep(supervisor, &layout, &shared, &token, end);
            stop.stop("a part is given up");
            Ok::<(), Exit>(())
        });
        Ok(())
    })?;
    std::mem::replace(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner), Ok(()))
}

fn keep(
    mut supervisor: Supervisor,
    layout: &Layout,
    shared: &Shared,
    token: &CancellationToken,
    end: Duration,
) -> Result<(), Exit> {
    let mut broken = Ok(());
    while !token.is_cancelled() && broken.is_ok() {
        for (part, pid) in std::mem::take(&mut *shared.hung.lock().unwrap_or_else(PoisonError::into_inner)) {
            supervisor.hung(part, pid);
        }
        for event in supervisor.step() {
            broken = broken.and(tell(&event));
        }
        let changed = {
            let mut file = shared.file.lock().unwrap_or_else(PoisonError::into_inner);
            let (states, ready) = (supervisor.states(), shared.ready.load(Ordering::Relaxed));
            let changed = (file.parts != states || file.ready != ready).then(|| {
                file.parts = states;
                file.ready = ready;
                file.clone()
            });
            drop(file);
            changed
        };
        // For the other commands alone: a full disk must not stop the node.
        if let Some(Err(error)) = changed.map(|file| file.write(&layout.run_file())) {
            say(&format!("run.json   cannot be written: {error}"));
        }
        thread::sleep(LOOK);
    }
    say("stopping");
    let clock = System::new();
    let killed = supervisor.stop(end);
    let seconds = clock.monotonic().as_secs_f64();
    match killed.as_slice() {
        [] => say(&format!("stopped    all processes ended in {seconds:.1} s")),
        names => say(&format!("stopped    in {seconds:.1} s; killed because they did not end: {}", names.join(", "))),
    }
    broken
}

/// Says what happened.
fn tell(event: &Event) -> Result<(), Exit> {
    match event {
        Event::Started { .. } => {}
        Event::Alert { part, line } => say(&format!("ALERT      {part}: {line}")),
        Event::Ended { part, how, pause } => {
            say(&format!("{part}: ended with {how}; again in {:.2} s", pause.as_secs_f64()));
        }
        Event::GivenUp { part, line, required: true } => {
            // A program's last line begins with its name.
            let line = line.strip_prefix(&format!("{part}: ")).unwrap_or(line);
            return Err(Exit::usage(format!("{part} cannot run: {line}")));
        }
        Event::GivenUp { part, line, required: false } => {
            say(&format!("{part}: given up, blocks go on without it: {line}"));
        }
    }
    Ok(())
}
