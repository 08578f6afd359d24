//! This very test again, as a process of its own that can be killed, starved or measured.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::{Duration, Instant},
};

const DIRECTORY: &str = "POL_DHT_TEST_CHILD";
/// Begins every line that a child says; the test harness writes other ones.
const MARK: &str = "@ ";

/// The directory, when this process is the child.
pub(crate) fn directory() -> Option<PathBuf> {
    env::var_os(DIRECTORY).map(PathBuf::from)
}

/// What a child tells its parent.
pub(crate) fn say(line: &str) {
    // The harness leaves its own line open.
    println!("\n{MARK}{line}");
}

/// Waits until the parent says something; false when it is gone.
pub(crate) fn told() -> bool {
    std::io::stdin().read_line(&mut String::new()).is_ok_and(|read| read > 0)
}

/// A child process and what it says. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts the test named `test` again with a directory. It ignores `SIGXFSZ`, so that writing beyond a file size limit is an
    /// error and not the end.
    pub(crate) fn start(test: &str, directory: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" --exact --nocapture \"$1\""]);
        command.arg(env::current_exe().unwrap()).arg(test).env(DIRECTORY, directory);
        // Not to a file that this process may have for its own: the child's limits would hold there too.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::stderr()).unwrap_or_default());
        let output = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix(MARK) {
                    say.send(said.to_owned()).unwrap_or_default();
                }
            }
        });
        Self { child, lines }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that begins with `what`, without it; fails after 60 s or when the process ended.
    pub(crate) fn expect(&self, what: &str) -> String {
        let start = Instant::now();
        loop {
            let left = Duration::from_secs(60).saturating_sub(start.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(what) {
                        return rest.trim().to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("the child did not say {what:?} within 60 s"),
                Err(RecvTimeoutError::Disconnected) => panic!("the child ended without saying {what:?}"),
            }
        }
    }

    /// Lets a child that waits in [`told`] go on.
    pub(crate) fn tell(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
    }

    /// `SIGKILL`; returns all that it said and nobody read yet. Fails when it ended by itself before.
    pub(crate) fn kill(mut self) -> Vec<String> {
        assert_eq!(self.child.try_wait().unwrap(), None, "the child ended by itself");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
