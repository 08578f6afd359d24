//! What a process uses, as /proc tells it.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use crate::{events::PARTS, up::Up};

/// Resident memory of a process, KiB; None when it is gone.
pub fn rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}

/// Processor time of a process and its threads so far, in ticks of 1/100 s; None when it is gone.
pub fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold spaces: the state is the first word, user and system time are the 12th and 13th.
    let words: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    Some(words.get(11)?.parse::<u64>().ok()? + words.get(12)?.parse::<u64>().ok()?)
}

/// Resident memory of a node's processes, KiB by part.
pub fn memory(up: &Up) -> BTreeMap<&'static str, u64> {
    PARTS.iter().filter_map(|part| Some((*part, rss_kib(up.pid(part)?)?))).collect()
}

/// Share of one core that each process of a node uses for so long, in per cent, by part. A part that is started anew meanwhile is left out.
pub fn cpu_percent(up: &Up, time: Duration) -> BTreeMap<&'static str, f64> {
    let look = || {
        PARTS
            .iter()
            .filter_map(|part| up.pid(part).and_then(|pid| Some(((*part, pid), cpu_ticks(pid)?))))
            .collect::<BTreeMap<_, _>>()
    };
    let before = look();
    thread::sleep(time);
    let after = look();
    let used = |(key, then): (&(&'static str, u32), &u64)| Some((key.0, (after.get(key)? - then) as f64 / time.as_secs_f64()));
    before.iter().filter_map(used).collect()
}
