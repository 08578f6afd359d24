//! The one call that a beacon node makes to the AI engine itself: taking a candidate back (section 10, step 3). The node sends it with
//! its own Engine API client, which has URL, JWT and timeout already.

/// Name of the AI engine's call.
pub const METHOD: &str = "polai_setCandidateV1";

/// Parameters of [`METHOD`] that clear the candidate of one block: names and values of one JSON object.
pub fn clear_candidate(parent_hash: [u8; 32], slot: u64) -> [(&'static str, String); 4] {
    [
        ("parentHash", format!("0x{}", hex::encode(parent_hash))),
        ("slot", format!("{slot:#x}")),
        ("updateId", format!("0x{}", hex::encode([0; 32]))),
        ("certificate", "0x".to_owned()),
    ]
}
