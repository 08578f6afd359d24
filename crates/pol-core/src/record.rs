//! DHT records: the grammar of keys, and the values that are not ACKs or fault votes (section 7).
//!
//! # Contract
//! Only these keys exist. A value's first byte is its version, its length is exact, and its key follows from it. Around a value lies
//! an [`Envelope`]. Life times, quotas and membership are the DHT's to check.

mod announcement;
mod envelope;
mod id;
mod key;

pub use announcement::{ANNOUNCEMENT_BYTES, Announcement, AnnouncementError};
pub use envelope::{Envelope, EnvelopeError};
pub use id::{ID_FIXED_BYTES, IdData, IdError, RawIdRecord, VerifiedIdRecord};
pub use key::{KeyError, RecordKey, Topic};
