//! Writing an EIP-2335 keystore: PBKDF2, SHA-256 checksum, AES-128-CTR.

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use pol_core::{bls::SecretKey, sha256};
use serde_json::json;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::keystore::normalized;

/// A keystore of a key, as JSON. `rounds` is PBKDF2's: 2^18 by the standard; fewer protect less. `path` is the key's EIP-2334 path, or
/// nothing.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn seal(key: &SecretKey, password: &str, rounds: u32, path: &str) -> Result<String, getrandom::Error> {
    let (mut salt, mut iv, mut uuid) = ([0; 32], [0; 16], [0; 16]);
    for bytes in [salt.as_mut_slice(), &mut iv, &mut uuid] {
        getrandom::fill(bytes)?;
    }
    let mut derived = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(&normalized(password), &salt, rounds.max(1), derived.as_mut_slice());
    let (cipher_key, checksum_key) = derived.split_at(16);
    let cipher_key: [u8; 16] = cipher_key.try_into().unwrap_or_default();
    let mut message = key.to_bytes();
    Ctr128BE::<Aes128>::new(&cipher_key.into(), &iv.into()).apply_keystream(&mut message);
    let checksum = sha256(&[checksum_key, &message]);
    Ok(json!({
        "crypto": {
            "kdf": { "function": "pbkdf2", "message": "",
                "params": { "dklen": 32, "c": rounds.max(1), "prf": "hmac-sha256", "salt": hex::encode(salt) } },
            "checksum": { "function": "sha256", "params": {}, "message": hex::encode(checksum) },
            "cipher": { "function": "aes-128-ctr", "params": { "iv": hex::encode(iv) }, "message": hex::encode(message) },
        },
        "description": "", "pubkey": hex::encode(key.public_key().to_bytes()), "path": path,
        "uuid": uuid4(uuid), "version": 4,
    })
    .to_string())
}

/// RFC 9562, version 4.
fn uuid4(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    let at = |range: core::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [at(0..8), at(8..12), at(12..16), at(16..20), at(20..32)].join("-")
}
