//! `--detach`: the node goes on when the terminal is gone.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use pol_kit::{
    exit::{Exit, OrUsage as _},
    fs::create_private_directory,
};

use super::say;
use crate::{
    layout::Layout,
    run_file::RunFile,
    supervise::{FILE_BYTES, set_aside},
};

const LOOK: Duration = Duration::from_millis(100);

/// Starts this very command anew without a terminal, and shows what it says until it is ready.
///
/// # Errors
/// What ended it before it was ready, in its own words.
pub(super) fn detach(layout: &Layout) -> Result<(), Exit> {
    create_private_directory(layout.directory()).or_usage()?;
    let path = layout.log("polai");
    fs::create_dir_all(layout.logs())?;
    let log = begin(&path, FILE_BYTES)?;
    let mut shown = File::open(&path)?;
    shown.seek(SeekFrom::End(0))?;
    let args = env::args_os().skip(1).map(|arg| if arg == "--detach" { "--detached".into() } else { arg });
    let mut command = Command::new(env::current_exe()?);
    let mut node = command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
    let mut said = String::new();
    loop {
        let ended = node.try_wait()?;
        let text = more(&mut shown)?;
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

/// Opens the log, anew where it has so many bytes. A node that runs says too little to be cut meanwhile.
fn begin(path: &Path, most: u64) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| found.len() >= most) {
        set_aside(path);
    }
    File::options().create(true).append(true).open(path)
}

/// What was said since, whatever its bytes are; a character that is cut in two is shown as two marks.
fn more(shown: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    shown.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Leaves the terminal.
pub(super) fn stay() -> Result<(), Exit> {
    rustix::process::setsid().map(drop).map_err(|error| Exit::failure(format!("setsid: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_long_is_set_aside_before_the_next_node_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("polai.log");
        for number in 0..5 {
            writeln!(begin(&path, 5).unwrap(), "a line {number}").unwrap();
        }
        begin(&path, 1_000).unwrap();
        let said = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(said("polai.log").as_deref(), Some("a line 4\n"));
        assert_eq!(said("polai.log.1").as_deref(), Some("a line 3\n"));
        assert_eq!(said("polai.log.3").as_deref(), Some("a line 1\n"));
        assert_eq!(said("polai.log.4"), None);
    }

    #[test]
    fn what_a_node_says_is_shown_whatever_its_bytes_are() {
        assert_eq!(more(&mut &b"caf\xc3\xa9 \xff\n"[..]).unwrap(), "caf\u{e9} \u{fffd}\n");
    }
}
