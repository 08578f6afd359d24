//! The life of a whole process.

use super::{Root, Signals, Tasks};
use crate::exit::Exit;
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::runtime::Builder;

/// Runs a process: `start` is the first critical task and spawns the others; then the process lives until a signal, a failed
/// critical task or [`Tasks::stop`], and shuts down until the deadline. Signals and deadline are kept by this thread, on a runtime
/// of its own, so that they hold even when tasks block every worker. Call it from [`crate::exit::main`], once.
///
/// # Errors
/// What ended it, with its exit code: a critical task's failure, or tasks that had to be aborted.
pub fn run<F, Fut>(name: &'static str, deadline: Duration, start: F) -> Result<(), Exit>
where
    F: FnOnce(Tasks) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), Exit>> + Send + 'static,
{
    let workers = Builder::new_multi_thread().enable_all().thread_name(name).build()?;
    let supervisor = Builder::new_current_thread().enable_all().build()?;
    let stopped = supervisor.block_on(async {
        let signals = Signals::listen()?;
        let root = {
            let _context = workers.enter();
            Root::new(name)
        };
        let tasks = root.tasks().clone();
        root.tasks().spawn_critical("start", async move { start(tasks).await });
        Ok::<_, io::Error>(root.run(signals, deadline).await)
    });
    // What still blocks a thread ends with the process.
    workers.shutdown_background();
    stopped?.into_result()
}
