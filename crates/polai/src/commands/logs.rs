//! `polai logs`.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _},
    thread,
    time::Duration,
};

use pol_kit::exit::Exit;

use crate::{args::LogsArgs, layout::Layout, programs};

const LOOK: Duration = Duration::from_millis(200);
/// Bytes that are looked at for the last lines.
const TAIL_BYTES: u64 = 1 << 20;
/// polai's own log, when it runs detached.
const OWN: &str = "polai";

/// A log that is read on.
struct Followed {
    name: &'static str,
    file: Option<(File, u64)>,
    part: Vec<u8>,
}

/// Shows what parts have logged.
///
/// # Errors
/// The operator's: no such part, nothing logged.
pub fn logs(layout: &Layout, args: &LogsArgs) -> Result<(), Exit> {
    let known: Vec<&'static str> = programs::PARTS.into_iter().chain([OWN]).collect();
    let wanted: Vec<&'static str> = match &args.part {
        // Of those that another client stands for there is no log.
        None => known.into_iter().filter(|name| programs::ALL.contains(name) || layout.log(name).exists()).collect(),
        Some(part) => {
            let found = known.iter().find(|name| **name == part.as_str());
            vec![*found.ok_or_else(|| Exit::usage(format!("{part}: no part of a node; there are {}", known.join(", "))))?]
        }
    };
    let (mut logs, with_names) = (Vec::new(), wanted.len() > 1);
    for name in wanted {
        let mut log = Followed { name, file: None, part: Vec::new() };
        let text = log.tail(layout)?;
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(args.lines)) {
            if !print(name, line, with_names) {
                return Ok(());
            }
        }
        logs.push(log);
    }
    if logs.iter().all(|log| log.file.is_none()) && !args.follow {
        return Err(Exit::usage(format!("{}: nothing was logged yet", layout.logs().display())));
    }
    if args.follow { follow(&mut logs, layout, with_names) } else { Ok(()) }
}

/// Until nobody reads on.
fn follow(logs: &mut [Followed], layout: &Layout, with_names: bool) -> Result<(), Exit> {
    loop {
        for log in &mut *logs {
            for line in log.more(layout)? {
                if !print(log.name, &line, with_names) {
                    return Ok(());
                }
            }
        }
        thread::sleep(LOOK);
    }
}

/// False when nobody reads on.
fn print(name: &str, line: &str, with_name: bool) -> bool {
    let mut out = io::stdout().lock();
    let colour = out.is_terminal();
    let line = if colour { line.to_owned() } else { line.replace('\x1b', "") };
    let done = if with_name { writeln!(out, "{name:<14}| {line}") } else { writeln!(out, "{line}") };
    done.is_ok()
}

impl Followed {
    /// The end of what there is.
    fn tail(&mut self, layout: &Layout) -> io::Result<String> {
        let Ok(mut file) = File::open(layout.log(self.name)) else { return Ok(String::new()) };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        let read = (&mut file).take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let start = length.saturating_sub(TAIL_BYTES);
        self.file = Some((file, start.saturating_add(u64::try_from(read).unwrap_or(0))));
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whole lines that were added since; of a file that was cut, the new one's from its start.
    fn more(&mut self, layout: &Layout) -> io::Result<Vec<String>> {
        if let Some((file, place)) = &mut self.file {
            let read = file.take(TAIL_BYTES).read_to_end(&mut self.part)?;
            *place = place.saturating_add(u64::try_from(read).unwrap_or(0));
        }
        let now = std::fs::metadata(layout.log(self.name)).map(|found| found.len()).ok();
        let is_other = match (&self.file, now) {
            (None, Some(_)) => true,
            (Some((_, place)), Some(now)) => now < *place,
            (_, None) => false,
        };
        if is_other {
            self.file = File::open(layout.log(self.name)).ok().map(|file| (file, 0));
        }
        let end = self.part.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let whole: Vec<u8> = self.part.drain(..end).collect();
        Ok(String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_is_followed_through_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir(layout.logs()).unwrap();
        let path = layout.log("pol-dht");
        let mut log = Followed { name: "pol-dht", file: None, part: Vec::new() };
        assert_eq!(log.tail(&layout).unwrap(), "");
        assert_eq!(log.more(&layout).unwrap(), [""; 0]);
        fs::write(&path, "one\ntwo\nhal").unwrap();
        assert_eq!(log.more(&layout).unwrap(), [""; 0], "opened");
        assert_eq!(log.more(&layout).unwrap(), ["one", "two"]);
        File::options().append(true).open(&path).unwrap().write_all(b"f\nlast\n").unwrap();
        fs::rename(&path, folder.path().join("logs/pol-dht.log.1")).unwrap();
        fs::write(&path, "new\n").unwrap();
        assert_eq!(log.more(&layout).unwrap(), ["half", "last"]);
        assert_eq!(log.more(&layout).unwrap(), ["new"]);
    }

    #[test]
    fn a_part_that_is_none_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let args = LogsArgs { part: Some("geth".to_owned()), follow: false, lines: 1 };
        let line = logs(&Layout::new(folder.path()), &args).unwrap_err().to_string();
        assert!(line.starts_with("geth: no part of a node; there are pol-dht,"), "{line}");
    }
}
