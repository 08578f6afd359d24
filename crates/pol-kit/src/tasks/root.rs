//! The root of a process's task tree, and how it comes down.

use super::{Panic, Tasks, Tree};
use crate::exit::Exit;
use crate::limits::ABORT_GRACE;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;

/// A signal that asks a process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as by Ctrl-C.
    Interrupt,
    /// SIGTERM, as by a service manager.
    Terminate,
}

/// SIGINT and SIGTERM, taken from the operating system's hands: from here on they no longer kill the process.
#[derive(Debug)]
pub struct Signals {
    interrupts: unix::Signal,
    terminations: unix::Signal,
}

impl Signals {
    /// Listens from now on, on the current runtime. Do it before the first task says that it is ready.
    ///
    /// # Errors
    /// The operating system gave no signal handler.
    pub fn listen() -> io::Result<Self> {
        let (interrupts, terminations) = (unix::signal(SignalKind::interrupt())?, unix::signal(SignalKind::terminate())?);
        Ok(Self { interrupts, terminations })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.interrupts.recv() => Signal::Interrupt,
            Some(()) = self.terminations.recv() => Signal::Terminate,
            else => std::future::pending().await,
        }
    }
}

/// Why a process stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The operator asked.
    Signal(Signal),
    /// A task asked, by [`Tasks::stop`].
    Requested {
        /// Its node's path.
        task: Arc<str>,
        /// What it gave as reason.
        why: &'static str,
    },
    /// A critical task failed.
    Failure {
        /// Its path.
        task: Arc<str>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(Signal::Interrupt) => f.write_str("SIGINT"),
            Self::Signal(Signal::Terminate) => f.write_str("SIGTERM"),
            Self::Requested { task, why } => write!(f, "{task}: {why}"),
            Self::Failure { task } => write!(f, "critical task {task} failed"),
        }
    }
}

/// A critical task that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its path.
    pub task: Arc<str>,
    /// How.
    pub cause: Cause,
}

/// How a critical task failed.
#[derive(Debug)]
pub enum Cause {
    /// It returned an error.
    Failed(Exit),
    /// It panicked: our fault.
    Panicked(Panic),
    /// It was one more than [`crate::limits::TASKS_MAX`]: our fault.
    TooManyTasks,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "critical task {} ", self.task)?;
        match &self.cause {
            Cause::Failed(exit) => write!(f, "failed: {exit}"),
            Cause::Panicked(panic) => write!(f, "{panic}"),
            Cause::TooManyTasks => f.write_str("was not spawned: too many tasks"),
        }
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        match failure.cause {
            Cause::Failed(exit) => exit.context(format!("critical task {} failed", failure.task)),
            Cause::Panicked(_) | Cause::TooManyTasks => Self::failure(failure.to_string()),
        }
    }
}

/// How a process stopped.
#[derive(Debug)]
pub struct Stopped {
    /// What began it.
    pub reason: Reason,
    /// The first critical task that failed, before or during the shutdown.
    pub failure: Option<Failure>,
    /// Paths of the tasks that had not ended at the deadline, or at the second signal.
    pub aborted: Vec<Arc<str>>,
}

impl Stopped {
    /// Nothing to report, when no critical task failed and none had to be aborted.
    ///
    /// # Errors
    /// The failure with its own exit code, else the names of the aborted tasks with code 1.
    pub fn into_result(self) -> Result<(), Exit> {
        match (self.failure, self.aborted.as_slice()) {
            (Some(failure), _) => Err(failure.into()),
            (None, []) => Ok(()),
            (None, aborted) => Err(Exit::failure(format!("stopped by {}; tasks aborted: {}", self.reason, aborted.join(", ")))),
        }
    }
}

/// The root of a process's tasks. There is one per process; tests may have several. Dropping it asks all tasks to stop.
#[derive(Debug)]
pub struct Root {
    tasks: Tasks,
}

impl Root {
    /// An empty tree, whose tasks run on the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(name: &'static str) -> Self {
        Self { tasks: Tasks { path: name.into(), tree: Arc::new(Tree::new()) } }
    }

    /// The root's own node, to spawn on.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The node of that name below the root.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Tasks {
        self.tasks.child(name)
    }

    /// Waits for a signal, a failed critical task or [`Tasks::stop`]; then shuts down in good order until the deadline. A further
    /// signal aborts at once.
    pub async fn run(self, mut signals: Signals, deadline: Duration) -> Stopped {
        tokio::select! {
            () = self.tasks.cancelled() => {}
            signal = signals.next() => self.tasks.tree.stop(Reason::Signal(signal)),
        }
        let again = async move {
            signals.next().await;
        };
        self.shut_down(deadline, again).await
    }

    /// Shuts down now, without signals; for tests and for processes that hold several trees.
    pub async fn stop(self, deadline: Duration) -> Stopped {
        self.tasks.stop("its owner stopped it");
        self.shut_down(deadline, std::future::pending()).await
    }

    async fn shut_down(self, deadline: Duration, at_once: impl Future<Output = ()>) -> Stopped {
        let tree = Arc::clone(&self.tasks.tree);
        // Nobody but `stop` cancels the token, and it sets the reason before.
        let reason = tree.reason.get().cloned().unwrap_or(Reason::Requested { task: "root".into(), why: "dropped" });
        tracing::info!(target: "polai::tasks", %reason, deadline_ms = %deadline.as_millis(), "the process stops");
        tree.tracker.close();
        let grace = tokio::select! {
            () = tree.tracker.wait() => None,
            () = tokio::time::sleep(deadline) => Some(ABORT_GRACE),
            () = at_once => Some(Duration::ZERO),
        };
        let mut aborted = Vec::new();
        if let Some(grace) = grace {
            aborted = tree.abort_all();
            tracing::error!(target: "polai::tasks", tasks = %aborted.join(", "), "tasks aborted: they did not end in time");
            let _ = timeout(grace, tree.tracker.wait()).await;
        }
        let failure = tree.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Stopped { reason, failure, aborted }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.tasks.stop("its root was dropped");
    }
}
