//! Lines of a part's output that somebody should see now: a foreign program has no health page that says them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// Bytes of a line that are looked at.
const LINE_BYTES: usize = 4_096;
/// Lines that wait to be said; more are dropped, for they say the same.
const WAITING: usize = 16;

/// Looks for patterns in what a part writes. Clones look for the same and find into the same place.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    patterns: &'static [&'static str],
    line: Vec<u8>,
    found: Arc<Mutex<VecDeque<(usize, String)>>>,
}

impl Alerts {
    /// For these texts; a line that has one of them is an alert.
    pub fn new(patterns: &'static [&'static str]) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// Looks at what was written, wherever it was cut.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        if self.patterns.is_empty() {
            return;
        }
        for byte in bytes {
            match byte {
                b'\n' => self.end_of_line(),
                byte if self.line.len() < LINE_BYTES => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end_of_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if let Some(pattern) = self.patterns.iter().position(|pattern| line.contains(pattern)) {
            let line = line.chars().filter(|c| !c.is_control()).take(300).collect();
            let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.len() < WAITING {
                found.push_back((pattern, line));
            }
        }
    }

    /// The oldest that was found: which pattern, and the line.
    pub(super) fn next(&self) -> Option<(usize, String)> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_wherever_the_bytes_are_cut_and_others_are_not() {
        let text = b"INFO all well\nERRO No payload ID, the engine\x1b[0m is syncing\nWARN slow\n";
        for cut in 0..text.len() {
            let mut alerts = Alerts::new(&["slow", "No payload ID"]);
            let (a, b) = text.split_at(cut);
            alerts.look(a);
            alerts.look(b);
            assert_eq!(alerts.next(), Some((1, "ERRO No payload ID, the engine[0m is syncing".to_owned())), "cut at {cut}");
            assert_eq!(alerts.next(), Some((0, "WARN slow".to_owned())));
            assert_eq!(alerts.next(), None);
        }
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let mut alerts = Alerts::new(&["x"]);
        for _ in 0..1_000 {
            alerts.look(&[b'x'; 10_000]);
            alerts.look(b"\n");
        }
        assert_eq!(std::iter::from_fn(|| alerts.next()).count(), WAITING);
        assert!(alerts.line.capacity() <= 2 * LINE_BYTES);
    }
}
