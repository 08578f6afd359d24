//! What a call tells the trainer, turned into what it trains by.

use std::{sync::Arc, time::Duration};

use pol_api::{
    sidecar::order::{TextsWanted, TrainOrder},
    status::Reason,
    tonic::Status,
};
use tokio::time::timeout;

use super::{grpc::place, shared::Shared};
use crate::{data::TextSource, trainer::Order};

/// Of the time that a call has, what getting texts may take. It goes on afterwards: what it fetched is in the cache.
const ACQUIRE: Duration = Duration::from_secs(20);

impl Shared {
    /// The order, with its texts at hand.
    ///
    /// # Errors
    /// `no-role`: texts cannot be chosen here. `not-ready`: they are being fetched. `bad-field`: there are no such.
    pub(crate) async fn order(&self, order: TrainOrder) -> Result<Order, Status> {
        let texts = match order.texts {
            Some(wanted) => Some(self.acquire(wanted).await?),
            None => None,
        };
        Ok(Order {
            rounds: order.rounds,
            steps: order.steps,
            refining_steps: order.refining_steps,
            learning_rate: order.learning_rate,
            sequences: order.batch.map(|batch| batch as usize),
            length: order.length.map(|length| length as usize),
            texts,
        })
    }

    async fn acquire(&self, wanted: TextsWanted) -> Result<Arc<dyn TextSource>, Status> {
        let make = self.texts.clone().ok_or_else(|| Reason::NoRole.refuse("this process does not get texts by order"))?;
        let fetching = || Reason::NotReady.refuse("texts are being fetched: call again in a while");
        let held = place(&self.acquisitions, "acquisitions of texts").map_err(|_| fetching())?;
        let tasks = self.tasks.clone();
        let made = async move {
            tasks
                .run_blocking(move || {
                    let made = make(&wanted);
                    drop(held);
                    made
                })
                .await
        };
        match timeout(ACQUIRE, made).await {
            Err(_) => Err(fetching()),
            Ok(Ok(Ok(texts))) => Ok(texts.into()),
            Ok(Ok(Err(exit))) => Err(Reason::BadField.refuse(pol_api::convert::printable(&exit.to_string(), 256))),
            Ok(Err(panic)) => Err(Reason::Internal.refuse(panic.to_string())),
        }
    }
}
