//! JSON lines and plain text, compressed or not, in one pass with bounded memory.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::read::{Counts, Packing, ReadError};
use crate::hub::{ReadAt, Sequential};

/// Longest line, or paragraph of a text; longer ones are passed over.
pub const LINE_BYTES_MAX: usize = 8 << 20;
/// Texts of one part.
pub const PART_TEXTS: u64 = 10_000;
/// How much larger than its file a stream may be, beyond the first bytes. Real text compresses 3 to 10 times.
const GROWTH_MAX: u64 = 200;
const GROWTH_FREE_BYTES: u64 = 64 << 20;
/// Zstandard's window, 2^25 bytes.
const WINDOW_LOG_MAX: u32 = 25;
const BUFFER_BYTES: usize = 1 << 18;

/// An open file of lines.
#[derive(Debug)]
pub(super) struct LineTexts {
    source: Arc<dyn ReadAt>,
    packing: Packing,
    /// The field of JSON objects; nothing for plain text.
    field: Option<String>,
    /// Where the last part ended, so that the next one goes on from there.
    open: Mutex<Option<Lines>>,
}

impl LineTexts {
    pub(super) const fn new(source: Arc<dyn ReadAt>, packing: Packing, field: Option<String>) -> Self {
        Self { source, packing, field, open: Mutex::new(None) }
    }

    /// Hands out texts number `part * PART_TEXTS` and the following. Parts in their order take one pass; another part goes through the earlier
    /// ones again.
    pub(super) fn read(&self, part: usize, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Counts, ReadError> {
        let first = (part as u64).saturating_mul(PART_TEXTS);
        let mut counts = Counts::default();
        let kept = self.open().take().filter(|lines| lines.number <= first);
        let mut lines = match kept {
            Some(lines) => lines,
            None => Lines { reader: self.stream()?, line: Vec::new(), number: 0 },
        };
        let mut paragraph = Vec::new();
        while lines.number < first.saturating_add(PART_TEXTS) {
            let is_mine = lines.number >= first;
            let found = match &self.field {
                Some(field) => lines.next_json(field, is_mine, counts.texts == 0)?,
                None => lines.next_paragraph(&mut paragraph)?,
            };
            let flow = match found {
                Found::End => break,
                _ if !is_mine => ControlFlow::Continue(()),
                Found::Missing => {
                    counts.missing = counts.missing.saturating_add(1);
                    ControlFlow::Continue(())
                }
                Found::TooLong => {
                    counts.too_long = counts.too_long.saturating_add(1);
                    ControlFlow::Continue(())
                }
                Found::Text(text) => counts.hand_out(text.as_bytes(), sink),
                Found::Bytes => counts.hand_out(&paragraph, sink),
            };
            if flow.is_break() {
                return Ok(counts);
            }
            lines.number = lines.number.saturating_add(1);
        }
        *self.open() = Some(lines);
        Ok(counts)
    }

    fn open(&self) -> MutexGuard<'_, Option<Lines>> {
        // Who panicked with it has left none.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stream(&self) -> Result<Box<dyn BufRead + Send>, ReadError> {
        let taken = Arc::new(AtomicU64::new(0));
        let inner = Counting { inner: Sequential::new(Arc::clone(&self.source), 0), taken: Arc::clone(&taken) };
        let inner = BufReader::with_capacity(BUFFER_BYTES, inner);
        let bounded = |inner: Box<dyn Read + Send>| -> Box<dyn BufRead + Send> {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, Bounded { inner, taken, given: 0 }))
        };
        Ok(match self.packing {
            Packing::Plain => Box::new(inner),
            Packing::Gzip => bounded(Box::new(MultiGzDecoder::new(inner))),
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(inner)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                bounded(Box::new(decoder))
            }
        })
    }
}

/// What stands next.
enum Found {
    End,
    /// A line without the field.
    Missing,
    TooLong,
    Text(String),
    /// In the caller's buffer.
    Bytes,
}

struct Lines {
    reader: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// Number of the next text.
    number: u64,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Lines {
    /// Reads a line without its end; false at the end of the stream. Nothing, when it was too long.
    fn next_line(&mut self) -> Result<Option<bool>, ReadError> {
        self.line.clear();
        let mut any = false;
        let mut fits = true;
        loop {
            let buffer = self.reader.fill_buf().map_err(stream_error)?;
            if buffer.is_empty() {
                break;
            }
            any = true;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            fits = fits && self.line.len().saturating_add(part.len()) <= LINE_BYTES_MAX;
            if fits {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(fits.then_some(any))
    }

    /// A line that is no JSON is passed over, but a file that begins with one is of another kind.
    fn next_json(&mut self, field: &str, wanted: bool, is_first: bool) -> Result<Found, ReadError> {
        loop {
            match self.next_line()? {
                None => return Ok(Found::TooLong),
                Some(false) => return Ok(Found::End),
                Some(true) if self.line.trim_ascii().is_empty() => {}
                Some(true) if !wanted => return Ok(Found::Missing),
                Some(true) => break,
            }
        }
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        match Field(field).deserialize(&mut json) {
            Ok(Some(text)) => Ok(Found::Text(text)),
            Ok(None) => Ok(Found::Missing),
            Err(error) if is_first => Err(ReadError::Format(format!("not JSON lines: {error}"))),
            Err(_) => Ok(Found::Missing),
        }
    }

    fn next_paragraph(&mut self, paragraph: &mut Vec<u8>) -> Result<Found, ReadError> {
        paragraph.clear();
        let mut fits = true;
        loop {
            let more = self.next_line()?;
            let is_empty = self.line.trim_ascii().is_empty();
            match more {
                Some(true) if !is_empty => {}
                Some(true) if paragraph.is_empty() && fits => continue,
                Some(false) if paragraph.is_empty() && fits => return Ok(Found::End),
                Some(_) => return Ok(if fits { Found::Bytes } else { Found::TooLong }),
                None => fits = false,
            }
            fits = fits && paragraph.len().saturating_add(self.line.len()) < LINE_BYTES_MAX;
            if fits {
                if !paragraph.is_empty() {
                    paragraph.push(b'\n');
                }
                paragraph.extend_from_slice(self.line.trim_ascii_end());
            }
        }
    }
}

/// Decoders wrap our errors; damaged streams are their own.
fn stream_error(error: io::Error) -> ReadError {
    match ReadError::from(error) {
        ReadError::Io(error) => ReadError::Format(format!("a damaged stream: {error}")),
        other => other,
    }
}

/// One field of a JSON object, the rest is passed over.
struct Field<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the field {}", self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if key == self.0 {
                found = map.next_value::<Option<String>>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Counts what is taken from the file.
struct Counting {
    inner: Sequential,
    taken: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Refuses to unpack much more than was taken from the file.
struct Bounded {
    inner: Box<dyn Read + Send>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.given = self.given.saturating_add(count as u64);
        let allowed = self.taken.load(Ordering::Relaxed).saturating_mul(GROWTH_MAX).saturating_add(GROWTH_FREE_BYTES);
        if self.given > allowed {
            return Err(io::Error::other(ReadError::Bomb { times: GROWTH_MAX }));
        }
        Ok(count)
    }
}
