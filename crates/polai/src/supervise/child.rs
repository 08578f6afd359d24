//! One process: started in a group of its own, reaped, and its group with it.

use std::{
    fmt, fs, io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{self, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::{
    Part,
    log::{Copier, FILE_BYTES, RotatingLog},
};
use crate::enter;

/// Exit code of what only an operator can mend.
const USAGE: i32 = 2;

/// A running process, or one that was not reaped yet. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    group: Option<Pid>,
    output: Copier,
    reaped: bool,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit code or signal, in words.
    pub how: String,
    /// It says that only an operator can mend it.
    pub usage: bool,
    /// Its last line.
    pub line: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { how, line, .. } = self;
        if line.is_empty() { f.write_str(how) } else { write!(f, "{how}: {line}") }
    }
}

impl Child {
    /// Starts a part's process. Its group is its own, so that a Ctrl-C on the terminal reaches polai alone.
    ///
    /// # Errors
    /// The operating system's, or the disk's.
    pub fn start(polai: &Path, part: &Part) -> io::Result<Self> {
        if let Some(folder) = part.log.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = RotatingLog::open(&part.log, FILE_BYTES)?;
        let (from, to) = io::pipe()?;
        let mut command = enter::command(polai, &part.program);
        command.args(&part.args).envs(part.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(to.try_clone()?).stderr(to).process_group(0);
        let process = command.spawn()?;
        // It holds the pipe's other end, which must close when the process does.
        drop(command);
        let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let output = Copier::start(from, log, part.alerts.clone())?;
        Ok(Self { process, group, output, reaped: false })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal to it and to its children.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = self.group.filter(|_| !self.reaped) {
            // Nobody left to get it is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// How it ended; None while it runs.
    pub fn ended(&mut self) -> Option<Ended> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_over = match self.group.map(|pid| waitid(WaitId::Pid(pid), look)) {
            Some(Ok(status)) => status.is_some(),
            _ => true,
        };
        is_over.then(|| self.reap())
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        self.reap();
    }

    fn reap(&mut self) -> Ended {
        // Before it is reaped: until then nobody else can have its number.
        self.signal(Signal::KILL);
        let status = self.process.wait();
        self.reaped = true;
        // Who was killed says nothing about it: the last line is about something else.
        let line = self.output.last_line();
        let line = if status.as_ref().is_ok_and(|status| status.code().is_some()) { line } else { String::new() };
        match status {
            Ok(status) => Ended { how: words(status), usage: status.code() == Some(USAGE), line },
            Err(error) => Ended { how: error.to_string(), usage: false, line },
        }
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            drop(self.process.wait());
        }
    }
}
