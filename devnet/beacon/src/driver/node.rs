//! A node: the chain, the execution client and the clock together.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Address, B256};
use alloy_rpc_types_engine::PayloadId;
use lighthouse_ack_quorum::push::Pusher;
use pol_core::{Hash32, fault::RawFaultVote};
use pol_kit::{clock::Clock, metrics::Health};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    task::spawn_blocking,
};

use super::{
    chain::{Chain, ImportRefused, Imported},
    clock::{Phase, SlotClock},
    error::DriverError,
    events::EventSender,
    snapshot::Snapshot,
};
use crate::{
    engine::{Engine, Link, Verdict},
    fork_choice::ExecutionStatus,
    types::{EthSpec, HashedBlock, Slot},
};

/// What an operator chooses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who gets the fees of own blocks.
    pub fee_recipient: Address,
    /// Text in own blocks.
    pub graffiti: B256,
    /// For tests of the slashing story only: this validator signs every block with a broken certificate.
    pub bad_certificates_by: Option<(u64, pol_core::bls::SecretKey)>,
}

/// A payload that the execution client builds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prepared {
    pub(super) parent: B256,
    pub(super) slot: Slot,
    pub(super) id: PayloadId,
}

/// The whole node but its ports. Share it in an `Arc`.
#[derive(Debug)]
pub struct Node<E: EthSpec> {
    chain: Arc<Mutex<Chain<E>>>,
    pub(super) engine: Engine<E>,
    pub(super) link: Link,
    pub(super) pusher: AsyncMutex<Option<Pusher>>,
    pub(super) prepared: Mutex<Option<Prepared>>,
    pub(super) options: Options,
    clock: Arc<dyn Clock>,
    slots: SlotClock,
    events: EventSender,
    snapshot: watch::Sender<Arc<Snapshot<E>>>,
    fault_votes: mpsc::Sender<RawFaultVote>,
    health: Health,
}

impl<E: EthSpec> Node<E> {
    /// A node over an opened chain. Own fault votes leave through `fault_votes`; when nobody takes them they stay here.
    pub fn new(
        chain: Chain<E>,
        engine: Engine<E>,
        pusher: Option<Pusher>,
        options: Options,
        clock: Arc<dyn Clock>,
        health: Health,
        fault_votes: mpsc::Sender<RawFaultVote>,
    ) -> Self {
        let parameters = chain.spec.parameters();
        let snapshot = watch::Sender::new(Arc::new(chain.snapshot()));
        Self {
            chain: Arc::new(Mutex::new(chain)),
            engine,
            link: Link::new(health.clone()),
            pusher: AsyncMutex::new(pusher),
            prepared: Mutex::default(),
            options,
            clock,
            slots: SlotClock::new(parameters.genesis_time, parameters.slot_seconds),
            events: EventSender::default(),
            snapshot,
            fault_votes,
            health,
        }
    }

    /// The slot clock.
    pub const fn slots(&self) -> SlotClock {
        self.slots
    }

    /// The clock.
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// How the parts of this node are.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// How the execution client stands.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// What happens, from now on.
    pub const fn events(&self) -> &EventSender {
        &self.events
    }

    /// The chain as it was after the last change.
    pub fn snapshot(&self) -> Arc<Snapshot<E>> {
        self.snapshot.borrow().clone()
    }

    /// Told whenever the chain may have changed.
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot<E>>> {
        self.snapshot.subscribe()
    }

    /// Does something with the chain on a thread that may block, then tells whoever reads what has changed.
    ///
    /// # Errors
    /// [`DriverError::Panicked`].
    pub async fn with<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Chain<E>) -> T + Send + 'static,
    ) -> Result<T, DriverError> {
        let chain = Arc::clone(&self.chain);
        let thread = move || {
            let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
            let done = body(&mut chain);
            let events = chain.take_events();
            (done, events, chain.snapshot())
        };
        let (done, events, snapshot) = spawn_blocking(thread).await.map_err(|error| DriverError::Panicked(error.to_string()))?;
        self.snapshot.send_replace(Arc::new(snapshot));
        events.into_iter().for_each(|event| self.events.send(event));
        Ok(done)
    }

    /// The same for what only reads.
    ///
    /// # Errors
    /// [`DriverError::Panicked`].
    pub async fn read<T: Send + 'static>(&self, body: impl FnOnce(&Chain<E>) -> T + Send + 'static) -> Result<T, DriverError> {
        let chain = Arc::clone(&self.chain);
        let thread = move || body(&chain.lock().unwrap_or_else(PoisonError::into_inner));
        spawn_blocking(thread).await.map_err(|error| DriverError::Panicked(error.to_string()))
    }

    /// Does what is due in a phase of a slot.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn work(&self, slot: Slot, phase: Phase) -> Result<(), DriverError> {
        match phase {
            Phase::Start => self.slot_start(slot).await,
            Phase::Attest => self.attest(slot).await,
            Phase::Prepare => self.prepare(slot.saturating_add(1)).await,
        }
    }

    /// The start of a slot: votes count, slashings move on, the execution client hears of the head, a local key proposes.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn slot_start(&self, slot: Slot) -> Result<(), DriverError> {
        let now_ms = self.clock.unix_millis();
        let ticked = self.with(move |chain| {
            chain.tick(now_ms)?;
            let state = chain.head_state_at(slot)?;
            chain.ai.enter(&state, &chain.gate)?;
            chain.ai.collector.sweep(now_ms);
            chain.post_slashings(slot)
        });
        ticked.await??;
        self.follow_head().await?;
        if slot > 0 {
            self.propose(slot).await?;
        }
        Ok(())
    }

    /// A third into a slot: local keys attest.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn attest(&self, slot: Slot) -> Result<(), DriverError> {
        let now_ms = self.clock.unix_millis();
        let signed = self.with(move |chain| {
            chain.tick(now_ms)?;
            chain.attest(slot)
        });
        let signed = signed.await??;
        tracing::debug!(target: "polai::beacon", slot, attestations = signed.attestations, sync = signed.sync_messages, "signed");
        Ok(())
    }

    /// Imports a block from anywhere: our checks, the execution client, disk, fork choice.
    ///
    /// # Errors
    /// [`DriverError`]. The inner error says why the block is not imported; votes against it are on their way if it is a fault.
    pub async fn import(&self, block: HashedBlock<E>) -> Result<Result<Imported, ImportRefused>, DriverError> {
        let (now_ms, copy) = (self.clock.unix_millis(), block.clone());
        let checked = self.with(move |chain| {
            chain.tick(now_ms)?;
            Ok::<_, DriverError>(match chain.check(block) {
                Ok(checked) => Ok(checked),
                Err(refusal) => {
                    let votes = chain.on_refused(&copy, &refusal)?;
                    Err((refusal, votes))
                }
            })
        });
        let checked = match checked.await?? {
            Ok(checked) => checked,
            Err((refusal, votes)) => {
                tracing::warn!(target: "polai::beacon", %refusal, "block refused");
                for vote in votes {
                    // A queue that is full loses it: votes are counted here in any case.
                    let _ = self.fault_votes.try_send(vote);
                }
                return Ok(Err(refusal.into()));
            }
        };
        let message = checked.block().message();
        let execution = match self.engine.new_payload(&message.body.execution_payload, message.parent_root).await {
            Ok(verdict) => {
                // That it is syncing is said once the head is asked about.
                if verdict != Verdict::Syncing {
                    self.link.says(&verdict);
                }
                match verdict {
                    Verdict::Valid => ExecutionStatus::Valid,
                    Verdict::Syncing => ExecutionStatus::Optimistic,
                    Verdict::Invalid { reason, .. } => return Ok(Err(ImportRefused::Payload { reason })),
                }
            }
            Err(error) => {
                self.link.failed(&error);
                ExecutionStatus::Optimistic
            }
        };
        let imported = self.with(move |chain| chain.commit(checked, execution)).await??;
        self.follow_head().await?;
        Ok(Ok(imported))
    }

    /// Root of the head's payload, as the AI engine names it.
    pub(super) const fn hash32(root: B256) -> Hash32 {
        Hash32(root.0)
    }
}
