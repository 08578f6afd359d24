use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    hub: HubArgs,
}

fn parse(args: &str) -> Result<Program, clap::Error> {
    Program::try_parse_from(std::iter::once("x").chain(args.split_whitespace()))
}

#[test]
fn the_originals_flags_work_as_they_did() {
    let two = parse("--auto-data --datasets wikipedia_simple fineweb_sample --num-samples 2000").unwrap().source.request();
    let keys: Vec<&str> = two.datasets.iter().map(|dataset| dataset.key).collect();
    assert_eq!((keys, two.total, two.named), (vec!["wikipedia_simple", "fineweb_sample"], Some(2_000), true));
    let all = parse("--auto-data --samples-per-dataset 5").unwrap().source.request();
    assert_eq!((all.datasets.len(), all.per_dataset, all.named), (20, Some(5), false));
    let none = parse("").unwrap().source.request();
    assert!(none.datasets.is_empty() && none.files.is_empty());
    let commas = parse("--datasets c4_en,c4_de --save-data ./training_data.txt").unwrap().source;
    assert_eq!((commas.request().datasets.len(), commas.save_data), (2, Some("./training_data.txt".into())));
    assert_eq!(parse("--data-file a.txt b.jsonl").unwrap().source.request().files.len(), 2);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for args in [
        "--datasets wikipedia_xx",
        "--num-samples 0",
        "--num-samples 5 --samples-per-dataset 5",
        "--data-file a.txt --auto-data",
        "--data-file a.txt --datasets c4_en",
        "--data-budget much",
        "--hf-hub-offline=perhaps",
    ] {
        assert!(parse(args).is_err(), "{args}");
    }
}

#[test]
fn sizes_are_read_as_people_write_them() {
    assert_eq!([bytes("512"), bytes("1K"), bytes("2m"), bytes("32G")], [Ok(512), Ok(1 << 10), Ok(2 << 20), Ok(32 << 30)]);
    for text in ["", "G", "-1", "1.5G", "99999999999T"] {
        assert!(bytes(text).is_err(), "{text}");
    }
}

#[test]
fn a_token_is_never_printed() {
    let program = parse("--hf-token hf_verysecret --hf-hub-offline").unwrap();
    assert!(program.hub.hf_hub_offline && program.hub.hf_token.is_some());
    assert!(!format!("{program:?}").contains("verysecret"));
    assert!(parse("--hf-token=hf\u{e9}").is_err());
    // Whatever this machine's environment says of certificates.
    let hub = parse("").unwrap().hub;
    assert_eq!(HubArgs { hub_ca_file: None, ..hub }, HubArgs::default());
}

#[test]
fn a_hub_out_of_reach_is_worth_another_attempt_and_the_line_says_what_else_can_be_done() {
    // Bound, but nobody listens: whoever connects is refused.
    let place = tokio::net::TcpSocket::new_v4().unwrap();
    place.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let failed = |args: &str| {
        let program = parse(&format!("--datasets c4_en --hf-home {} {args}", folder.path().display())).unwrap();
        program.source.texts(&program.cache.acquisition(&program.hub, folder.path()).unwrap()).unwrap_err()
    };
    let away = failed(&format!("--hf-endpoint http://{}", place.local_addr().unwrap()));
    assert_eq!(away.code(), pol_kit::exit::Code::Failure);
    for said in ["127.0.0.1 is out of reach", "leave --data", "HF_ENDPOINT", "HF_HUB_OFFLINE=1"] {
        assert!(away.to_string().contains(said), "{away}");
    }
    let off = failed("--hf-hub-offline");
    assert_eq!(off.code(), pol_kit::exit::Code::Usage);
    assert!(off.to_string().contains("HF_HUB_OFFLINE") && off.to_string().contains("leave --data"), "{off}");
}
