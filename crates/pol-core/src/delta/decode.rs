//! From bytes to a checked container (section 14).

use super::{
    body::{self, Records},
    error::DeltaError,
    header::{Context, Header, Kind},
    profile::Profile,
    record::Record,
    signature,
};
use crate::{
    ModelHead, UpdateId,
    params::DELTA_MAX_BYTES,
    state::{CHUNK_VALUES, Shape, to_usize},
};

/// Bytes that may be a container: their number is bounded, nothing else is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDelta(Vec<u8>);

impl RawDelta {
    /// Takes bytes over without copying them.
    ///
    /// # Errors
    /// [`DeltaError::TooLong`] above DELTA_MAX_BYTES.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DeltaError> {
        check_size(&bytes)?;
        Ok(Self(bytes))
    }

    /// Copies bytes after their length was checked.
    ///
    /// # Errors
    /// [`DeltaError::TooLong`] above DELTA_MAX_BYTES.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, DeltaError> {
        check_size(bytes)?;
        Ok(Self(bytes.to_vec()))
    }

    /// What [`super::Unsigned::sign`] made: its length follows from counts that were checked there.
    pub(super) const fn signed(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Checks everything but the signature.
    ///
    /// # Errors
    /// The first [`DeltaError`] found; the author's or sender's fault.
    pub fn check_structure(self, context: &Context) -> Result<StructurallyValid, DeltaError> {
        let bytes = self.0;
        let header = Header::read(&bytes, context)?;
        match header.kind {
            Kind::Delta => body::check_delta(&header, &bytes, context)?,
            Kind::Merge => body::check_merge(&header, &bytes)?,
            Kind::Void => body::check_void(&header, &bytes)?,
        }
        let (digest, update_id) = signature::hashes(&bytes);
        let container = Container { bytes, update_id, header };
        let checked = match header.kind {
            Kind::Delta => Checked::Delta(CheckedDelta { container, shape: context.shape, profile: context.profile }),
            Kind::Merge => Checked::Merge(CheckedMerge { container }),
            Kind::Void => Checked::Void(CheckedVoid { container }),
        };
        Ok(StructurallyValid { checked, digest })
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first [`DeltaError`] found; the author's or sender's fault.
    pub fn check(self, context: &Context) -> Result<Checked, DeltaError> {
        self.check_structure(context)?.verify()
    }
}

const fn check_size(bytes: &[u8]) -> Result<(), DeltaError> {
    if bytes.len() > DELTA_MAX_BYTES { Err(DeltaError::TooLong { found: bytes.len() }) } else { Ok(()) }
}

/// Copies, then checks structure and signature: the whole of section 14 but for what names other containers or heads.
///
/// # Errors
/// The first [`DeltaError`] found; the author's or sender's fault.
pub fn decode(bytes: &[u8], context: &Context) -> Result<Checked, DeltaError> {
    RawDelta::from_slice(bytes)?.check(context)
}

/// [`decode`] without the curve operation, which is left to [`StructurallyValid::verify`].
///
/// # Errors
/// The first [`DeltaError`] found; the author's or sender's fault.
pub fn decode_structure(bytes: &[u8], context: &Context) -> Result<StructurallyValid, DeltaError> {
    RawDelta::from_slice(bytes)?.check_structure(context)
}

/// A canonical container of this chain whose signature nobody looked at yet.
#[derive(Debug, Clone)]
pub struct StructurallyValid {
    checked: Checked,
    digest: [u8; 32],
}

impl StructurallyValid {
    /// Its update id.
    pub const fn update_id(&self) -> UpdateId {
        self.checked.update_id()
    }

    /// Its header, unsigned as yet.
    pub const fn header(&self) -> &Header {
        self.checked.header()
    }

    /// Checks the signature under the strict rule.
    ///
    /// # Errors
    /// [`DeltaError::Key`] or [`DeltaError::Signature`]; the author's fault, or a forgery.
    pub fn verify(self) -> Result<Checked, DeltaError> {
        let container = self.checked.container();
        let signature = container.bytes.last_chunk().ok_or(DeltaError::Signature)?;
        signature::verify(&container.header.trainer, &self.digest, signature)?;
        Ok(self.checked)
    }
}

/// A container that passed every check of section 14 that needs nothing but the container and the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Kind 0.
    Delta(CheckedDelta),
    /// Kind 1. Its children are not looked at yet: see [`super::merge()`].
    Merge(CheckedMerge),
    /// Kind 2. That its head is a proper ancestor is asked in [`crate::state::fold`].
    Void(CheckedVoid),
}

impl Checked {
    const fn container(&self) -> &Container {
        match self {
            Self::Delta(delta) => &delta.container,
            Self::Merge(merge) => &merge.container,
            Self::Void(void) => &void.container,
        }
    }

    /// `H(container bytes)`.
    pub const fn update_id(&self) -> UpdateId {
        self.container().update_id
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.container().header
    }

    /// The container, signature included.
    pub fn as_bytes(&self) -> &[u8] {
        &self.container().bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Container {
    bytes: Vec<u8>,
    update_id: UpdateId,
    header: Header,
}

macro_rules! container_accessors {
    ($name:ident) => {
        impl $name {
            /// `H(container bytes)`.
            pub const fn update_id(&self) -> UpdateId {
                self.container.update_id
            }

            /// The header.
            pub const fn header(&self) -> &Header {
                &self.container.header
            }

            /// The container, signature included.
            pub fn as_bytes(&self) -> &[u8] {
                &self.container.bytes
            }

            /// The container, signature included, owned.
            pub fn into_bytes(self) -> Vec<u8> {
                self.container.bytes
            }
        }
    };
}

/// A checked container of kind 0: the changed values, decoded as they are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedDelta {
    container: Container,
    shape: Shape,
    profile: Profile,
}
container_accessors!(CheckedDelta);

/// A checked container of kind 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedMerge {
    container: Container,
}
container_accessors!(CheckedMerge);

/// A checked container of kind 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedVoid {
    container: Container,
}
container_accessors!(CheckedVoid);

impl CheckedDelta {
    /// The shape it was checked against.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Values it changes.
    pub fn change_count(&self) -> usize {
        to_usize(self.container.header.record_count).saturating_mul(self.profile.positions())
    }

    /// (chunk, decoded record) in chunk order.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, Record)> {
        body::records(body::of(&self.container.bytes), &self.shape).map(|(chunk, bytes)| {
            let mut record = Record::EMPTY;
            record.read(self.profile, bytes);
            (chunk, record)
        })
    }

    /// (flat index, change in units) with strictly increasing indices; no change is 0 and each is below 2^30.
    pub fn changes(&self) -> Changes<'_> {
        let records = body::records(body::of(&self.container.bytes), &self.shape);
        Changes { records, profile: self.profile, base: 0, record: Record::EMPTY, next: 0 }
    }
}

impl CheckedMerge {
    /// (update id, weight) with strictly increasing ids.
    pub fn children(&self) -> impl ExactSizeIterator<Item = (UpdateId, u16)> {
        body::children(body::of(&self.container.bytes))
    }
}

impl CheckedVoid {
    /// The head to return to.
    pub fn target(&self) -> ModelHead {
        body::target(body::of(&self.container.bytes))
    }
}

/// Iterator of [`CheckedDelta::changes`]: one record at a time is decoded, on the stack.
#[derive(Debug, Clone)]
pub struct Changes<'a> {
    records: Records<'a>,
    profile: Profile,
    base: u32,
    record: Record,
    next: usize,
}

impl Iterator for Changes<'_> {
    type Item = (u32, i32);

    fn next(&mut self) -> Option<(u32, i32)> {
        loop {
            if let Some((position, value)) = self.record.get(self.next) {
                self.next = self.next.wrapping_add(1);
                return Some((self.base.wrapping_add(u32::from(position)), value));
            }
            let (chunk, record) = self.records.next()?;
            self.base = chunk.wrapping_mul(CHUNK_VALUES);
            self.record.read(self.profile, record);
            self.next = 0;
        }
    }
}
