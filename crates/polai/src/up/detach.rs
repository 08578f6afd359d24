//! `--detach`: the node goes on when the terminal is gone.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    os::{fd::AsFd, unix::fs::MetadataExt as _},
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
    if fs::metadata(&path).is_ok_and(|found| found.len() >= FILE_BYTES) {
        set_aside(&path);
    }
    let log = open(&path)?;
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

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// What was said since, whatever its bytes are; a character that is cut in two is shown as two marks.
fn more(shown: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    shown.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The log's next file, when `current` is the log and has grown to `most` bytes.
fn next(path: &Path, current: impl AsFd, most: u64) -> Option<File> {
    let found = fs::metadata(path).ok().filter(|found| found.len() >= most)?;
    let ours = rustix::fs::fstat(current).ok()?;
    if (ours.st_dev, ours.st_ino) != (found.dev(), found.ino()) {
        return None;
    }
    set_aside(path);
    open(path).ok()
}

/// Begins a new file of polai's own log, when this process writes it and it is long enough. What fails stops no node.
pub(super) fn cut(path: &Path) {
    if let Some(file) = next(path, io::stdout(), FILE_BYTES) {
        // One write is one line: none is cut in two.
        let _ = rustix::stdio::dup2_stdout(&file).and_then(|()| rustix::stdio::dup2_stderr(&file));
    }
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
    fn polais_own_log_is_cut_and_three_older_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("polai.log");
        let mut log = open(&path).unwrap();
        for number in 0..6 {
            assert!(next(&path, &log, 10).is_none(), "it is short");
            writeln!(log, "a line {number}").unwrap();
            let other = File::open(folder.path()).unwrap();
            assert!(next(&path, &other, 5).is_none(), "somebody else writes it");
            log = next(&path, &log, 5).unwrap();
        }
        let said = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(said("polai.log").as_deref(), Some(""));
        assert_eq!(said("polai.log.1").as_deref(), Some("a line 5\n"));
        assert_eq!(said("polai.log.3").as_deref(), Some("a line 3\n"));
        assert_eq!(said("polai.log.4"), None);
    }

    #[test]
    fn what_a_node_says_is_shown_whatever_its_bytes_are() {
        assert_eq!(more(&mut &b"caf\xc3\xa9 \xff\n"[..]).unwrap(), "caf\u{e9} \u{fffd}\n");
    }
}
