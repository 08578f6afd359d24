//! The task tree: every task of a process has an owner, a name and an end.
//!
//! Purpose: no task dies unseen, none outlives its process's shutdown. Contract: [`run`] makes the one [`Root`] of a process; parts
//! get a [`Tasks`] (a node of the tree, cheap to clone) and name what they spawn, so that names form a path such as
//! `pol-dht/net/swarm`. *Critical* tasks end the process when they panic or fail; *optional* ones are restarted, at most 5 times a
//! minute, then switched off. All see the token of [`Tasks::cancelled`] and end by themselves; what is left at the deadline is
//! aborted and named. Limits: [`crate::limits`]. Why this way: nothing else in the repository spawns. What it does not protect
//! against: a task that waits for ever and says nothing; a blocking call that never returns keeps its thread until the process ends.

mod optional;
pub(crate) mod panics;
mod process;
mod restarts;
mod root;

pub use optional::{OptionalState, OptionalTask};
pub use panics::Panic;
pub use process::run;
pub use root::{Cause, Failure, Reason, Root, Signal, Signals, Stopped};

use crate::exit::Exit;
use crate::limits::TASKS_MAX;
use crate::metrics::described;
use panics::{watch, watch_future};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// A node of the task tree. Clones are the same node.
#[derive(Clone)]
pub struct Tasks {
    path: Arc<str>,
    tree: Arc<Tree>,
}

/// What all nodes share.
struct Tree {
    runtime: Handle,
    tracker: TaskTracker,
    token: CancellationToken,
    alive: Mutex<Alive>,
    reason: OnceLock<Reason>,
    failure: Mutex<Option<Failure>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Alive {
    next: u64,
    /// By number, the path and, once it is spawned, the handle.
    tasks: BTreeMap<u64, (Arc<str>, Option<AbortHandle>)>,
    aborting: bool,
}

#[derive(Debug, Default)]
struct Metrics {
    alive: Gauge,
    restarts: Family<TaskLabel, Counter>,
    switched_off: Family<TaskLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskLabel {
    task: String,
}

impl Tasks {
    /// The node below this one, of that name: lower-case letters, digits and `-`.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        Self { path: self.path_of(name), tree: Arc::clone(&self.tree) }
    }

    /// The names from the root to this node, such as `pol-dht/net`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Spawns a task without which the process is useless. A panic or an error ends the process, with the task's path in one log
    /// line and the error's exit code. `Ok` means that its work is done: a loop that must never end returns an error.
    /// Once the process shuts down nothing is spawned any more.
    pub fn spawn_critical<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Exit>,
    {
        let (tree, path) = (Arc::clone(&self.tree), self.path_of(name));
        let body = {
            let path = Arc::clone(&path);
            async move { tree.ended(&path, watch_future(future).await) }
        };
        self.spawn(path, true, body);
    }

    /// The same for a future that does not look at the shutdown itself: it is dropped where it waits when the process stops.
    pub fn spawn_until_stopped<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Exit> + Send + 'static,
    {
        let stop = self.clone();
        self.spawn_critical(name, async move {
            tokio::select! {
                ended = future => ended,
                () = stop.cancelled() => Ok(()),
            }
        });
    }

    /// The same for a blocking function, on a thread of its own. It must look at the token, often enough for the deadline of the
    /// shutdown: a thread cannot be aborted, only named and left behind.
    pub fn spawn_blocking_critical<F, E>(&self, name: &'static str, body: F)
    where
        F: FnOnce(CancellationToken) -> Result<(), E> + Send + 'static,
        E: Into<Exit>,
    {
        let (tree, path) = (Arc::clone(&self.tree), self.path_of(name));
        let Some(entry) = tree.enter(&path, true) else { return };
        let number = entry.number;
        let span = span(&path);
        let thread = move || {
            let entry = entry;
            let _inside = span.enter();
            let token = entry.tree.token.clone();
            entry.tree.ended(&path, watch(|| body(token)));
        };
        let handle = self.tree.tracker.spawn_blocking_on(thread, &self.tree.runtime);
        self.tree.attach(number, handle.abort_handle());
    }

    /// Runs a blocking function (disk, hashing, pairings) on a thread that may block, and waits for it. Shutdown waits for it too. When
    /// the caller is dropped meanwhile the function still runs to its end.
    ///
    /// # Errors
    /// [`Panic`]: it panicked, or the runtime is gone.
    pub async fn run_blocking<T, F>(&self, body: F) -> Result<T, Panic>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let inside = tracing::Span::current();
        let thread = move || inside.in_scope(|| watch(body));
        let ended = self.tree.tracker.spawn_blocking_on(thread, &self.tree.runtime).await;
        ended.unwrap_or_else(|error| Err(Panic { message: error.to_string(), location: None }))
    }

    /// Spawns a task that the process can do without. When it panics or fails it is counted and made anew after a pause, at most 5
    /// times a minute; then it is switched off, which the returned watch says.
    pub fn spawn_optional<F, Fut, E>(&self, name: &'static str, make: F) -> OptionalTask
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send,
        E: Into<Exit>,
    {
        let path = self.path_of(name);
        let (task, body) = optional::supervise(Arc::clone(&self.tree), Arc::clone(&path), make);
        self.spawn(path, false, body);
        task
    }

    /// Ends when the process is to stop; every loop selects on it.
    pub async fn cancelled(&self) {
        self.tree.token.cancelled().await;
    }

    /// The token behind [`Self::cancelled`], for libraries that want one. It is a child: cancelling it stops nobody else.
    pub fn token(&self) -> CancellationToken {
        self.tree.token.child_token()
    }

    /// Asks the process to stop, in good order and with exit code 0. The first reason counts.
    pub fn stop(&self, why: &'static str) {
        self.tree.stop(Reason::Requested { task: Arc::clone(&self.path), why });
    }

    /// Adds the tree's metrics: tasks alive, restarts and switched-off tasks by path.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("tasks");
        let metrics = &self.tree.metrics;
        registry.register("alive", "Tasks that are running", metrics.alive.clone());
        registry.register("restarts", "Restarts of optional tasks", described(metrics.restarts.clone()));
        registry.register(
            "switched_off",
            "1 for an optional task that failed too often",
            described(metrics.switched_off.clone()),
        );
    }

    fn path_of(&self, name: &'static str) -> Arc<str> {
        format!("{}/{name}", self.path).into()
    }

    fn spawn(&self, path: Arc<str>, critical: bool, body: impl Future<Output = ()> + Send + 'static) {
        let Some(entry) = self.tree.enter(&path, critical) else { return };
        let number = entry.number;
        let body = async move {
            let _entry = entry;
            body.await;
        };
        let handle = self.tree.tracker.spawn_on(body.instrument(span(&path)), &self.tree.runtime);
        self.tree.attach(number, handle.abort_handle());
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({})", self.path)
    }
}

impl Tree {
    fn new() -> Self {
        Self {
            runtime: Handle::current(),
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
            alive: Mutex::default(),
            reason: OnceLock::new(),
            failure: Mutex::default(),
            metrics: Metrics::default(),
        }
    }

    fn alive(&self) -> MutexGuard<'_, Alive> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the living, or none when the process stops. Too many tasks are our fault, and end the process.
    fn enter(self: &Arc<Self>, path: &Arc<str>, critical: bool) -> Option<Entry> {
        let mut alive = self.alive();
        if self.token.is_cancelled() {
            tracing::debug!(target: "polai::tasks", task = %path, "not spawned: the process stops");
            return None;
        }
        if alive.tasks.len() >= TASKS_MAX {
            drop(alive);
            self.fail(Failure { task: Arc::clone(path), cause: Cause::TooManyTasks });
            return None;
        }
        let number = alive.next;
        alive.next = number.saturating_add(1);
        alive.tasks.insert(number, (Arc::clone(path), None));
        self.metrics.alive.inc();
        Some(Entry { tree: Arc::clone(self), path: Arc::clone(path), number, critical })
    }

    /// The task may have ended, or the abort may have come, before its handle got here.
    fn attach(&self, number: u64, handle: AbortHandle) {
        let mut alive = self.alive();
        if alive.aborting {
            handle.abort();
        }
        if let Some((_, place)) = alive.tasks.get_mut(&number) {
            *place = Some(handle);
        }
    }

    fn abort_all(&self) -> Vec<Arc<str>> {
        let mut alive = self.alive();
        alive.aborting = true;
        alive.tasks.values().filter_map(|(_, handle)| handle.as_ref()).for_each(AbortHandle::abort);
        alive.tasks.values().map(|(path, _)| Arc::clone(path)).collect()
    }

    fn ended<E: Into<Exit>>(&self, path: &Arc<str>, ended: Result<Result<(), E>, Panic>) {
        let cause = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => Cause::Failed(error.into()),
            Err(panic) => Cause::Panicked(panic),
        };
        self.fail(Failure { task: Arc::clone(path), cause });
    }

    fn fail(&self, failure: Failure) {
        tracing::error!(target: "polai::tasks", task = %failure.task, "{failure}");
        let task = Arc::clone(&failure.task);
        // The first failure gives the exit code; later ones are in the log.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.stop(Reason::Failure { task });
    }

    fn stop(&self, reason: Reason) {
        if self.reason.set(reason).is_ok() {
            self.token.cancel();
        }
    }
}

/// A task's place among the living; given up in whichever way the task ends.
struct Entry {
    tree: Arc<Tree>,
    path: Arc<str>,
    number: u64,
    critical: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.tree.alive().tasks.remove(&self.number);
        self.tree.metrics.alive.dec();
        // A destructor of the task panicked, after its body was done: nobody else sees that.
        if self.critical && std::thread::panicking() {
            let panic = Panic { message: "in a destructor".to_owned(), location: None };
            self.tree.fail(Failure { task: Arc::clone(&self.path), cause: Cause::Panicked(panic) });
        }
    }
}

fn span(path: &Arc<str>) -> tracing::Span {
    tracing::error_span!(target: "polai::tasks", parent: None, "task", path = %path)
}

#[cfg(test)]
mod tests;
