//! Single operations.

use beacon_diff::{Kind, Run};
use pol_beacon::{
    transition::{Operation, apply_operation},
    types::{BeaconState, Config, EthSpec, Minimal, OfficialMinimal},
};
use pol_core::Hash32;
use pol_vectors::Object;
use ssz::{Decode, Encode};

fn decode<T: Decode + Encode>(bytes: &[u8]) -> T {
    let value = T::from_ssz_bytes(bytes).expect("an operation");
    assert_eq!(value.as_ssz_bytes(), bytes);
    value
}

fn operation(kind: &str, ssz: &[u8]) -> Operation {
    match kind {
        "attestation" => Operation::Attestation(Box::new(decode(ssz))),
        "proposer_slashing" => Operation::ProposerSlashing(Box::new(decode(ssz))),
        "attester_slashing" => Operation::AttesterSlashing(Box::new(decode(ssz))),
        "deposit" => Operation::Deposit(Box::new(decode(ssz))),
        "voluntary_exit" => Operation::VoluntaryExit(decode(ssz)),
        "bls_to_execution_change" => Operation::BlsToExecutionChange(decode(ssz)),
        other => panic!("unknown operation {other}"),
    }
}

fn group<E: EthSpec>(group: &mut Object, run: &Run) {
    let base = BeaconState::<E>::from_ssz_bytes(&group.hex("state")).expect("a state");
    let config = Config { faults: run.faults(Hash32(base.genesis_validators_root.0)), ..run.config };
    group.each("cases", |case| {
        let mut state = base.clone();
        if case.has("deposit_index") {
            state.eth1_deposit_index = case.num("deposit_index");
        }
        let operation = operation(&case.text("operation"), &case.hex("ssz"));
        super::judge(case, apply_operation(&state, &operation, &config));
    });
}

pub(crate) fn operations(mut file: Object) {
    file.each("groups", |object| match object.text("kind").as_str() {
        "official" => group::<OfficialMinimal>(object, &Run::random(Kind::Official, 1, 1, 1)),
        "chain" => group::<Minimal>(object, &Run::random(Kind::Chain, 1, 1, 1)),
        other => panic!("unknown kind {other}"),
    });
    file.finish();
}
