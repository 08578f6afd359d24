//! How a process ends: one line on standard error and one of three exit codes.
//!
//! Purpose: an operator sees what happened and who must act; scripts can tell a mistake of theirs from a failure of ours.
//! Contract: `fn main() -> exit::Code { exit::main("pol-dht", || ...) }`; inside, `?` turns any error into an [`Exit`]. Errors that
//! only the operator can mend (bad flag, port in use, unreadable secret, foreign data directory) end with code 2; this crate's own
//! are known, others are marked with [`OrUsage::or_usage`]. What it does not protect against: `abort`, a second panic while one
//! unwinds, the kernel's OOM killer: those end a process without a line.

use crate::tasks::panics;
use crate::{config, fs, http, jwt, telemetry};
use std::error::Error;
use std::fmt;
use std::io;
use std::process::{ExitCode, Termination};

/// The exit code of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 0: it did what it was asked for, a stop by signal included.
    Ok,
    /// 1: it failed, or was stopped before all of its tasks had ended.
    Failure,
    /// 2: it was used wrongly; the operator can mend that, and a restart alone cannot.
    Usage,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        match code {
            Code::Ok => 0,
            Code::Failure => 1,
            Code::Usage => 2,
        }
    }
}

impl Termination for Code {
    fn report(self) -> ExitCode {
        ExitCode::from(u8::from(self))
    }
}

/// Why a process ends. Any error becomes one by `?`, with the code that suits it; it is no `Error` itself.
pub struct Exit {
    code: Code,
    context: Option<String>,
    cause: Box<dyn Error + Send + Sync>,
}

impl Exit {
    /// Ends with code 1: not the operator's fault, or not for sure.
    pub fn failure(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: Code::Failure, context: None, cause: cause.into() }
    }

    /// Ends with code 2: only the operator can mend it.
    pub fn usage(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: Code::Usage, ..Self::failure(cause) }
    }

    /// The same, with `context` in front of the line.
    #[must_use]
    pub fn context(mut self, context: String) -> Self {
        self.context = Some(match self.context {
            Some(inner) => format!("{context}: {inner}"),
            None => context,
        });
        self
    }

    /// The code of the process.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Help and version are no failures: clap prints them to standard output.
    fn asked_for(&self) -> Option<&clap::Error> {
        chain(&*self.cause).find_map(|cause| cause.downcast_ref::<clap::Error>()).filter(|error| !error.use_stderr())
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        for cause in chain(&*self.cause) {
            let text = match cause.downcast_ref::<clap::Error>() {
                Some(error) => clap_line(error),
                None => cause.to_string(),
            };
            if line.is_empty() {
                line = text;
            } else if !line.contains(&text) {
                line = format!("{line}: {text}");
            }
        }
        if let Some(context) = &self.context {
            line = format!("{context}: {line}");
        }
        f.write_str(&one_line(&line))
    }
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exit({:?}, {self})", self.code)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Exit {
    fn from(error: E) -> Self {
        let code = if chain(&error).any(is_usage) { Code::Usage } else { Code::Failure };
        Self { code, ..Self::failure(error) }
    }
}

/// Marks an error as the operator's.
pub trait OrUsage<T> {
    /// The same result, ending the process with code 2.
    ///
    /// # Errors
    /// The error it had.
    fn or_usage(self) -> Result<T, Exit>;
}

impl<T, E: Into<Exit>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> Result<T, Exit> {
        self.map_err(|error| Exit { code: Code::Usage, ..error.into() })
    }
}

/// Runs a process: `body` does the work, an error or a panic ends as one line `name: what happened`, without a stack trace. While
/// it runs, a panic anywhere in the process is one log line.
pub fn main(name: &str, body: impl FnOnce() -> Result<(), Exit>) -> Code {
    panics::install_hook();
    let ended = panics::watch(body).unwrap_or_else(|panic| Err(Exit::failure(panic)));
    let Err(exit) = ended else { return Code::Ok };
    if let Some(asked_for) = exit.asked_for() {
        return if asked_for.print().is_ok() { Code::Ok } else { Code::Failure };
    }
    eprintln!("{name}: {exit}");
    exit.code
}

/// The text without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

fn is_usage(error: &(dyn Error + 'static)) -> bool {
    error.is::<clap::Error>()
        || error.is::<config::ConfigError>()
        || error.is::<config::Contradiction>()
        || error.is::<fs::LockError>()
        || error.is::<fs::PrivateError>()
        || error.is::<http::BindError>()
        || error.is::<jwt::SecretError>()
        || error.is::<telemetry::TelemetryError>()
        || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// What clap says, without the usage that it repeats below.
pub(crate) fn clap_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().and_then(|text| text.split("\n\nFor more information").next());
    let said = said.unwrap_or_default();
    one_line(said.strip_prefix("error: ").unwrap_or(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the store")]
    struct Outer(#[source] io::Error);

    fn in_use() -> io::Error {
        io::Error::new(io::ErrorKind::AddrInUse, "address in use")
    }

    #[test]
    fn an_error_and_its_causes_are_one_line_and_each_is_said_once() {
        let exit = Exit::from(Outer(io::Error::other("disk\nfull"))).context("pol-dht/store".to_owned());
        assert_eq!(exit.to_string(), "pol-dht/store: cannot open the store: disk full");
        let path = std::path::PathBuf::from("x");
        let said = fs::LockError::Io { path, source: io::Error::other("no") };
        assert_eq!(Exit::from(said).to_string(), "x: no");
    }

    #[test]
    fn what_only_the_operator_can_mend_ends_with_code_2() {
        assert_eq!(Exit::from(Outer(in_use())).code(), Code::Usage);
        assert_eq!(Exit::from(Outer(io::Error::other("x"))).code(), Code::Failure);
        let foreign: Result<(), _> = Err(Outer(io::Error::other("foreign data directory")));
        assert_eq!(foreign.or_usage().unwrap_err().code(), Code::Usage);
        let busy = fs::LockError::InUse { directory: "d".into(), pid: None };
        assert_eq!(Exit::from(busy).code(), Code::Usage);
    }

    #[test]
    fn a_panic_is_a_failure_with_its_message() {
        assert_eq!(main("test", || panic!("boom")), Code::Failure);
        assert_eq!(main("test", || Ok(())), Code::Ok);
        assert_eq!(main("test", || Err(Exit::usage("x"))), Code::Usage);
        assert_eq!([Code::Ok, Code::Failure, Code::Usage].map(u8::from), [0, 1, 2]);
    }

    #[test]
    fn help_is_no_failure_and_a_bad_flag_is_one_line() {
        let command = || clap::Command::new("x").arg(clap::Arg::new("listen").long("listen"));
        let help = command().try_get_matches_from(["x", "--help"]).unwrap_err();
        assert_eq!(main("x", || Err(help.into())), Code::Ok);
        let wrong = command().try_get_matches_from(["x", "--listem", "y"]).unwrap_err();
        let exit = Exit::from(wrong);
        let line = "unexpected argument '--listem' found tip: a similar argument exists: '--listen'";
        assert_eq!((exit.code(), exit.to_string().as_str()), (Code::Usage, line));
    }
}
