//! The program, as an operator meets it: one line and exit code 2 for everything only an operator can mend.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"));
    command.args(arguments).env("OMP_WAIT_POLICY", "passive").env("POLAI_LOG", "off").output().unwrap()
}

fn refused(arguments: &[&str], part: &str) {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.lines().count() == 1 && said.contains(part), "{arguments:?}: {said:?}, expected {part:?}");
}

#[test]
fn it_starts_itself_anew_with_passive_waiting_and_says_what_it_runs_on() {
    let output = Command::new(env!("CARGO_BIN_EXE_ml-sidecar"))
        .args(["device", "--device", "cpu", "--threads", "1"])
        .env_remove("OMP_WAIT_POLICY")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("CUDA available:") && said.contains("2.13"), "{said}");
    assert_eq!(output.stdout, b"cpu\n");
}

#[test]
fn mistakes_are_one_line_and_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, texts, state) = (path("model"), path("texts"), path("state"));
    fs::write(&texts, "a line\n").unwrap();
    refused(&["device", "--device", "gpu"], "expected auto, cpu, cuda or cuda:N");
    refused(&["device", "--device", "cuda:63"], "device cuda:63");
    refused(&["eval", "--model", &model, "--texts", &texts], "No such file");
    refused(&["eval", "--model", "smoll", "--texts", &texts], "expected embedded, smollm2-135m, a folder");
    fs::create_dir(&model).unwrap();
    refused(&["eval", "--model", &model, "--texts", &texts], "config.json: No such file");
    fs::write(Path::new(&model).join("config.json"), r#"{"model_type":"gpt2"}"#).unwrap();
    refused(&["eval", "--model", &model, "--texts", &texts], "model_type is gpt2: not supported");
    refused(&["adapter", "info", &path("none")], "No such file");
    refused(&["adapter", "info", &model], "adapter_config.json");
    fs::write(&state, "nothing").unwrap();
    refused(&["adapter", "info", &state], "not a state file");
    refused(&["adapter", "diff", &state, &state], "not a state file");
}
