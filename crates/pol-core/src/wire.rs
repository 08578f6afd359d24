//! The wire form of `extra_data` (section 4), the only place where nonce and difficulty travel: Engine API payloads and beacon blocks.
//!
//! `header.extraData (64) || nonce BE (8) || difficulty BE (8) || trailer`. The two clients read it differently, and so there are two
//! types. [`WireHead`] is the execution client's view: bytes 0..80, whatever follows. [`Wire`] is the beacon node's: the whole length
//! is checked and the trailer kept. What the trailer's bytes mean is the business of [`crate::ack`]; whether the seal is valid, of
//! [`crate::seal`].

use crate::{
    UpdateId,
    ack::CERTIFICATE_FIXED_BYTES,
    extra_data::ExtraData,
    params::{EXTRA_DATA_BYTES, MAX_COMMITTEE, MAX_EXTRA_DATA_BYTES, WIRE_HEAD_BYTES},
};

/// Why bytes are not a wire form. When read from others: the block producer's fault. When encoding: ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Shorter than the head.
    #[error("wire extra_data: found {found} bytes, expected at least {WIRE_HEAD_BYTES}")]
    Short {
        /// Bytes found.
        found: usize,
    },
    /// Longer than the SSZ list allows.
    #[error("wire extra_data: found {found} bytes, expected at most {MAX_EXTRA_DATA_BYTES}")]
    Long {
        /// Bytes found.
        found: usize,
    },
    /// No committee size gives a trailer of this length.
    #[error("wire trailer: found {found} bytes, expected 0 or 130 + ceil(n / 8) for a committee of n = 1..={MAX_COMMITTEE}")]
    TrailerLength {
        /// Bytes after the head.
        found: usize,
    },
    /// An update is named, but no certificate follows.
    #[error("wire trailer: found none, expected a certificate for update {update_id}")]
    CertificateMissing {
        /// The update in the head.
        update_id: UpdateId,
    },
    /// An empty AI block carries a trailer.
    #[error("wire trailer: found {found} bytes, expected none in an empty AI block")]
    CertificateWithoutUpdate {
        /// Bytes after the head.
        found: usize,
    },
}

/// Bytes of the trailer of a committee with `n` seats; `None` when no committee has that size (1..=512).
pub fn trailer_len(n: usize) -> Option<usize> {
    (1..=MAX_COMMITTEE).contains(&n).then(|| CERTIFICATE_FIXED_BYTES.saturating_add(n.div_ceil(8)))
}

/// Bytes 0..80: the execution client's whole view. Every 80 bytes decode to one value, and back to the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireHead {
    /// The header's `extraData`.
    pub extra_data: ExtraData,
    /// The header's nonce.
    pub nonce: u64,
    /// The header's difficulty.
    pub difficulty: u64,
}

impl WireHead {
    /// Reads bytes 0..80 and ignores the rest: the trailer is the beacon node's to judge.
    ///
    /// Fails on fewer than 80 bytes; that payload is INVALID with latestValidHash null, and its hash must not be remembered, since
    /// the hash does not cover the wire form.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        split(bytes).map(|(head, _)| head)
    }

    /// The 80 bytes.
    pub const fn encode(&self) -> [u8; WIRE_HEAD_BYTES] {
        let mut bytes = [0; WIRE_HEAD_BYTES];
        let (extra_data, numbers) = bytes.split_at_mut(EXTRA_DATA_BYTES);
        let (nonce, difficulty) = numbers.split_at_mut(8);
        extra_data.copy_from_slice(&self.extra_data.encode());
        nonce.copy_from_slice(&self.nonce.to_be_bytes());
        difficulty.copy_from_slice(&self.difficulty.to_be_bytes());
        bytes
    }
}

/// A wire form whose length fits: the beacon node's view. The trailer is empty exactly when the update id is zero.
///
/// Not checked here: the parent hash ([`ExtraData::check`]), the seal, and the certificate inside the trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire<'a> {
    head: WireHead,
    trailer: &'a [u8],
}

impl<'a> Wire<'a> {
    /// Puts a head and a trailer together, refusing what [`Wire::decode`] would refuse.
    pub fn new(head: WireHead, trailer: &'a [u8]) -> Result<Self, WireError> {
        let found = trailer.len();
        let total = found.saturating_add(WIRE_HEAD_BYTES);
        if total > MAX_EXTRA_DATA_BYTES {
            return Err(WireError::Long { found: total });
        }
        let seat_bytes = 1..=MAX_COMMITTEE.div_ceil(8);
        if found != 0 && !found.checked_sub(CERTIFICATE_FIXED_BYTES).is_some_and(|seats| seat_bytes.contains(&seats)) {
            return Err(WireError::TrailerLength { found });
        }
        match (head.extra_data.is_empty(), trailer.is_empty()) {
            (true, false) => Err(WireError::CertificateWithoutUpdate { found }),
            (false, true) => Err(WireError::CertificateMissing { update_id: head.extra_data.update_id }),
            (true, true) | (false, false) => Ok(Self { head, trailer }),
        }
    }

    /// Reads a whole `extra_data` field of a payload.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let (head, trailer) = split(bytes)?;
        Self::new(head, trailer)
    }

    /// Bytes 0..80.
    pub const fn head(&self) -> &WireHead {
        &self.head
    }

    /// Everything from byte 80: empty, or a certificate yet to be decoded.
    pub const fn trailer(&self) -> &'a [u8] {
        self.trailer
    }

    /// The whole `extra_data` field.
    pub fn encode(&self) -> Vec<u8> {
        [&self.head.encode(), self.trailer].concat()
    }
}

/// `head || trailer`, refusing what [`Wire::decode`] would refuse.
pub fn encode(head: &WireHead, trailer: &[u8]) -> Result<Vec<u8>, WireError> {
    Wire::new(*head, trailer).map(|wire| wire.encode())
}

fn split(bytes: &[u8]) -> Result<(WireHead, &[u8]), WireError> {
    let short = WireError::Short { found: bytes.len() };
    let Some((extra_data, rest)) = bytes.split_first_chunk::<EXTRA_DATA_BYTES>() else { return Err(short) };
    let Some((nonce, rest)) = rest.split_first_chunk::<8>() else { return Err(short) };
    let Some((difficulty, trailer)) = rest.split_first_chunk::<8>() else { return Err(short) };
    let head = WireHead {
        extra_data: ExtraData::from(extra_data),
        nonce: u64::from_be_bytes(*nonce),
        difficulty: u64::from_be_bytes(*difficulty),
    };
    Ok((head, trailer))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::Hash32;

    fn head(update: u8) -> WireHead {
        let extra_data = ExtraData { parent_hash: Hash32([3; 32]), update_id: UpdateId([update; 32]) };
        WireHead { extra_data, nonce: 0x0102_0304_0506_0708, difficulty: 0x1112_1314_1516_1718 }
    }

    #[test]
    fn nonce_and_difficulty_are_big_endian_after_the_extra_data() {
        let bytes = head(9).encode();
        assert_eq!(bytes[..64], head(9).extra_data.encode());
        assert_eq!(bytes[64..], hex::decode("01020304050607081112131415161718").unwrap());
    }

    #[test]
    fn every_length_is_accepted_or_refused_as_the_committee_sizes_say() {
        let legal: BTreeSet<usize> = (1..=512).map(|n: usize| 130 + n.div_ceil(8)).collect();
        for length in 0..=600 {
            for update in [0, 1] {
                let mut bytes = head(update).encode().to_vec();
                bytes.resize(length, 0xff);
                let trailer = length.saturating_sub(80);
                let expected = if length < 80 {
                    Err(WireError::Short { found: length })
                } else if length > 512 {
                    Err(WireError::Long { found: length })
                } else if trailer != 0 && !legal.contains(&trailer) {
                    Err(WireError::TrailerLength { found: trailer })
                } else if trailer == 0 && update == 1 {
                    Err(WireError::CertificateMissing { update_id: UpdateId([1; 32]) })
                } else if trailer != 0 && update == 0 {
                    Err(WireError::CertificateWithoutUpdate { found: trailer })
                } else {
                    Ok(())
                };
                assert_eq!(Wire::decode(&bytes).map(|_| ()), expected, "{length} bytes, update {update}");
            }
        }
    }

    #[test]
    fn the_execution_view_ignores_everything_after_byte_80() {
        for length in 0..=600 {
            let mut bytes = head(1).encode().to_vec();
            bytes.resize(length, 0xff);
            let expected = if length < 80 { Err(WireError::Short { found: length }) } else { Ok(head(1)) };
            assert_eq!(WireHead::read(&bytes), expected);
        }
    }

    #[test]
    fn only_committees_of_1_to_512_seats_have_a_trailer() {
        let known =
            [(0, None), (1, Some(131)), (8, Some(131)), (9, Some(132)), (512, Some(194)), (513, None), (usize::MAX, None)];
        for (n, expected) in known {
            assert_eq!(trailer_len(n), expected);
        }
    }

    #[test]
    fn encoding_refuses_what_decoding_would_refuse() {
        assert_eq!(encode(&head(0), &[0; 131]), Err(WireError::CertificateWithoutUpdate { found: 131 }));
        assert_eq!(encode(&head(1), &[]), Err(WireError::CertificateMissing { update_id: UpdateId([1; 32]) }));
        assert_eq!(encode(&head(1), &[0; 433]), Err(WireError::Long { found: 513 }));
        assert_eq!(encode(&head(1), &[0; 195]), Err(WireError::TrailerLength { found: 195 }));
    }

    proptest! {
        #[test]
        fn an_ai_block_round_trips(extra in any::<[u8; 64]>(), nonce: u64, difficulty: u64, n in 1usize..=512, fill: u8) {
            let mut extra_data = ExtraData::from(&extra);
            extra_data.update_id.0[0] |= 1;
            let head = WireHead { extra_data, nonce, difficulty };
            let trailer = vec![fill; trailer_len(n).unwrap()];
            let bytes = encode(&head, &trailer).unwrap();
            let wire = Wire::decode(&bytes).unwrap();
            prop_assert_eq!(wire.head(), &head);
            prop_assert_eq!(wire.trailer(), &trailer[..]);
            prop_assert_eq!(wire.encode(), bytes);
        }

        #[test]
        fn an_empty_ai_block_is_80_bytes(parent in any::<[u8; 32]>(), nonce: u64, difficulty: u64) {
            let head = WireHead { extra_data: ExtraData::empty(Hash32(parent)), nonce, difficulty };
            let bytes = encode(&head, &[]).unwrap();
            prop_assert_eq!(bytes.len(), 80);
            prop_assert_eq!(Wire::decode(&bytes).map(|wire| *wire.head()), Ok(head));
        }
    }
}
