//! Verification must not depend on being able to start threads: blst's default build would, and one moment of thread exhaustion
//! would end it for the life of the process. A file of its own, so that nothing else in the process starts any.

#![allow(clippy::unwrap_used)]

use pol_core::{
    Hash32,
    bls::{PublicKey, SecretKey, Signature},
};

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[cfg(target_os = "linux")]
#[test]
fn verifying_hundreds_of_keys_starts_no_thread() {
    let before = threads();
    let root = Hash32([7; 32]);
    let master = SecretKey::derive_master(&[3; 32]).unwrap();
    let secrets: Vec<SecretKey> = (0..512).map(|i| master.derive_child(i)).collect();
    let keys: Vec<PublicKey> = secrets.iter().map(SecretKey::public_key).collect();
    let signatures: Vec<Signature> = secrets.iter().map(|key| key.sign(root)).collect();
    let sum = Signature::aggregate(&signatures).unwrap();
    assert_eq!(signatures.first().unwrap().verify(root, keys.first().unwrap()), Ok(()));
    assert_eq!(sum.fast_aggregate_verify(root, &keys), Ok(()));
    assert_eq!(threads(), before);
}
