//! Runs that the oracle wrote down.

use beacon_diff::{Frame, Genesis, Kind, Player, Run};
use pol_beacon::types::{Config, EthSpec, Mainnet, OfficialMinimal};
use pol_core::params::Preset;
use pol_vectors::Object;

fn play<E: EthSpec>(run: Run, frames: &[Frame], finalized: u64) {
    let mut player = Player::<E>::new(run);
    for frame in frames {
        assert!(player.frame(frame).is_none(), "a record has no last frame");
    }
    assert_eq!(player.finalized(), finalized);
}

pub(crate) fn recorded(mut file: Object) {
    let (seed, validators, finalized) = (file.num("seed"), file.num("validators"), file.num("finalized"));
    let frames = file.all("frames", |frame| Frame {
        tag: frame.text("tag").parse().expect("one letter"),
        fields: frame.list("fields").iter().map(|f| hex(f.as_str().expect("hex"))).collect(),
    });
    assert!(frames.iter().any(|frame| frame.tag == 'H') && frames.iter().any(|frame| frame.tag == 'B'));
    match file.text("kind").as_str() {
        "official" => play::<OfficialMinimal>(Run::random(Kind::Official, seed, validators, 0), &frames, finalized),
        "mainnet" => {
            let genesis = Genesis::new(Preset::Mainnet, validators);
            let run = Run::random(Kind::Chain, seed, validators, 0);
            let config = Config { faults: None, ..genesis.config() };
            play::<Mainnet>(Run { config, genesis: Some(genesis), ..run }, &frames, finalized);
        }
        other => panic!("unknown kind {other}"),
    }
    file.finish();
}

fn hex(text: &str) -> Vec<u8> {
    alloy_primitives::hex::decode(text).expect("hex")
}
