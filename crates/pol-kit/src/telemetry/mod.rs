//! What a process logs: for people on a terminal, as JSON for machines, always to standard error.
//!
//! Purpose: one set-up for every process, and the one family of events that follows an update through all of them. Contract:
//! flatten [`LogArgs`] into a process's flags, call [`init`] once, before anything logs. Targets are `polai::<part>`; an update's
//! life is [`update`]. What it does not protect against: a filter of `trace` on a public node; a log file that nobody rotates.

mod update;

pub use update::{Stage, UPDATE_TARGET, refused, update};

use clap::{Args, ValueEnum};
use std::io::{self, IsTerminal as _};
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

/// Flags of every process that logs.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LogArgs {
    /// What is logged: a level, or a list such as `info,polai::tasks=debug`
    #[arg(long = "log", env = "POLAI_LOG", default_value = "info", value_name = "FILTER", global = true)]
    pub log: String,

    /// How it is logged, on standard error
    #[arg(long = "log-format", env = "POLAI_LOG_FORMAT", default_value = "human", value_enum, global = true)]
    pub log_format: LogFormat,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The operator's fault.
    #[error("--log {found:?}: {source}")]
    Filter {
        /// What was given.
        found: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Our fault: it was set up before.
    #[error("logging is set up twice")]
    Twice,
}

/// Sets logging up for the whole process.
///
/// # Errors
/// [`TelemetryError`]; a process ends with exit code 2.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let colours = io::stderr().is_terminal();
    let dispatch = dispatch(args, colours, io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| TelemetryError::Twice)
}

fn dispatch<W>(args: &LogArgs, colours: bool, writer: W) -> Result<Dispatch, TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::builder().parse(&args.log).map_err(|source| TelemetryError::Filter { found: args.log.clone(), source })?;
    // What it says of a line that cannot be written goes where the line should have gone: on a full disk that would be a panic.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    Ok(match args.log_format {
        LogFormat::Human => Dispatch::new(lines.with_ansi(colours).finish()),
        LogFormat::Json => Dispatch::new(lines.json().flatten_event(true).with_current_span(false).finish()),
    })
}

#[cfg(test)]
mod tests;
