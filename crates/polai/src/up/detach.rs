//! `--detach`: the node goes on when the terminal is gone.

use std::{
    env,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::create_private_directory,
};

use super::say;
use crate::{layout::Layout, run_file::RunFile};

const LOOK: Duration = Duration::from_millis(100);

/// Starts this very command anew without a terminal, and shows what it says until it is ready.
///
/// # Errors
/// What ended it before it was ready, in its own words.
pub(super) fn detach(layout: &Layout) -> Result<(), Exit> {
    create_private_directory(layout.directory()).or_usage()?;
    let path = layout.log("polai");
    fs::create_dir_all(layout.logs())?;
    let log = File::options().create(true).append(true).open(&path)?;
    let mut shown = File::open(&path)?;
    shown.seek(SeekFrom::End(0))?;
    let args = env::args_os().skip(1).map(|arg| if arg == "--detach" { "--detached".into() } else { arg });
    let mut command = Command::new(env::current_exe()?);
    let mut node = command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let mut said = String::new();
    loop {
        let ended = node.try_wait()?;
        let mut text = String::new();
        shown.read_to_string(&mut text)?;
        said.push_str(&text);
        if let Some(status) = ended {
            // Its last line is the error, which is said once.
            let line = said.lines().last().unwrap_or_default().to_owned();
            print(text.trim_end().strip_suffix(&line).unwrap_or(&text));
            let line = line.strip_prefix("polai: ").unwrap_or(&line).to_owned();
            return Err(if status.code() == Some(2) { Exit::usage(line) } else { Exit::failure(line) });
        }
        print(&text);
        if RunFile::read(&layout.run_file()).is_some_and(|file| file.ready && file.pid == node.id()) {
            say(&format!("detached   process {}; polai down stops it", node.id()));
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Leaves the terminal.
pub(super) fn stay() -> Result<(), Exit> {
    rustix::process::setsid().map(drop).map_err(|error| Exit::failure(format!("setsid: {error}")))
}
