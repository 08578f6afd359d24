//! Where candidates go.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use pol_api::{
    client::{self, CallError},
    dht::v1::dht_client::DhtClient,
    serve,
    tonic::transport::Channel,
};
use pol_core::{
    GenesisId, ModelHead, UpdateId,
    record::{Announcement, Envelope},
};
use pol_kit::clock::Clock;
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Time for an upload.
const UPLOAD: Duration = Duration::from_secs(20);

/// A candidate to be offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its id.
    pub update_id: UpdateId,
    /// The head that it applies to.
    pub head: ModelHead,
    /// The trainer's counter: one for each container, and growing.
    pub sequence: u64,
    /// The container.
    pub bytes: Bytes,
}

/// A candidate was not taken. Tried again while its head is the newest.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    /// Refused, or not reached: the daemon's or the operator's to mend.
    #[error("DHT: {0}")]
    Call(#[from] CallError),
    /// No answer in time: the daemon's fault.
    #[error("DHT: no answer in {} s", UPLOAD.as_secs())]
    Late,
    /// Another id than the bytes have: the daemon's defect.
    #[error("DHT: published as {found}, expected {expected}")]
    Id {
        /// The daemon's.
        found: UpdateId,
        /// Ours.
        expected: UpdateId,
    },
    /// Longer than any container: our fault.
    #[error("a candidate of {found} bytes")]
    Size {
        /// Bytes.
        found: usize,
    },
    /// The process stops.
    #[error("the process stops")]
    Stopped,
}

/// Takes candidates: the DHT, or a test.
pub trait Outlet: Send + Sync + fmt::Debug {
    /// Offers a candidate to the network. The same one again changes nothing. Blocks.
    ///
    /// # Errors
    /// [`OutletError`]; it may have been offered all the same.
    fn publish(&self, offer: &Offer) -> Result<(), OutletError>;
}

/// The DHT daemon of this machine. It need not be there yet.
pub struct DhtOutlet {
    client: DhtClient<Channel>,
    key: SigningKey,
    genesis_id: GenesisId,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    stop: CancellationToken,
}

impl fmt::Debug for DhtOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhtOutlet(..)")
    }
}

impl DhtOutlet {
    /// The daemon behind a channel; announcements are sealed with the trainer's key. In a runtime.
    pub fn new(channel: Channel, key: SigningKey, genesis_id: GenesisId, clock: Arc<dyn Clock>, stop: CancellationToken) -> Self {
        Self { client: serve::dht_client(channel), key, genesis_id, clock, runtime: Handle::current(), stop }
    }
}

impl Outlet for DhtOutlet {
    fn publish(&self, offer: &Offer) -> Result<(), OutletError> {
        let found = offer.bytes.len();
        let size = u32::try_from(found).map_err(|_| OutletError::Size { found })?;
        let value =
            Announcement { update_id: offer.update_id, model_head: offer.head, size, sequence: offer.sequence }.to_value();
        let sealed = Envelope::seal(&self.key, self.genesis_id, self.clock.unix_seconds(), &value);
        let mut client = self.client.clone();
        let call = timeout(UPLOAD, client::publish_delta(&mut client, &offer.bytes, Some(sealed.into())));
        let answer = self.runtime.block_on(self.stop.run_until_cancelled(call)).ok_or(OutletError::Stopped)?;
        let published = answer.map_err(|_| OutletError::Late)??.update_id;
        if published == offer.update_id { Ok(()) } else { Err(OutletError::Id { found: published, expected: offer.update_id }) }
    }
}
