//! Who runs and does not answer.

/// Looks in a row without an answer after which a process is taken for hung.
pub const SILENT_MAX: u32 = 5;

/// What is known of a part's answers.
///
/// Only who has answered since its start can fall silent: a start may take its time (a large model, a long log), and ending it would only
/// make it begin anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Silence {
    pid: Option<u32>,
    answered: bool,
    silent: u32,
}

impl Silence {
    /// One look at a part: its process, and whether its health page answers, with whatever code. True: it is hung.
    pub fn look(&mut self, pid: Option<u32>, answers: bool) -> bool {
        if self.pid != pid {
            *self = Self { pid, ..Self::default() };
        }
        if answers {
            (self.answered, self.silent) = (true, 0);
        } else {
            self.silent = self.silent.saturating_add(1);
        }
        self.pid.is_some() && self.answered && self.silent >= SILENT_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_answered_and_falls_silent_is_hung_and_one_answer_forgives_all() {
        let mut silence = Silence::default();
        assert!(!silence.look(Some(7), true));
        for _ in 1..SILENT_MAX {
            assert!(!silence.look(Some(7), false));
        }
        assert!(!silence.look(Some(7), true));
        for _ in 1..SILENT_MAX {
            assert!(!silence.look(Some(7), false));
        }
        assert!(silence.look(Some(7), false));
    }

    #[test]
    fn a_process_that_is_still_starting_and_one_that_is_gone_are_not_hung() {
        let mut silence = Silence::default();
        for _ in 0..100 {
            assert!(!silence.look(Some(7), false), "it never answered");
        }
        assert!(!silence.look(Some(7), true));
        for _ in 0..100 {
            assert!(!silence.look(None, false), "there is nobody");
            assert!(!silence.look(Some(8), false), "the next process has not answered yet");
        }
    }
}
