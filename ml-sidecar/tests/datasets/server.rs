//! A hub for tests: the API of the Hugging Face hub as far as it is used, over plain HTTP, honest or lying.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use sha2::{Digest as _, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files on one page of a list.
const PAGE: usize = 2;

/// What is wrong with a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Files are one byte longer than the list says.
    Size,
    /// A page for people instead of files.
    Html,
    /// Files lie at this address.
    RedirectTo(&'static str),
    RedirectLoop,
    /// Every answer ends after so many bytes.
    StopAfter(u64),
    /// Only the first so many answers break off, each after a megabyte and a half.
    StopTimes(u64),
    /// Ranges are not known: everything is always sent.
    NoRanges,
    /// Bytes from the beginning, whatever was asked for.
    OtherRange,
    /// Another content than the list's hash.
    Hash,
    /// This status instead of files, so many times.
    Status(u16, u64),
    /// This status instead of the list.
    ListStatus(u16),
    ListEndless,
    ListNoJson,
    /// A path that leads out of the cache.
    ListTraversal,
    /// Compressed, though that was not asked for.
    Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) token: Option<String>,
}

/// By `datasets/owner/name` or `owner/name`, the files of a repository.
pub(crate) type Repositories = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

struct State {
    repositories: Repositories,
    fault: Mutex<Fault>,
    faults: AtomicU64,
    requests: Mutex<Vec<Request>>,
    body_bytes: AtomicU64,
    stopped: AtomicBool,
}

pub(crate) struct TestHub {
    address: SocketAddr,
    state: Arc<State>,
}

impl TestHub {
    pub(crate) fn start(repositories: Repositories) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), repositories)
    }

    /// The same at a place that somebody holds already.
    pub(crate) fn start_on(listener: TcpListener, repositories: Repositories) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            repositories,
            fault: Mutex::new(Fault::None),
            faults: AtomicU64::new(0),
            requests: Mutex::new(Vec::new()),
            body_bytes: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(&stream.unwrap()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
        self.state.faults.store(0, Ordering::Relaxed);
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }

    /// Bytes of files that were sent since the last call.
    pub(crate) fn sent(&self) -> u64 {
        self.state.body_bytes.swap(0, Ordering::Relaxed)
    }

    /// From now on nobody answers at this address.
    pub(crate) fn stop(self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

struct Answer {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    /// Bytes of the body that are sent.
    end: usize,
}

impl Answer {
    fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { status, headers: vec![format!("Content-Type: {kind}")], end: body.len(), body }
    }

    fn redirect(to: &str) -> Self {
        let mut answer = Self::new(302, "text/plain", "");
        answer.headers.push(format!("Location: {to}"));
        answer
    }
}

impl State {
    /// One request a connection.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let path = line.split(' ').nth(1).unwrap().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let range = headers.get("range").map(|range| {
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            (first.parse().unwrap(), last.parse().unwrap())
        });
        let request = Request { host: headers["host"].clone(), path, range, token: headers.get("authorization").cloned() };
        assert_eq!(headers.get("accept-encoding").map(String::as_str), Some("identity"));
        self.requests.lock().unwrap().push(request.clone());
        let answer = self.answer(&request);
        let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\nConnection: close\r\n", answer.status, answer.body.len());
        answer.headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        let mut stream = stream;
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"\r\n"));
        let _ = sent.and_then(|()| stream.write_all(&answer.body[..answer.end]));
    }

    fn answer(&self, request: &Request) -> Answer {
        let fault = *self.fault.lock().unwrap();
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let missing = || Answer::new(404, "application/json", "{\"error\":\"not found\"}");
        if let Some(rest) = path.strip_prefix("/api/") {
            return self.api(rest, query, fault).unwrap_or_else(missing);
        }
        if let Some((repository, rest)) = path.trim_start_matches('/').split_once("/resolve/") {
            let (commit, file) = rest.split_once('/').unwrap();
            assert_eq!(commit, COMMIT, "files are asked for at the commit of the list");
            // As the real one: large files lie elsewhere.
            return match fault {
                Fault::RedirectTo(to) => Answer::redirect(to),
                Fault::RedirectLoop => Answer::redirect(&request.path),
                _ => Answer::redirect(&format!("/cdn/{repository}?file={file}")),
            };
        }
        let file = path
            .strip_prefix("/cdn/")
            .and_then(|repository| self.repositories.get(repository)?.get(query.strip_prefix("file=")?));
        file.map_or_else(missing, |file| self.file(file.clone(), request.range, fault))
    }

    fn api(&self, rest: &str, query: &str, fault: Fault) -> Option<Answer> {
        let json = |value: serde_json::Value| Answer::new(200, "application/json", value.to_string());
        match fault {
            Fault::ListStatus(status) => return Some(Answer::new(status, "application/json", "{}")),
            Fault::ListNoJson => return Some(Answer::new(200, "application/json", "<html>")),
            _ => {}
        }
        if let Some((_, "main")) = rest.split_once("/revision/") {
            return Some(json(serde_json::json!({ "id": "x", "sha": COMMIT, "siblings": [] })));
        }
        let (repository, below) = rest.split_once(&format!("/tree/{COMMIT}"))?;
        let folder = below.trim_start_matches('/');
        let files = self.repositories.get(repository.strip_prefix("models/").unwrap_or(repository))?;
        let within = files.iter().filter(|(path, _)| folder.is_empty() || path.starts_with(&format!("{folder}/")));
        let page: usize = query.split("page=").nth(1).map_or(0, |page| page.parse().unwrap());
        let mut entries: Vec<serde_json::Value> = within.map(|(path, bytes)| entry(path, bytes, fault)).collect();
        if entries.is_empty() {
            return None;
        }
        entries.insert(0, serde_json::json!({ "type": "directory", "oid": "0", "size": 0, "path": folder }));
        if fault == Fault::ListTraversal {
            entries.insert(
                0,
                serde_json::json!({ "type": "file", "size": 1, "path": format!("{folder}/train-/../../../x.parquet") }),
            );
        }
        let has_more = entries.len() > (page + 1) * PAGE || fault == Fault::ListEndless;
        let mut answer = json(entries.iter().skip(page * PAGE).take(PAGE).cloned().collect());
        if has_more {
            let next = format!("/api/{rest}?recursive=true&page={}", page + 1);
            answer.headers.push(format!("Link: <{next}>; rel=\"next\""));
        }
        Some(answer)
    }

    fn file(&self, mut bytes: Vec<u8>, range: Option<(u64, u64)>, fault: Fault) -> Answer {
        let number = self.faults.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::Html => return Answer::new(200, "text/html; charset=utf-8", "<html>Please log in</html>"),
            Fault::Status(status, times) if number < times => return Answer::new(status, "text/plain", "busy"),
            Fault::Size => bytes.push(0),
            Fault::Hash => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            _ => {}
        }
        let total = bytes.len();
        let (first, last) = range.filter(|_| fault != Fault::NoRanges).unwrap_or((0, total as u64 - 1));
        let (first, end) = (usize::try_from(first).unwrap(), usize::try_from(last + 1).unwrap().min(total));
        let part = if fault == Fault::OtherRange { bytes[..end - first].to_vec() } else { bytes[first..end].to_vec() };
        let mut answer = Answer::new(if fault == Fault::NoRanges { 200 } else { 206 }, "application/octet-stream", part);
        answer.headers.push("ETag: \"../../evil\"".to_owned());
        if fault != Fault::NoRanges {
            let sent_from = if fault == Fault::OtherRange { 0 } else { first };
            answer.headers.push(format!("Content-Range: bytes {sent_from}-{}/{total}", end - 1));
        }
        match fault {
            Fault::StopAfter(most) => answer.end = answer.end.min(usize::try_from(most).unwrap()),
            Fault::StopTimes(times) if number < times => answer.end = answer.end.min(3 << 19),
            Fault::Encoding => answer.headers.push("Content-Encoding: gzip".to_owned()),
            _ => {}
        }
        self.body_bytes.fetch_add(answer.end as u64, Ordering::Relaxed);
        answer
    }
}

fn entry(path: &str, bytes: &[u8], fault: Fault) -> serde_json::Value {
    // As on the real one: small files are in git itself, without a SHA-256.
    if path.ends_with(".json") && fault != Fault::Hash {
        return serde_json::json!({ "type": "file", "oid": "1".repeat(40), "size": bytes.len(), "path": path });
    }
    let sha256 = hex::encode(Sha256::digest(bytes));
    serde_json::json!({
        "type": "file", "oid": "1".repeat(40), "size": bytes.len(), "path": path,
        "lfs": { "oid": sha256, "size": bytes.len(), "pointerSize": 134 },
    })
}
