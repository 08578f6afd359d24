//! Tasks that a process can do without.

use super::restarts::Restarts;
use super::{Panic, TaskLabel, Tree, watch_future};
use crate::exit::Exit;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Where an optional task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionalState {
    /// It runs, or pauses before a restart.
    Running {
        /// How often it was restarted so far.
        restarts: u64,
    },
    /// It ended by itself, or with the process.
    Done,
    /// It failed too often and will not be started again.
    SwitchedOff,
}

/// What the owner of an optional task sees of it. Dropping this does not end the task.
#[derive(Clone, Debug)]
pub struct OptionalTask {
    state: watch::Receiver<OptionalState>,
}

impl OptionalTask {
    /// Where it stands now.
    pub fn state(&self) -> OptionalState {
        *self.state.borrow()
    }

    /// Waits until it has ended for good: true when it was switched off, false when it was done.
    pub async fn switched_off(&mut self) -> bool {
        let ended = self.state.wait_for(|state| !matches!(state, OptionalState::Running { .. })).await;
        ended.is_ok_and(|state| *state == OptionalState::SwitchedOff)
    }

    /// The watch itself, to select on.
    pub const fn watch(&self) -> &watch::Receiver<OptionalState> {
        &self.state
    }
}

/// The view of a task, and the future that keeps it running.
pub(super) fn supervise<F, Fut, E>(
    tree: Arc<Tree>,
    path: Arc<str>,
    mut make: F,
) -> (OptionalTask, impl Future<Output = ()> + Send + 'static)
where
    F: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Into<Exit>,
{
    let (sender, state) = watch::channel(OptionalState::Running { restarts: 0 });
    let body = async move {
        let label = TaskLabel { task: path.to_string() };
        let (mut policy, mut restarts) = (Restarts::default(), 0_u64);
        loop {
            let Some(why) = failure(watch_future(async { make().await }).await) else { break };
            if tree.token.is_cancelled() {
                break;
            }
            let Some(pause) = policy.next(Instant::now()) else {
                tracing::error!(target: "polai::tasks", task = %path, why, "optional task switched off: it failed too often");
                tree.metrics.switched_off.get_or_create(&label).set(1);
                sender.send_replace(OptionalState::SwitchedOff);
                return;
            };
            restarts = restarts.saturating_add(1);
            tree.metrics.restarts.get_or_create(&label).inc();
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(target: "polai::tasks", task = %path, why, restarts, pause_ms, "optional task failed: it starts again");
            sender.send_replace(OptionalState::Running { restarts });
            if tree.token.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        sender.send_replace(OptionalState::Done);
    };
    (OptionalTask { state }, body)
}

fn failure<E: Into<Exit>>(ended: Result<Result<(), E>, Panic>) -> Option<String> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.into().to_string()),
        Err(panic) => Some(panic.to_string()),
    }
}
