//! The AI side of an execution client's process, for any client: opened, followed and served in a task tree.
//!
//! # Contract
//! [`Ai::start`] opens log and register and measures the sealer; [`Ai::serve`] answers on AI engine and feed; [`Ai::follow`] keeps the log on
//! the client's chain. All of it is optional for blocks: a task that fails is started again, at most so often as pol-kit allows, and the node
//! goes on with empty AI blocks.
//!
//! # What it does not protect against
//! Two processes on one folder, but for the log's own lock: a client locks its data directory.

use core::num::NonZeroUsize;
use std::{io, net::TcpListener as StdListener, path::PathBuf, sync::Arc};

use pol_api::tonic::transport;
use pol_kit::{
    clock::Clock,
    exit::Exit,
    http,
    jwt::Secret,
    metrics::{Condition, Health},
    tasks::{OptionalTask, Panic, Tasks},
};
use tokio::{net::TcpListener, sync::watch};
use tracing::warn;

use crate::{
    candidate::{Mode, Register},
    chain::Chain,
    engine::AiEngine,
    feed::{self, Feed, Program},
    metrics::Metrics,
    model_log::{self, ChainView, Heads, LogError, ModelLog},
    sealer::Sealer,
};

/// Why the AI side does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator's folder, or the disk.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Our own fault.
    #[error(transparent)]
    Panic(#[from] Panic),
}

/// Why a server ended. It is started again.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Transport(#[from] transport::Error),
}

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is done with candidates.
    pub mode: Mode,
    /// Threads of the sealer; none: this node only follows.
    pub seal_threads: Option<NonZeroUsize>,
    /// Folder of the model log.
    pub log: PathBuf,
}

/// The AI side of a process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Ai {
    /// The chain.
    pub chain: Chain,
    /// Candidates.
    pub register: Register,
    /// Who seals; none on a machine that is too slow, or told not to: nothing is built there.
    pub sealer: Option<Sealer>,
    /// What became canonical.
    pub log: ModelLog,
    /// Counters of all of them.
    pub metrics: Metrics,
    health: Health,
}

impl Ai {
    /// Opens and measures. A sealer that is too slow is a warning: the node follows the chain, and `health` says so.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        settings: Settings,
        chain: Chain,
        clock: Arc<dyn Clock>,
        (metrics, health): (Metrics, Health),
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let own = metrics.clone();
        let log = tasks.run_blocking(move || ModelLog::open(&settings.log, &chain, own)).await??;
        let register = Register::new(chain, Arc::clone(&clock), settings.mode, metrics.clone());
        let own = metrics.clone();
        let measure = move || settings.seal_threads.map(|threads| Sealer::start(threads, &chain, clock, own));
        let started = tasks.run_blocking(measure).await?.transpose();
        let sealer = started.unwrap_or_else(|error| {
            warn!(target: "polai::sealer", %error, "this node will not propose");
            health.set("sealer", Condition::Down(format!("no block of its own: {error}")));
            None
        });
        Ok(Self { chain, register, sealer, log, metrics, health })
    }

    /// Answers on both ports, which the caller has bound, until the process stops.
    pub fn serve(
        &self,
        ai_engine: StdListener,
        feed: StdListener,
        program: Program,
        secret: Arc<Secret>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) {
        let own = tasks.child("feed");
        let service = Feed::new(self.log.clone(), &self.chain, program, clock.as_ref(), own.token(), self.metrics.clone());
        let task = own.spawn_optional("server", move || {
            let (listener, service) = (feed.try_clone(), service.clone());
            async move { Ok::<_, ServeError>(feed::serve(TcpListener::from_std(listener?)?, service).await?) }
        });
        self.watch("feed", task, &own);
        let own = tasks.child("ai-engine");
        let engine = AiEngine::new(self.chain, self.register.clone(), self.log.clone(), self.sealer.clone());
        let token = own.token();
        let task = own.spawn_optional("server", move || {
            let router = engine.clone().router(Arc::clone(&secret), Arc::clone(&clock));
            let (listener, token) = (ai_engine.try_clone(), token.clone());
            async move {
                let Ok(()) = http::serve(TcpListener::from_std(listener?)?, router, http::Limits::default(), token).await;
                Ok::<_, io::Error>(())
            }
        });
        self.watch("ai-engine", task, &own);
    }

    /// Keeps the log where `heads` says that the client's chain stands, until the process stops.
    pub fn follow(&self, view: Arc<dyn ChainView>, heads: watch::Receiver<Heads>, tasks: &Tasks) {
        let (own, log) = (tasks.child("model-log"), self.log.clone());
        let stop = own.token();
        let task = own.spawn_optional("follower", move || {
            let (following, stop) = (model_log::follow(log.clone(), Arc::clone(&view), heads.clone()), stop.clone());
            async move { stop.run_until_cancelled_owned(following).await.unwrap_or(Ok(())) }
        });
        self.watch("model-log", task, &own);
    }

    /// Blocks go on without it, which is what a health page calls degraded.
    fn watch(&self, part: &'static str, mut task: OptionalTask, tasks: &Tasks) {
        let health = self.health.clone();
        health.set(part, Condition::Ok);
        tasks.spawn_until_stopped("health", async move {
            if task.switched_off().await {
                health.set(part, Condition::Degraded("switched off: it failed too often".to_owned()));
            }
            Ok::<(), Exit>(())
        });
    }
}
