//! docker-compose.yaml and docker/, without an engine: read by Docker Compose itself, held against the programs, and run as processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    time::{Duration, Instant},
};

use e2e::{
    compose::{self, Compose, Dockerfile, Node, Service},
    program,
};
use serde_json::{Value, json};

const PROFILES: [&str; 4] = ["embedded", "clients", "gpu", "clients-gpu"];
/// Programs that are not built from this workspace.
const OTHERS: [&str; 3] = ["lighthouse", "pol-reth", "sleep"];

fn text(path: &str) -> String {
    fs::read_to_string(compose::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Says so and returns false where there is no Docker Compose: scripts/test says it too.
fn has_compose() -> bool {
    let is_here = compose::is_here();
    if !is_here {
        println!("SKIPPED: docker-compose.yaml (there is no Docker Compose for this machine)");
    }
    is_here
}

fn every_service() -> BTreeMap<String, Service> {
    Compose::read(&PROFILES, &[]).services()
}

fn help(program_name: &str, words: &[&str]) -> String {
    let output = Command::new(program(program_name)).args(words).arg("--help").output().expect(program_name);
    assert!(output.status.success(), "{program_name} {words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Names after `${` in the compose file.
fn interpolated(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let name = |rest: &str| rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect();
    lines.flat_map(|line| line.split("${").skip(1).map(name).collect::<Vec<String>>()).collect()
}

#[test]
fn exactly_one_pair_of_clients_runs_in_each_profile_and_nothing_set_means_embedded() {
    if !has_compose() {
        return;
    }
    let names = |profiles: &[&str]| Compose::read(profiles, &[]).services().into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(names(&[]), "beacon dht execution gate genesis net trainer validator");
    assert_eq!(names(&["embedded"]), names(&[]));
    assert_eq!(names(&["gpu"]), "beacon dht execution gate-gpu genesis net trainer-gpu validator");
    let clients = "beacon-lighthouse dht execution-reth gate genesis net refeeder trainer validator-clients validator-lighthouse";
    assert_eq!(names(&["clients"]), clients);
    assert_eq!(names(&["clients-gpu"]), clients.replace("gate ", "gate-gpu ").replace("trainer ", "trainer-gpu "));
    let named = [("COMPOSE_PROFILES".to_owned(), "gpu".to_owned())];
    assert_eq!(Compose::read(&[], &named).services().len(), Compose::read(&["gpu"], &[]).services().len());
    for name in ["gate-gpu", "trainer-gpu"] {
        let device = &every_service()[name].value["deploy"]["resources"]["reservations"]["devices"][0];
        assert_eq!((device["driver"].as_str(), device["count"].as_i64()), (Some("nvidia"), Some(-1)), "{device}");
    }
}

/// pol-beacon does it by itself; a beacon node that is not ours does not, and ack-quorum is its hand.
#[test]
fn exactly_one_process_pushes_candidates_in_each_profile_and_the_keys_of_lighthouse_are_where_they_are_written() {
    if !has_compose() {
        return;
    }
    for profile in PROFILES {
        let services = Compose::read(&[profile], &[]).services();
        let pushes = |service: &&Service| {
            let words = service.command();
            let is_off = words.windows(2).any(|pair| pair[0] == "--ai-engine" && pair[1].is_empty());
            let has_url = service.environment().get("AI_ENGINE_URL").is_some_and(|url| !url.is_empty());
            ["pol-beacon", "ack-quorum"].contains(&words[0].as_str()) && has_url && !is_off
        };
        let pushers: Vec<&str> = services.values().filter(pushes).map(|service| service.name.as_str()).collect();
        let is_clients = profile.starts_with("clients");
        assert_eq!(pushers, [if is_clients { "validator-clients" } else { "beacon" }], "{profile}");
        if is_clients {
            let words = services["validator-lighthouse"].command().join(" ");
            for (flag, folder) in [("--validators-dir", "validators"), ("--secrets-dir", "passwords")] {
                assert!(words.contains(&format!("{flag} /data/secrets_data/lighthouse/{folder}")), "{words}");
            }
        }
    }
}

#[test]
fn every_container_is_confined_watched_restarted_and_bounded() {
    if !has_compose() {
        return;
    }
    for (name, service) in every_service() {
        let value = &service.value;
        assert_eq!(service.words("/cap_drop"), ["ALL"], "{name}");
        assert_eq!(service.words("/security_opt"), ["no-new-privileges:true"], "{name}");
        assert!(value["read_only"] == true && value["init"] == true, "{name}");
        let user = service.text("/user").split(':').next().and_then(|id| id.parse::<u32>().ok());
        assert!(user.is_some_and(|id| id >= 1_000), "{name}: root, or nobody knows who");
        assert!(value["privileged"].is_null() && value["cap_add"].is_null(), "{name}");
        assert_eq!(service.text("/logging/driver"), "json-file", "{name}");
        assert!(
            value["logging"]["options"]["max-size"].is_string() && value["logging"]["options"]["max-file"].is_string(),
            "{name}"
        );
        let once = name == "genesis";
        assert_eq!(service.text("/restart"), if once { "no" } else { "unless-stopped" }, "{name}");
        let is_watched = !service.words("/healthcheck/test").is_empty();
        assert_eq!(is_watched, !once && !["net", "refeeder", "validator-lighthouse"].contains(&name.as_str()), "{name}");
        let network = if once { "none" } else { "service:net" };
        assert!(name == "net" || service.text("/network_mode") == network, "{name}");
        // What the network's namespace publishes is all that is published.
        assert!(name == "net" || service.ports().is_empty(), "{name}");
    }
}

#[test]
fn ports_are_those_of_the_documents_and_only_peers_reach_them_from_outside() {
    if !has_compose() {
        return;
    }
    let documented = text("docs/ARCHITECTURE.md");
    let (_, ports) = documented.split_once("## 4. ").expect("section 4");
    let (ports, _) = ports.split_once("## 5. ").expect("section 5");
    let numbers: BTreeSet<u64> = ports.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let published = every_service()["net"].ports();
    assert_eq!(published.len(), 12, "{published:?}");
    for (address, outside, inside, protocol) in published {
        assert!(outside == inside && numbers.contains(&inside), "{inside}: not in docs/ARCHITECTURE.md");
        let is_peers = protocol == "udp" || [30_303, 13_000].contains(&inside);
        assert_eq!(address, if is_peers { "" } else { "127.0.0.1" }, "{inside}/{protocol}");
    }
}

#[test]
fn every_variable_is_known_to_a_program_listed_in_env_example_and_has_its_default() {
    if !has_compose() {
        return;
    }
    let output = Command::new(program("polai")).arg("env").output().expect("polai env");
    let listed = String::from_utf8(output.stdout).expect("text");
    let defaults: BTreeMap<&str, &str> = listed.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).collect();
    let helps = listed.clone() + &help("ack-quorum", &[]) + &help("ml-sidecar", &["train"]);
    // Of pol-reth and Lighthouse, by flags.
    let others = ["EL_P2P_PORT", "BEACON_P2P_PORT"];
    for (name, service) in every_service() {
        for (variable, value) in service.environment() {
            assert!(helps.contains(&variable) || others.contains(&variable.as_str()), "{name}: nobody reads {variable}");
            let is_own = name.starts_with("trainer") && variable.starts_with("SIDECAR_");
            let default = defaults.get(variable.as_str()).filter(|default| variable.ends_with("_PORT") && !default.is_empty());
            assert!(
                is_own || default.is_none_or(|default| *default == value),
                "{name}: {variable} is {value}, polai's is {default:?}"
            );
        }
    }
    let example = text(".env.example");
    let in_example: BTreeSet<String> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').trim().split_once('=').map(|(name, _)| name.to_owned()))
        .filter(|name| !name.contains(' '))
        .collect();
    let mut used = interpolated(&text("docker-compose.yaml"));
    // Docker Compose's own.
    used.insert("COMPOSE_PROFILES".to_owned());
    // The original's names are told of in words.
    used.retain(|name| !name.starts_with("GETH_") && !name.starts_with("PRYSM_"));
    assert_eq!(in_example, used, ".env.example (left) and what docker-compose.yaml reads");
}

#[test]
fn the_originals_variables_still_move_the_ports() {
    if !has_compose() {
        return;
    }
    let set =
        ["GETH_HTTP_PORT", "GETH_AUTH_PORT", "GETH_P2P_PORT", "PRYSM_GRPC_PORT", "PRYSM_REST_PORT", "PRYSM_P2P_PORT", "DHT_PORT"];
    let numbers = 20_001_u64..;
    let variables: Vec<_> = set.iter().zip(numbers).map(|(name, port)| ((*name).to_owned(), port.to_string())).collect();
    let published: BTreeSet<u64> = Compose::read(&[], &variables).services()["net"].ports().iter().map(|port| port.2).collect();
    assert!((20_001..20_008).all(|port| published.contains(&port)), "{published:?}");
    assert!(published.contains(&8_552) && published.contains(&4_003), "{published:?}");
}

#[test]
fn every_flag_of_a_command_is_in_the_programs_own_help() {
    if !has_compose() {
        return;
    }
    let (mut programs, mut flags) = (BTreeSet::new(), 0);
    for (name, service) in every_service() {
        let words = service.command();
        assert!(!words.is_empty(), "{name}: its image's command would run");
        if OTHERS.contains(&words[0].as_str()) {
            continue;
        }
        let commands: Vec<&str> = words[1..].iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
        let help = help(&words[0], &commands);
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag);
            assert!(known, "{name}: {} {commands:?} has no {flag}", words[0]);
            flags += 1;
        }
        programs.insert(words[0].clone());
    }
    assert_eq!(
        programs.into_iter().collect::<Vec<_>>().join(" "),
        "ack-quorum ml-sidecar pol-beacon pol-dht pol-execution polai"
    );
    assert!(flags >= 15, "{flags}");
}

#[test]
fn dockerfiles_build_what_the_services_run_from_files_that_are_there() {
    let workspace = text("Cargo.toml");
    for name in ["docker/Dockerfile", "docker/reth.Dockerfile"] {
        let file = Dockerfile::read(&compose::root().join(name));
        for stage in &file.stages {
            for (from, paths) in stage.copies() {
                match from {
                    None => paths.iter().for_each(|path| {
                        assert!(compose::root().join(path).exists(), "{name}: {} copies {path}, which is not there", stage.name)
                    }),
                    Some(from) => assert!(!file.stage(&from).instructions.is_empty(), "{name}: no stage {from}"),
                }
            }
            for run in stage.all("RUN") {
                let packages = run.split("--package ").skip(1).filter_map(|rest| rest.split(' ').next());
                packages.for_each(|package| {
                    assert!(workspace.contains(&format!("\n{package} = {{ path")) || package == "polai", "{package}")
                });
            }
        }
    }
    if !has_compose() {
        return;
    }
    for (name, service) in every_service() {
        let Some((path, target)) = service.stage() else { continue };
        let file = Dockerfile::read(&path);
        let runs: Vec<String> = file.chain(&target).iter().flat_map(|stage| stage.all("COPY").map(str::to_owned)).collect();
        let wanted = service.command()[0].clone();
        assert!(runs.iter().any(|copy| copy.contains(&format!("/{wanted} "))), "{name}: {wanted} is in no COPY of {target}");
        let arguments = service.value["build"]["args"].as_object().map(|args| args.keys().cloned().collect::<Vec<_>>());
        for argument in arguments.into_iter().flatten() {
            let known = file.stages.iter().any(|stage| stage.all("ARG").any(|arg| arg.split('=').next() == Some(&argument)));
            assert!(known, "{name}: no ARG {argument} in {}", path.display());
        }
        // A volume begins as the image's folder, with its owner: a place that is in no image would be root's.
        let made: Vec<String> = file.chain(&target).iter().flat_map(|stage| stage.all("RUN").map(str::to_owned)).collect();
        for (_, place, _) in service.mounts().iter().filter(|(source, ..)| !source.starts_with('/')) {
            let is_made = made.iter().any(|run| run.contains("install --directory") && run.split(' ').any(|word| word == place));
            assert!(is_made, "{name}: nobody makes {place} in its image");
        }
    }
}

#[test]
fn the_default_profile_run_as_processes_finalizes_an_ai_block_through_crashes_and_stops_in_time() {
    if !has_compose() {
        return;
    }
    let named = interpolated(&text("docker-compose.yaml"));
    let is_ours = |name: &String| name.ends_with("_PORT") && !name.starts_with("GETH_") && !name.starts_with("PRYSM_");
    let mut variables = compose::free_ports(named.into_iter().filter(is_ours));
    // Four validators finalize an epoch sooner than one.
    variables.extend([("VALIDATORS", "4"), ("SLOT_SECONDS", "2")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    let port: u16 =
        variables.iter().find(|(name, _)| name == "EL_HTTP_PORT").and_then(|(_, port)| port.parse().ok()).expect("a port");
    let mut node = Node::start(&[], &variables);
    assert_eq!(node.running(), ["beacon", "dht", "execution", "gate", "trainer", "validator"]);
    node.running().iter().for_each(|name| node.until_healthy(name));
    let updates = |node: &Node, method: &str, params: Value| {
        let head = node.call(port, method, params)?;
        u64::from_str_radix(head["updates"].as_str()?.strip_prefix("0x")?, 16).ok()
    };
    let until = |node: &Node, method: &str, params: &Value, least: u64| {
        let start = Instant::now();
        while updates(node, method, params.clone()).is_none_or(|found| found < least) {
            assert!(start.elapsed() < Duration::from_secs(480), "no {least} update(s) by {method}:\n{}", node.logs());
            std::thread::sleep(Duration::from_millis(250));
        }
    };
    until(&node, "polai_modelHead", &json!([null]), 1);
    for name in ["dht", "validator", "gate", "trainer"] {
        node.crash(name);
    }
    until(&node, "polai_finalizedModelHead", &json!([]), 1);
    node.running().iter().for_each(|name| node.until_healthy(name));
    // As every `docker compose up` does: it finds that all is there.
    node.run_once("genesis");
    let seen = updates(&node, "polai_modelHead", json!([null])).expect("an answer");
    until(&node, "polai_modelHead", &json!([null]), seen + 1);
    node.stop();
}
