//! Supervision, with small shell scripts as parts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pol_kit::clock::System;
use polai::supervise::{Alerts, Event, Part, Supervisor};
use tempfile::TempDir;

/// A part that is a shell script.
fn part(folder: &TempDir, name: &'static str, script: &str) -> Part {
    Part {
        name,
        program: PathBuf::from("/bin/sh"),
        args: ["-c", script].map(Into::into).to_vec(),
        env: vec![("FOLDER", folder.path().into())],
        required: false,
        log: folder.path().join(format!("logs/{name}.log")),
        alerts: Alerts::new(&["LOST"]),
    }
}

fn supervisor(parts: Vec<Part>) -> Supervisor {
    Supervisor::new(env!("CARGO_BIN_EXE_polai").into(), parts, Arc::new(System::new()))
}

/// Steps until `done` of all events so far.
fn until(supervisor: &mut Supervisor, what: &str, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    let (start, mut events) = (Instant::now(), Vec::new());
    while !done(&events) {
        assert!(start.elapsed() < Duration::from_secs(20), "no {what}: {events:?}, {:?}", supervisor.states());
        events.extend(supervisor.step());
        thread::sleep(Duration::from_millis(5));
    }
    events
}

fn exists(path: &Path) -> bool {
    let start = Instant::now();
    while !path.exists() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    path.exists()
}

/// State letter of a process in /proc; None when there is none.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn pid(supervisor: &Supervisor, name: &str) -> u32 {
    supervisor.states().into_iter().find(|state| state.name == name).and_then(|state| state.pid).unwrap()
}

fn starts(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Started { .. })).count()
}

#[test]
fn a_part_that_crashes_is_started_again_after_growing_pauses_and_leaves_no_zombie() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(vec![part(&folder, "crash", "echo out; echo oh dear >&2; exit 7")]);
    let events = until(&mut supervisor, "third start", |events| starts(events) == 3);
    let ends: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Ended { how, pause, .. } => Some((how.as_str(), pause.as_millis())),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [("exit code 7: oh dear", 250), ("exit code 7: oh dear", 500)]);
    for event in &events[..events.len() - 1] {
        if let Event::Started { pid, .. } = event {
            assert_eq!(state(*pid), None, "process {pid} was not reaped");
        }
    }
    supervisor.stop(Duration::from_secs(5));
    let log = fs::read_to_string(folder.path().join("logs/crash.log")).unwrap();
    assert!(log.starts_with("out\noh dear\nout\noh dear\n"), "{log}");
}

#[test]
fn an_operators_mistake_is_not_tried_for_ever_and_its_line_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut part = part(&folder, "wrong", "echo 'wrong: no such model' >&2; exit 2");
    part.required = true;
    let mut supervisor = supervisor(vec![part]);
    let given_up = |events: &[Event]| events.iter().any(|event| matches!(event, Event::GivenUp { .. }));
    let events = until(&mut supervisor, "giving up", given_up);
    let line = "wrong: no such model".to_owned();
    assert_eq!(events.last(), Some(&Event::GivenUp { part: "wrong", line: line.clone(), required: true }));
    thread::sleep(Duration::from_millis(700));
    assert_eq!(supervisor.step(), []);
    assert_eq!((supervisor.states()[0].given_up.clone(), supervisor.states()[0].restarts), (Some(line), 1));
}

#[test]
fn a_program_that_is_not_there_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut part = part(&folder, "none", "");
    part.program = folder.path().join("no-such-program");
    let mut supervisor = supervisor(vec![part]);
    let events = until(&mut supervisor, "giving up", |events| matches!(events.last(), Some(Event::GivenUp { .. })));
    let Some(Event::GivenUp { line, .. }) = events.last() else { panic!("{events:?}") };
    assert!(line.contains("no-such-program: No such file or directory"), "{line}");
}

#[test]
fn parts_are_stopped_last_first_and_one_that_will_not_is_killed_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let polite = |name| {
        let script =
            format!("trap 'echo {name} >>$FOLDER/order; exit 0' TERM; touch $FOLDER/{name}; while :; do sleep 0.05; done");
        part(&folder, name, &script)
    };
    let stubborn = "trap '' TERM; touch $FOLDER/stubborn; while :; do sleep 0.05; done";
    let mut supervisor = supervisor(vec![polite("first"), part(&folder, "stubborn", stubborn), polite("last")]);
    until(&mut supervisor, "three starts", |events| starts(events) == 3);
    for name in ["first", "stubborn", "last"] {
        assert!(exists(&folder.path().join(name)), "{name}");
    }
    let pids = ["first", "stubborn", "last"].map(|name| pid(&supervisor, name));
    let start = Instant::now();
    assert_eq!(supervisor.stop(Duration::from_millis(1_500)), ["stubborn"]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(fs::read_to_string(folder.path().join("order")).unwrap(), "last\nfirst\n");
    assert_eq!(pids.map(state), [None; 3], "nobody is left, not even a zombie");
}

#[test]
fn a_hung_part_is_killed_even_when_it_is_stopped_and_starts_again_after_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; touch $FOLDER/ready; while :; do sleep 0.05; done";
    let mut supervisor = supervisor(vec![part(&folder, "hung", script)]);
    until(&mut supervisor, "start", |events| starts(events) == 1);
    assert!(exists(&folder.path().join("ready")));
    let hung = pid(&supervisor, "hung");
    // Another process than the one that was looked at is left alone.
    supervisor.hung("hung", hung + 1);
    supervisor.hung("nobody", hung);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(supervisor.step(), []);
    assert!(Command::new("kill").args(["-STOP", &hung.to_string()]).status().unwrap().success());
    supervisor.hung("hung", hung);
    let events = until(&mut supervisor, "another start", |events| starts(events) == 1);
    let Some(Event::Ended { how, pause, .. }) = events.first() else { panic!("{events:?}") };
    assert!(how.starts_with("signal 9, from polai: its health page was silent") && pause.as_millis() == 250, "{how}");
    assert_eq!(state(hung), None, "it was reaped");
    assert_ne!(pid(&supervisor, "hung"), hung);
    supervisor.stop(Duration::from_millis(500));
}

#[test]
fn children_of_a_part_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 1000 & echo $! >$FOLDER/tmp; mv $FOLDER/tmp $FOLDER/child; exec sleep 1000";
    let mut supervisor = supervisor(vec![part(&folder, "parent", script)]);
    until(&mut supervisor, "start", |events| starts(events) == 1);
    assert!(exists(&folder.path().join("child")));
    let child: u32 = fs::read_to_string(folder.path().join("child")).unwrap().trim().parse().unwrap();
    assert!(Command::new("kill").args(["-9", &pid(&supervisor, "parent").to_string()]).status().unwrap().success());
    until(&mut supervisor, "end", |events| events.iter().any(|event| matches!(event, Event::Ended { .. })));
    let start = Instant::now();
    // Whoever inherits it reaps it: a zombie is dead too.
    while state(child).is_some_and(|state| state != 'Z') {
        assert!(start.elapsed() < Duration::from_secs(10), "process {child} lives");
        thread::sleep(Duration::from_millis(10));
    }
    supervisor.stop(Duration::from_secs(5));
}

#[test]
fn parts_die_with_the_thread_that_started_them() {
    let folder = tempfile::tempdir().unwrap();
    let running = part(&folder, "part", "touch $FOLDER/part; exec sleep 1000");
    let place = folder.path().join("part");
    let pid = thread::spawn(move || {
        let mut supervisor = supervisor(vec![running]);
        until(&mut supervisor, "start", |events| starts(events) == 1);
        assert!(exists(&place));
        let pid = pid(&supervisor, "part");
        // As if polai had been killed: nobody cleans up.
        std::mem::forget(supervisor);
        pid
    });
    let pid = pid.join().unwrap();
    let start = Instant::now();
    while state(pid).is_some_and(|state| state != 'Z') {
        assert!(start.elapsed() < Duration::from_secs(10), "process {pid} lives");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_line_that_means_trouble_is_said_once_and_the_rest_is_only_logged() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo all well; for i in 1 2 3; do echo slot $i LOST; done; echo well again; exec sleep 100";
    let mut supervisor = supervisor(vec![part(&folder, "a", script)]);
    let is_alert = |event: &Event| matches!(event, Event::Alert { .. });
    let mut events = until(&mut supervisor, "alert", |events| events.iter().any(is_alert));
    events.extend((0..20).flat_map(|_| {
        thread::sleep(Duration::from_millis(5));
        supervisor.step()
    }));
    let alerts: Vec<_> = events.into_iter().filter(is_alert).collect();
    assert_eq!(alerts, [Event::Alert { part: "a", line: "slot 1 LOST".to_owned() }]);
    assert!(supervisor.stop(Duration::from_secs(5)).is_empty());
}
