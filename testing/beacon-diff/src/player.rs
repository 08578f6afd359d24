//! pol-beacon does what the oracle says it did.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use pol_beacon::{
    fork_choice::{ExecutionStatus, OpenGate, Store},
    transition::{VerifySignatures, advance, state_transition},
    types::{Attestation, BeaconState, Checkpoint, EthSpec, HashedBlock, SignedBeaconBlock},
};
use pol_core::Hash32;
use ssz::{Decode, Encode as _};
use tree_hash::TreeHash as _;

use crate::{Frame, Run};

/// What a run has played, by kind; and how far it finalized.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Number of each thing.
    pub counts: BTreeMap<String, u64>,
    /// Finalized epoch of the store at the end.
    pub finalized: u64,
}

impl Tally {
    /// Adds another run.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
        self.finalized += other.finalized;
        self
    }

    /// Fails when one of these was never played: then the run tests less than it says.
    ///
    /// # Panics
    /// When one was not.
    pub fn must_have(&self, names: &[&str]) {
        for name in names {
            assert!(self.counts.get(*name).is_some_and(|count| *count > 0), "no {name} was played: {:?}", self.counts);
        }
    }
}

/// One side of a run.
#[derive(Debug)]
pub struct Player<E: EthSpec> {
    run: Run,
    store: Option<Store<E>>,
    frame: usize,
}

/// Decodes SSZ that the other side encoded, and checks that it encodes to the same bytes.
fn decode<T: Decode + ssz::Encode>(bytes: &[u8]) -> Option<T> {
    let value = T::from_ssz_bytes(bytes).ok()?;
    assert!(value.as_ssz_bytes() == bytes, "SSZ that decodes to something else");
    Some(value)
}

macro_rules! differing {
    ($a:ident, $b:ident, $($field:ident)+) => {
        [$((stringify!($field), $a.$field.as_ssz_bytes() == $b.$field.as_ssz_bytes())),+]
    };
}

/// Names of the fields in which two states differ.
fn different_fields<E: EthSpec>(a: &BeaconState<E>, b: &BeaconState<E>) -> Vec<&'static str> {
    let fields = differing!(a, b, genesis_time genesis_validators_root slot fork latest_block_header block_roots state_roots
        historical_roots eth1_data eth1_data_votes eth1_deposit_index validators balances randao_mixes slashings
        previous_epoch_participation current_epoch_participation justification_bits previous_justified_checkpoint
        current_justified_checkpoint finalized_checkpoint inactivity_scores current_sync_committee next_sync_committee
        latest_execution_payload_header next_withdrawal_index next_withdrawal_validator_index historical_summaries);
    fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
}

impl<E: EthSpec> Player<E> {
    /// Before the first frame.
    pub const fn new(run: Run) -> Self {
        Self { run, store: None, frame: 0 }
    }

    /// Finalized epoch of the store.
    ///
    /// # Panics
    /// Before the first frame.
    pub const fn finalized(&self) -> u64 {
        self.store().finalized_checkpoint().epoch
    }

    /// Plays all frames; None without the last one.
    ///
    /// # Panics
    /// Where the two sides disagree.
    pub fn play(mut self, frames: impl Iterator<Item = Frame>) -> Option<Tally> {
        frames.filter_map(|frame| self.frame(&frame)).last()
    }

    /// Plays one frame; the tally with the last one.
    ///
    /// # Panics
    /// Where the two sides disagree.
    pub fn frame(&mut self, frame: &Frame) -> Option<Tally> {
        self.frame += 1;
        match frame.tag {
            'S' => self.begin(frame),
            'G' => self.begin_at_genesis(frame),
            'T' => self.tick(u64::from_le_bytes(frame.array(0))),
            'B' => self.block(frame),
            'X' => self.mutant(frame),
            'A' => self.vote(frame),
            'R' => self.advance(frame),
            'H' => self.head(frame),
            'E' => return Some(self.end(frame)),
            other => panic!("unknown frame {other}"),
        }
        None
    }

    fn place(&self) -> String {
        let run = &self.run;
        format!("{:?} seed {} validators {} frame {}", run.kind, run.seed, run.validators, self.frame)
    }

    const fn store(&self) -> &Store<E> {
        self.store.as_ref().expect("the first frame is the state")
    }

    const fn store_mut(&mut self) -> &mut Store<E> {
        self.store.as_mut().expect("the first frame is the state")
    }

    fn begin(&mut self, frame: &Frame) {
        let mut state: BeaconState<E> = decode(frame.field(0)).expect("a state");
        let root = state.update_root().expect("a root");
        assert_eq!(root, B256::from(frame.array::<32>(1)), "{}: root of the first state", self.place());
        let mut config = self.run.config;
        config.faults = self.run.faults(Hash32(state.genesis_validators_root.0));
        if let Some(genesis) = &self.run.genesis {
            assert!(genesis.files().genesis_ssz == frame.field(0), "{}: genesis.ssz", self.place());
        }
        self.store = Some(Store::new(state, config).expect("a store"));
    }

    /// As `begin`, with the state that pol-beacon makes itself.
    fn begin_at_genesis(&mut self, frame: &Frame) {
        let ssz = self.run.genesis.as_ref().expect("a run from genesis").files().genesis_ssz;
        self.begin(&Frame { tag: 'S', fields: vec![ssz, frame.field(0).to_vec()] });
    }

    fn tick(&mut self, time_ms: u64) {
        self.store_mut().on_tick(time_ms).expect("a tick");
    }

    fn block(&mut self, frame: &Frame) {
        let [accepted] = frame.array(0);
        let signed: SignedBeaconBlock<E> = decode(frame.field(1)).expect("a block");
        let block = HashedBlock::from(signed);
        assert_eq!(block.root(), B256::from(frame.array::<32>(2)), "{}: root of the block", self.place());
        let result = self.store().check_block(block, &OpenGate, VerifySignatures::Yes);
        assert_eq!(result.is_ok(), accepted == 1, "{}: {:?}", self.place(), result.err());
        if let Ok(checked) = result {
            self.store_mut().import(checked, ExecutionStatus::Valid).expect("an import");
        }
        if self.run.prune {
            self.store_mut().prune();
        }
    }

    /// A block that is judged and not imported: 0 is no block at all, 1 is refused, 2 leads to the root that follows.
    fn mutant(&self, frame: &Frame) {
        let [verdict] = frame.array(0);
        let decoded = SignedBeaconBlock::<E>::from_ssz_bytes(frame.field(1));
        assert_eq!(decoded.is_ok(), verdict > 0, "{}: decoding", self.place());
        let Ok(signed) = decoded else { return };
        let block = HashedBlock::from(signed);
        let Some(parent) = self.store().node(&block.message().parent_root) else {
            assert!(self.run.prune, "{}: unknown parent", self.place());
            return;
        };
        let result = state_transition(&parent.state, &block, self.store().config(), VerifySignatures::Yes);
        match result {
            Ok(state) => {
                assert_eq!(verdict, 2, "{}: accepted {:?}", self.place(), block.message());
                assert_eq!(state.tree_hash_root(), B256::from(frame.array::<32>(2)), "{}", self.place());
            }
            Err(error) => assert_eq!(verdict, 1, "{}: refused: {error}", self.place()),
        }
    }

    fn vote(&mut self, frame: &Frame) {
        let [accepted] = frame.array(0);
        let attestation: Attestation = decode(frame.field(1)).expect("an attestation");
        let result = self.store_mut().on_attestation(&attestation);
        assert_eq!(result.is_ok(), accepted == 1, "{}: {result:?} {:?}", self.place(), attestation.data);
    }

    fn advance(&self, frame: &Frame) {
        let (root, slot) = (B256::from(frame.array::<32>(0)), u64::from_le_bytes(frame.array(1)));
        let Some(node) = self.store().node(&root) else {
            assert!(self.run.prune, "{}: unknown block {root}", self.place());
            return;
        };
        let state = advance(&node.state, slot, self.store().config()).expect("empty slots");
        let expected = B256::from(frame.array::<32>(2));
        if state.tree_hash_root() != expected {
            let fields = frame.fields.get(3).map(|theirs| different_fields(&state, &decode(theirs).expect("a state")));
            panic!("{}: slot {slot}: fields {fields:?} (BEACON_DIFF_STATES=1 names them)", self.place());
        }
    }

    fn head(&self, frame: &Frame) {
        let store = self.store();
        let checkpoint = |n| decode::<Checkpoint>(frame.field(n)).expect("a checkpoint");
        assert_eq!(store.justified_checkpoint(), checkpoint(1), "{}: justified", self.place());
        assert_eq!(store.finalized_checkpoint(), checkpoint(2), "{}: finalized", self.place());
        assert_eq!(store.proposer_boost_root(), B256::from(frame.array::<32>(3)), "{}: boost", self.place());
        assert_eq!(store.head(), Ok(B256::from(frame.array::<32>(0))), "{}: head", self.place());
    }

    fn end(&self, frame: &Frame) -> Tally {
        let value: serde_json::Value = serde_json::from_slice(frame.field(0)).expect("JSON");
        let counts = value["counts"].as_object().expect("counts");
        let counts = counts.iter().map(|(name, n)| (name.clone(), n.as_u64().expect("a number"))).collect();
        Tally { counts, finalized: self.store().finalized_checkpoint().epoch }
    }
}
