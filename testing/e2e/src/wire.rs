//! A node's gRPC, as a stranger's trainer and a curious operator use it.

use std::{fs, path::Path, time::Duration};

use ed25519_dalek::SigningKey;
use pol_api::{
    client,
    convert::Candidate,
    dht::v1::{WatchCandidatesRequest, dht_client::DhtClient},
    serve,
    sidecar::{
        self,
        model::ModelState,
        v1::{ModelStateRequest, sidecar_client::SidecarClient},
    },
    tonic::transport::Channel,
};
use pol_core::{
    ModelHead, UpdateId,
    genesis::ChainSpec,
    record::{Announcement, Envelope},
};
use tokio::{runtime::Runtime, time::timeout};

use crate::home::now;

/// Connections to a node's processes.
#[derive(Debug)]
pub struct Wire {
    runtime: Runtime,
    dht: DhtClient<Channel>,
    sidecar: SidecarClient<Channel>,
    /// The chain.
    pub spec: ChainSpec,
}

/// Whoever has a key and announces updates with it.
#[derive(Debug)]
pub struct Trainer {
    /// The key.
    pub key: SigningKey,
    sequence: u64,
}

impl Trainer {
    /// Somebody; the same number is the same person.
    pub fn new(number: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[number; 32]), sequence: 0 }
    }

    /// The public half, as `polai up --trainer` takes it.
    pub fn public(&self) -> String {
        hex::encode(self.key.verifying_key().as_bytes())
    }
}

impl Wire {
    /// To the node whose chain.toml lies in this folder. Nothing is connected yet.
    ///
    /// # Panics
    /// No chain there.
    pub fn new(data: &Path, dht: u16, sidecar: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let text = fs::read_to_string(data.join("chain.toml")).expect("chain.toml");
        let channel = |port: u16| {
            let _inside = runtime.enter();
            serve::endpoint(format!("http://127.0.0.1:{port}")).expect("a URI").connect_lazy()
        };
        let (dht, sidecar) = (serve::dht_client(channel(dht)), sidecar::client(channel(sidecar)));
        Self { dht, sidecar, spec: ChainSpec::parse(&text).expect("a chain"), runtime }
    }

    /// Stores a container and announces it as the trainer's newest candidate.
    ///
    /// # Panics
    /// It is refused.
    pub fn offer(&self, trainer: &mut Trainer, container: &[u8]) -> UpdateId {
        self.try_offer(trainer, container).expect("pol-dht takes it")
    }

    /// The same; what pol-dht says when it refuses.
    ///
    /// # Errors
    /// Its words.
    ///
    /// # Panics
    /// It takes it for something else.
    pub fn try_offer(&self, trainer: &mut Trainer, container: &[u8]) -> Result<UpdateId, String> {
        trainer.sequence += 1;
        let (update_id, sequence) = (UpdateId(pol_core::sha256(&[container])), trainer.sequence);
        let head = container[40..72].try_into().map(ModelHead).expect("32 bytes");
        let size = u32::try_from(container.len()).expect("a container");
        let announcement = Announcement { update_id, model_head: head, size, sequence };
        let sealed = Envelope::seal(&trainer.key, self.spec.genesis_id(), now(), &announcement.to_value());
        let bytes = container.to_vec().into();
        let mut dht = self.dht.clone();
        let published = self.runtime.block_on(client::publish_delta(&mut dht, &bytes, Some(sealed.into())));
        let published = published.map_err(|error| error.to_string())?;
        assert_eq!((published.update_id, published.announced), (update_id, true));
        Ok(update_id)
    }

    /// Stores a container, and tells nobody.
    ///
    /// # Panics
    /// It is refused.
    pub fn store(&self, container: &[u8]) -> UpdateId {
        let bytes = container.to_vec().into();
        self.runtime.block_on(client::publish_delta(&mut self.dht.clone(), &bytes, None)).expect("pol-dht takes it").update_id
    }

    /// Bytes of an update.
    ///
    /// # Panics
    /// There are none.
    pub fn fetch(&self, id: UpdateId) -> Vec<u8> {
        self.runtime.block_on(client::fetch_delta(&mut self.dht.clone(), id)).expect("bytes")
    }

    /// Candidates that trainers have open now.
    pub fn candidates(&self) -> Vec<Candidate> {
        self.runtime.block_on(async {
            let mut found = Vec::new();
            let Ok(stream) = self.dht.clone().watch_candidates(WatchCandidatesRequest::default()).await else { return found };
            let mut stream = stream.into_inner();
            // What is held comes at once: whoever is silent so long has said it all.
            while let Ok(Ok(Some(message))) = timeout(Duration::from_millis(100), stream.message()).await {
                found.extend(Candidate::try_from(message));
            }
            found
        })
    }

    /// The model state that the sidecar has; None while nobody answers.
    pub fn model(&self) -> Option<ModelState> {
        let answer = self.runtime.block_on(self.sidecar.clone().model_state(ModelStateRequest::default())).ok()?;
        ModelState::try_from(&answer.into_inner()).ok()
    }
}
