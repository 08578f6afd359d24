//! A part's output, kept in files of bounded size.

use std::{
    fs::{self, File},
    io::{self, PipeReader, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::Receiver, mpsc::sync_channel},
    thread,
    time::Duration,
};

use super::Alerts;

/// Bytes of one file.
pub const FILE_BYTES: u64 = 10 << 20;
/// Older files beside the one that is written: NAME.log.1 is the newest of them.
pub const OLD_FILES: usize = 3;
/// Bytes of a part's last words that are remembered.
const TAIL_BYTES: usize = 4_096;
const BUFFER: usize = 16 << 10;
/// The last words are in the pipe when a process has ended, unless a child of its own holds the other end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A log that is cut into files. What cannot be written is dropped: a full disk must not stop who logs.
#[derive(Debug)]
pub struct RotatingLog {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    limit: u64,
}

impl RotatingLog {
    /// Goes on at the end of `path`.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let written = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file: Some(file), written, limit })
    }

    /// Writes, and begins a new file between two lines when this one is long enough.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.written >= self.limit {
            // Not in the midst of a line, unless there is none.
            let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at.saturating_add(1));
            let (rest, next) = bytes.split_at(end);
            self.append(rest);
            self.rotate();
            self.append(next);
        } else {
            self.append(bytes);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.file.is_none() {
            self.file = File::options().create(true).append(true).open(&self.path).ok();
        }
        let written = self.file.as_mut().map(|file| file.write_all(bytes));
        match written {
            Some(Ok(())) => self.written = self.written.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            _ => self.file = None,
        }
    }

    fn rotate(&mut self) {
        set_aside(&self.path);
        self.file = None;
        self.written = 0;
    }
}

/// Makes a log the newest of its old files.
pub fn set_aside(path: &Path) {
    let old = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    // A file that is not there is none to move.
    for number in (1..OLD_FILES).rev() {
        drop(fs::rename(old(number), old(number.saturating_add(1))));
    }
    drop(fs::rename(path, old(1)));
}

/// A part's last words.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(bytes);
        let beyond = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..beyond);
    }

    fn last_line(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
        last.chars().filter(|c| !c.is_control()).take(400).collect()
    }
}

/// A thread that carries a pipe into a log until the other end is closed.
#[derive(Debug)]
pub struct Copier {
    tail: Tail,
    done: Receiver<()>,
}

impl Copier {
    /// Starts it.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(mut from: PipeReader, mut log: RotatingLog, mut alerts: Alerts) -> io::Result<Self> {
        let (tell, done) = sync_channel(1);
        let words = Tail::default();
        let copied = Self { tail: words.clone(), done };
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            let mut buffer = [0; BUFFER];
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        let bytes = buffer.get(..read).unwrap_or_default();
                        log.write(bytes);
                        words.push(bytes);
                        alerts.look(bytes);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            let _ = tell.send(());
        })?;
        Ok(copied)
    }

    /// The last line, once the process has ended.
    pub fn last_line(&self) -> String {
        // Either way there is a last line.
        let _ = self.done.recv_timeout(LAST_WORDS);
        self.tail.last_line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_between_lines_and_the_oldest_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let mut log = RotatingLog::open(&path, 100).unwrap();
        for number in 0..200 {
            log.write(format!("line {number:03} with some text\n").as_bytes());
        }
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1", "x.log.2", "x.log.3"]);
        for name in names {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.len() < 160 && text.lines().all(|line| line.starts_with("line ") && line.ends_with("text")), "{text}");
        }
        assert!(fs::read_to_string(folder.path().join("x.log.1")).unwrap().contains("line 19"), "the newest old file");
    }

    #[test]
    fn a_log_that_cannot_be_written_stops_nobody_and_goes_on_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/x.log");
        fs::create_dir(folder.path().join("logs")).unwrap();
        let mut log = RotatingLog::open(&path, 10).unwrap();
        log.write(b"first line of it\n");
        fs::rename(folder.path().join("logs"), folder.path().join("gone")).unwrap();
        log.write(b"second\nthird\n");
        log.write(b"fourth\n");
        fs::create_dir(folder.path().join("logs")).unwrap();
        log.write(b"fifth\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "fifth\n");
    }

    #[test]
    fn the_last_line_is_short_and_has_no_control_characters() {
        let tail = Tail::default();
        tail.push(&vec![b'x'; 100_000]);
        assert_eq!(tail.last_line().len(), 400);
        tail.push(b"\nred \x1b[31mhot\n\n  \n");
        assert_eq!(tail.last_line(), "red [31mhot");
    }
}
