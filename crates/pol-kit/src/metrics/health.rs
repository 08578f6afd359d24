//! How a process is, as its parts say.

use crate::exit::one_line;
use crate::limits::{HEALTH_PARTS, HEALTH_REASON_CHARS};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It works.
    Ok,
    /// Blocks yes, AI no: it lacks something that only the AI path needs.
    Degraded(String),
    /// It does not do its work.
    Down(String),
}

/// How the process is: as its worst part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All parts work.
    Ok,
    /// Blocks yes, AI no.
    Degraded,
    /// Not even blocks.
    Down,
}

/// What `/health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst condition of all parts; down as long as none has said anything.
    pub status: Status,
    /// One for each part that is not well.
    pub reasons: Vec<Reason>,
}

/// Why a part is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The part.
    pub part: &'static str,
    /// How it is.
    pub status: Status,
    /// What it says about it: one line, cut at [`HEALTH_REASON_CHARS`].
    pub reason: String,
}

/// The parts' conditions. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Condition>>>,
}

impl Health {
    /// Nobody has said anything yet: down, reason "starting".
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how a part is, until it is said anew. Parts beyond [`HEALTH_PARTS`] are ignored; names are few and fixed.
    pub fn set(&self, part: &'static str, condition: Condition) {
        let cut = |reason: String| one_line(&reason).chars().take(HEALTH_REASON_CHARS).collect();
        let condition = match condition {
            Condition::Ok => Condition::Ok,
            Condition::Degraded(reason) => Condition::Degraded(cut(reason)),
            Condition::Down(reason) => Condition::Down(cut(reason)),
        };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.len() < HEALTH_PARTS || parts.contains_key(part) {
            parts.insert(part, condition);
        }
    }

    /// How the process is now.
    pub fn report(&self) -> Report {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons: Vec<_> = if parts.is_empty() {
            vec![Reason { part: "process", status: Status::Down, reason: "starting".to_owned() }]
        } else {
            parts.iter().filter_map(|(part, condition)| reason(part, condition)).collect()
        };
        let status = reasons.iter().map(|reason| reason.status).max().unwrap_or(Status::Ok);
        Report { status, reasons }
    }
}

fn reason(part: &'static str, condition: &Condition) -> Option<Reason> {
    let (status, reason) = match condition {
        Condition::Ok => return None,
        Condition::Degraded(reason) => (Status::Degraded, reason),
        Condition::Down(reason) => (Status::Down, reason),
    };
    Some(Reason { part, status, reason: reason.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_as_well_as_its_worst_part() {
        let health = Health::new();
        assert_eq!(health.report().status, Status::Down, "nobody has said anything");
        health.set("store", Condition::Ok);
        assert_eq!(health.report(), Report { status: Status::Ok, reasons: vec![] });
        health.set("net", Condition::Degraded("0 peers".to_owned()));
        assert_eq!(health.report().status, Status::Degraded);
        health.set("store", Condition::Down("disk full".to_owned()));
        let parts: Vec<_> = health.report().reasons.iter().map(|reason| reason.part).collect();
        assert_eq!((health.report().status, parts), (Status::Down, vec!["net", "store"]));
        health.set("net", Condition::Ok);
        health.set("store", Condition::Ok);
        assert_eq!(health.report().status, Status::Ok);
    }

    #[test]
    fn reasons_are_one_bounded_line() {
        let health = Health::new();
        health.set("net", Condition::Down("ä\n".repeat(1_000)));
        let reason = health.report().reasons.remove(0).reason;
        assert_eq!(reason.chars().count(), HEALTH_REASON_CHARS);
        assert!(!reason.contains('\n'));
    }

    #[test]
    fn parts_beyond_the_bound_are_ignored_and_known_ones_still_change() {
        let health = Health::new();
        let name = |number: usize| -> &'static str { Box::leak(format!("part-{number}").into_boxed_str()) };
        (0..HEALTH_PARTS).for_each(|number| health.set(name(number), Condition::Down("x".to_owned())));
        health.set("one-more", Condition::Down("x".to_owned()));
        assert_eq!(health.report().reasons.len(), HEALTH_PARTS);
        health.set("part-0", Condition::Ok);
        assert_eq!(health.report().reasons.len(), HEALTH_PARTS - 1);
    }
}
