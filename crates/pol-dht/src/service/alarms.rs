//! What a person should know: states that last, with a stable name each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pol_api::{
    common::v1::{Alarm, Severity},
    convert::printable,
    limits::ALARM_TEXT_BYTES,
};
use tracing::{info, warn};

/// Names of the alarms; they never get another meaning.
pub mod code {
    /// No peer is connected, and `--solo` was not given.
    pub const NO_PEERS: &str = "no-peers";
    /// Nobody has told the validators: records are taken, marked unverified.
    pub const NO_VALIDATORS: &str = "no-validators";
    /// The validators were told long ago: newer members are refused.
    pub const OLD_VALIDATORS: &str = "old-validators";
    /// The disk is full: puts are refused, reads go on.
    pub const STORE_FULL: &str = "store-full";
    /// The record store does not answer.
    pub const STORE_FAILING: &str = "store-failing";
    /// An identity that names this node ends soon and could not be renewed from here.
    pub const IDENTITY_EXPIRES: &str = "identity-expires";
    /// An identity that named this node has ended: its trainers' candidates are refused everywhere.
    pub const IDENTITY_EXPIRED: &str = "identity-expired";
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Raised {
    severity: Severity,
    text: String,
    since_unix_ms: u64,
}

#[derive(Debug, Default)]
struct Inner {
    raised: BTreeMap<&'static str, Raised>,
    fed_at: Option<u64>,
}

/// The alarms that are raised now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Alarms(Arc<Mutex<Inner>>);

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises an alarm, or clears it with none. The log hears of it when that changes something. `now` in unix milliseconds.
    pub fn set(&self, code: &'static str, alarm: Option<(Severity, String)>, now: u64) {
        let mut inner = self.lock();
        let Some((severity, text)) = alarm else {
            if inner.raised.remove(code).is_some() {
                info!(target: "polai::dht", code, "alarm cleared");
            }
            return;
        };
        let text = printable(&text, ALARM_TEXT_BYTES);
        let since_unix_ms = match inner.raised.get(code) {
            Some(held) => held.since_unix_ms,
            None => {
                warn!(target: "polai::dht", code, text, "alarm");
                now
            }
        };
        inner.raised.insert(code, Raised { severity, text, since_unix_ms });
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Alarm> {
        let inner = self.lock();
        let alarm = |(code, raised): (&&'static str, &Raised)| Alarm {
            code: (*code).to_owned(),
            severity: raised.severity.into(),
            text: raised.text.clone(),
            since_unix_ms: raised.since_unix_ms,
        };
        inner.raised.iter().map(alarm).collect()
    }

    /// Notes that a validator set came into force, unix seconds.
    pub fn fed(&self, now: u64) {
        self.lock().fed_at = Some(now);
    }

    /// When the last set came into force, unix seconds.
    pub fn last_fed(&self) -> Option<u64> {
        self.lock().fed_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_stands_as_long_as_its_state_lasts_and_says_since_when() {
        let alarms = Alarms::default();
        let raise = |text: &str, now| alarms.set(code::NO_PEERS, Some((Severity::Error, text.to_owned())), now);
        raise("nobody", 5);
        raise("still\nnobody", 9);
        let [alarm] = alarms.list().try_into().unwrap();
        assert_eq!((alarm.code.as_str(), alarm.text.as_str(), alarm.since_unix_ms), ("no-peers", "still?nobody", 5));
        alarms.set(code::NO_PEERS, None, 10);
        assert!(alarms.list().is_empty());
        raise("again", 11);
        assert_eq!(alarms.list().first().unwrap().since_unix_ms, 11);
    }
}
