//! Own verdicts, looked at again when their update is part of the chain.
//!
//! The root that an own ACK named has to be the fold's, and the certificate's. That of the certificate is compared with the fold's by the
//! follower, which doubts its state then; what is left for here is a machine that contradicts itself, and to say whose ACK it was.

use pol_api::sidecar::Decision;
use pol_core::ResultRoot;
use pol_kit::{
    exit::Exit,
    metrics::{Condition, Health},
};
use tokio::sync::broadcast::error::RecvError;

use super::{board::Board, metrics::Measured};
use crate::follow::{Event, Follower};

/// What an own ACK was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// All agree.
    Fine,
    /// The gate of this machine computed another root than its follower: memory, or a defect of ours.
    Contradicted,
    /// The certificate names another root than both.
    Outvoted,
}

fn review(acked: ResultRoot, root: ResultRoot, certified: Option<ResultRoot>) -> Found {
    match certified {
        _ if acked != root => Found::Contradicted,
        Some(certified) if certified != acked => Found::Outvoted,
        _ => Found::Fine,
    }
}

/// Reviews until nothing can come any more.
///
/// # Errors
/// Never.
pub(crate) async fn run(follower: Follower, board: Board, measured: Measured, health: Health) -> Result<(), Exit> {
    let mut events = follower.events();
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            // The follower's own comparison misses none.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Ok(()),
        };
        let Event::Applied { update_id, parent, root, certified, .. } = event else { continue };
        let Some(Decision::Ack(acked)) = board.get(parent, update_id).map(|verdict| verdict.decision) else { continue };
        match review(acked, root, certified) {
            Found::Fine => {}
            Found::Outvoted => {
                tracing::error!(target: "polai::gate", %update_id, %acked, ?certified, "this node ACKed another root than the certificate names: see RESULT ROOT MISMATCH");
            }
            Found::Contradicted => {
                board.distrust();
                measured.mismatches.inc();
                health.set(
                    "result-root",
                    Condition::Degraded("gate and fold of this machine gave two roots: no ACKs; see the log".to_owned()),
                );
                tracing::error!(
                    target: "polai::gate", %update_id, %acked, %root,
                    "RESULT ROOT MISMATCH: this machine's gate and its own fold gave two roots for one update. Its memory is at fault, or this \
                     program: it ACKs nothing any more until it is started again; test the memory first"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::Tip;
    use pol_api::sidecar::Verdict;
    use pol_core::{
        GenesisId, ModelHead, UpdateId,
        delta::{Context, Profile},
        state::Shape,
    };

    #[test]
    fn a_machine_that_contradicts_itself_is_told_from_one_that_was_outvoted() {
        let [a, b, c] = [1, 2, 3].map(|byte| ResultRoot([byte; 32]));
        assert_eq!(review(a, a, None), Found::Fine);
        assert_eq!(review(a, a, Some(a)), Found::Fine);
        assert_eq!(review(a, a, Some(b)), Found::Outvoted);
        assert_eq!(review(a, b, Some(b)), Found::Contradicted);
        assert_eq!(review(a, b, Some(c)), Found::Contradicted);
    }

    #[tokio::test]
    async fn an_own_ack_that_the_own_fold_contradicts_ends_all_acks() {
        let context =
            Context { genesis_id: GenesisId([1; 32]), shape: Shape::new(1, 3, 3, 3, 3).unwrap(), profile: Profile::F16x20 };
        let (follower, publisher) = Follower::new(Tip::genesis(context));
        let (board, health, parent) = (Board::default(), Health::new(), ModelHead([5; 32]));
        let measured = Measured::register(&mut prometheus_client::registry::Registry::default());
        let reviewing = run(follower.clone(), board.clone(), measured.clone(), health);
        let acked = |number: u8, root: u8| {
            let update_id = UpdateId([number; 32]);
            board.put(Verdict {
                update_id,
                model_head: parent,
                decision: Decision::Ack(ResultRoot([root; 32])),
                losses: None,
                full_set: true,
                first_seen_unix_ms: 0,
                decided_unix_ms: 0,
            });
            let (head, root) = (ModelHead([6; 32]), ResultRoot([9; 32]));
            let event = Event::Applied { update_id, parent, head, number: number.into(), root, certified: Some(root) };
            publisher.publish(Tip::genesis(context), &[event]);
        };
        let scenario = async {
            acked(1, 9);
            tokio::task::yield_now().await;
            assert!(board.is_trusted());
            acked(2, 8);
            while board.is_trusted() {
                tokio::task::yield_now().await;
            }
            assert_eq!(measured.mismatches.get(), 1);
        };
        tokio::select! {
            biased;
            ended = reviewing => panic!("{ended:?}"),
            () = scenario => {}
        }
    }
}
