//! Files of the Hugging Face hub, or of a mirror of it, in a bounded cache.
//!
//! # Contract
//! - A [`Listing`] is a commit and its files with length and SHA-256; it is cached, so that later runs, and those without a network, see the
//!   same files. A [`HubFile`] fetches blocks of 1 MiB when they are read, keeps them with their hashes, goes on where a transfer
//!   stopped, and compares the whole file with the hub's hash once it is whole. A file that only part of was read has been compared block by
//!   block with what had come, not with the hub's hash.
//! - Only the endpoint, hosts that the operator named and the hub's own storage hosts are spoken to. A public name with a private address is
//!   refused; the endpoint and named hosts may be private. Only the endpoint sees the token.
//! - Lengths, counts, redirects, retries and the cache as a whole are bounded; a lying hub costs time, never memory or other files.
//!
//! # Why hf-hub 0.5 and why only part of it
//! hf-hub 1.0 sends large files through its own xet client, past any host list, starts an interrupted file over, knows no offline mode, and
//! brings 237 crates against 57. The downloads of 0.5 use the hub's ETag as a file name and panic on odd redirects. So names of
//! repositories, URLs, and the layout of Hugging Face's cache (files that Python's programs have fetched are used) are hf-hub's, and the
//! transfers are ours, on the HTTP client that hf-hub 0.5 itself uses.
//!
//! # What it does not protect against
//! A hub that has a file and its hash wrong together; another program of the same user.

mod address;
mod client;
mod error;
mod file;
mod listing;
mod settings;
mod store;

pub use error::HubError;
pub use file::{HubFile, LocalFile, ReadAt, Sequential, hub_error};
pub use listing::{FILE_BYTES_MAX, FILES_MAX, FileEntry, Listing, NameError, RepoKind, RepoName};
pub use settings::{HubArgs, Token};
pub use store::BLOCK_BYTES;

pub(crate) use error::at;

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pol_core::sha256;
use pol_kit::fs::{Access, write_durably};

use client::Client;
use store::Store;

const LISTING_BYTES_MAX: u64 = 256 << 20;
const LISTING_ATTEMPTS: u32 = 3;
/// Pause after a transfer that stopped; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// A hub and the cache of its files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    endpoint: String,
    offline: bool,
    /// Hugging Face's own cache.
    home: Option<hf_hub::Cache>,
    store: Store,
    listings: PathBuf,
    pause: Duration,
}

impl Hub {
    /// The hub of these settings, with a cache of at most `budget` bytes in the folder `cache`.
    ///
    /// # Errors
    /// [`HubError::Url`], [`HubError::Certificates`], [`HubError::Cache`]: the operator's to mend.
    pub fn new(args: &HubArgs, cache: &Path, budget: u64) -> Result<Self, HubError> {
        let home = args.hf_home.clone().or_else(|| Some(std::env::home_dir()?.join(".cache/huggingface")));
        let home = home.map(|home| hf_hub::Cache::new(home.join("hub")));
        let token = args.hf_token.clone().or_else(|| home.as_ref().and_then(hf_hub::Cache::token).map(Token::from));
        let endpoint = args.hf_endpoint.trim_end_matches('/').to_owned();
        let client = Client::new(&endpoint, &args.hub_host, token, args.hub_ca_file.as_deref())?;
        let listings = cache.join("listings");
        fs::create_dir_all(&listings).map_err(at(&listings))?;
        let store = Store::new(cache.join("blocks"), budget)?;
        let shared = Shared { client, endpoint, offline: args.hf_hub_offline, home, store, listings, pause: PAUSE };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same with another pause after a transfer that stopped, which doubles from one to the next. To be called before it is cloned.
    #[must_use]
    pub fn pausing(mut self, pause: Duration) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.pause = pause;
        }
        self
    }

    /// The hub's address.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// The files below `folder` of a repository's main branch whose paths `keep` wants. `name` stands for both in the cache. A list that is
    /// in the cache is used for ever, unless `refresh` asks for a new one.
    ///
    /// # Errors
    /// [`HubError`].
    pub fn listing(
        &self,
        repo: &RepoName,
        folder: &str,
        name: &str,
        keep: &dyn Fn(&str) -> bool,
        refresh: bool,
    ) -> Result<Listing, HubError> {
        let hash = hex::encode(sha256(&[self.shared.endpoint.as_bytes(), b"\n", repo.id().as_bytes(), b"\n", name.as_bytes()]));
        let path = self.shared.listings.join(format!("{}.json", hash.get(..32).unwrap_or_default()));
        if !refresh && let Some(listing) = read_listing(&path) {
            return Ok(listing);
        }
        let what = format!("the list of files of {}", repo.id());
        if self.shared.offline {
            return Err(HubError::Offline { what });
        }
        let mut attempt = 1;
        let listing = loop {
            match listing::ask(&self.shared.client, &self.shared.endpoint, repo, "main", folder, keep) {
                Ok(listing) => break listing,
                Err(error) if attempt < LISTING_ATTEMPTS && is_passing(&error) => {
                    std::thread::sleep(self.shared.pause.saturating_mul(1 << attempt));
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        };
        let json = serde_json::to_vec(&listing).map_err(|error| at(&path)(error.into()))?;
        write_durably(&path, &json, Access::Everybody).map_err(at(&path))?;
        Ok(listing)
    }

    /// Opens a file of a listing. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`HubError::Cache`].
    pub fn open(&self, repo: &RepoName, commit: &str, entry: &FileEntry) -> Result<Arc<dyn ReadAt>, HubError> {
        if let Some(file) = self.in_home(repo, commit, entry) {
            return Ok(Arc::new(file));
        }
        Ok(Arc::new(self.file(repo, commit, entry)?))
    }

    /// The same, always as a file of our own cache.
    ///
    /// # Errors
    /// [`HubError::Cache`].
    pub fn file(&self, repo: &RepoName, commit: &str, entry: &FileEntry) -> Result<HubFile, HubError> {
        let shared = &self.shared;
        let at_commit = repo.at(commit);
        let path = listing::escaped(&entry.path);
        let url = format!("{}/{}/resolve/{}/{path}", shared.endpoint, at_commit.url(), at_commit.url_revision());
        let size = entry.size.to_le_bytes();
        let sha256_or_none = entry.sha256.as_deref().unwrap_or_default();
        let parts = [shared.endpoint.as_str(), &at_commit.url(), commit, &entry.path, sha256_or_none].join("\n");
        let name = hex::encode(sha256(&[parts.as_bytes(), &size]));
        let blocks = shared.store.open(name.get(..32).unwrap_or_default(), entry.size)?;
        let what = format!("{}/{}", repo.id(), entry.path);
        Ok(HubFile::new(Arc::clone(shared), url, what, entry.clone(), blocks))
    }

    /// A file that Hugging Face's own programs have fetched.
    fn in_home(&self, repo: &RepoName, commit: &str, entry: &FileEntry) -> Option<LocalFile> {
        let snapshot = self.shared.home.as_ref()?.repo(repo.at(commit)).pointer_path(commit);
        LocalFile::open(&snapshot.join(&entry.path)).ok().filter(|file| file.size() == entry.size)
    }
}

const fn is_passing(error: &HubError) -> bool {
    match error {
        HubError::Unreachable { .. } => true,
        HubError::Status { status, .. } => *status == 429 || *status >= 500,
        _ => false,
    }
}

fn read_listing(path: &Path) -> Option<Listing> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LISTING_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
