//! The validator set on its way to the daemon: a header, then pages.
//!
//! # Contract
//! Pure. [`Incoming`] checks each page as it comes and hands it on; nothing is accumulated, so a million validators cost what the
//! receiver makes of them. What [`Incoming::finish`] has accepted is complete, without gap in the count, by strictly increasing index.
//!
//! # What it does not protect against
//! Keys are bytes here: whether one is a point, or stands there twice, is asked where it is used. The daemon believes the caller's
//! beacon state.

use pol_core::GenesisId;

use crate::{
    convert::{self, ConvertError},
    dht::v1::{self, set_validators_request},
    limits,
};

/// Why a set is refused. The sender's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorsError {
    /// A field.
    #[error(transparent)]
    Field(#[from] ConvertError),
    /// Of another chain.
    #[error("validators: found genesis id {found}, expected {expected}")]
    Chain {
        /// Chain of the set.
        found: GenesisId,
        /// Chain of this process.
        expected: GenesisId,
    },
    /// The stream does not begin with a header.
    #[error("validators: found no header, expected one before anything else")]
    NoHeader,
    /// A header after the header.
    #[error("validators: found a second header, expected pages")]
    SecondHeader,
    /// A part without content, or of a kind that this version does not know; or a page without validators.
    #[error("validators: found a part without content, expected a header or a page")]
    EmptyPart,
    /// Not in order, or one twice.
    #[error("validator index: found {found}, expected more than {previous}")]
    Order {
        /// Index found.
        found: u64,
        /// Index before it.
        previous: u64,
    },
    /// More than announced.
    #[error("validators: found at least {found}, expected {expected}")]
    Long {
        /// Received, with the page that was too much.
        found: usize,
        /// Announced.
        expected: usize,
    },
    /// Fewer than announced.
    #[error("validators: found {found}, expected {expected}")]
    Short {
        /// Received.
        found: usize,
        /// Announced.
        expected: usize,
    },
}

/// Some of the three epochs that a set covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Epochs {
    /// The one before the current.
    pub previous: bool,
    /// The current.
    pub current: bool,
    /// The one after it.
    pub next: bool,
}

impl Epochs {
    fn from_bits(field: &'static str, bits: u32, least: u32) -> Result<Self, ConvertError> {
        if (least..=7).contains(&bits) {
            return Ok(Self { previous: bits & 1 != 0, current: bits & 2 != 0, next: bits & 4 != 0 });
        }
        Err(ConvertError::Range { field, found: bits.into(), least: least.into(), most: 7 })
    }

    fn bits(self) -> u32 {
        u32::from(self.previous) | u32::from(self.current) << 1 | u32::from(self.next) << 2
    }
}

/// One validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validator {
    /// Index in the beacon state.
    pub index: u64,
    /// Compressed BLS key, not yet decoded.
    pub public_key: [u8; 48],
    /// When it is active: at least once.
    pub active: Epochs,
    /// When it has a seat: only while active.
    pub seats: Epochs,
}

impl TryFrom<&v1::Validator> for Validator {
    type Error = ConvertError;

    fn try_from(message: &v1::Validator) -> Result<Self, ConvertError> {
        let public_key = convert::fixed("public_key", &message.public_key)?;
        let active = Epochs::from_bits("active", message.active, 1)?;
        let seats = Epochs::from_bits("seats", message.seats, 0)?;
        if message.seats & !message.active != 0 {
            // A seat in an epoch in which it is not active.
            let (found, most) = (message.seats.into(), message.active.into());
            return Err(ConvertError::Range { field: "seats", found, least: 0, most });
        }
        Ok(Self { index: message.index, public_key, active, seats })
    }
}

impl From<&Validator> for v1::Validator {
    fn from(validator: &Validator) -> Self {
        Self {
            index: validator.index,
            public_key: convert::field(validator.public_key),
            active: validator.active.bits(),
            seats: validator.seats.bits(),
        }
    }
}

/// The header of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The current epoch.
    pub epoch: u64,
    /// Validators that follow.
    pub count: u32,
}

/// A set that is being received.
#[derive(Debug)]
pub struct Incoming {
    header: Header,
    expected: usize,
    received: usize,
    last: Option<u64>,
}

impl Incoming {
    /// Begins with the first message of the stream.
    ///
    /// # Errors
    /// [`ValidatorsError::NoHeader`], `EmptyPart`, `Field`, `Chain`.
    pub fn begin(message: Option<v1::SetValidatorsRequest>, chain: GenesisId) -> Result<Self, ValidatorsError> {
        let header = match message.ok_or(ValidatorsError::NoHeader)?.part {
            Some(set_validators_request::Part::Header(header)) => header,
            Some(set_validators_request::Part::Page(_)) => return Err(ValidatorsError::NoHeader),
            None => return Err(ValidatorsError::EmptyPart),
        };
        let found = convert::genesis_id(&header.genesis_id)?;
        if found != chain {
            return Err(ValidatorsError::Chain { found, expected: chain });
        }
        let most = usize::try_from(limits::VALIDATORS).unwrap_or(usize::MAX);
        let expected = usize::try_from(header.count).unwrap_or(usize::MAX);
        convert::at_most("count", expected, most)?;
        Ok(Self { header: Header { epoch: header.epoch, count: header.count }, expected, received: 0, last: None })
    }

    /// The header.
    pub const fn header(&self) -> Header {
        self.header
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// [`ValidatorsError`], all but `NoHeader`, `Chain` and `Short`. After an error the set is lost.
    pub fn page(&mut self, message: v1::SetValidatorsRequest) -> Result<Vec<Validator>, ValidatorsError> {
        let page = match message.part {
            Some(set_validators_request::Part::Page(page)) if !page.validators.is_empty() => page.validators,
            Some(set_validators_request::Part::Page(_)) | None => return Err(ValidatorsError::EmptyPart),
            Some(set_validators_request::Part::Header(_)) => return Err(ValidatorsError::SecondHeader),
        };
        convert::at_most("validators", page.len(), limits::VALIDATORS_PER_MESSAGE)?;
        let found = self.received.saturating_add(page.len());
        if found > self.expected {
            return Err(ValidatorsError::Long { found, expected: self.expected });
        }
        let mut checked = Vec::with_capacity(page.len());
        for message in &page {
            let validator = Validator::try_from(message)?;
            match self.last {
                Some(previous) if validator.index <= previous => {
                    return Err(ValidatorsError::Order { found: validator.index, previous });
                }
                _ => self.last = Some(validator.index),
            }
            checked.push(validator);
        }
        self.received = found;
        Ok(checked)
    }

    /// After the last page: the set is complete and may come into force.
    ///
    /// # Errors
    /// [`ValidatorsError::Short`].
    pub const fn finish(self) -> Result<Header, ValidatorsError> {
        if self.received == self.expected {
            Ok(self.header)
        } else {
            Err(ValidatorsError::Short { found: self.received, expected: self.expected })
        }
    }
}

/// The messages of a set, from an iterator that knows its length.
///
/// `validators` comes by strictly increasing index, at most [`limits::VALIDATORS`] of them; the daemon refuses anything else.
pub fn messages<I>(chain: GenesisId, epoch: u64, validators: I) -> impl Iterator<Item = v1::SetValidatorsRequest>
where
    I: ExactSizeIterator<Item = Validator>,
{
    let count = u32::try_from(validators.len()).unwrap_or(u32::MAX);
    let header = v1::ValidatorsHeader { genesis_id: convert::field(chain.0), epoch, count };
    let mut validators = validators;
    let pages = core::iter::from_fn(move || {
        let page: Vec<v1::Validator> =
            validators.by_ref().take(limits::VALIDATORS_PER_MESSAGE).map(|validator| (&validator).into()).collect();
        let part = set_validators_request::Part::Page(v1::ValidatorsPage { validators: page });
        Some(part).filter(|part| !matches!(part, set_validators_request::Part::Page(page) if page.validators.is_empty()))
    });
    core::iter::once(set_validators_request::Part::Header(header))
        .chain(pages)
        .map(|part| v1::SetValidatorsRequest { part: Some(part) })
}
