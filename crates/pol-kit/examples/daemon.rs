//! A whole process in 60 lines: settings, log, lock, secret, task tree, health and metrics, an authenticated port.
//!
//! ```sh
//! cargo run -p pol-kit --example daemon -- --data-dir daemon-data &
//! curl -i localhost:9009/health; curl localhost:9009/metrics; curl -i localhost:9009/engine
//! kill %1
//! ```

use axum::Router;
use axum::routing::get;
use clap::Parser;
use pol_kit::clock::System;
use pol_kit::exit::{self, Exit};
use pol_kit::metrics::{Condition, Health};
use pol_kit::tasks::{self, Tasks};
use pol_kit::{config, fs, http, jwt, metrics, telemetry};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A daemon that does nothing, well
#[derive(Parser)]
#[command(name = "daemon")]
struct Flags {
    #[command(flatten)]
    data: config::DataDirArgs,
    #[command(flatten)]
    log: telemetry::LogArgs,
    /// Port of health, metrics and the authenticated route
    #[arg(long, env = "DAEMON_PORT", default_value_t = 9009)]
    port: u16,
}

fn main() -> exit::Code {
    exit::main("daemon", || {
        let flags = config::load::<Flags>(&config::Sources::of_process())?.args;
        telemetry::init(&flags.log)?;
        fs::create_private_directory(&flags.data.data_dir)?;
        let _lock = fs::lock_directory(&flags.data.data_dir)?;
        let secret = Arc::new(jwt::Secret::load_or_create(&flags.data.data_dir.join("jwt.hex"))?);
        tasks::run("daemon", Duration::from_secs(5), move |tasks| start(tasks, flags.port, secret))
    })
}

async fn start(tasks: Tasks, port: u16, secret: Arc<jwt::Secret>) -> Result<(), Exit> {
    let (health, mut registry) = (Health::new(), metrics::registry());
    tasks.register(&mut registry);

    let engine = Router::new().route("/engine", get(async || "only with a token\n"));
    let engine = jwt::protect(engine, secret, Arc::new(System::new()));
    let listener = http::bind(metrics::loopback(port)).await?;
    let router = metrics::router(registry, health.clone()).merge(engine);
    let token = tasks.token();
    tasks.child("http").spawn_critical("server", http::serve(listener, router, http::Limits::default(), token));
    health.set("http", Condition::Ok);

    // A part that the process can do without: it fails, is restarted five times and switched off. Blocks yes, AI no: 206.
    let mut feed = tasks.spawn_optional("feed", async || Err::<(), _>(io::Error::other("no sidecar answers")));
    if feed.switched_off().await {
        health.set("feed", Condition::Degraded("no sidecar answers".to_owned()));
    }
    Ok(())
}
