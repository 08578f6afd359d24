//! Server-sent events, bounded. (The published readers of this format buffer a line without limit.)

use core::{fmt, pin::Pin};

use futures::{Stream, StreamExt as _};
use reqwest::Response;

use super::BeaconError;

/// Bytes of one line; an event of ours has about 300.
const LINE_BYTES: usize = 64 << 10;

/// An event that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its topic.
    pub topic: String,
    /// Its JSON.
    pub data: String,
}

impl Event {
    /// The block that a `head` or `block` event names.
    pub fn block_root(&self) -> Option<[u8; 32]> {
        if !matches!(self.topic.as_str(), "head" | "block") {
            return None;
        }
        let json: serde_json::Value = serde_json::from_str(&self.data).ok()?;
        let mut root = [0; 32];
        hex::decode_to_slice(json.get("block")?.as_str()?.strip_prefix("0x")?, &mut root).ok()?;
        Some(root)
    }
}

type Bytes = Pin<Box<dyn Stream<Item = Result<Vec<u8>, reqwest::Error>> + Send>>;

/// A stream of events.
pub struct Events {
    bytes: Bytes,
    parser: Parser,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events(..)")
    }
}

impl Events {
    pub(super) fn new(response: Response) -> Self {
        let bytes = response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec()));
        Self { bytes: Box::pin(bytes), parser: Parser::default() }
    }

    /// The next event; none when the node ended the stream.
    ///
    /// # Errors
    /// [`BeaconError::Transport`], [`BeaconError::TooLong`].
    pub async fn next(&mut self) -> Result<Option<Event>, BeaconError> {
        loop {
            if let Some(event) = self.parser.next()? {
                return Ok(Some(event));
            }
            match self.bytes.next().await {
                Some(chunk) => self.parser.push(&chunk?)?,
                None => return Ok(None),
            }
        }
    }
}

#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
    topic: String,
    data: String,
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) -> Result<(), BeaconError> {
        self.buffer.extend_from_slice(chunk);
        let unread = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(self.buffer.len(), |at| self.buffer.len() - at);
        if unread > LINE_BYTES { Err(too_long()) } else { Ok(()) }
    }

    /// The next whole event of the buffer.
    fn next(&mut self) -> Result<Option<Event>, BeaconError> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let event = Event { topic: core::mem::take(&mut self.topic), data: core::mem::take(&mut self.data) };
                if !event.data.is_empty() {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.topic),
                "data" if self.data.len() + value.len() > LINE_BYTES => return Err(too_long()),
                "data" => self.data.push_str(value),
                // Comments keep the connection alive; ids and retry times are not ours.
                _ => {}
            }
        }
        Ok(None)
    }
}

fn too_long() -> BeaconError {
    BeaconError::TooLong { path: "events".to_owned(), most: LINE_BYTES }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Result<Vec<Event>, BeaconError> {
        let (mut parser, mut events) = (Parser::default(), Vec::new());
        for chunk in chunks {
            parser.push(chunk)?;
            while let Some(event) = parser.next()? {
                events.push(event);
            }
        }
        Ok(events)
    }

    #[test]
    fn events_are_found_wherever_the_bytes_are_cut() {
        let root = format!("0x{}", hex::encode([7; 32]));
        let text = format!(
            "event: head\ndata: {{\"block\":\"{root}\"}}\n\n:comment\r\nevent:block\r\ndata:{{\"block\":\"{root}\"}}\r\n\r\n"
        );
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            let events = parse(&[a, b]).unwrap();
            assert_eq!(events.len(), 2, "cut at {cut}");
            assert!(events.iter().all(|event| event.block_root() == Some([7; 32])));
        }
    }

    #[test]
    fn other_topics_and_broken_data_name_no_block() {
        for (topic, data) in [("head", "{}"), ("head", "x"), ("head", "{\"block\":\"0x00\"}"), ("chain_reorg", "{\"block\":1}")] {
            let event = Event { topic: topic.to_owned(), data: data.to_owned() };
            assert_eq!(event.block_root(), None);
        }
    }

    #[test]
    fn a_line_without_end_is_cut_off() {
        let chunk = [b'a'; 4_096];
        let chunks: Vec<&[u8]> = (0..17).map(|_| &chunk[..]).collect();
        assert!(matches!(parse(&chunks[..16]), Ok(events) if events.is_empty()));
        assert!(matches!(parse(&chunks), Err(BeaconError::TooLong { .. })));
        let data = format!("data:{}\n", "a".repeat(60_000));
        assert!(parse(&[data.as_bytes(), data.as_bytes()]).is_err(), "many lines of one event");
    }
}
