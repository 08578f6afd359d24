//! What a repository on the hub holds, at one commit.

use std::io::Read as _;

use hf_hub::{Repo, RepoType};
use serde::{Deserialize, Serialize};
use ureq::http::{Uri, header};

use super::{
    client::{Client, join, text},
    error::HubError,
};

/// Longest answer to one question, bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Answers to one list, at most.
const PAGES_MAX: usize = 1_000;
/// Files of one list, at most.
pub const FILES_MAX: usize = 100_000;
/// Longest file that is read, bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 30;
const PATH_BYTES_MAX: usize = 512;
const NAME_BYTES_MAX: usize = 96;

/// What a repository is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepoKind {
    /// Weights.
    Model,
    /// Texts.
    Dataset,
}

/// A repository of the hub, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RepoName {
    /// What it is for.
    pub kind: RepoKind,
    id: String,
}

/// Not the name of a repository. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no name of a repository: expected owner/name")]
pub struct NameError {
    /// What was given.
    pub found: String,
}

impl RepoName {
    /// A repository `owner/name`.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn new(kind: RepoKind, id: &str) -> Result<Self, NameError> {
        let is_name = |name: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            (1..=NAME_BYTES_MAX).contains(&name.len())
                && name.bytes().all(allowed)
                && !name.contains("..")
                && !name.starts_with('.')
        };
        if id.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name)) {
            return Ok(Self { kind, id: id.to_owned() });
        }
        Err(NameError { found: id.to_owned() })
    }

    /// `owner/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same for hf-hub, which knows the hub's URLs and the layout of its cache.
    pub(super) fn at(&self, revision: &str) -> Repo {
        let kind = match self.kind {
            RepoKind::Model => RepoType::Model,
            RepoKind::Dataset => RepoType::Dataset,
        };
        Repo::with_revision(self.id.clone(), kind, revision.to_owned())
    }
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path in the repository.
    pub path: String,
    /// Its length, bytes.
    pub size: u64,
    /// SHA-256 of its content, hex; the hub knows it of large files.
    pub sha256: Option<String>,
}

/// Some files of a repository, all of one commit, by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The commit, 40 hex digits.
    pub commit: String,
    /// The files.
    pub files: Vec<FileEntry>,
}

#[derive(Deserialize)]
struct RawRevision {
    sha: String,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<RawLfs>,
}

#[derive(Deserialize)]
struct RawLfs {
    oid: String,
    size: u64,
}

/// Asks the hub for the files below `folder` that `keep` wants.
pub(super) fn ask(
    client: &Client,
    endpoint: &str,
    repo: &RepoName,
    revision: &str,
    folder: &str,
    keep: &dyn Fn(&str) -> bool,
) -> Result<Listing, HubError> {
    let what = format!("{} on {endpoint}", repo.id());
    let (bytes, _) = answer(client, &format!("{endpoint}/api/{}?expand[]=sha", repo.at(revision).api_url()), &what)?;
    let commit = parse::<RawRevision>(&bytes, &what)?.sha;
    if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(HubError::Answer { what, reason: format!("commit {commit:?} is none") });
    }
    let kind = if repo.kind == RepoKind::Model { "models" } else { "datasets" };
    let below = if folder.is_empty() { String::new() } else { format!("/{}", escaped(folder)) };
    let mut next = Some(format!("{endpoint}/api/{kind}/{}/tree/{commit}{below}?recursive=true", repo.id()));
    let mut files = Vec::new();
    for _ in 0..PAGES_MAX {
        let Some(url) = next.take() else { break };
        let (bytes, link) = answer(client, &url, &what)?;
        for raw in parse::<Vec<RawEntry>>(&bytes, &what)? {
            if raw.kind == "file" && keep(&raw.path) {
                files.push(entry(raw, &what)?);
            }
        }
        if files.len() > FILES_MAX {
            return Err(HubError::Answer { what, reason: format!("more than {FILES_MAX} files") });
        }
        let from: Option<Uri> = url.parse().ok();
        next = link.and_then(|link| Some(join(from.as_ref()?, &link)?.to_string()));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if next.is_some() || files.windows(2).any(|pair| matches!(pair, [a, b] if a.path == b.path)) {
        return Err(HubError::Answer { what, reason: "its list of files does not end, or repeats itself".to_owned() });
    }
    Ok(Listing { commit, files })
}

fn entry(raw: RawEntry, what: &str) -> Result<FileEntry, HubError> {
    let refused = |reason: &str| HubError::Answer { what: what.to_owned(), reason: format!("{:?}: {reason}", raw.path) };
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if raw.path.len() > PATH_BYTES_MAX || !raw.path.split('/').all(is_plain) || raw.path.chars().any(char::is_control) {
        return Err(refused("no path of a file"));
    }
    let size = raw.lfs.as_ref().map_or(raw.size, |lfs| lfs.size);
    if size > FILE_BYTES_MAX {
        return Err(refused("longer than any file that is read"));
    }
    let sha256 = raw.lfs.as_ref().map(|lfs| lfs.oid.trim_start_matches("sha256:").to_ascii_lowercase());
    if sha256.as_ref().is_some_and(|sha256| sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Err(refused("its hash is none"));
    }
    Ok(FileEntry { path: raw.path.clone(), size, sha256 })
}

/// The body of an answer, and where its continuation is.
fn answer(client: &Client, url: &str, what: &str) -> Result<(Vec<u8>, Option<String>), HubError> {
    let response = client.get(url, None, what)?;
    let link = text(response.headers(), header::LINK).and_then(next_link).map(str::to_owned);
    let mut bytes = Vec::new();
    let mut body = response.into_body().into_with_config().limit(ANSWER_BYTES_MAX).reader();
    let read = body.read_to_end(&mut bytes);
    read.map_err(|error| HubError::Answer { what: what.to_owned(), reason: format!("the answer broke off: {error}") })?;
    Ok((bytes, link))
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, HubError> {
    serde_json::from_slice(bytes)
        .map_err(|error| HubError::Answer { what: what.to_owned(), reason: format!("not the hub's JSON: {error}") })
}

/// `<URL>; rel="next"`, among others.
fn next_link(header: &str) -> Option<&str> {
    let link = header.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(link.split_once('<')?.1.split_once('>')?.0)
}

/// A path as it stands in a URL.
pub(super) fn escaped(path: &str) -> String {
    let mut url = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories_cannot_leave_their_place() {
        assert_eq!(RepoName::new(RepoKind::Dataset, "wikimedia/wikipedia").unwrap().id(), "wikimedia/wikipedia");
        for id in ["", "wikipedia", "a/b/c", "../b", "a/..", "a/", "/b", "a/b c", "a/b?x", "a/.git", "a\\b/c", "a/b..c"] {
            assert!(RepoName::new(RepoKind::Model, id).is_err(), "{id}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        let with = |path: &str, size| entry(RawEntry { kind: "file".into(), path: path.into(), size, lfs: None }, "x");
        assert!(with("data/a b.parquet", 7).is_ok());
        for path in ["../x", "/etc/passwd", "a//b", "a/./b", "a/../../b", "", "a\\b", "a\nb"] {
            assert!(with(path, 1).is_err(), "{path}");
        }
        assert!(with("x", FILE_BYTES_MAX + 1).is_err());
        let lfs = Some(RawLfs { oid: "../../x".into(), size: 1 });
        assert!(entry(RawEntry { kind: "file".into(), path: "x".into(), size: 1, lfs }, "x").is_err());
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        assert_eq!(next_link("<https://a/1>; rel=\"prev\", <https://a/2?c=x>; rel=\"next\""), Some("https://a/2?c=x"));
        assert_eq!(next_link("<https://a/1>; rel=\"prev\""), None);
    }

    #[test]
    fn paths_are_escaped_for_urls() {
        assert_eq!(escaped("data/a b#1?é.parquet"), "data/a%20b%231%3F%C3%A9.parquet");
    }
}
