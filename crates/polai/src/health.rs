//! How a part of a node tells how it is, and what that means.

use crate::{args::Ports, programs};

/// Where a part answers; None for one that has no health page.
pub fn url(part: &str, ports: &Ports) -> Option<String> {
    let port = match part {
        programs::DHT => ports.dht,
        programs::EXECUTION | programs::RETH => ports.execution_metrics,
        programs::BEACON => ports.beacon_metrics,
        programs::ACK_QUORUM => ports.quorum_metrics,
        programs::LIGHTHOUSE_BN => return Some(format!("http://127.0.0.1:{}/eth/v1/node/health", ports.beacon)),
        programs::SIDECAR => ports.sidecar_metrics,
        _ => return None,
    };
    Some(format!("http://127.0.0.1:{port}/health"))
}

/// What a status of a part's page means. A part without a page is judged by whether its process `runs`.
pub fn words(part: &str, status: Option<u16>, runs: bool) -> &'static str {
    match (part, status) {
        (programs::LIGHTHOUSE_VC, _) if runs => "runs",
        (programs::LIGHTHOUSE_VC, _) => "down",
        // The standard's own: it makes blocks all the same.
        (programs::LIGHTHOUSE_BN, Some(206)) => "no peers, or not synced",
        (_, Some(200)) => "ok",
        (_, Some(206)) => "blocks yes, AI no",
        (_, Some(_)) => "down",
        (_, None) => "no answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_means_what_the_part_that_gave_it_means() {
        assert_eq!(words(programs::BEACON, Some(206), true), "blocks yes, AI no");
        assert_eq!(words(programs::LIGHTHOUSE_BN, Some(206), true), "no peers, or not synced");
        assert_eq!(words(programs::LIGHTHOUSE_BN, Some(503), true), "down");
        assert_eq!(words(programs::DHT, None, true), "no answer");
        assert_eq!((words(programs::LIGHTHOUSE_VC, None, true), words(programs::LIGHTHOUSE_VC, None, false)), ("runs", "down"));
    }
}
