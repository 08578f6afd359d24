//! What the operator sees.

use std::process::Command;

use super::process::Home;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pol-execution")).env_clear().args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_teaches_and_wrong_use_ends_with_2_and_one_line() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for word in ["dev --block-time 2", "--authrpc.jwtsecret", "EL_HTTP_PORT", "--datadir"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    for arguments in [&["--http.port", "70000"][..], &["--nonsense"], &["--data-dir", folder]] {
        let (code, _, error) = run(arguments);
        assert_eq!((code, error.lines().count()), (Some(2), 1), "{error}");
    }
    let (_, _, error) = run(&["--data-dir", folder]);
    assert!(error.contains("genesis.json") && error.contains("pol-execution dev"), "{error}");
}

#[test]
fn a_genesis_of_another_chain_is_refused() {
    let (home, other) = (Home::new(), Home::new());
    drop(home.start());
    let mut text = std::fs::read_to_string(other.path().join("genesis.json")).unwrap();
    // Another time makes another chain.
    let time =
        |genesis: &reth_ai_exex::genesis::ExecutionGenesis| format!("\"timestamp\": \"{:#x}\"", genesis.chain().genesis_time());
    text = text.replace(&time(&other.genesis), &format!("\"timestamp\": \"{:#x}\"", other.genesis.chain().genesis_time() + 60));
    std::fs::write(home.path().join("genesis.json"), text).unwrap();
    let output = home.command().output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
