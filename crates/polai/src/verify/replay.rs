//! The model state, folded anew from the bytes of every accepted update.

use std::collections::{BTreeMap, VecDeque};

use pol_api::{
    client::fetch_delta,
    dht::v1::dht_client::DhtClient,
    tonic::transport::{Channel, Endpoint},
};
use pol_core::{
    ModelHead, ResultRoot, UpdateId,
    delta::{Checked, decode},
    model_head,
    state::{Ancestry, State, Transition, Undo, fold},
};

use super::{Accepted, Block, Node, VerifyError, contradiction};

/// Transitions that a void can be followed back over: each keeps the values it replaced, half a megabyte at most.
const UNDOS: usize = 128;

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
    let failed =
        |error: pol_api::client::CallError| VerifyError::Bytes { block: block.number, update_id: id, error: error.to_string() };
    fetch_delta(dht, id).await.map_err(failed)
}

impl Replay {
    fn follow(&mut self, block: &Block, transition: &Transition) -> Result<ResultRoot, VerifyError> {
        let back: Vec<Undo> = match transition {
            Transition::ReturnTo(target) => {
                let place = self.heads.iter().rposition(|head| head == target).unwrap_or(0);
                let count = self.heads.len().saturating_sub(place).saturating_sub(1);
                if count > self.undos.len() {
                    return Err(contradiction(
                        block.number,
                        format!("a void over {count} updates: this check follows {UNDOS} at most"),
                    ));
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
