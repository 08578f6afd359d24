//! What can go wrong with a hub.

use std::{io, net::IpAddr, path::PathBuf};

/// Why the hub did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It is needed, but it was switched off. The operator's to mend.
    #[error("{what} is not in the cache, and the hub is switched off: let it be fetched once without HF_HUB_OFFLINE")]
    Offline {
        /// What was asked for.
        what: String,
    },
    /// It is out of reach: the network's fault.
    #[error("{host} is out of reach: {source} (set HF_ENDPOINT to a mirror, or HF_HUB_OFFLINE=1 with a filled cache)")]
    Unreachable {
        /// Who.
        host: String,
        /// What the client said.
        source: Box<ureq::Error>,
    },
    /// A setting that is no URL. The operator's to mend.
    #[error("{found:?} is no http or https URL")]
    Url {
        /// What was given.
        found: String,
    },
    /// Certificates that cannot be read. The operator's to mend.
    #[error("{}: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It sends us to a host that is not on the list: the hub's fault, or a mirror that needs `--hub-host`.
    #[error("{from} redirects to {to}, which is not allowed (--hub-host allows a host)")]
    Redirect {
        /// Who sends us.
        from: String,
        /// Where to.
        to: String,
    },
    /// It redirects in circles: the hub's fault.
    #[error("{url} redirects more than {most} times")]
    RedirectLoop {
        /// Where it began.
        url: String,
        /// How often is followed.
        most: usize,
    },
    /// A public name that stands for an address of a private network: somebody's attack, or a broken resolver.
    #[error("{host} has the address {address}, which is not public: refused")]
    PrivateAddress {
        /// The name.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// It wants to know who we are. The operator's to mend.
    #[error("{what}: the hub answers {status}: a token is needed (HF_TOKEN), or its terms must be accepted on the hub's page")]
    Denied {
        /// What was asked for.
        what: String,
        /// 401 or 403.
        status: u16,
    },
    /// It does not have that.
    #[error("{what} does not exist on the hub")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// Another answer than asked for. The hub's fault.
    #[error("{what}: the hub answers {status}")]
    Status {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
    },
    /// An answer of another form: a page for people, a list that is none. The hub's fault, or a login page in between.
    #[error("{what}: {reason}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is not as long as the hub said. The hub's fault.
    #[error("{what} has {found} bytes, but the hub's own list says {expected}")]
    Size {
        /// The file.
        what: String,
        /// Length that came with the file.
        found: u64,
        /// Length in the list.
        expected: u64,
    },
    /// A file with another content than the hub said. The hub's fault; what came was thrown away.
    #[error("{what} does not have the hash that the hub's own list says: thrown away")]
    Hash {
        /// The file.
        what: String,
    },
    /// It stopped again and again without sending anything new. The hub's fault, or the network's. What came is kept.
    #[error("{what}: the transfer stopped {attempts} times at byte {at}; what came is kept: {reason}")]
    Stopped {
        /// The file.
        what: String,
        /// Attempts without progress.
        attempts: u32,
        /// Where it stands.
        at: u64,
        /// How the last one ended.
        reason: String,
    },
    /// The cache may not grow so far. The operator's to mend.
    #[error(
        "the cache of fetched files is full: {needed} bytes more are needed, {most} are allowed in all, and what is there is in use"
    )]
    Budget {
        /// Bytes that are to come.
        needed: u64,
        /// The limit.
        most: u64,
    },
    /// The disk is full. The operator's to mend.
    #[error("{}: the disk is full", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
    },
    /// A file or folder of the cache. The operator's to mend.
    #[error("{}: {source}", path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl HubError {
    /// Whether there is no hub to speak of, as against one that answers something wrong.
    pub const fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Offline { .. } | Self::Unreachable { .. })
    }

    /// Whether only the operator can mend it, so that another attempt is in vain.
    pub const fn is_operators(&self) -> bool {
        matches!(
            self,
            Self::Offline { .. }
                | Self::Url { .. }
                | Self::Certificates { .. }
                | Self::Denied { .. }
                | Self::Budget { .. }
                | Self::DiskFull { .. }
                | Self::Cache { .. }
        )
    }
}

/// For `map_err`: what the operating system said of a path.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> HubError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull => HubError::DiskFull { path: path.to_owned() },
        _ => HubError::Cache { path: path.to_owned(), source },
    }
}
