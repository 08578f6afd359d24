//! The process under test: one scenario, chosen by a variable.

use pol_kit::exit::{self, Exit};
use pol_kit::tasks::{self, Tasks};
use pol_kit::telemetry::{self, LogArgs, LogFormat};
use pol_kit::{config, fs, http, jwt};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Names the scenario.
pub(crate) const SCENARIO: &str = "POL_KIT_SCENARIO";
/// Its data directory, where it needs one.
pub(crate) const DIRECTORY: &str = "POL_KIT_DIRECTORY";
/// Of every scenario but the one for the second signal.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
#[ignore = "it is the process that the other tests start"]
fn child() {
    let scenario = std::env::var(SCENARIO).expect("start it by the tests of main.rs");
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap_or_default());
    let code = exit::main("node", move || process(&scenario, &directory));
    std::process::exit(u8::from(code).into());
}

#[derive(clap::Parser, Debug)]
struct Flags {
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the store")]
struct NoStore(#[source] io::Error);

fn process(scenario: &str, directory: &Path) -> Result<(), Exit> {
    let (scenario, log_format) = match scenario.strip_prefix("json-") {
        Some(scenario) => (scenario, LogFormat::Json),
        None => (scenario, LogFormat::Human),
    };
    let args = match scenario {
        "bad-flag" => vec!["node", "--listem"],
        "help" => vec!["node", "--help"],
        _ => vec!["node", "--log", "info"],
    };
    let args = args.into_iter().map(Into::into).collect();
    let log = config::load::<Flags>(&config::Sources { args, ..config::Sources::default() })?.args.log;
    telemetry::init(&LogArgs { log_format, ..log })?;
    if scenario == "secret" {
        let secret = jwt::Secret::load(&directory.join("jwt.hex"))?;
        tracing::info!(?secret, "loaded");
        return Ok(());
    }
    let _lock = (scenario == "lock").then(|| fs::lock_directory(directory)).transpose()?;
    let deadline = if scenario == "deaf-for-an-hour" { HOUR } else { DEADLINE };
    let scenario = scenario.to_owned();
    tasks::run("node", deadline, move |tasks| start(tasks, scenario))
}

async fn start(tasks: Tasks, scenario: String) -> Result<(), Exit> {
    match scenario.as_str() {
        "panic" => tasks.child("net").spawn_critical("swarm", async {
            tokio::task::yield_now().await;
            if true {
                panic!("index {}\nis gone", 7);
            }
            Ok::<_, Infallible>(())
        }),
        "error" => tasks.spawn_critical("store", async { Err(NoStore(io::Error::other("disk full"))) }),
        "port-in-use" => {
            let first = http::bind("127.0.0.1:0".parse().unwrap()).await?;
            http::bind(first.local_addr()?).await?;
        }
        "thread-panic" => {
            let _ = std::thread::spawn(|| panic!("nobody's")).join();
            tasks.stop("seen enough");
        }
        "talks" => {
            tracing::warn!("nobody will read this");
            tasks.stop("said enough");
        }
        "polite" | "lock" => {
            let node = tasks.clone();
            tasks.spawn_critical("store", async move {
                node.cancelled().await;
                tracing::info!("flushed");
                Ok::<_, Infallible>(())
            });
        }
        "deaf" | "deaf-for-an-hour" => tasks.spawn_critical("deaf", async {
            tokio::time::sleep(HOUR).await;
            Ok::<_, Infallible>(())
        }),
        "blocked-workers" => {
            let workers = tokio::runtime::Handle::current().metrics().num_workers();
            let blocked = Arc::new(AtomicUsize::new(0));
            for _ in 0..workers {
                let blocked = Arc::clone(&blocked);
                tasks.spawn_critical("deaf", async move {
                    if blocked.fetch_add(1, Ordering::SeqCst) + 1 == workers {
                        tracing::info!("ready");
                    }
                    std::thread::sleep(HOUR);
                    Ok::<_, Infallible>(())
                });
            }
            return Ok(());
        }
        other => panic!("no scenario {other}"),
    }
    tracing::info!("ready");
    Ok(())
}
