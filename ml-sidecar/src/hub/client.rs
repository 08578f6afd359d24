//! HTTP to the hub: to allowed hosts only, with bounds on everything.

use std::{fs::File, io, io::Read as _, net::IpAddr, path::Path, time::Duration};

use ureq::{
    Agent, Body,
    config::Config,
    http::{HeaderMap, Response, Uri, header},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::{address::is_public, error::HubError, settings::Token};

/// Hosts that the hub itself redirects to, with their subdomains.
const HUB_HOSTS: &[&str] = &["huggingface.co", "hf.co"];
const REDIRECTS_MAX: usize = 5;
const CERTIFICATE_BYTES_MAX: u64 = 4 << 20;
/// To find the host, to connect, to begin to answer.
const ANSWER: Duration = Duration::from_secs(30);
/// To say anything at all within an answer.
const READ: Duration = Duration::from_secs(20);
/// To send the whole body of one answer.
const BODY: Duration = Duration::from_secs(600);

/// A place on the net: what an origin is to a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    https: bool,
    host: String,
}

impl Origin {
    fn of(uri: &Uri) -> Option<Self> {
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        // Brackets of an IPv6 address are the URL's, not the host's.
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() { None } else { Some(Self { https, host }) }
    }
}

/// Which hosts are spoken to, and which of them may have private addresses: those that the operator named.
#[derive(Debug, Clone)]
struct Rules {
    endpoint: Origin,
    named: Vec<String>,
}

impl Rules {
    fn is_named(&self, host: &str) -> bool {
        host == self.endpoint.host || self.named.iter().any(|named| is_within(host, named))
    }

    /// Plain http only to a host that the operator gave as such.
    fn allows(&self, origin: &Origin) -> bool {
        let is_known = self.is_named(&origin.host) || HUB_HOSTS.iter().any(|host| is_within(&origin.host, host));
        is_known && (origin.https || !self.endpoint.https)
    }

    fn check_address(&self, host: &str, address: IpAddr) -> Result<(), PrivateAddress> {
        if is_public(address) || self.is_named(host) {
            return Ok(());
        }
        Err(PrivateAddress { host: host.to_owned(), address })
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} has the address {address}")]
struct PrivateAddress {
    host: String,
    address: IpAddr,
}

/// Names to addresses; looks at the very addresses that are then connected to.
#[derive(Debug)]
struct CheckedResolver {
    inner: DefaultResolver,
    rules: Rules,
}

impl Resolver for CheckedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // The operator's own proxy may be wherever it is. What lies behind it, it resolves itself.
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.uri() == uri);
        if !is_proxy {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
            for address in &*found {
                let checked = self.rules.check_address(&host, address.ip());
                checked.map_err(|private| ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, private)))?;
            }
        }
        Ok(found)
    }
}

/// An HTTP client that speaks to one hub and to whom it may redirect.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    rules: Rules,
    token: Option<Token>,
}

impl Client {
    pub(super) fn new(endpoint: &str, named: &[String], token: Option<Token>, ca_file: Option<&Path>) -> Result<Self, HubError> {
        let uri: Option<Uri> = endpoint.parse().ok();
        let endpoint = uri.as_ref().and_then(Origin::of).ok_or_else(|| HubError::Url { found: endpoint.to_owned() })?;
        let rules = Rules { endpoint, named: named.iter().map(|host| host.to_ascii_lowercase()).collect() };
        let mut tls = TlsConfig::builder();
        if let Some(path) = ca_file {
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates(path)?));
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Ranges are ranges of what lies on the hub's disk.
            .accept_encoding("identity")
            .user_agent(concat!("pol-ai/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(ANSWER))
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(READ))
            .timeout_recv_body(Some(BODY))
            .build();
        let resolver = CheckedResolver { inner: DefaultResolver::default(), rules: rules.clone() };
        Ok(Self { agent: Agent::with_parts(config, DefaultConnector::default(), resolver), rules, token })
    }

    /// Asks for a URL of the hub, or for some of its bytes, and follows redirects to allowed hosts. `what` is for people.
    pub(super) fn get(&self, url: &str, range: Option<(u64, u64)>, what: &str) -> Result<Response<Body>, HubError> {
        let bad_url = || HubError::Url { found: url.to_owned() };
        let mut uri: Uri = url.parse().map_err(|_| bad_url())?;
        let mut origin = Origin::of(&uri).filter(|origin| self.rules.allows(origin)).ok_or_else(bad_url)?;
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.agent.get(&uri);
            if let Some((first, last)) = range {
                request = request.header(header::RANGE, format!("bytes={first}-{last}"));
            }
            // Nobody but the hub learns the token.
            if let Some(token) = self.token.as_ref().filter(|_| origin == self.rules.endpoint) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
            }
            let response = request.call().map_err(|error| unreachable(&origin.host, error))?;
            if !response.status().is_redirection() {
                return checked(response, what);
            }
            let to = text(response.headers(), header::LOCATION);
            let next = to.and_then(|to| join(&uri, to)).and_then(|uri| Some((Origin::of(&uri)?, uri)));
            let allowed = next.filter(|(next, _)| self.rules.allows(next));
            let refused = || HubError::Redirect { from: origin.host.clone(), to: to.unwrap_or("nowhere").to_owned() };
            (origin, uri) = allowed.ok_or_else(refused)?;
        }
        Err(HubError::RedirectLoop { url: url.to_owned(), most: REDIRECTS_MAX })
    }
}

fn unreachable(host: &str, error: ureq::Error) -> HubError {
    if let ureq::Error::Io(inner) = &error
        && let Some(private) = inner.get_ref().and_then(|inner| inner.downcast_ref::<PrivateAddress>())
    {
        return HubError::PrivateAddress { host: private.host.clone(), address: private.address };
    }
    HubError::Unreachable { host: host.to_owned(), source: Box::new(error) }
}

fn checked(response: Response<Body>, what: &str) -> Result<Response<Body>, HubError> {
    let what = || what.to_owned();
    match response.status().as_u16() {
        200 | 206 => {}
        status @ (401 | 403) => return Err(HubError::Denied { what: what(), status }),
        404 => return Err(HubError::NotFound { what: what() }),
        status => return Err(HubError::Status { what: what(), status }),
    }
    let encoding = text(response.headers(), header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity");
    if let Some(encoding) = encoding {
        return Err(HubError::Answer { what: what(), reason: format!("content encoding {encoding}, which was not asked for") });
    }
    if text(response.headers(), header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html")) {
        let reason = "the answer is a page for people: is this a login or a proxy?".to_owned();
        return Err(HubError::Answer { what: what(), reason });
    }
    Ok(response)
}

/// A header, when it is there and plain text.
pub(super) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Where a redirect or a link leads from here.
pub(super) fn join(from: &Uri, to: &str) -> Option<Uri> {
    if to.starts_with("http://") || to.starts_with("https://") {
        return to.parse().ok();
    }
    let path = to.strip_prefix('/').filter(|rest| !rest.starts_with('/'))?;
    format!("{}://{}/{path}", from.scheme_str()?, from.authority()?).parse().ok()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, HubError> {
    let refused = |reason: String| HubError::Certificates { path: path.to_owned(), reason };
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(CERTIFICATE_BYTES_MAX).read_to_end(&mut pem));
    read.map_err(|error| refused(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| refused(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err(refused("no certificate in it".to_owned())) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests;
