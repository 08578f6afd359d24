//! The bar of a training, on a terminal.

use std::convert::Infallible;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;

use crate::trainer::{Phase, Progress};

/// One of so many steps. It shows on a terminal only.
pub(super) fn of_steps(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps, {msg}, {eta}") {
        bar.set_style(style);
    }
    bar
}

/// What the trainer of a service does, round after round.
///
/// # Errors
/// Never.
pub(super) async fn show(mut progress: watch::Receiver<Progress>) -> Result<(), Infallible> {
    let bar = of_steps(0);
    loop {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.steps);
        // Not before the next round begins: what was done stays to be seen.
        bar.set_position(now.step);
        bar.set_message(words(&now));
        if progress.changed().await.is_err() {
            bar.finish_and_clear();
            return Ok(());
        }
    }
}

fn words(progress: &Progress) -> String {
    let Progress { phase, round, loss, tokens_per_second, accepted, published, .. } = progress;
    let loss =
        if *phase == Phase::Training { format!("loss {loss:.4}, {tokens_per_second:.0} tokens/s, ") } else { String::new() };
    format!("round {round} {}, {loss}{accepted} of {published} accepted", phase.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bar_follows_the_trainer_and_ends_with_it() {
        let (sender, receiver) = watch::channel(Progress::default());
        assert_eq!(words(&receiver.borrow()), "round 0 stopped, 0 of 0 accepted");
        sender.send_replace(Progress {
            phase: Phase::Training,
            round: 3,
            loss: 2.5,
            tokens_per_second: 99.6,
            ..Progress::default()
        });
        assert_eq!(words(&receiver.borrow()), "round 3 training, loss 2.5000, 100 tokens/s, 0 of 0 accepted");
        drop(sender);
        assert_eq!(show(receiver).await, Ok(()));
    }
}
