//! Processes that run and do nothing: their health pages are asked, and the supervisor is told who is silent.
//!
//! # What it does not protect against
//! A process that answers and does nothing else: its health page should say so. One that hangs before its first answer.

use std::{sync::PoisonError, time::Duration};

use pol_kit::exit::Exit;
use tokio::time::sleep;

use super::Shared;
use crate::{ask::Ask, supervise::Silence};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// A page is one short answer out of memory: even on a machine that is busy this is far more than it takes.
const ANSWER: Duration = Duration::from_secs(3);

/// Looks at one part, for ever.
///
/// # Errors
/// The operating system gives no sockets.
pub(super) async fn watch(shared: Shared, part: &'static str, page: String) -> Result<(), Exit> {
    let (ask, mut silence) = (Ask::within(ANSWER)?, Silence::default());
    loop {
        sleep(LOOK).await;
        let pid = shared.states().iter().find(|state| state.name == part).and_then(|state| state.pid);
        let answers = pid.is_some() && ask.page(&page).await.is_some();
        if let Some(pid) = pid.filter(|pid| silence.look(Some(*pid), answers)) {
            // Told again at the next look, should it still be there.
            shared.hung.lock().unwrap_or_else(PoisonError::into_inner).insert(part, pid);
        }
    }
}
