use super::*;
use crate::exit::{Code, Exit};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;

/// A process with one setting of each kind.
#[derive(Parser, Debug)]
#[command(name = "process")]
struct Process {
    #[command(flatten)]
    data: DataDirArgs,

    /// Port of the JSON-RPC server
    #[arg(long, env = "EL_HTTP_PORT", default_value_t = 8545)]
    el_http_port: u16,

    /// Whoever knows it can sign as every validator
    #[arg(long, env = "GENESIS_SEED", hide_env_values = true, value_parser = seed)]
    genesis_seed: Option<String>,

    /// Peers to begin with
    #[arg(long, env = "GENESIS_HOST", value_delimiter = ',')]
    genesis_host: Vec<String>,

    /// Work alone
    #[arg(long, env = "POLAI_SOLO")]
    solo: bool,

    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Serve the feed
    Serve {
        /// Port of the feed
        #[arg(long, env = "EL_FEED_PORT")]
        el_feed_port: u16,
    },
}

fn seed(text: &str) -> Result<String, String> {
    if text.len() == 64 { Ok(text.to_owned()) } else { Err(format!("{text} has not 64 digits; run: openssl rand -hex 32")) }
}

/// A data directory with this `.env`, and a way to start the process in it.
struct Node(tempfile::TempDir);

impl Node {
    fn with_env_file(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(".env"), text).unwrap();
        Self(directory)
    }

    fn start(&self, env: &[(&str, &str)], args: &[&str]) -> Result<Loaded<Process>, ConfigError> {
        let mut sources = Sources { args: vec!["process".into()], ..Sources::default() };
        sources.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        sources.env.entry("POLAI_DATA_DIR".to_owned()).or_insert_with(|| self.0.path().into());
        sources.args.extend(args.iter().map(OsString::from));
        load(&sources)
    }

    fn help(&self) -> String {
        match self.start(&[], &["--help"]) {
            Err(ConfigError::Clap(help)) => help.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn port(&self, env: &[(&str, &str)], args: &[&str]) -> u16 {
        self.start(env, args).unwrap().args.el_http_port
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_env_file_which_beats_the_default() {
    let (with, without) = (Node::with_env_file("EL_HTTP_PORT=3"), Node::with_env_file(""));
    let env = [("EL_HTTP_PORT", "2")];
    assert_eq!(with.port(&env, &["--el-http-port", "1"]), 1);
    assert_eq!(with.port(&env, &[]), 2);
    assert_eq!(with.port(&[], &[]), 3);
    assert_eq!(without.port(&[], &[]), 8545);
}

#[test]
fn every_setting_knows_its_origin() {
    let node = Node::with_env_file("GENESIS_HOST=a\nPRYSM_REST_PORT=9\n");
    let loaded = node.start(&[("GETH_HTTP_PORT", "2")], &["--solo"]).unwrap();
    let origin = |name: &str| loaded.origins.get(name).cloned();
    assert_eq!(origin("POLAI_SOLO"), Some(Origin::Flag));
    assert_eq!(origin("EL_HTTP_PORT"), Some(Origin::Environment { name: "GETH_HTTP_PORT".to_owned() }));
    let path = node.0.path().join(".env");
    assert_eq!(origin("GENESIS_HOST"), Some(Origin::EnvFile { name: "GENESIS_HOST".to_owned(), path }));
    assert_eq!((origin("GENESIS_SEED"), origin("BEACON_REST_PORT")), (None, None));
    assert_eq!(Node::with_env_file("").start(&[], &[]).unwrap().origins["EL_HTTP_PORT"], Origin::Default);
}

#[test]
fn the_originals_names_are_accepted_in_both_layers() {
    assert_eq!(Node::with_env_file("GETH_HTTP_PORT=4").port(&[], &[]), 4);
    assert_eq!(Node::with_env_file("EL_HTTP_PORT=4").port(&[("GETH_HTTP_PORT", "5")], &[]), 5, "a stronger layer wins");
    assert_eq!(Node::with_env_file("").port(&[("GETH_HTTP_PORT", "5"), ("EL_HTTP_PORT", "5")], &[]), 5);
    assert_eq!(Node::with_env_file("").port(&[("GETH_HTTP_PORT", "5"), ("EL_HTTP_PORT", "")], &[]), 5, "empty is unset");
}

#[test]
fn two_names_with_two_values_are_one_clear_error() {
    let both = [("EL_HTTP_PORT", "1"), ("GETH_HTTP_PORT", "2")];
    let error = Node::with_env_file("").start(&both, &[]).unwrap_err();
    let line = "EL_HTTP_PORT and GETH_HTTP_PORT are the same setting, but the environment (EL_HTTP_PORT) sets them to \
                different values: remove one";
    assert_eq!(error.to_string(), line);
    assert_eq!(Exit::from(error).code(), Code::Usage);
    let error = Node::with_env_file("GETH_HTTP_PORT=1\nEL_HTTP_PORT=2").start(&[], &[]).unwrap_err();
    assert!(matches!(error, ConfigError::Ambiguous { origin: Origin::EnvFile { .. }, .. }), "{error}");
}

#[test]
fn the_table_of_aliases_is_the_architectures() {
    let table = "EL_HTTP_PORT (GETH_HTTP_PORT), EL_AUTH_PORT (GETH_AUTH_PORT), EL_P2P_PORT (GETH_P2P_PORT), BEACON_REST_PORT \
                 (PRYSM_REST_PORT), BEACON_P2P_PORT (PRYSM_P2P_PORT), BEACON_GRPC_PORT (PRYSM_GRPC_PORT)";
    assert_eq!(ALIASES.len(), table.split(',').count());
    assert!(ALIASES.iter().all(|(ours, theirs)| table.contains(&format!("{ours} ({theirs})"))));
}

#[test]
fn the_env_file_is_the_one_of_the_data_directory_however_that_is_named() {
    let (node, other) = (Node::with_env_file("EL_HTTP_PORT=3\nPOLAI_DATA_DIR=/elsewhere"), Node::with_env_file("EL_HTTP_PORT=4"));
    let directory = other.0.path().to_str().unwrap();
    assert_eq!(node.port(&[], &["--data-dir", directory]), 4);
    assert_eq!(node.port(&[], &[&format!("--data-dir={directory}")]), 4);
    let loaded = node.start(&[], &[]).unwrap();
    assert_eq!(loaded.args.data.data_dir, node.0.path(), "a file said where it lies itself");
}

#[test]
fn switches_lists_and_required_flags_of_subcommands_are_layered_too() {
    let node = Node::with_env_file("POLAI_SOLO=true\nGENESIS_HOST=\"a,b\"\nEL_FEED_PORT=77\n");
    let Process { solo, genesis_host, command, .. } = node.start(&[], &["serve"]).unwrap().args;
    assert!(solo);
    assert_eq!(genesis_host, ["a", "b"]);
    assert!(matches!(command, Some(Action::Serve { el_feed_port: 77 })));
    let loaded = node.start(&[("GENESIS_HOST", "c")], &["serve", "--el-feed-port", "78"]).unwrap();
    assert_eq!((loaded.args.genesis_host, loaded.origins["EL_FEED_PORT"].clone()), (vec!["c".to_owned()], Origin::Flag));
    assert!(Node::with_env_file("").start(&[], &["serve"]).is_err(), "a required flag from nowhere");
}

#[test]
fn a_wrong_value_is_reported_with_the_place_it_stands_in() {
    let node = Node::with_env_file("GETH_HTTP_PORT=http");
    let line = node.start(&[], &[]).unwrap_err().to_string();
    let place = format!("from {} (GETH_HTTP_PORT): \"http\": invalid digit", node.0.path().join(".env").display());
    assert!(line.starts_with("--el-http-port <EL_HTTP_PORT> ") && line.contains(&place), "{line}");
    let line = node.start(&[("EL_HTTP_PORT", "70000")], &[]).unwrap_err().to_string();
    assert!(line.contains("from the environment (EL_HTTP_PORT): \"70000\""), "{line}");
    let line = node.start(&[], &["--el-http-port", "x"]).unwrap_err().to_string();
    assert!(line.contains("from the command line: \"x\""), "{line}");
}

#[test]
fn a_secret_is_never_printed_whatever_is_wrong_with_it() {
    let secret = "5ec7e7c0ffee";
    let env_file = Node::with_env_file(&format!("GENESIS_SEED={secret}"));
    let empty = Node::with_env_file("");
    for error in
        [env_file.start(&[], &[]), empty.start(&[("GENESIS_SEED", secret)], &[]), empty.start(&[], &["--genesis-seed", secret])]
    {
        let line = Exit::from(error.unwrap_err()).to_string();
        assert!(line.contains("--genesis-seed") && line.contains("openssl rand -hex 32"), "{line}");
        assert!(!line.contains(secret), "{line}");
    }
    let good = Node::with_env_file(&format!("GENESIS_SEED={}", secret.repeat(6).get(..64).unwrap()));
    let help = good.help();
    assert!(help.contains("GENESIS_SEED") && !help.contains(secret), "{help}");
    let broken = Node::with_env_file(&format!("A=1\n\nGENESIS_SEED {secret}\n"));
    let line = broken.start(&[], &[]).unwrap_err().to_string();
    assert!(line.ends_with(".env: line 3 is not of the form NAME=value") && !line.contains(secret), "{line}");
    assert!(!format!("{:?}", Sources { args: vec![secret.into()], ..Sources::default() }).contains(secret));
}

#[test]
fn no_env_file_is_fine_and_one_that_cannot_be_read_or_is_too_long_is_an_error() {
    let node = Node::with_env_file("");
    std::fs::remove_file(node.0.path().join(".env")).unwrap();
    assert_eq!(node.port(&[], &[]), 8545);
    std::fs::create_dir(node.0.path().join(".env")).unwrap();
    assert!(matches!(node.start(&[], &[]), Err(ConfigError::EnvFile { .. })));
    let long = Node::with_env_file(&"# comment\n".repeat(10_000));
    assert!(matches!(long.start(&[], &[]), Err(ConfigError::EnvFile { .. })));
    let line = Node::with_env_file("# \u{e4}\n\nexport EL_HTTP_PORT='6' # ours\nEL_HTTP_PORT=7\n").port(&[], &[]);
    assert_eq!(line, 7, "the last line counts");
}

#[test]
fn the_environment_of_the_process_is_never_written() {
    let before: Vec<_> = std::env::vars_os().collect();
    let node = Node::with_env_file("EL_HTTP_PORT=3\nKIT_NEW_VARIABLE=x");
    node.port(&[], &[]);
    assert_eq!(std::env::vars_os().collect::<Vec<_>>(), before);
}

#[test]
fn help_names_both_variables_and_the_default() {
    let help = Node::with_env_file("EL_HTTP_PORT=3").help();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("Port of the JSON-RPC server [env: EL_HTTP_PORT, GETH_HTTP_PORT] [default: 8545]"), "{help}");
}

#[test]
fn all_variables_are_listed_with_default_meaning_and_alias() {
    let commands = [Process::command(), Process::command().name("other")];
    let listed = variables(&commands);
    let names: Vec<_> = listed.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["EL_FEED_PORT", "EL_HTTP_PORT", "GENESIS_HOST", "GENESIS_SEED", "POLAI_DATA_DIR", "POLAI_SOLO"]);
    let text = render(&listed);
    let port =
        "# Port of the JSON-RPC server\n# --el-http-port, also GETH_HTTP_PORT; read by process, other\n#EL_HTTP_PORT=8545\n";
    assert!(text.contains(port), "{text}");
    assert!(text.contains("# --genesis-seed, secret; read by process, other\n#GENESIS_SEED=\n"), "{text}");
    assert_eq!(Node::with_env_file(&text).port(&[], &[]), 8545, "the list is a valid .env file");
}

#[test]
fn a_setting_that_contradicts_the_chain_is_one_clear_error() {
    assert_eq!(Contradiction::check("AI_QUORUM", Some(&3), &3, "chain.toml"), Ok(()));
    assert_eq!(Contradiction::check("AI_QUORUM", None, &3, "chain.toml"), Ok(()));
    let error = Contradiction::check("AI_QUORUM", Some(&2), &3, "chain.toml").unwrap_err();
    let line = "AI_QUORUM is 2, but this chain was made with 3 (chain.toml): remove the setting or make a new chain";
    assert_eq!(error.to_string(), line);
    assert_eq!(Exit::from(error).code(), Code::Usage);
}
