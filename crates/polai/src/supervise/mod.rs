//! Child processes that are kept running.
//!
//! # Contract
//! [`Supervisor::step`] never waits: it starts what is due, reaps what has ended and says what happened; call it again and again, always from
//! one thread, because the kernel kills the children when the thread that started them ends. [`Supervisor::stop`] ends all of them, last
//! started first, and returns when none is left.
//!
//! # What it does not protect against
//! A process that runs and does nothing: whoever asks its health page says so with [`Supervisor::hung`]. One that cannot be killed (a disk
//! that hangs in the kernel).

mod alert;
mod backoff;
mod child;
mod log;
mod silence;

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use pol_kit::clock::Clock;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use alert::Alerts;
pub use backoff::{Backoff, FIRST, LONGEST, Next, USAGE_MAX, WELL};
pub use child::{Child, Ended};
pub use log::{Copier, FILE_BYTES, OLD_FILES, RotatingLog, set_aside};
pub use silence::{SILENT_MAX, Silence};

/// Between two alerts of one kind from one part.
const QUIET: Duration = Duration::from_secs(60);
/// Between two looks at a process that is to end.
const LOOK: Duration = Duration::from_millis(10);
/// What a process gets to end by itself before the next one is told to.
const EACH: Duration = Duration::from_millis(1_000);

/// A process to run.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables on top of this process's own.
    pub env: Vec<(&'static str, OsString)>,
    /// Without it there are no blocks: when it is given up, so is the node.
    pub required: bool,
    /// Where its output goes.
    pub log: PathBuf,
    /// Lines of its output that are said at once.
    pub alerts: Alerts,
}

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartState {
    /// Its name.
    pub name: String,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// Restarts so far.
    pub restarts: u32,
    /// Why it is not started again, when it is not.
    pub given_up: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A process was started.
    Started {
        /// The part.
        part: &'static str,
        /// The process.
        pid: u32,
    },
    /// It ended, or could not be started, and will be started again.
    Ended {
        /// The part.
        part: &'static str,
        /// How, and its last line.
        how: String,
        /// When it is started again.
        pause: Duration,
    },
    /// It wrote a line that somebody should see.
    Alert {
        /// The part.
        part: &'static str,
        /// The line.
        line: String,
    },
    /// It is not started again: only an operator can mend it.
    GivenUp {
        /// The part.
        part: &'static str,
        /// Its own words.
        line: String,
        /// There are no blocks without it.
        required: bool,
    },
}

#[derive(Debug)]
enum Now {
    Waiting { until: Duration },
    Running { child: Child, since: Duration, hung: bool },
    GivenUp { line: String },
}

#[derive(Debug)]
struct Slot {
    part: Part,
    now: Now,
    backoff: Backoff,
    starts: u32,
    /// When a pattern was said last.
    said: BTreeMap<usize, Duration>,
}

/// Keeps parts running.
#[derive(Debug)]
pub struct Supervisor {
    polai: PathBuf,
    slots: Vec<Slot>,
    clock: Arc<dyn Clock>,
}

impl Supervisor {
    /// Of these parts, which are started in this order. `polai` is this program's own file: see [`crate::enter`].
    pub fn new(polai: PathBuf, parts: Vec<Part>, clock: Arc<dyn Clock>) -> Self {
        let until = clock.monotonic();
        let slot =
            |part| Slot { part, now: Now::Waiting { until }, backoff: Backoff::default(), starts: 0, said: BTreeMap::new() };
        Self { polai, slots: parts.into_iter().map(slot).collect(), clock }
    }

    /// Starts what is due and reaps what has ended.
    pub fn step(&mut self) -> Vec<Event> {
        let now = self.clock.monotonic();
        let polai = &self.polai;
        let mut events: Vec<Event> = self.slots.iter_mut().filter_map(|slot| slot.alert(now)).collect();
        events.extend(self.slots.iter_mut().filter_map(|slot| slot.step(polai, now)));
        events
    }

    /// A part's process is hung: it is killed, and started again like one that crashed. Nothing happens when it is another process by now.
    pub fn hung(&mut self, part: &str, pid: u32) {
        let slot = self.slots.iter_mut().find(|slot| slot.part.name == part);
        if let Some(Now::Running { child, hung, .. }) = slot.map(|slot| &mut slot.now)
            && child.pid() == pid
        {
            *hung = true;
            // Not SIGTERM: who answers nobody would not hear it, a stopped process least of all.
            child.signal(Signal::KILL);
        }
    }

    /// How the parts are.
    pub fn states(&self) -> Vec<PartState> {
        self.slots.iter().map(Slot::state).collect()
    }

    /// Ends all parts, the last started first: SIGTERM to each, a second to end before the next one is told, SIGKILL to all that are left at
    /// the deadline. Those that had to be killed are named.
    pub fn stop(&mut self, deadline: Duration) -> Vec<&'static str> {
        let end = self.clock.monotonic().saturating_add(deadline);
        let mut left: VecDeque<(&'static str, Child)> = VecDeque::new();
        for slot in self.slots.iter_mut().rev() {
            let stopped = Now::GivenUp { line: "stopped".to_owned() };
            if let Now::Running { mut child, .. } = std::mem::replace(&mut slot.now, stopped) {
                child.signal(Signal::TERM);
                let until = self.clock.monotonic().saturating_add(EACH).min(end);
                if !ends(&mut child, until, self.clock.as_ref()) {
                    left.push_back((slot.part.name, child));
                }
            }
        }
        left.retain_mut(|(_, child)| !ends(child, end, self.clock.as_ref()));
        left.iter_mut().for_each(|(_, child)| child.signal(Signal::KILL));
        let killed = left.iter().map(|(name, _)| *name).collect();
        left.iter_mut().for_each(|(_, child)| child.wait());
        killed
    }
}

/// Whether the process ends until then.
fn ends(child: &mut Child, until: Duration, clock: &dyn Clock) -> bool {
    loop {
        if child.ended().is_some() {
            return true;
        }
        if clock.monotonic() >= until {
            return false;
        }
        thread::sleep(LOOK);
    }
}

impl Slot {
    /// What it wrote, each kind of line once in [`QUIET`].
    fn alert(&mut self, now: Duration) -> Option<Event> {
        let (pattern, line) = self.part.alerts.next()?;
        if self.said.get(&pattern).is_some_and(|said| now.saturating_sub(*said) < QUIET) {
            return None;
        }
        self.said.insert(pattern, now);
        Some(Event::Alert { part: self.part.name, line })
    }

    fn step(&mut self, polai: &std::path::Path, now: Duration) -> Option<Event> {
        match &mut self.now {
            Now::GivenUp { .. } => None,
            Now::Waiting { until } if *until > now => None,
            Now::Waiting { .. } => {
                self.starts = self.starts.saturating_add(1);
                match Child::start(polai, &self.part) {
                    Ok(child) => {
                        let pid = child.pid();
                        self.now = Now::Running { child, since: now, hung: false };
                        Some(Event::Started { part: self.part.name, pid })
                    }
                    Err(error) => {
                        let how = Ended { how: "could not be started".to_owned(), usage: false, line: error.to_string() };
                        Some(self.end(&how, Duration::ZERO, now))
                    }
                }
            }
            Now::Running { child, since, hung } => {
                let mut ended = child.ended()?;
                if *hung {
                    ended.how = format!("{}, from polai: its health page was silent {SILENT_MAX} times in a row", ended.how);
                }
                let ran = now.saturating_sub(*since);
                Some(self.end(&ended, ran, now))
            }
        }
    }

    fn end(&mut self, ended: &Ended, ran: Duration, now: Duration) -> Event {
        let part = self.part.name;
        let (event, state) = match self.backoff.ended(ran, ended.usage) {
            Next::Again(pause) => {
                let until = now.saturating_add(pause);
                (Event::Ended { part, how: ended.to_string(), pause }, Now::Waiting { until })
            }
            Next::GiveUp => {
                let line = ended.line.clone();
                (Event::GivenUp { part, line: line.clone(), required: self.part.required }, Now::GivenUp { line })
            }
        };
        self.now = state;
        event
    }

    fn state(&self) -> PartState {
        let (pid, given_up) = match &self.now {
            Now::Running { child, .. } => (Some(child.pid()), None),
            Now::Waiting { .. } => (None, None),
            Now::GivenUp { line } => (None, Some(line.clone())),
        };
        PartState { name: self.part.name.to_owned(), pid, restarts: self.starts.saturating_sub(1), given_up }
    }
}
