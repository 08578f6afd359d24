//! The head moves to another branch, and the model with it: execution client, DHT and sidecar as they are, and a consensus client that does
//! what it is told.

use e2e::{bend, follower::Follower};
use ed25519_dalek::SigningKey;
use pol_core::{ModelHead, ResultRoot, UpdateId, delta::Change, model_head, state::State};

/// The chain of heads and states that some updates give, one after the other.
struct Expected {
    head: ModelHead,
    state: State,
}

impl Expected {
    fn genesis(node: &Follower) -> Self {
        let spec = &node.wire.spec;
        Self { head: spec.genesis_head(), state: State::initial(&spec.genesis_id(), spec.delta_context().shape) }
    }

    /// A new update on this head, stored in the DHT, and what comes of it.
    fn with(&self, node: &Follower, salt: &str) -> (UpdateId, Self) {
        let context = node.wire.spec.delta_context();
        let bytes = bend::random(&context, self.head, salt, &SigningKey::from_bytes(&[7; 32]));
        let update = node.wire.store(&bytes);
        let mut state = self.state.clone();
        state.apply(&Change::from(bend::honest(&context, &bytes))).expect("far from 64");
        (update, Self { head: model_head::child(self.head, update), state })
    }

    fn root(&self) -> ResultRoot {
        self.state.root()
    }

    /// Waits until sidecar and model log have come to this.
    fn reached(&self, node: &Follower, what: &str, updates: u64) {
        let is_so = |head: ModelHead, count: u64, root: ResultRoot| head == self.head && count == updates && root == self.root();
        node.until(what, |model| is_so(model.model_head, model.updates, model.root) && model.behind == 0);
        assert_eq!(node.model_head(), Some(self.head.to_string()), "{what}");
    }
}

#[test]
fn the_model_follows_a_head_that_moves_between_branches_with_ai_blocks_and_a_kill_between() {
    let mut node = Follower::start();
    let genesis = format!("0x{}", node.chain().execution_genesis_hash);
    let base = Expected::genesis(&node);
    let [slot, next] = node.slots();
    // Left: two AI blocks. Right: an empty one, and an AI block of another update on the same model head.
    let (first, after_first) = base.with(&node, "left 1");
    let (second, after_second) = after_first.with(&node, "left 2");
    let (other, after_other) = base.with(&node, "right");
    // Before a candidate for this slot is there: the next block on the same parent would take it.
    let right_1 = node.engine.build(&genesis, slot, None, 2);
    let left_1 = node.engine.build(&genesis, slot, Some(first), 1);
    node.engine.head(&left_1);
    after_first.reached(&node, "one update", 1);
    let left_2 = node.engine.build(&left_1.hash, next, Some(second), 1);
    node.engine.head(&left_2);
    after_second.reached(&node, "two updates", 2);

    node.engine.head(&right_1);
    base.reached(&node, "the first state again", 0);
    let right_2 = node.engine.build(&right_1.hash, next, Some(other), 2);
    node.engine.head(&right_2);
    after_other.reached(&node, "another update", 1);
    // Back, past both; forth again while the sidecar is dead.
    node.engine.head(&left_2);
    after_second.reached(&node, "two updates again", 2);
    node.engine.head(&right_2);
    node.start_sidecar();
    after_other.reached(&node, "the other update after a kill", 1);
    node.engine.head(&left_1);
    after_first.reached(&node, "one update again", 1);

    // What is final stays.
    node.engine.head(&left_2);
    after_second.reached(&node, "two updates at last", 2);
    node.engine.finalize(&left_2, &left_1);
    let model = node.until("finality", |model| model.finalized_updates == 1);
    assert_eq!((model.finalized_head, model.updates, model.root), (after_first.head, 2, after_second.root()));
}
