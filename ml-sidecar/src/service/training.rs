//! The trainer's progress as a stream of answers.

use pol_api::sidecar::{
    train::{TrainPhase, TrainProgress},
    v1::TrainResponse,
};
use pol_core::gate::NanoNats;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;

use crate::trainer::{Phase, Progress};

/// Where the training stands, now and whenever it changes, until it stops. A reader that is slow sees the newest only.
pub(crate) fn events(progress: watch::Receiver<Progress>, stop: CancellationToken) -> impl Stream<Item = TrainResponse> + Send {
    let state = Some((progress, stop, false));
    futures::stream::unfold(state, |state| async move {
        let (mut progress, stop, is_begun) = state?;
        if is_begun {
            tokio::select! {
                changed = progress.changed() => changed.ok()?,
                () = stop.cancelled() => return None,
            }
        }
        let now = progress.borrow_and_update().clone();
        // The wish to train may not have been heard yet: what is stopped at first is no end.
        let is_over = is_begun && now.phase == Phase::Stopped;
        Some((TrainResponse::from(&shown(&now)), (!is_over).then_some((progress, stop, true))))
    })
}

fn shown(progress: &Progress) -> TrainProgress {
    let phase = match progress.phase {
        Phase::Stopped => TrainPhase::Stopped,
        Phase::Behind => TrainPhase::Behind,
        Phase::Training => TrainPhase::Training,
        Phase::Gating => TrainPhase::Gating,
        Phase::Publishing => TrainPhase::Publishing,
        Phase::Waiting => TrainPhase::Waiting,
        Phase::Failed => TrainPhase::Failed,
    };
    TrainProgress {
        phase,
        model_head: progress.head,
        round: progress.round,
        step: progress.step,
        steps: progress.steps,
        loss: NanoNats::from_f64_bits(progress.loss.to_bits()),
        tokens_per_second: progress.tokens_per_second.max(0.0) as u64,
        published: progress.published,
        accepted: progress.accepted,
        problem: progress.problem.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use tokio_stream::StreamExt as _;

    #[tokio::test]
    async fn a_reader_sees_the_newest_progress_and_the_end() {
        let (sender, receiver) = watch::channel(Progress::default());
        let mut stream = pin!(events(receiver, CancellationToken::new()));
        let mut next = async || stream.next().await.map(|event| TrainProgress::try_from(event).unwrap());
        assert_eq!(next().await.unwrap().phase, TrainPhase::Stopped);
        for step in 1..5 {
            sender.send_replace(Progress { phase: Phase::Training, step, loss: 2.5, ..Progress::default() });
        }
        let seen = next().await.unwrap();
        assert_eq!((seen.phase, seen.step, seen.loss), (TrainPhase::Training, 4, NanoNats::new(2_500_000_000)));
        sender.send_replace(Progress { loss: f64::NAN, ..Progress::default() });
        let seen = next().await.unwrap();
        assert_eq!((seen.phase, seen.loss), (TrainPhase::Stopped, None));
        assert_eq!(next().await, None);
    }
}
