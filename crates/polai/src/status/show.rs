//! The table.

use std::fmt::Display;

use super::Status;
use crate::health;

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The first digits of a hash.
fn short(hash: &str) -> &str {
    let digits = hash.strip_prefix("0x").unwrap_or(hash);
    digits.get(..16).unwrap_or(digits)
}

/// The status as a table of one screen.
pub(super) fn table(status: &Status) -> String {
    let mut lines = vec![format!("POL-AI chain {}", short(&status.genesis_id)), String::new()];
    let mut row = |name: &str, text: String| lines.push(format!("{name:<12}{text}"));
    row("slot", or_dash(status.slot));
    row("head", format!("slot {}, block {}", or_dash(status.head_slot), or_dash(status.block)));
    row("missed", format!("{} slot(s)", or_dash(status.missed_slots)));
    row("finalized", format!("epoch {}", or_dash(status.finalized_epoch)));
    row("AI blocks", format!("{}, {} of them final", or_dash(status.updates), or_dash(status.finalized_updates)));
    row("model head", status.model_head.as_deref().map_or("-", short).to_owned());
    row(
        "quorum",
        format!("{} of {} seat(s); {} ACK(s) held", or_dash(status.quorum), or_dash(status.seats), or_dash(status.acks)),
    );
    let losses = status.losses.as_ref().map(|losses| {
        let change = (losses.after / losses.before - 1.0) * 100.0;
        format!("{:.6} -> {:.6} ({change:+.2} %), update {}", losses.before, losses.after, short(&losses.update_id))
    });
    row("loss", or_dash(losses));
    row("peers", or_dash(status.peers));
    lines.push(String::new());
    for part in &status.parts {
        let health = health::words(&part.name, part.health, part.pid.is_some());
        let restarts = if part.restarts == 0 { String::new() } else { format!(", {} restart(s)", part.restarts) };
        let reasons = if part.reasons.is_empty() { String::new() } else { format!(": {}", part.reasons.join("; ")) };
        lines.push(format!("{:<15}{:<9}{health}{restarts}{reasons}", part.name, or_dash(part.pid)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Losses, PartHealth};
    use super::*;

    #[test]
    fn what_nobody_answered_is_a_dash_and_what_is_missing_is_said() {
        let part = |name: &str, health, reasons: &[&str]| PartHealth {
            name: name.to_owned(),
            pid: Some(7),
            restarts: 2,
            health,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let mut status = Status {
            parts: vec![part("pol-beacon", Some(206), &["no DHT"]), part("pol-execution", None, &[])],
            ..Status::default()
        };
        assert_eq!(status.missing(), ["pol-execution"]);
        status.parts[1].health = Some(200);
        assert!(status.makes_blocks());
        status.losses = Some(Losses { update_id: "ab".repeat(32), before: 8.0, after: 7.9 });
        let table = table(&status);
        assert!(
            table.contains("slot        -\n") && table.contains("8.000000 -> 7.900000 (-1.25 %), update abababababababab"),
            "{table}"
        );
        assert!(table.contains("pol-beacon     7        blocks yes, AI no, 2 restart(s): no DHT"), "{table}");
    }
}
