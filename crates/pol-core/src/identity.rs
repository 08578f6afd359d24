//! Keys and names that follow from GENESIS_SEED (section 5).
//!
//! # What it does not protect against
//! Whoever knows the seed holds every genesis key and the funded account. It is for devnets and ceremonies, not for a validator
//! that joins by deposit.

use core::{fmt, str::FromStr};

use bip32::{DerivationPath, XPrv};
use sha3::{Digest as _, Keccak256};
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::{
    bls::{BlsError, PublicKey, SecretKey},
    sha256, ssz,
    text::{self, HexError},
};

/// The 32 bytes from which genesis keys are derived; wiped on drop, never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct GenesisSeed([u8; 32]);

impl GenesisSeed {
    /// A seed from raw bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Signing key of genesis validator `index`: EIP-2334 path m/12381/3600/index/0/0.
    ///
    /// # Errors
    /// None in practice: 32 bytes are enough for EIP-2333; the type says so for blst's sake.
    pub fn validator_key(&self, index: u32) -> Result<SecretKey, BlsError> {
        let master = SecretKey::derive_master(&self.0)?;
        Ok([12_381, 3_600, index, 0, 0].iter().fold(master, |key, step| key.derive_child(*step)))
    }

    /// The funded account of genesis: BIP-32 path m/44'/60'/0'/0/0 with the seed bytes as BIP-32 seed.
    ///
    /// # Errors
    /// [`AccountError`] for the one seed in 2^127 whose derivation leaves the curve's range.
    pub fn funded_account(&self) -> Result<Account, AccountError> {
        let path: DerivationPath = "m/44'/60'/0'/0/0".parse().map_err(|_| AccountError)?;
        let key = XPrv::derive_from_path(&self.0, &path).map_err(|_| AccountError)?;
        let point = key.public_key().public_key().to_sec1_point(false);
        let (_, coordinates) = point.as_bytes().split_first().ok_or(AccountError)?;
        let digest: [u8; 32] = Keccak256::digest(coordinates).into();
        let (_, address) = digest.split_last_chunk::<20>().ok_or(AccountError)?;
        Ok(Account { secret: key.private_key().to_bytes().into(), address: *address })
    }
}

impl FromStr for GenesisSeed {
    type Err = HexError;

    /// Parses exactly 64 hex digits of either case, without prefix.
    fn from_str(s: &str) -> Result<Self, HexError> {
        text::any_hex("GENESIS_SEED", s).map(Self)
    }
}

impl fmt::Debug for GenesisSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenesisSeed(..)")
    }
}

/// The seed gives no account (probability below 2^-127). The operator takes another seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this GENESIS_SEED derives no secp256k1 account; generate another one")]
pub struct AccountError;

/// An execution account: secp256k1 secret and address. The secret is wiped on drop, never printed.
pub struct Account {
    secret: [u8; 32],
    address: [u8; 20],
}

impl Account {
    /// The private key, 32 big-endian bytes.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The address: last 20 bytes of Keccak-256 of the uncompressed public key.
    pub const fn address(&self) -> [u8; 20] {
        self.address
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(0x")?;
        text::write_hex(f, &self.address)?;
        f.write_str(")")
    }
}

/// Withdrawal credentials of type 0x01 for an execution address.
pub fn withdrawal_credentials(address: [u8; 20]) -> [u8; 32] {
    ssz::filled([1].into_iter().chain([0; 11]).chain(address))
}

/// `H(BLS public key)[0..8]`: the short name of a validator in DHT keys.
///
/// 64 bits: two keys that share one cost about 2^32 work to find, so every value carries the full public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 8]);

impl PeerId {
    /// Peer id of a public key.
    pub fn of(key: &PublicKey) -> Self {
        Self::of_bytes(&key.to_bytes())
    }

    /// Peer id of a compressed public key that was not validated.
    pub fn of_bytes(key: &[u8; 48]) -> Self {
        let digest = sha256(&[key]);
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write_hex(f, &self.0)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = HexError;

    /// Parses exactly 16 lower-case hex digits.
    fn from_str(s: &str) -> Result<Self, HexError> {
        text::lower_hex("peerID", s).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_64_hex_digits_and_nothing_else() {
        let seed = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        assert!(GenesisSeed::from_str(seed).is_ok());
        for length in (0..200).filter(|n| *n != 64) {
            let error = GenesisSeed::from_str(&"a".repeat(length)).unwrap_err();
            assert_eq!(error, HexError::Length { field: "GENESIS_SEED", found: length, expected: 64 });
        }
        let bad = format!("{}g", &seed[..63]);
        assert!(matches!(GenesisSeed::from_str(&bad), Err(HexError::Digit { position: 63, .. })));
        let prefixed = format!("0x{}", &seed[..62]);
        assert!(matches!(GenesisSeed::from_str(&prefixed), Err(HexError::Digit { position: 1, .. })));
        assert!(GenesisSeed::from_str(&"é".repeat(32)).is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_keys_and_no_two_validators_share_one() {
        let seed = GenesisSeed::from_bytes([5; 32]);
        let keys: Vec<[u8; 48]> = (0..4).map(|i| seed.validator_key(i).unwrap().public_key().to_bytes()).collect();
        assert_eq!(keys[2], GenesisSeed::from_bytes([5; 32]).validator_key(2).unwrap().public_key().to_bytes());
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn secrets_are_not_printed() {
        let seed = GenesisSeed::from_bytes([0xab; 32]);
        let account = seed.funded_account().unwrap();
        let shown = format!("{seed:?} {account:?}");
        assert!(!shown.contains(&hex::encode(account.secret())));
        assert!(!shown.contains("abababab"));
    }
}
