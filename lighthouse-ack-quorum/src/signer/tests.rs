use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use pol_core::identity::GenesisSeed;

use super::{
    keystore::{KeystoreError, open, read_directory},
    *,
};
use crate::fixtures::{domains, public, secret};

const SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
/// The standard's own: mathematical letters and a key sign, normalized before use.
const PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
const PUBLIC: &str = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07";

/// The two test vectors of EIP-2335.
fn vectors() -> [String; 2] {
    let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
    let file = |kdf: &str, checksum: &str, message: &str| {
        format!(
            r#"{{"crypto":{{"kdf":{kdf},"checksum":{{"function":"sha256","params":{{}},"message":"{checksum}"}},
            "cipher":{{"function":"aes-128-ctr","params":{{"iv":"264daa3f303d7259501c93d997d84fe6"}},"message":"{message}"}}}},
            "description":"x","pubkey":"{PUBLIC}","path":"m/12381/60/3141592653/589793238","uuid":"1d85ae20-35c5-4611-98e8-aa14a633906f","version":4}}"#
        )
    };
    [
        file(
            &format!(r#"{{"function":"scrypt","params":{{"dklen":32,"n":262144,"p":1,"r":8,"salt":"{salt}"}},"message":""}}"#),
            "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
            "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
        ),
        file(
            &format!(
                r#"{{"function":"pbkdf2","params":{{"dklen":32,"c":262144,"prf":"hmac-sha256","salt":"{salt}"}},"message":""}}"#
            ),
            "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
            "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
        ),
    ]
}

fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn the_keystores_of_eip_2335_open_with_its_password() {
    for vector in vectors() {
        let key = open(Path::new("x"), vector.as_bytes(), PASSWORD).unwrap();
        assert_eq!(hex::encode(key.to_bytes()), SECRET);
        let typed = open(Path::new("x"), vector.as_bytes(), "test\u{7f}password\u{1}🔑").unwrap();
        assert_eq!(hex::encode(typed.to_bytes()), SECRET, "control characters do not count");
    }
}

#[test]
fn a_keystore_that_we_write_opens_with_its_password_alone() {
    let json = seal::seal(&secret(3), PASSWORD, 2, "m/12381/3600/3/0/0").unwrap();
    assert_eq!(open(Path::new("x"), json.as_bytes(), PASSWORD).unwrap().to_bytes(), secret(3).to_bytes());
    assert!(matches!(open(Path::new("x"), json.as_bytes(), "other"), Err(KeystoreError::Password { .. })));
    assert_ne!(seal::seal(&secret(3), PASSWORD, 2, "").unwrap(), json, "salt and cipher begin anew each time");
    let uuid = serde_json::from_str::<serde_json::Value>(&json).unwrap()["uuid"].as_str().unwrap().to_owned();
    assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"), "{uuid}");
}

#[test]
fn a_wrong_password_and_a_damaged_or_greedy_file_are_refused_without_quoting_a_secret() {
    let [scrypt, pbkdf2] = vectors();
    let refused = |json: &str, password: &str| open(Path::new("x"), json.as_bytes(), password).unwrap_err();
    assert!(matches!(refused(&pbkdf2, "wrong"), KeystoreError::Password { .. }));
    assert!(matches!(refused(&pbkdf2.replace("cee03f", "cee03e"), PASSWORD), KeystoreError::Password { .. }));
    let forms = [
        pbkdf2.replace("\"version\":4", "\"version\":3"),
        pbkdf2.replace("aes-128-ctr", "aes-256-ctr"),
        pbkdf2.replace("\"dklen\":32", "\"dklen\":64"),
        pbkdf2.replace("\"c\":262144", "\"c\":4294967295"),
        pbkdf2.replace("\"c\":262144", "\"c\":0"),
        pbkdf2.replace(PUBLIC, &PUBLIC.replace("96", "97")),
        pbkdf2.replace("264daa3f303d7259501c93d997d84fe6", "26"),
        scrypt.replace("\"n\":262144", "\"n\":1073741824"),
        scrypt.replace("\"n\":262144", "\"n\":262143"),
        scrypt.replace("\"r\":8", "\"r\":4294967295"),
        scrypt.replace("\"p\":1", "\"p\":4294967295"),
        "{}".to_owned(),
        "[".repeat(10_000),
    ];
    for json in forms {
        let error = refused(&json, PASSWORD);
        assert!(matches!(error, KeystoreError::Form { .. }), "{json}: {error}");
        assert!(!error.to_string().contains(SECRET) && !error.to_string().contains(PASSWORD));
    }
}

#[test]
fn a_directory_of_keystores_is_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, passwords) = (folder.path().join("keys"), folder.path().join("secrets"));
    fs::create_dir_all(&keys).unwrap();
    fs::create_dir_all(&passwords).unwrap();
    let [_, pbkdf2] = vectors();
    private(&keys.join("one.json"), &pbkdf2);
    fs::write(keys.join("deposit_data.txt"), "not a keystore").unwrap();
    assert!(matches!(read_directory(&keys, &passwords), Err(KeystoreError::NoPassword { .. })));
    private(&passwords.join(format!("0x{PUBLIC}")), &format!("{PASSWORD}\n"));
    assert_eq!(read_directory(&keys, &passwords).unwrap().len(), 1);
    fs::remove_file(passwords.join(format!("0x{PUBLIC}"))).unwrap();
    private(&passwords.join("one.txt"), PASSWORD);
    assert_eq!(read_directory(&keys, &passwords).unwrap().len(), 1);
    private(&keys.join("two.json"), "{");
    assert!(matches!(read_directory(&keys, &passwords), Err(KeystoreError::Form { .. })));
    fs::remove_file(keys.join("two.json")).unwrap();
    fs::set_permissions(passwords.join("one.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(read_directory(&keys, &passwords), Err(KeystoreError::File(_))), "others can read the password");
    assert!(matches!(read_directory(&folder.path().join("none"), &passwords), Err(KeystoreError::Directory { .. })));
}

#[test]
fn devnet_keys_are_those_of_genesis() {
    let seed = GenesisSeed::from_bytes([5; 32]);
    let signer = Signer::from_seed(&seed, 0..3, domains()).unwrap();
    for index in 0..3 {
        assert!(signer.has(&seed.validator_key(index).unwrap().public_key().to_bytes()));
    }
    assert_eq!(signer.keys().len(), 3);
    assert!(format!("{signer:?}").len() < 20, "no key is printed");
}

#[test]
fn a_receipt_for_a_key_that_is_not_here_gives_no_signature() {
    let signer = Signer::new([secret(0)], domains());
    let receipt = StandardReceipt { signing_root: Hash32([1; 32]), key: public(1) };
    assert_eq!(signer.standard(receipt), Err(SignError::UnknownKey { key: public(1) }));
}

#[test]
fn harmless_signatures_are_in_their_own_domains() {
    let signer = Signer::new([secret(0)], domains());
    let all = [
        Harmless::Randao,
        Harmless::VoluntaryExit,
        Harmless::SelectionProof,
        Harmless::AggregateAndProof,
        Harmless::SyncCommittee,
        Harmless::SyncCommitteeSelectionProof,
        Harmless::ContributionAndProof,
    ];
    let signed: std::collections::BTreeSet<Vec<u8>> =
        all.iter().map(|what| signer.harmless(&public(0), *what, [0; 4], Hash32([1; 32])).unwrap().to_vec()).collect();
    assert_eq!(signed.len(), all.len());
    // 0 is a block, 1 an attestation, "AI.." ours.
    assert!(all.iter().all(|what| !matches!(what.domain_type(), [0 | 1 | 0x41, ..])));
}
