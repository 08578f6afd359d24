//! Committees, and the steps of an epoch's end.

use alloy_primitives::B256;
use beacon_diff::{Kind, Run};
use pol_beacon::{
    transition::{
        StateError,
        epoch::{
            EpochSummary, process_effective_balance_updates, process_epoch, process_eth1_data_reset,
            process_historical_summaries_update, process_inactivity_updates, process_justification_and_finalization,
            process_participation_flag_updates, process_randao_mixes_reset, process_registry_updates,
            process_rewards_and_penalties, process_slashings, process_slashings_reset, process_sync_committee_updates,
        },
        epoch_at, next_sync_committee,
    },
    types::{BeaconState, Config, OfficialMinimal},
};
use pol_vectors::Object;
use ssz::Decode as _;
use tree_hash::TreeHash as _;

type State = BeaconState<OfficialMinimal>;

fn config() -> Config {
    Run::random(Kind::Official, 1, 1, 1).config
}

fn process(state: &mut State, step: &str) -> Result<(), StateError> {
    let (config, summary) = (config(), EpochSummary::of(state)?);
    match step {
        "process_justification_and_finalization" => process_justification_and_finalization(state, &summary),
        "process_inactivity_updates" => process_inactivity_updates(state, &summary, &config),
        "process_rewards_and_penalties" => process_rewards_and_penalties(state, &summary, &config),
        "process_registry_updates" => process_registry_updates(state, &config),
        "process_slashings" => process_slashings(state),
        "process_eth1_data_reset" => process_eth1_data_reset(state),
        "process_effective_balance_updates" => process_effective_balance_updates(state),
        "process_slashings_reset" => process_slashings_reset(state),
        "process_randao_mixes_reset" => process_randao_mixes_reset(state),
        "process_historical_summaries_update" => process_historical_summaries_update(state),
        "process_participation_flag_updates" => process_participation_flag_updates(state),
        "process_sync_committee_updates" => process_sync_committee_updates(state),
        "process_epoch" => process_epoch(state, &config),
        other => panic!("unknown step {other}"),
    }
}

pub(crate) fn epoch(mut file: Object) {
    let base = file.hex("state");
    file.each("cases", |case| {
        let mut ssz = base.clone();
        for (offset, bytes) in case.all("change", |splice| (splice.num::<usize>("offset"), splice.hex("bytes"))) {
            ssz[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        let mut state = State::from_ssz_bytes(&ssz).expect("a state");
        let result = process(&mut state, &case.text("step"));
        super::judge(case, result.map(|()| state).map_err(Into::into));
    });
    file.finish();
}

pub(crate) fn committees(mut file: Object) {
    file.each("cases", |case| {
        let state = State::from_ssz_bytes(&case.hex("state")).expect("a state");
        case.each("epochs", |object| {
            let shuffling = state.shuffling(object.num("epoch")).expect("a shuffling");
            let per_slot: u64 = object.num("committees_per_slot");
            assert_eq!(shuffling.committees_per_slot(), per_slot);
            let first = shuffling.epoch() * 8;
            let places = (first..first + 8).flat_map(|slot| (0..per_slot).map(move |index| (slot, index)));
            let committees: Vec<&[u64]> =
                places.map(|(slot, index)| shuffling.committee(slot, index).expect("a committee")).collect();
            let sizes: Vec<i128> = committees.iter().map(|c| i128::try_from(c.len()).unwrap()).collect();
            assert_eq!(sizes, object.ints("sizes"));
            let members: Vec<i128> = committees.concat().into_iter().map(i128::from).collect();
            assert_eq!(members, object.ints("members"));
        });
        let first = epoch_at::<OfficialMinimal>(state.slot) * 8;
        let proposers = (first..first + 8).map(|slot| i128::from(state.proposer_index(slot).expect("a proposer")));
        assert_eq!(proposers.collect::<Vec<_>>(), case.ints("proposers"));
        assert_eq!(state.total_active_balance(), Ok(case.num("total_active_balance")));
        let drawn = next_sync_committee(&state).expect("a committee").tree_hash_root();
        assert_eq!(drawn, B256::from(case.bytes::<32>("next_sync_committee")), "{}", case.name());
    });
    file.finish();
}
