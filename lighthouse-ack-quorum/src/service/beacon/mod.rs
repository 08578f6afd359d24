//! A client of the standard Beacon API: what this service asks of any beacon node.
//!
//! # Limits
//! Every answer has a deadline and a size; a redirect is an error. Unknown fields are ignored, missing ones are not.
//!
//! # What it does not protect against
//! A beacon node that lies in well-formed answers: it is the operator's own.

mod events;
mod json;

use core::time::Duration;

use futures::StreamExt as _;
use pol_core::{Hash32, fault::SlashingPair};
use reqwest::{Client, Response, StatusCode, Url, redirect::Policy};
use serde::de::DeserializeOwned;

pub use events::{Event, Events};
pub use json::{Block, Finality, Genesis, Registry, RegistryEntry, SignedHeaderAt, SpecValues, slashing_json};

/// Deadline of one answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Deadline of the registry: a million validators are read in this time.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a block's JSON: a full payload of 10 MiB, as hex.
const BLOCK_BYTES: usize = 32 << 20;
/// Bytes of the registry's JSON: 1,048,576 validators of 500 bytes.
const REGISTRY_BYTES: usize = 512 << 20;
/// Where a patched Lighthouse tells of blocks that it refused (patches/lighthouse).
const REFUSED: &str = "/lighthouse/ai";
/// Bytes of everything else.
const SMALL_BYTES: usize = 1 << 20;

/// Why the beacon node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum BeaconError {
    /// Not reached, or too slow. The operator's or the node's; heals.
    #[error("beacon node: {0}")]
    Transport(#[from] reqwest::Error),
    /// It says no. The node's, or a question about something it has not.
    #[error("beacon node: {path}: HTTP {status}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Status {
        /// What was asked.
        path: String,
        /// Its code.
        status: StatusCode,
        /// What it says, cut.
        message: String,
    },
    /// More bytes than such an answer has. The node's.
    #[error("beacon node: {path}: more than {most} bytes")]
    TooLong {
        /// What was asked.
        path: String,
        /// The limit.
        most: usize,
    },
    /// Not the JSON it should be. The node's: no Deneb block, or no standard API.
    #[error("beacon node: {path}: {error}")]
    Json {
        /// What was asked.
        path: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The address is none. The operator's.
    #[error("beacon node: {url:?}: {reason}")]
    Address {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl BeaconError {
    /// Whether the node answered that it has no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }
}

/// A beacon node.
#[derive(Debug, Clone)]
pub struct BeaconNode {
    client: Client,
    base: Url,
}

impl BeaconNode {
    /// The node at a URL such as `http://127.0.0.1:3500`.
    ///
    /// # Errors
    /// [`BeaconError::Address`]; [`BeaconError::Transport`] when there is no HTTP client.
    pub fn new(url: &str) -> Result<Self, BeaconError> {
        let reason = |reason: String| BeaconError::Address { url: url.to_owned(), reason };
        let base = Url::parse(url).map_err(|error| reason(error.to_string()))?;
        if base.scheme() != "http" || base.cannot_be_a_base() {
            return Err(reason("expected http://HOST:PORT (no TLS: the beacon node is on this machine)".to_owned()));
        }
        let client = Client::builder().connect_timeout(TIMEOUT).redirect(Policy::none()).build()?;
        Ok(Self { client, base })
    }

    fn url(&self, path: &str) -> Result<Url, BeaconError> {
        self.base.join(path).map_err(|error| BeaconError::Address { url: path.to_owned(), reason: error.to_string() })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, most: usize, timeout: Duration) -> Result<T, BeaconError> {
        let request = self.client.get(self.url(path)?).header("accept", "application/json").timeout(timeout);
        let response = checked(path, request.send().await?).await?;
        let body = read(path, response, most).await?;
        serde_json::from_slice(&body).map_err(|error| BeaconError::Json { path: path.to_owned(), error })
    }

    async fn small<T: DeserializeOwned>(&self, path: &str) -> Result<T, BeaconError> {
        self.get::<json::Data<T>>(path, SMALL_BYTES, TIMEOUT).await.map(|answer| answer.data)
    }

    /// Genesis time and validators root.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn genesis(&self) -> Result<Genesis, BeaconError> {
        self.small("/eth/v1/beacon/genesis").await
    }

    /// What of the configuration must agree with chain.toml.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn spec(&self) -> Result<SpecValues, BeaconError> {
        self.small("/eth/v1/config/spec").await
    }

    /// A header by `head`, `genesis`, slot or root, with its signature. A patched node also has those of blocks that it refused.
    ///
    /// # Errors
    /// [`BeaconError`]; [`BeaconError::is_missing`].
    pub async fn header(&self, id: &str) -> Result<SignedHeaderAt, BeaconError> {
        match self.small(&format!("/eth/v1/beacon/headers/{id}")).await {
            Err(error) if error.is_missing() => self.small(&format!("{REFUSED}/headers/{id}")).await,
            answer => answer,
        }
    }

    /// A block by its root.
    ///
    /// # Errors
    /// [`BeaconError`]; [`BeaconError::is_missing`].
    pub async fn block(&self, root: Hash32) -> Result<Block, BeaconError> {
        let path = format!("/eth/v2/beacon/blocks/0x{root}");
        match self.get::<json::Data<Block>>(&path, BLOCK_BYTES, TIMEOUT).await {
            Err(error) if error.is_missing() => self.small(&format!("{REFUSED}/blocks/0x{root}")).await,
            answer => answer.map(|answer| answer.data),
        }
    }

    /// Roots of blocks that a patched node did not import because of their certificates; an unpatched node imports them, and names none.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn refused_roots(&self) -> Result<Vec<Hash32>, BeaconError> {
        match self.small::<Vec<json::RefusedRoot>>(&format!("{REFUSED}/faults")).await {
            Ok(refused) => Ok(refused.iter().map(json::RefusedRoot::root).collect()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// All validators of the head state.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn registry(&self) -> Result<Registry, BeaconError> {
        let path = "/eth/v1/beacon/states/head/validators";
        self.get::<json::Data<Registry>>(path, REGISTRY_BYTES, REGISTRY_TIMEOUT).await.map(|answer| answer.data)
    }

    /// Whether a validator is slashed in the head state.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn is_slashed(&self, index: u64) -> Result<bool, BeaconError> {
        let entry: RegistryEntry = self.small(&format!("/eth/v1/beacon/states/head/validators/{index}")).await?;
        Ok(entry.slashed())
    }

    /// RANDAO mix of an epoch, in the state `id`.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn randao(&self, id: &str, epoch: Option<u64>) -> Result<Hash32, BeaconError> {
        let query = epoch.map(|epoch| format!("?epoch={epoch}")).unwrap_or_default();
        let mix: json::Randao = self.small(&format!("/eth/v1/beacon/states/{id}/randao{query}")).await?;
        Ok(mix.root())
    }

    /// Finalized checkpoint of the head state.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn finality(&self) -> Result<Finality, BeaconError> {
        self.small("/eth/v1/beacon/states/head/finality_checkpoints").await
    }

    /// Offers a slashing to the pool, which checks it and spreads it.
    ///
    /// # Errors
    /// [`BeaconError::Status`] when the node refuses it, as an unpatched one does with ours.
    pub async fn post_slashing(&self, pair: &SlashingPair) -> Result<(), BeaconError> {
        let path = "/eth/v1/beacon/pool/proposer_slashings";
        let request = self.client.post(self.url(path)?).timeout(TIMEOUT).json(&slashing_json(pair));
        checked(path, request.send().await?).await.map(drop)
    }

    /// The event stream; it may end at any time.
    ///
    /// # Errors
    /// [`BeaconError`].
    pub async fn events(&self) -> Result<Events, BeaconError> {
        let path = "/eth/v1/events?topics=head,block,chain_reorg,finalized_checkpoint";
        let request = self.client.get(self.url(path)?).header("accept", "text/event-stream");
        Ok(Events::new(checked(path, request.send().await?).await?))
    }
}

async fn checked(path: &str, response: Response) -> Result<Response, BeaconError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = read(path, response, SMALL_BYTES).await.unwrap_or_default();
    let message = serde_json::from_slice::<json::Refusal>(&body).map(|refusal| refusal.message).unwrap_or_default();
    let message = pol_api::convert::printable(&message, 200);
    Err(BeaconError::Status { path: path.to_owned(), status, message })
}

async fn read(path: &str, response: Response, most: usize) -> Result<Vec<u8>, BeaconError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > most {
            return Err(BeaconError::TooLong { path: path.to_owned(), most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
