use super::*;
use clap::Parser;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `body` logs, line by line.
fn logged(log: &str, log_format: LogFormat, body: impl FnOnce()) -> Vec<String> {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let args = LogArgs { log: log.to_owned(), log_format };
    let dispatch = dispatch(&args, false, move || writer.clone()).unwrap();
    tracing::dispatcher::with_default(&dispatch, body);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn one_grep_for_an_id_shows_every_stage_of_its_life_in_order() {
    let lines = logged("info", LogFormat::Human, || {
        for stage in Stage::ALL {
            update(stage, &[0xab; 32]);
            update(stage, &[0xcd; 32]);
        }
    });
    let id = "ab".repeat(32);
    let life: Vec<_> = lines.iter().filter(|line| line.contains(&id)).collect();
    assert_eq!(life.len(), Stage::ALL.len());
    let words = ["published", "gated", "acked", "candidate", "sealed", "imported", "finalized", "applied", "refused"];
    for (line, word) in life.iter().zip(words) {
        assert!(line.contains("polai::update") && line.contains(&format!("update_id={id} stage=\"{word}\"")), "{line}");
    }
}

#[test]
fn a_json_line_carries_target_id_stage_and_reason_as_fields() {
    let lines = logged("info", LogFormat::Json, || refused(&[1; 32], &io::Error::other("short\nquorum")));
    let event: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(event["target"], UPDATE_TARGET);
    assert_eq!(event["update_id"], "01".repeat(32));
    assert_eq!((&event["stage"], &event["reason"]), (&"refused".into(), &"short\nquorum".into()));
    assert_eq!(lines.len(), 1);
}

#[test]
fn the_filter_decides_what_is_logged() {
    let both = || {
        tracing::debug!(target: "polai::net", "from the net");
        update(Stage::Acked, &[2; 32]);
    };
    assert_eq!(logged("off", LogFormat::Human, both).len(), 0);
    assert_eq!(logged("info", LogFormat::Human, both).len(), 1);
    assert_eq!(logged("warn,polai::net=debug", LogFormat::Human, both).len(), 1);
}

#[test]
fn a_filter_that_cannot_be_read_is_one_clear_error() {
    let args = LogArgs { log: "polai=loud".to_owned(), log_format: LogFormat::Human };
    let error = dispatch(&args, false, io::stderr).unwrap_err();
    assert!(error.to_string().starts_with("--log \"polai=loud\": "), "{error}");
}

#[test]
fn flags_choose_filter_and_format() {
    #[derive(Parser)]
    struct Process {
        #[command(flatten)]
        log: LogArgs,
    }
    let parsed = Process::parse_from(["x", "--log", "debug", "--log-format", "json"]).log;
    assert_eq!(parsed, LogArgs { log: "debug".to_owned(), log_format: LogFormat::Json });
}
