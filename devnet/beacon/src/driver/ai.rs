//! ACKs, certificates and faults, in process: what [`lighthouse_ack_quorum`] keeps for this node.

use std::{collections::BTreeSet, sync::Arc};

use lighthouse_ack_quorum::{
    collector::Collector,
    faults::{FaultPool, Poster},
    guard::{Guard, GuardError, Key},
    limits,
    members::{Committee, Members},
    quorum::{self, Certified},
    signer::Signer,
};
use pol_core::{ModelHead, ack::CertificateError, bls::PublicKey, committee::QuorumRule, domains::Domains, genesis::ChainSpec};

use super::{error::DriverError, gate::CertificateGate};
use crate::{
    transition::epoch_at,
    types::{BeaconState, Epoch, EthSpec},
};

/// What is known of ACKs and faults, and what signs.
#[derive(Debug)]
pub(super) struct Ai {
    pub(super) domains: Domains,
    pub(super) rule: QuorumRule,
    pub(super) signer: Arc<Signer>,
    pub(super) guard: Arc<Guard>,
    pub(super) members: Arc<Members>,
    pub(super) collector: Collector,
    pub(super) pool: FaultPool,
    pub(super) poster: Poster,
    pub(super) blocks_refused: u64,
    /// Somebody else signs with our keys.
    pub(super) signing_stopped: bool,
    known: Option<Epoch>,
}

impl Ai {
    pub(super) fn new(spec: &ChainSpec, guard: Arc<Guard>, signer: Arc<Signer>) -> Self {
        let (parameters, domains) = (spec.parameters(), spec.domains());
        Self {
            domains,
            rule: parameters.quorum,
            signer,
            guard,
            members: Arc::default(),
            collector: Collector::new(domains, parameters.quorum),
            pool: FaultPool::new(domains, parameters.preset, parameters.dev_slash_small),
            poster: Poster::new(),
            blocks_refused: 0,
            signing_stopped: false,
            known: None,
        }
    }

    /// Own keys, none once somebody else was seen signing with one of them.
    pub(super) fn keys(&self) -> Vec<Key> {
        if self.signing_stopped { Vec::new() } else { self.signer.keys() }
    }

    /// Draws the committees of an epoch and its neighbours from the head's state, once an epoch.
    pub(super) fn enter<E: EthSpec>(&mut self, state: &BeaconState<E>, gate: &CertificateGate) -> Result<(), DriverError> {
        let epoch = epoch_at::<E>(state.slot);
        if self.known == Some(epoch) {
            return Ok(());
        }
        let mut committees: Vec<Arc<Committee>> = Vec::new();
        for wanted in epoch.saturating_sub(limits::EPOCHS_BACK)..=epoch.saturating_add(1) {
            if wanted.saturating_add(1) >= epoch || self.members.committee(wanted).is_none() {
                committees.push(gate.committee(state, wanted)?);
            }
        }
        self.members = Arc::new(self.members.advance(epoch, committees));
        self.collector.set_members(Arc::clone(&self.members));
        self.known = Some(epoch);
        Ok(())
    }

    /// The candidate for a block of `epoch` on a model head, if one has a quorum.
    pub(super) fn certify(&self, head: ModelHead, epoch: Epoch) -> Result<Option<Certified>, CertificateError> {
        let Some(committee) = self.members.committee(epoch) else { return Ok(None) };
        quorum::certify(&self.collector, head, committee, self.rule, &self.domains)
    }

    /// Nobody ACKs on these heads any more; candidates on others than `alive` go.
    pub(super) fn close_heads(&mut self, closed: &[ModelHead], alive: &BTreeSet<ModelHead>) -> Result<(), GuardError> {
        self.guard.close_heads(closed)?;
        self.collector.retain_heads(|head| alive.contains(head));
        Ok(())
    }

    /// Decoded keys of a state's proposers, for the fault pool.
    pub(super) fn key_of<E: EthSpec>(state: &BeaconState<E>, index: u64) -> Option<Arc<PublicKey>> {
        state.public_key(index).ok().map(|key| Arc::new(key.clone()))
    }
}
