//! ml-sidecar, asked before a node is started.

use std::{
    io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write},
    process::{Command, ExitStatus, Stdio},
    thread,
};

use pol_kit::exit::Exit;

use crate::programs::{self, Programs};

/// The loader's own code for a library that is not there.
const NO_LIBRARY: i32 = 127;
/// Bytes of its words that are held back.
const LINE_BYTES: u64 = 4_096;
/// Of a line that goes into an error.
const LINE_CHARS: usize = 400;

/// Whether it starts at all: its library may be gone since the chain was made.
///
/// # Errors
/// The operator's: it does not start.
pub(super) fn starts(programs: &Programs) -> Result<(), Exit> {
    let mut command = Command::new(programs.find(programs::SIDECAR)?);
    command.arg("--version");
    match run(command, &mut io::sink())? {
        (status, ..) if status.success() => Ok(()),
        (status, _, line) => Err(does_not_start(status).unwrap_or_else(|| {
            let line = if line.is_empty() { status.to_string() } else { line };
            Exit::usage(format!("ml-sidecar does not start: {line}: build it anew, or polai up --no-ai"))
        })),
    }
}

/// What it says about the model `name`. What it says meanwhile is shown; where that is no terminal, its last line becomes the error.
///
/// # Errors
/// The operator's: no such model, or it does not start.
pub(super) fn of_model(mut command: Command, name: &str) -> Result<String, Exit> {
    let (status, said, line) = if io::stderr().is_terminal() {
        // Its progress bars are for people to see: they draw on nothing but a terminal.
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| Exit::usage(format!("{}: {error}", command.get_program().display())))?;
        (output.status, String::from_utf8_lossy(&output.stdout).into_owned(), "see above".to_owned())
    } else {
        run(command, &mut io::stderr())?
    };
    match status.code() {
        Some(0) => Ok(said),
        Some(2) => Err(Exit::usage(format!("ml-sidecar cannot use the model {name:?}: {line}"))),
        _ => Err(does_not_start(status)
            .unwrap_or_else(|| Exit::failure(format!("ml-sidecar and the model {name:?}: {status}: {line}")))),
    }
}

fn does_not_start(status: ExitStatus) -> Option<Exit> {
    let line = "ml-sidecar does not start, LibTorch is not where it was: run scripts/setup, or polai up --no-ai";
    (status.code() == Some(NO_LIBRARY)).then(|| Exit::usage(line))
}

/// How it ended, its standard output, and the last line of its standard error; what came before that line goes to `shown`.
fn run(mut command: Command, shown: &mut (impl Write + Send)) -> Result<(ExitStatus, String, String), Exit> {
    let program = command.get_program().to_owned();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| Exit::usage(format!("{}: {error}", program.display())))?;
    let words = child.stderr.take().map(BufReader::new);
    let last = thread::scope(|scope| {
        let relay = scope.spawn(|| words.map(|words| relay(words, shown)).transpose());
        let output = child.wait_with_output()?;
        let last = relay.join().unwrap_or(Ok(None))?.unwrap_or_default();
        Ok::<_, io::Error>((output, last))
    });
    let (output, last) = last?;
    if output.status.success() {
        drop(shown.write_all(&last));
    }
    Ok((output.status, String::from_utf8_lossy(&output.stdout).into_owned(), line(&last)))
}

/// Hands on what it says, always one line behind.
fn relay(mut words: impl BufRead, shown: &mut impl Write) -> io::Result<Vec<u8>> {
    let mut last = Vec::new();
    loop {
        let mut next = Vec::new();
        if words.by_ref().take(LINE_BYTES).read_until(b'\n', &mut next)? == 0 {
            return Ok(last);
        }
        if !next.trim_ascii().is_empty() {
            // Whoever does not read it stops nobody.
            drop(shown.write_all(&last));
            last = next;
        }
    }
}

/// Its last line without its name, as a part of one of ours.
fn line(last: &[u8]) -> String {
    let text = String::from_utf8_lossy(last);
    let text = text.trim();
    let text = text.strip_prefix("ml-sidecar: ").unwrap_or(text);
    text.chars().filter(|c| !c.is_control()).take(LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn fake(script: &str) -> (tempfile::TempDir, Programs) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(programs::SIDECAR);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let programs = Programs::in_folders(vec![folder.path().to_owned()]);
        (folder, programs)
    }

    fn model(script: &str) -> Result<String, Exit> {
        let (_folder, programs) = fake(script);
        of_model(Command::new(programs.find(programs::SIDECAR).unwrap()), "smollm9")
    }

    #[test]
    fn a_sidecar_whose_library_is_gone_is_one_line_before_anything_is_started() {
        let (_folder, programs) = fake("echo 'libtorch.so: cannot open shared object file' >&2; exit 127");
        let line = starts(&programs).unwrap_err();
        assert_eq!(line.code(), pol_kit::exit::Code::Usage);
        assert!(line.to_string().contains("LibTorch is not where it was: run scripts/setup, or polai up --no-ai"), "{line}");
        let (_folder, programs) = fake("echo 'ml-sidecar: broken' >&2; exit 1");
        let line = starts(&programs).unwrap_err().to_string();
        assert_eq!(line, "ml-sidecar does not start: broken: build it anew, or polai up --no-ai");
        let (_folder, programs) = fake("test \"$1\" = --version");
        starts(&programs).unwrap();
    }

    #[test]
    fn a_model_that_is_not_there_is_one_line_in_the_sidecars_own_words() {
        let line = model("echo progress >&2; echo 'ml-sidecar: no such model' >&2; exit 2").unwrap_err().to_string();
        assert_eq!(line, "ml-sidecar cannot use the model \"smollm9\": no such model");
        let line = model("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 2").unwrap_err().to_string();
        assert!(line.len() < 500, "{}", line.len());
        assert!(model("exit 127").unwrap_err().to_string().contains("LibTorch"));
        assert_eq!(model("echo said; echo shown >&2").unwrap(), "said\n");
    }

    #[test]
    fn all_but_the_last_line_is_shown_while_it_works() {
        let mut shown = Vec::new();
        assert_eq!(relay(&b"one\ntwo\n\nlast\n\n"[..], &mut shown).unwrap(), b"last\n");
        assert_eq!(shown, b"one\ntwo\n");
    }
}
