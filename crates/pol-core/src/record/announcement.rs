//! `ann:` records: "these bytes exist, for this head".

use super::RecordKey;
use crate::{
    ModelHead, UpdateId,
    params::DELTA_MAX_BYTES,
    ssz::{self, Reader},
};

/// Bytes of an announcement.
pub const ANNOUNCEMENT_BYTES: usize = 77;
const VERSION: u8 = 1;

/// Why an announcement is refused. The trainer's (peer's) fault, never transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnouncementError {
    /// Wrong length.
    #[error("announcement: found {found} bytes, expected {ANNOUNCEMENT_BYTES}")]
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Unknown version.
    #[error("announcement version: found {found:#04x}, expected 0x01")]
    Version {
        /// Byte found.
        found: u8,
    },
    /// The zero id names no update.
    #[error("announcement update id: found the zero id, expected the id of an update")]
    ZeroUpdate,
    /// A size no container can have.
    #[error("announcement size: found {found} bytes, expected 1 to {DELTA_MAX_BYTES}")]
    Size {
        /// Size found.
        found: u32,
    },
    /// Stored under a foreign key.
    #[error("announcement key: found a key that does not follow from value and signer, expected {expected}")]
    Key {
        /// The key that follows.
        expected: RecordKey,
    },
}

/// A candidate that a trainer offers. It is as trustworthy as the envelope around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// Id of the container.
    pub update_id: UpdateId,
    /// Head it applies to, in full: the key holds 64 bits of it.
    pub model_head: ModelHead,
    /// Bytes of the container, 1..=150,000.
    pub size: u32,
    /// Grows with each announcement of this trainer; the highest replaces the others.
    pub sequence: u64,
}

impl Announcement {
    /// Reads a record's value.
    ///
    /// # Errors
    /// [`AnnouncementError`], all but `Key`.
    pub fn decode(value: &[u8]) -> Result<Self, AnnouncementError> {
        let bytes: &[u8; ANNOUNCEMENT_BYTES] = value.try_into().map_err(|_| AnnouncementError::Length { found: value.len() })?;
        let mut reader = Reader(bytes);
        let [version] = reader.take();
        if version != VERSION {
            return Err(AnnouncementError::Version { found: version });
        }
        let announcement = Self {
            update_id: UpdateId(reader.take()),
            model_head: ModelHead(reader.take()),
            size: u32::from_le_bytes(reader.take()),
            sequence: u64::from_le_bytes(reader.take()),
        };
        if announcement.update_id.is_zero() {
            return Err(AnnouncementError::ZeroUpdate);
        }
        let found = announcement.size;
        match usize::try_from(found) {
            Ok(1..=DELTA_MAX_BYTES) => Ok(announcement),
            _ => Err(AnnouncementError::Size { found }),
        }
    }

    /// Reads a value stored under `key` in an envelope signed by `trainer`.
    ///
    /// # Errors
    /// [`AnnouncementError`], each variant.
    pub fn decode_at(key: &RecordKey, trainer: [u8; 32], value: &[u8]) -> Result<Self, AnnouncementError> {
        let announcement = Self::decode(value)?;
        let expected = RecordKey::ann(announcement.model_head, trainer);
        if *key == expected { Ok(announcement) } else { Err(AnnouncementError::Key { expected }) }
    }

    /// The value's bytes.
    pub fn to_value(&self) -> [u8; ANNOUNCEMENT_BYTES] {
        let fields = [VERSION]
            .into_iter()
            .chain(self.update_id.0)
            .chain(self.model_head.0)
            .chain(self.size.to_le_bytes())
            .chain(self.sequence.to_le_bytes());
        ssz::filled(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_survives_its_bytes_and_only_under_its_key() {
        let announcement =
            Announcement { update_id: UpdateId([1; 32]), model_head: ModelHead([2; 32]), size: 150_000, sequence: 9 };
        let (value, trainer) = (announcement.to_value(), [7; 32]);
        let key = RecordKey::ann(announcement.model_head, trainer);
        assert_eq!(Announcement::decode_at(&key, trainer, &value), Ok(announcement));
        assert_eq!(
            Announcement::decode_at(&key, [8; 32], &value).unwrap_err(),
            AnnouncementError::Key { expected: RecordKey::ann(announcement.model_head, [8; 32]) }
        );
        for size in [0, 150_001, u32::MAX] {
            let bad = Announcement { size, ..announcement }.to_value();
            assert_eq!(Announcement::decode(&bad), Err(AnnouncementError::Size { found: size }));
        }
        assert_eq!(Announcement::decode(&value[1..]), Err(AnnouncementError::Length { found: 76 }));
        let zero = Announcement { update_id: UpdateId::ZERO, ..announcement }.to_value();
        assert_eq!(Announcement::decode(&zero), Err(AnnouncementError::ZeroUpdate));
        let mut version = value;
        version[0] = 2;
        assert_eq!(Announcement::decode(&version), Err(AnnouncementError::Version { found: 2 }));
    }
}
