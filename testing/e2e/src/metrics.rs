//! docs/METRICS.md, made of what a running node's processes tell about their own metrics, and compared with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::up::Up;

/// Who serves metrics: its name, the variable that moves the port, the port.
const PROCESSES: [(&str, &str, u16); 5] = [
    ("pol-dht", "DHT_PORT", 13_337),
    ("pol-execution", "EL_METRICS_PORT", 9_001),
    ("pol-beacon", "BEACON_METRICS_PORT", 9_002),
    ("ack-quorum", "ACK_QUORUM_METRICS_PORT", 9_003),
    ("ml-sidecar", "SIDECAR_METRICS_PORT", 8_561),
];

const HEAD: &str = "# Metrics

Every process serves Prometheus text at `/metrics`, on loopback (pol-dht: on its HTTP port), and its health at `/health`: 200, 206 (blocks yes, AI
no), 503. This page is written by `just docs-metrics` from what the processes of a running node say of themselves; a test compares it.

A histogram `x` is served as `x_bucket`, `x_sum` and `x_count`. What to alert on: [RUNBOOK.md](RUNBOOK.md).
";

/// A metric: type, then meaning.
type Metrics = BTreeMap<String, (String, String)>;

fn parse(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some("#"), Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        let metric = metrics.entry(name.to_owned()).or_default();
        match what {
            "TYPE" => rest.clone_into(&mut metric.0),
            "HELP" => rest.trim_end_matches('.').clone_into(&mut metric.1),
            _ => {}
        }
    }
    metrics
}

/// What the last word of a name says, `polai_<part>_<what>_<unit>`; a gauge of something that is or is not says it in its meaning.
fn unit(name: &str, meaning: &str) -> &'static str {
    const UNITS: [(&str, &str); 9] = [
        ("seconds", "seconds"),
        ("bytes", "bytes"),
        ("nats", "nats"),
        ("slot", "slot"),
        ("epoch", "epoch"),
        ("height", "block number"),
        ("hash_rate", "hashes per second"),
        ("tokens_per_second", "tokens per second"),
        ("learning_rate", "ratio"),
    ];
    if meaning.starts_with("1 ") {
        return "0 or 1";
    }
    let longest = UNITS.iter().filter(|(end, _)| name.ends_with(end)).max_by_key(|(end, _)| end.len());
    longest.map_or("count", |(_, unit)| *unit)
}

fn table(into: &mut String, metrics: impl Iterator<Item = (String, (String, String))>) {
    into.push_str("\n| metric | type | unit | meaning |\n| --- | --- | --- | --- |\n");
    for (name, (kind, meaning)) in metrics {
        let end = if kind == "counter" { "_total" } else { "" };
        // Writing into a string cannot fail.
        let _ = writeln!(into, "| `{name}{end}` | {kind} | {} | {meaning} |", unit(&name, &meaning));
    }
}

/// The page, out of each process's metrics.
fn page(found: &[(&str, &str, u16, Metrics)]) -> String {
    let mut names = found.iter().map(|(.., metrics)| metrics.keys().cloned().collect::<BTreeSet<_>>());
    let first = names.next().unwrap_or_default();
    let common = names.fold(first, |common, names| common.intersection(&names).cloned().collect());
    let mut text = String::from(HEAD);
    text.push_str("\n## Every process\n");
    let all = found.first().map(|(.., metrics)| metrics.clone()).unwrap_or_default();
    table(&mut text, all.into_iter().filter(|(name, _)| common.contains(name)));
    for (process, variable, port, metrics) in found {
        let _ = writeln!(text, "\n## {process}, port {port} (`{variable}`)");
        table(&mut text, metrics.clone().into_iter().filter(|(name, _)| !common.contains(name)));
    }
    text
}

/// The page that a running node makes.
///
/// # Panics
/// A process does not answer.
pub fn document(up: &Up) -> String {
    let found = PROCESSES.map(|(process, variable, port)| {
        let url = format!("http://127.0.0.1:{}/metrics", up.port(variable));
        let text = reqwest::blocking::get(&url).and_then(reqwest::blocking::Response::text);
        (process, variable, port, parse(&text.unwrap_or_else(|error| panic!("{process}: {error}"))))
    });
    page(&found)
}

/// Where the page lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/METRICS.md")
}

/// Compares the page with a running node, line by line.
///
/// # Panics
/// They differ: with the first line that does, and what mends it.
pub fn check(up: &Up) {
    let (found, expected) = (fs::read_to_string(path()).unwrap_or_default(), document(up));
    let missing = expected.lines().find(|line| !found.lines().any(|other| other == *line));
    let stale = found.lines().find(|line| !expected.lines().any(|other| other == *line));
    assert!(
        found == expected,
        "docs/METRICS.md is not what the processes serve; run `just docs-metrics`\n  missing: {}\n  stale:   {}",
        missing.unwrap_or("nothing"),
        stale.unwrap_or("nothing, but the order")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_is_served_even_where_nothing_was_counted_yet() {
        let text = "# HELP polai_tasks_restarts Restarts.\n# TYPE polai_tasks_restarts counter\n# HELP polai_x_seal_seconds Time.\n\
                    # TYPE polai_x_seal_seconds histogram\npolai_x_seal_seconds_sum 3\n# EOF\n";
        let other = "# HELP polai_tasks_restarts Restarts.\n# TYPE polai_tasks_restarts counter\n# EOF\n";
        let page = page(&[("one", "ONE_PORT", 1, parse(text)), ("two", "TWO_PORT", 2, parse(other))]);
        assert!(page.contains("## Every process\n\n| metric | type | unit | meaning |\n| --- | --- | --- | --- |\n| `polai_tasks_restarts_total` | counter | count | Restarts |\n"), "{page}");
        assert!(
            page.contains("## one, port 1 (`ONE_PORT`)")
                && page.contains("| `polai_x_seal_seconds` | histogram | seconds | Time |"),
            "{page}"
        );
        assert_eq!(page.matches("polai_tasks_restarts").count(), 1, "{page}");
    }
}
