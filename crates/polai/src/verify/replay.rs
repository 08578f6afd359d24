//! The model state, folded anew from the bytes of every accepted update.

use std::collections::{BTreeMap, VecDeque};

use pol_api::{
    client::{CallError, fetch_delta},
    dht::v1::dht_client::DhtClient,
    status::Reason,
    tonic::transport::{Channel, Endpoint},
};
use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    delta::{Checked, decode},
    model_head,
    state::{Ancestry, State, Transition, Undo, fold},
};

use super::{Accepted, Block, Node, VerifyError, contradiction};

/// Transitions that a void can be followed back over, as far as ml-sidecar does: each keeps the values it replaced, half a megabyte at most.
const UNDOS: usize = 1_024;

/// A state on its way from genesis.
#[derive(Debug)]
struct Replay {
    state: State,
    /// Heads so far, the newest last; the first is the chain's own.
    heads: Vec<ModelHead>,
    /// The newest last.
    undos: VecDeque<Undo>,
}

/// The root of the state after all of them.
pub(super) async fn check(node: &Node, accepted: &[Accepted]) -> Result<ResultRoot, VerifyError> {
    let spec = &node.spec;
    let state = State::initial(&spec.genesis_id(), spec.parameters().shape);
    let mut replay = Replay { state, heads: vec![spec.genesis_head()], undos: VecDeque::new() };
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", node.ports.dht_grpc));
    let Ok(endpoint) = endpoint else { return Ok(replay.state.root()) };
    let mut dht = DhtClient::new(endpoint.connect_lazy());
    for Accepted { block, certificate } in accepted {
        let bytes = fetch(&mut dht, block, block.update_id).await?;
        let mut children = BTreeMap::new();
        if let Ok(Checked::Merge(merge)) = decode(&bytes, &spec.delta_context()) {
            for (id, _) in merge.children() {
                children.insert(id, fetch(&mut dht, block, id).await?);
            }
        }
        let transition = fold(
            &spec.delta_context(),
            &block.parent_head,
            &block.update_id,
            Some(&bytes),
            |id| children.get(id).cloned(),
            |target| if replay.heads.contains(target) { Ancestry::Proper } else { Ancestry::Not },
        );
        let transition = transition.map_err(|error| contradiction(block.number, error))?;
        let root = replay.follow(block, &transition)?;
        if root != certificate.data().result_root {
            let said = certificate.data().result_root;
            return Err(contradiction(block.number, format!("its certificate says state {said}, the replay gives {root}")));
        }
    }
    Ok(replay.state.root())
}

async fn fetch(dht: &mut DhtClient<Channel>, block: &Block, id: UpdateId) -> Result<Vec<u8>, VerifyError> {
    fetch_delta(dht, id).await.map_err(|error| not_had(block.number, id, &error))
}

fn not_had(block: u64, update_id: UpdateId, error: &CallError) -> VerifyError {
    match error {
        CallError::Refused(status) if Reason::of(status) == Some(Reason::NotFound) => VerifyError::Gone { block, update_id },
        error => VerifyError::Bytes { block, update_id, error: error.to_string() },
    }
}

impl Replay {
    fn follow(&mut self, block: &Block, transition: &Transition) -> Result<ResultRoot, VerifyError> {
        let back: Vec<Undo> = match transition {
            Transition::ReturnTo(target) => {
                let place = self.heads.iter().rposition(|head| head == target).unwrap_or(0);
                let count = self.heads.len().saturating_sub(place).saturating_sub(1);
                if count > self.undos.len() {
                    return Err(VerifyError::TooFarBack { block: block.number, updates: count, most: UNDOS });
                }
                self.undos.iter().rev().take(count).cloned().collect()
            }
            Transition::Add(_) | Transition::Zero(_) => Vec::new(),
        };
        let followed = self.state.follow(transition, &back).map_err(|error| contradiction(block.number, error))?;
        self.heads.push(model_head::child(block.parent_head, block.update_id));
        self.undos.push_back(followed.undo);
        if self.undos.len() > UNDOS {
            self.undos.pop_front();
        }
        Ok(followed.root)
    }
}

#[cfg(test)]
mod tests {
    use pol_api::tonic::Status;
    use pol_core::{
        GenesisId, Hash32,
        state::{Shape, ZeroReason},
    };

    use super::*;

    fn block(number: u64) -> Block {
        let byte = u8::try_from(number % 251).unwrap();
        let (update_id, parent_head) = (UpdateId([byte; 32]), ModelHead([byte; 32]));
        Block { number, hash: Hash32([1; 32]), timestamp: 0, update_id, parent_head }
    }

    #[test]
    fn a_void_is_followed_as_far_as_the_follower_does_and_further_back_accuses_nobody() {
        let first = ModelHead([0xff; 32]);
        let state = State::initial(&GenesisId([1; 32]), Shape::new(1, 1, 1, 1, 1).unwrap());
        let mut replay = Replay { state, heads: vec![first], undos: VecDeque::new() };
        let nothing = Transition::Zero(ZeroReason::NotAncestor { target: first });
        for number in 1..=1_024 {
            replay.follow(&block(number), &nothing).unwrap();
        }
        replay.follow(&block(1_025), &Transition::ReturnTo(first)).unwrap();
        let line = replay.follow(&block(1_026), &Transition::ReturnTo(first)).unwrap_err().to_string();
        assert!(line.starts_with("not checked: block 1026") && line.contains("1025 updates back"), "{line}");
        assert!(!line.contains("CONTRADICTION"), "{line}");
    }

    #[test]
    fn bytes_that_nobody_has_any_more_accuse_nobody() {
        let line = not_had(7, UpdateId([2; 32]), &CallError::Refused(Reason::NotFound.refuse("no source"))).to_string();
        assert!(line.starts_with("not checked: block 7") && line.contains("are gone"), "{line}");
        assert!(!line.contains("CONTRADICTION"), "{line}");
        let line = not_had(7, UpdateId([2; 32]), &CallError::Refused(Status::unavailable("closed"))).to_string();
        assert!(!line.contains("gone"), "{line}");
    }
}
