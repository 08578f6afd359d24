//! The trainer's texts, which may have to be fetched from a hub that is slow or away.

use std::{fmt, sync::Arc};

use pol_kit::exit::Exit;
use tokio::task::JoinHandle;

use super::{
    Phase,
    job::{Job, JobError},
};
use crate::{data::TextSource, follow::Tip};

/// Gets texts. It may take hours, on a thread that may block; when it fails it is called again after a pause.
pub type GetTexts = Arc<dyn Fn() -> Result<Arc<dyn TextSource>, Exit> + Send + Sync>;

/// Where a trainer's texts come from.
#[derive(Clone)]
pub enum Source {
    /// They are here.
    Here(Arc<dyn TextSource>),
    /// They are fetched once the trainer runs, so that nothing else waits for a hub.
    Get(GetTexts),
}

impl Source {
    /// Texts that are here.
    pub fn here(texts: impl TextSource + 'static) -> Self {
        Self::Here(Arc::new(texts))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(texts) => f.debug_tuple("Here").field(texts).finish(),
            Self::Get(_) => f.write_str("Get"),
        }
    }
}

/// How far they have come.
#[derive(Default)]
pub(super) enum Supply {
    #[default]
    Wanted,
    Coming(JoinHandle<Result<Arc<dyn TextSource>, Exit>>),
    Came(Result<Arc<dyn TextSource>, Exit>),
    Here(Arc<dyn TextSource>),
}

impl Supply {
    /// Ends when they have come, or did not; never, when nobody fetches them.
    pub(super) async fn come(&mut self) {
        let Self::Coming(thread) = self else { return std::future::pending().await };
        let came = thread.await.unwrap_or_else(|panic| Err(Exit::failure(panic)));
        *self = Self::Came(came);
    }
}

impl Job<'_> {
    /// Sees to it that there are texts; false while they are on their way.
    pub(super) fn has_texts(&mut self, tip: &Tip) -> Result<bool, JobError> {
        if self.order.texts.is_some() {
            return Ok(true);
        }
        let parts = self.parts;
        self.supply = match (std::mem::take(&mut self.supply), &parts.setup.texts) {
            (Supply::Here(texts), _) => Supply::Here(texts),
            (Supply::Came(Ok(texts)), _) => {
                self.works();
                Supply::Here(texts)
            }
            (Supply::Wanted, Source::Here(texts)) => Supply::Here(Arc::clone(texts)),
            (Supply::Came(Err(error)), _) => return Err(JobError::Texts(error)),
            (Supply::Wanted, Source::Get(get)) => {
                let get = Arc::clone(get);
                // Not of the task tree: a shutdown does not wait for a hub. What was fetched is in the cache.
                Supply::Coming(self.runtime.spawn_blocking(move || get()))
            }
            (coming, _) => coming,
        };
        let is_here = matches!(self.supply, Supply::Here(_));
        // A problem stays until it is solved.
        if !is_here && self.parts.progress.borrow().problem.is_none() {
            self.phase(Phase::Training, tip.head);
        }
        Ok(is_here)
    }

    /// What to train on: by order of a call, or what the trainer was set up with.
    pub(super) fn texts(&self) -> Option<Arc<dyn TextSource>> {
        match (&self.order.texts, &self.supply) {
            (Some(texts), _) | (None, Supply::Here(texts)) => Some(Arc::clone(texts)),
            _ => None,
        }
    }
}
