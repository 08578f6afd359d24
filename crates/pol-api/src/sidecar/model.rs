//! The model state, judging on demand and exports, as checked values.

use pol_core::{ModelHead, ResultRoot, UpdateId};
use prost::bytes::Bytes;

use super::{Verdict, v1};
use crate::{
    chunks::{self, Assembler, ChunkError, Part},
    common::v1::TransferHeader,
    convert::{self, ConvertError, printable},
    limits::{ALARM_TEXT_BYTES, DELTA_BYTES, NAME_BYTES},
};

/// Files of one export, at most.
pub const EXPORT_FILES: usize = 8;

/// Where the model of a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelState {
    /// The head of the newest state that it knows.
    pub model_head: ModelHead,
    /// Updates up to it.
    pub updates: u64,
    /// Its root.
    pub root: ResultRoot,
    /// The newest final head whose state it knows.
    pub finalized_head: ModelHead,
    /// Updates up to that.
    pub finalized_updates: u64,
    /// Accepted updates whose bytes it does not have yet.
    pub behind: u64,
    /// The chain's own head.
    pub chain_head: ModelHead,
    /// False while the state is a snapshot's that no certificates confirmed.
    pub confirmed: bool,
}

impl TryFrom<&v1::ModelState> for ModelState {
    type Error = ConvertError;

    fn try_from(message: &v1::ModelState) -> Result<Self, ConvertError> {
        Ok(Self {
            model_head: ModelHead(convert::fixed("model_head", &message.model_head)?),
            updates: message.updates,
            root: ResultRoot(convert::fixed("root", &message.root)?),
            finalized_head: ModelHead(convert::fixed("finalized_head", &message.finalized_head)?),
            finalized_updates: message.finalized_updates,
            behind: message.behind,
            chain_head: ModelHead(convert::fixed("chain_head", &message.chain_head)?),
            confirmed: message.confirmed,
        })
    }
}

impl TryFrom<&v1::ModelStateResponse> for ModelState {
    type Error = ConvertError;

    fn try_from(message: &v1::ModelStateResponse) -> Result<Self, ConvertError> {
        message.state.as_ref().ok_or(ConvertError::Missing { field: "state" })?.try_into()
    }
}

impl From<&ModelState> for v1::ModelState {
    fn from(state: &ModelState) -> Self {
        Self {
            model_head: convert::field(state.model_head.0),
            updates: state.updates,
            root: convert::field(state.root.0),
            finalized_head: convert::field(state.finalized_head.0),
            finalized_updates: state.finalized_updates,
            behind: state.behind,
            chain_head: convert::field(state.chain_head.0),
            confirmed: state.confirmed,
        }
    }
}

/// What is to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validate {
    /// An update that pol-dht finds.
    Known(UpdateId),
    /// A container, at most 150,000 bytes; no more is known of it.
    Container(Bytes),
}

impl TryFrom<v1::ValidateRequest> for Validate {
    type Error = ConvertError;

    fn try_from(message: v1::ValidateRequest) -> Result<Self, ConvertError> {
        match message.update.ok_or(ConvertError::Missing { field: "update" })? {
            v1::validate_request::Update::UpdateId(id) => Ok(Self::Known(convert::update_id(&id)?)),
            v1::validate_request::Update::Container(bytes) => {
                convert::at_most("container", bytes.len(), DELTA_BYTES)?;
                Ok(Self::Container(bytes))
            }
        }
    }
}

impl From<Validate> for v1::ValidateRequest {
    fn from(request: Validate) -> Self {
        let update = match request {
            Validate::Known(id) => v1::validate_request::Update::UpdateId(convert::field(id.0)),
            Validate::Container(bytes) => v1::validate_request::Update::Container(bytes),
        };
        Self { update: Some(update) }
    }
}

/// The gate's answer on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, printable ASCII.
    pub reason: String,
    /// Predicted tokens of one pass.
    pub tokens: u64,
    /// Time it took.
    pub milliseconds: u64,
}

impl TryFrom<v1::ValidateResponse> for Validated {
    type Error = ConvertError;

    fn try_from(message: v1::ValidateResponse) -> Result<Self, ConvertError> {
        convert::text("reason", &message.reason, ALARM_TEXT_BYTES)?;
        let verdict = Verdict::try_from(v1::VerdictsResponse { verdict: message.verdict })?;
        Ok(Self { verdict, reason: message.reason, tokens: message.tokens, milliseconds: message.milliseconds })
    }
}

impl From<&Validated> for v1::ValidateResponse {
    fn from(validated: &Validated) -> Self {
        Self {
            verdict: v1::VerdictsResponse::from(&validated.verdict).verdict,
            reason: printable(&validated.reason, ALARM_TEXT_BYTES),
            tokens: validated.tokens,
            milliseconds: validated.milliseconds,
        }
    }
}

/// How an adapter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterFormat {
    /// The two files of a PEFT folder.
    Peft,
    /// One file with the chain's integers.
    State,
}

impl TryFrom<i32> for AdapterFormat {
    type Error = ConvertError;

    fn try_from(number: i32) -> Result<Self, ConvertError> {
        match v1::AdapterFormat::try_from(number) {
            Ok(v1::AdapterFormat::Peft) => Ok(Self::Peft),
            Ok(v1::AdapterFormat::State) => Ok(Self::State),
            Ok(v1::AdapterFormat::Unspecified) | Err(_) => {
                Err(ConvertError::Range { field: "format", found: number.into(), least: 1, most: 2 })
            }
        }
    }
}

impl From<AdapterFormat> for v1::AdapterFormat {
    fn from(format: AdapterFormat) -> Self {
        match format {
            AdapterFormat::Peft => Self::Peft,
            AdapterFormat::State => Self::State,
        }
    }
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The messages of an export. Files share their bytes, nothing is copied.
pub fn export_messages(
    model_head: ModelHead,
    files: Vec<ExportedFile>,
) -> impl Iterator<Item = v1::ExportAdapterResponse> + Send + use<> {
    files.into_iter().take(EXPORT_FILES).flat_map(move |file| {
        let name = printable(&file.name, NAME_BYTES);
        chunks::split(&file.bytes).map(move |part| {
            let part = match part {
                Part::Header(transfer) => v1::export_adapter_response::Part::File(v1::ExportFile {
                    name: name.clone(),
                    transfer: Some(transfer),
                    model_head: convert::field(model_head.0),
                }),
                Part::Chunk(chunk) => v1::export_adapter_response::Part::Chunk(chunk),
            };
            v1::ExportAdapterResponse { part: Some(part) }
        })
    })
}

/// Why an export is refused. The server's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A field.
    #[error(transparent)]
    Field(#[from] ConvertError),
    /// A file's parts.
    #[error(transparent)]
    Transfer(#[from] ChunkError),
    /// A name that could lead out of a folder.
    #[error("export: found the file name {found:?}, expected one without folders")]
    Name {
        /// The name.
        found: String,
    },
}

/// Puts the files of an export together.
#[derive(Debug)]
pub struct ExportReader {
    most: usize,
    files: Vec<ExportedFile>,
    open: Option<(String, Assembler)>,
}

impl ExportReader {
    /// Of files of at most `most` bytes each.
    pub const fn new(most: usize) -> Self {
        Self { most, files: Vec::new(), open: None }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// [`ExportError`]; the export is lost then.
    pub fn push(&mut self, message: v1::ExportAdapterResponse) -> Result<(), ExportError> {
        match message.part.ok_or(ChunkError::EmptyPart)? {
            v1::export_adapter_response::Part::File(file) => {
                self.close()?;
                convert::at_most("files", self.files.len().saturating_add(1), EXPORT_FILES)?;
                convert::text("name", &file.name, NAME_BYTES)?;
                if file.name.is_empty() || file.name.starts_with('.') || file.name.contains(['/', '\\']) {
                    return Err(ExportError::Name { found: file.name });
                }
                let transfer: TransferHeader = file.transfer.ok_or(ConvertError::Missing { field: "transfer" })?;
                let mut assembler = Assembler::new(self.most);
                assembler.push(&Part::Header(transfer))?;
                self.open = Some((file.name, assembler));
                Ok(())
            }
            v1::export_adapter_response::Part::Chunk(chunk) => {
                let (_, assembler) = self.open.as_mut().ok_or(ChunkError::NoHeader)?;
                Ok(assembler.push(&Part::Chunk(chunk))?)
            }
        }
    }

    /// The files, after the stream has ended.
    ///
    /// # Errors
    /// [`ExportError::Transfer`]: the last one is not complete, or there is none.
    pub fn finish(mut self) -> Result<Vec<ExportedFile>, ExportError> {
        self.close()?;
        if self.files.is_empty() { Err(ChunkError::NoHeader.into()) } else { Ok(self.files) }
    }

    fn close(&mut self) -> Result<(), ExportError> {
        if let Some((name, assembler)) = self.open.take() {
            self.files.push(ExportedFile { name, bytes: assembler.finish()?.into_bytes().into() });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
