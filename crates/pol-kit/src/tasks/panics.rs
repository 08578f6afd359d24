//! A panic as a value, and as one log line.

use crate::exit::one_line;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;

thread_local! {
    /// How many [`watch`] calls this thread is inside of.
    static WATCHED: Cell<u32> = const { Cell::new(0) };
    /// Where the last watched panic of this thread was.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught. Our fault, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// What the panic said, on one line; empty when it was no text.
    pub message: String,
    /// File and line, when the process runs under [`crate::exit::main`].
    pub location: Option<String>,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

impl std::error::Error for Panic {}

/// Makes every panic of the process one log line, or, where it is watched, part of the watcher's line. Further calls do nothing.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| set_hook(Box::new(hook)));
}

fn hook(info: &PanicHookInfo<'_>) {
    let location = info.location().map(|location| format!("{}:{}", location.file(), location.line()));
    // At the end of a thread its thread-locals are gone: then nobody watches.
    if WATCHED.try_with(Cell::get).is_ok_and(|depth| depth > 0) {
        LOCATION.with(|last| last.replace(location));
        return;
    }
    let panic = Panic { message: message(info.payload()), location };
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "polai::tasks", thread, "a thread {panic}");
    } else {
        eprintln!("thread {thread} {panic}");
    }
}

/// Runs `body` and turns a panic into a value.
pub(crate) fn watch<T>(body: impl FnOnce() -> T) -> Result<T, Panic> {
    WATCHED.with(|depth| depth.set(depth.get().saturating_add(1)));
    let ended = catch_unwind(AssertUnwindSafe(body));
    WATCHED.with(|depth| depth.set(depth.get().saturating_sub(1)));
    ended.map_err(|payload| Panic { message: message(&*payload), location: LOCATION.with(RefCell::take) })
}

/// The same for a future.
pub(crate) async fn watch_future<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|context| match watch(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    one_line(text.unwrap_or_default())
}
