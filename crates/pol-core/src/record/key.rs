//! The strict grammar of DHT keys and gossip topics.

use core::{fmt, str::FromStr};

use crate::{
    GenesisId, Hash32, ModelHead, UpdateId,
    identity::PeerId,
    text::{self, HexError},
};

/// Longest key: `ann:` 16 `:` 64. A longer one is refused before anything else is looked at.
const KEY_BYTES_MAX: usize = 85;

/// Why bytes are not a DHT key. The peer's fault, never transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Longer than any key.
    #[error("DHT key: found {found} bytes, expected at most {KEY_BYTES_MAX}")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// Not ASCII.
    #[error("DHT key: found bytes that are not ASCII")]
    NotAscii,
    /// None of the known prefixes.
    #[error("DHT key: found no known prefix, expected ack:, ann:, id:, fault:, upd: or snap:")]
    Prefix,
    /// Too few or too many parts between colons.
    #[error("DHT key: found {found} parts after {prefix}:, expected {expected}")]
    Parts {
        /// The prefix.
        prefix: &'static str,
        /// Parts found.
        found: usize,
        /// Parts expected.
        expected: usize,
    },
    /// A part that is not the lower-case hex it should be.
    #[error("DHT key {0}")]
    Hex(#[from] HexError),
}

/// A key of section 7. Prints as its one textual form and parses from nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// `ack:{updateID[:16]}:{peerID}`
    Ack {
        /// First 8 bytes of the update id.
        update: [u8; 8],
        /// The member.
        peer: PeerId,
    },
    /// `ann:{modelHead[:16]}:{trainer 64}`
    Ann {
        /// First 8 bytes of the model head.
        head: [u8; 8],
        /// The trainer's Ed25519 key.
        trainer: [u8; 32],
    },
    /// `id:{peerID}`
    Id {
        /// The validator.
        peer: PeerId,
    },
    /// `fault:{block_root[:16]}:{peerID}`
    Fault {
        /// First 8 bytes of the refused block's root.
        block: [u8; 8],
        /// The voter.
        peer: PeerId,
    },
    /// `upd:{updateID}`: providers of a container's bytes.
    Update(UpdateId),
    /// `snap:{modelHead}`: providers of a snapshot.
    Snapshot(ModelHead),
}

const fn first8(bytes: &[u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *bytes;
    [a, b, c, d, e, f, g, h]
}

impl RecordKey {
    /// Key of a member's ACK.
    pub const fn ack(update_id: UpdateId, peer: PeerId) -> Self {
        Self::Ack { update: first8(&update_id.0), peer }
    }

    /// Key of a trainer's announcement.
    pub const fn ann(head: ModelHead, trainer: [u8; 32]) -> Self {
        Self::Ann { head: first8(&head.0), trainer }
    }

    /// Key of a fault vote.
    pub const fn fault(block_root: Hash32, peer: PeerId) -> Self {
        Self::Fault { block: first8(&block_root.0), peer }
    }

    /// Parses the bytes of a Kademlia key.
    ///
    /// # Errors
    /// [`KeyError`], each variant.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() > KEY_BYTES_MAX {
            return Err(KeyError::TooLong { found: bytes.len() });
        }
        if !bytes.is_ascii() {
            return Err(KeyError::NotAscii);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| KeyError::NotAscii)?;
        let (prefix, rest) = text.split_once(':').ok_or(KeyError::Prefix)?;
        match prefix {
            "ack" => two("ack", rest).and_then(|(a, b)| Ok(Self::Ack { update: short("updateID", a)?, peer: b.parse()? })),
            "ann" => two("ann", rest)
                .and_then(|(a, b)| Ok(Self::Ann { head: short("modelHead", a)?, trainer: text::lower_hex("trainer", b)? })),
            "fault" => two("fault", rest).and_then(|(a, b)| Ok(Self::Fault { block: short("block root", a)?, peer: b.parse()? })),
            "id" => Ok(Self::Id { peer: one("id", rest)?.parse()? }),
            "upd" => Ok(Self::Update(one("upd", rest)?.parse()?)),
            "snap" => Ok(Self::Snapshot(one("snap", rest)?.parse()?)),
            _ => Err(KeyError::Prefix),
        }
    }

    /// The key's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

fn short(field: &'static str, part: &str) -> Result<[u8; 8], HexError> {
    text::lower_hex(field, part)
}

fn one<'a>(prefix: &'static str, rest: &'a str) -> Result<&'a str, KeyError> {
    match rest.split(':').count() {
        1 => Ok(rest),
        found => Err(KeyError::Parts { prefix, found, expected: 1 }),
    }
}

fn two<'a>(prefix: &'static str, rest: &'a str) -> Result<(&'a str, &'a str), KeyError> {
    let found = rest.split(':').count();
    match rest.split_once(':') {
        Some(parts) if found == 2 => Ok(parts),
        _ => Err(KeyError::Parts { prefix, found, expected: 2 }),
    }
}

impl FromStr for RecordKey {
    type Err = KeyError;

    fn from_str(s: &str) -> Result<Self, KeyError> {
        Self::parse(s.as_bytes())
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = |f: &mut fmt::Formatter<'_>, prefix: &str, a: &[u8], b: &[u8]| {
            f.write_str(prefix)?;
            text::write_hex(f, a)?;
            f.write_str(":")?;
            text::write_hex(f, b)
        };
        match self {
            Self::Ack { update, peer } => pair(f, "ack:", update, &peer.0),
            Self::Ann { head, trainer } => pair(f, "ann:", head, trainer),
            Self::Fault { block, peer } => pair(f, "fault:", block, &peer.0),
            Self::Id { peer } => write!(f, "id:{peer}"),
            Self::Update(id) => write!(f, "upd:{id}"),
            Self::Snapshot(head) => write!(f, "snap:{head}"),
        }
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The three gossip topics of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Announcements of candidates.
    Ann,
    /// ACKs.
    Ack,
    /// Fault votes.
    Fault,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 3] = [Self::Ann, Self::Ack, Self::Fault];

    /// `/pol-ai/{genesis_id[:16]}/{ann,ack,fault}`.
    pub fn name(self, genesis_id: GenesisId) -> String {
        let last = match self {
            Self::Ann => "ann",
            Self::Ack => "ack",
            Self::Fault => "fault",
        };
        format!("/pol-ai/{}/{last}", hex::encode(first8(&genesis_id.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<RecordKey> {
        let peer = PeerId([0xab; 8]);
        vec![
            RecordKey::ack(UpdateId([1; 32]), peer),
            RecordKey::ann(ModelHead([2; 32]), [3; 32]),
            RecordKey::Id { peer },
            RecordKey::fault(Hash32([4; 32]), peer),
            RecordKey::Update(UpdateId([5; 32])),
            RecordKey::Snapshot(ModelHead([6; 32])),
        ]
    }

    #[test]
    fn every_key_has_exactly_one_form() {
        for key in samples() {
            let text = key.to_string();
            assert_eq!(text.parse(), Ok(key));
            for (i, byte) in text.bytes().enumerate() {
                for other in 0..=255_u8 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[i] = other;
                    if other != byte {
                        assert_ne!(RecordKey::parse(&bytes), Ok(key), "{text} with byte {i} = {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn upper_case_extra_parts_and_other_lengths_are_refused() {
        for key in samples() {
            let text = key.to_string();
            for bad in [
                text.to_uppercase(),
                format!("{text}:"),
                format!(":{text}"),
                format!("{text}0"),
                format!(" {text}"),
                text.replacen(':', "::", 1),
                text[..text.len() - 1].to_owned(),
            ] {
                assert!(bad.parse::<RecordKey>().is_err(), "{bad}");
            }
        }
        assert_eq!(RecordKey::parse(&[b'a'; 10_000]), Err(KeyError::TooLong { found: 10_000 }));
        assert_eq!(RecordKey::parse(b"ack:\xff"), Err(KeyError::NotAscii));
        assert_eq!(RecordKey::parse(b""), Err(KeyError::Prefix));
        assert_eq!(RecordKey::parse(b"blk:00"), Err(KeyError::Prefix));
        assert_eq!(RecordKey::parse(b"ack:00"), Err(KeyError::Parts { prefix: "ack", found: 1, expected: 2 }));
    }

    #[test]
    fn topics_carry_the_chain() {
        assert_eq!(Topic::Ack.name(GenesisId([0x1f; 32])), "/pol-ai/1f1f1f1f1f1f1f1f/ack");
    }
}
