//! The validator set, as the consensus side feeds it.

use std::sync::{Arc, Mutex, PoisonError};

use pol_api::{
    dht::v1::{SetValidatorsRequest, SetValidatorsResponse},
    status::Reason,
    tonic::{Status, Streaming},
    validators::{Header, Incoming, Validator as Fed},
};
use tracing::info;

use super::{Service, refuse::refuse};
use crate::validators::{EpochSlot, SetBuilder, SetError, Validator};

/// Epoch of the set in force; none while there is no set.
#[derive(Debug, Clone, Default)]
pub(super) struct Epoch(Arc<Mutex<Option<u64>>>);

impl Epoch {
    pub(super) fn get(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, epoch: Option<u64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
    }
}

type IsActive = fn(&Fed) -> bool;

fn add(builder: &mut SetBuilder, page: &[Fed]) -> Result<(), SetError> {
    let slots: [(EpochSlot, IsActive); 3] = [
        (EpochSlot::Previous, |fed| fed.active.previous),
        (EpochSlot::Current, |fed| fed.active.current),
        (EpochSlot::Next, |fed| fed.active.next),
    ];
    for (slot, is_active) in slots {
        let active = page.iter().filter(|fed| is_active(fed));
        let chunk: Vec<Validator> = active.map(|fed| Validator { index: fed.index, public_key: fed.public_key }).collect();
        builder.add(slot, &chunk)?;
    }
    Ok(())
}

fn fresh(header: Header, held: Option<u64>) -> Result<(), Status> {
    match held.filter(|held| header.epoch < *held) {
        Some(held) => Err(Reason::Outdated.refuse(format!("validators: found epoch {}, expected {held} or later", header.epoch))),
        None => Ok(()),
    }
}

impl Service {
    pub(super) async fn feed(&self, mut stream: Streaming<SetValidatorsRequest>) -> Result<SetValidatorsResponse, Status> {
        let shared = self.node.shared();
        let mut incoming = Incoming::begin(stream.message().await?, shared.genesis_id)?;
        // Looked at before the pages cost anything, and again when the set is complete.
        fresh(incoming.header(), self.epoch.get())?;
        let mut builder = shared.validators().successor();
        while let Some(message) = stream.message().await? {
            let page = incoming.page(message)?;
            add(&mut builder, &page).map_err(refuse)?;
        }
        let header = incoming.finish()?;
        let turn = Arc::clone(&self.feeding).lock_owned().await;
        fresh(header, self.epoch.get())?;
        let (node, epoch) = (self.node.clone(), self.epoch.clone());
        let apply = move |_: &_| {
            let _turn = turn;
            let set = builder.finish()?;
            // An empty set is none: whoever feeds this node may begin anew.
            epoch.set((header.count > 0).then_some(header.epoch));
            Ok::<_, SetError>(node.set_validators(set))
        };
        self.node.blocking(apply).await.map_err(refuse)?.map_err(refuse)?.map_err(refuse)?;
        self.options.alarms.fed(shared.now());
        info!(target: "polai::dht", epoch = header.epoch, count = header.count, "validator set in force");
        Ok(SetValidatorsResponse { epoch: header.epoch, count: header.count })
    }
}
