//! The moment between `polai` and a program that it starts: the program dies when polai does, however that ends.
//!
//! # Why this way
//! The kernel's "kill me when my parent dies" has to be asked for by the child itself. It outlives `exec`, so polai starts itself, asks, and
//! becomes the program: no unsafe code between fork and exec.
//!
//! # What it does not protect against
//! A program's own children that do not ask: none of ours has any.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{self, Command},
};

use pol_kit::exit::{self, Exit};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// First argument of such a start. Never typed by people.
pub const ENTER: &str = "enter-child";

/// Becomes the program, when this start is one of those. Else it returns.
pub fn if_asked() -> Option<exit::Code> {
    let mut words = env::args_os().skip(1);
    if words.next()? != ENTER {
        return None;
    }
    let (parent, program) = (words.next()?, words.next()?);
    Some(exit::main("polai", || Err(enter(&parent, &program, words))))
}

/// The command that starts `program` as a child of this process. `polai` is this program's own file.
pub fn command(polai: &std::path::Path, program: &std::path::Path) -> Command {
    let mut command = Command::new(polai);
    command.arg(ENTER).arg(process::id().to_string()).arg(program);
    command
}

/// Returns only when it fails.
fn enter(parent: &OsString, program: &OsString, args: impl Iterator<Item = OsString>) -> Exit {
    let parent = parent.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Exit::failure(format!("prctl: {error}"));
    }
    // It may have died before the kernel was asked.
    if parent.is_none() || getppid() != parent {
        return Exit::failure("polai ended before its child began");
    }
    let error = Command::new(program).args(args).exec();
    Exit::usage(format!("{}: {error}", program.display()))
}
