//! `ack-quorum`: the service beside a beacon node. See README.md.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lighthouse_ack_quorum::{
    guard::Guard,
    hooks::open_table,
    import::Anchor,
    limits,
    push::AiEngine,
    service::{
        self, Parts, Ports,
        args::{Args, Command, GuardCommand},
        beacon::BeaconNode,
    },
    signer::{Signer, keystore},
};
use pol_core::{
    committee::QuorumRule,
    genesis::{CHAIN_TOML_BYTES_MAX, ChainSpec},
};
use pol_kit::{
    clock::System,
    config::{self, Contradiction},
    exit::{self, Exit, OrUsage as _},
    fs,
    jwt::Secret,
    tasks, telemetry,
};

fn main() -> exit::Code {
    exit::main("ack-quorum", || {
        let args = config::load::<Args>(&config::Sources::of_process())?.args;
        telemetry::init(&args.log)?;
        let spec = chain(&args)?;
        let guard =
            Guard::open(&args.data.data_dir.join("secrets_data/guard"), spec.delta_context(), spec.domains()).or_usage()?;
        match &args.command {
            Some(Command::Guard(command)) => move_guard(&guard, command),
            None => serve(args, spec, guard),
        }
    })
}

fn chain(args: &Args) -> Result<ChainSpec, Exit> {
    let path = args.chain.clone().unwrap_or_else(|| args.data.data_dir.join("chain.toml"));
    let missing = |error| Exit::usage(format!("{}: {error}; give the chain's file with --chain", path.display()));
    let mut text = String::new();
    let most = u64::try_from(CHAIN_TOML_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(&path).and_then(|file| file.take(most).read_to_string(&mut text)).map_err(missing)?;
    let spec = ChainSpec::parse(&text).map_err(|error| Exit::usage(format!("{}: {error}", path.display())))?;
    let quorum = match spec.parameters().quorum {
        QuorumRule::Auto => "auto".to_owned(),
        QuorumRule::Fixed(number) => number.to_string(),
    };
    Contradiction::check("AI_QUORUM", args.ai_quorum.as_ref(), &quorum, "chain.toml").or_usage()?;
    Ok(spec)
}

fn move_guard(guard: &Guard, command: &GuardCommand) -> Result<(), Exit> {
    match command {
        GuardCommand::Export { file } => {
            let created = OpenOptions::new().write(true).create_new(true).open(file);
            let mut into = BufWriter::new(created.map_err(|error| Exit::usage(format!("{}: {error}", file.display())))?);
            guard.export(&mut into)?;
            into.flush()?;
            into.get_ref().sync_all()?;
        }
        GuardCommand::Import { file } => {
            let mut json = Vec::new();
            let opened = File::open(file).map_err(|error| Exit::usage(format!("{}: {error}", file.display())))?;
            opened.take(limits::INTERCHANGE_BYTES).read_to_end(&mut json)?;
            let merged = guard.import(&json).or_usage()?;
            println!("{} keys, {} ACKs that were not known", merged.keys, merged.acks);
        }
    }
    Ok(())
}

fn signer(args: &Args, spec: &ChainSpec) -> Result<Signer, Exit> {
    let keys = &args.keys;
    match (&keys.keystores, &keys.passwords, &keys.validators, &keys.genesis_seed) {
        (Some(_), _, Some(_), _) => Err(Exit::usage("--keystores and --validators: give one of them")),
        (Some(keystores), Some(passwords), None, _) => {
            // Two services on one set of keystores, whatever their data directories: the second one stops here.
            lock_for_ever(keystores)?;
            Ok(Signer::new(keystore::read_directory(keystores, passwords).or_usage()?, spec.domains()))
        }
        (Some(_), None, None, _) => Err(Exit::usage("--keystores needs --passwords")),
        (None, _, Some(validators), Some(seed)) => Ok(Signer::from_seed(seed, validators.0.clone(), spec.domains())?),
        (None, _, Some(_), None) => Err(Exit::usage("--validators needs GENESIS_SEED, 64 hex digits")),
        (None, _, None, _) => {
            tracing::warn!(target: "polai::quorum", "no keys: counts and pushes, signs nothing (--keystores, or --validators with GENESIS_SEED)");
            Ok(Signer::new([], spec.domains()))
        }
    }
}

fn lock_for_ever(keystores: &Path) -> Result<(), Exit> {
    let lock = fs::lock_directory(keystores).or_usage()?;
    // Until the process ends.
    std::mem::forget(lock);
    Ok(())
}

fn ai_engine(args: &Args) -> Result<Option<AiEngine>, Exit> {
    if args.peers.ai_engine.is_empty() {
        return Ok(None);
    }
    let path: PathBuf = args.peers.jwt_secret.clone().unwrap_or_else(|| args.data.data_dir.join("secrets_data/jwt.hex"));
    let secret = Arc::new(Secret::load(&path)?);
    Ok(Some(AiEngine::new(&args.peers.ai_engine, secret, Arc::new(System::new())).or_usage()?))
}

fn serve(args: Args, spec: ChainSpec, guard: Guard) -> Result<(), Exit> {
    let chain_data = args.data.data_dir.join("chain_data");
    fs::create_private_directory(&chain_data)?;
    let folder = chain_data.join("ack-quorum");
    fs::create_private_directory(&folder)?;
    let signer = signer(&args, &spec)?;
    let engine = ai_engine(&args)?;
    let table = open_table(&folder, spec.genesis_id()).or_usage()?;
    let anchor: Option<Anchor> = args.ai_checkpoint.as_deref().map(str::parse).transpose().or_usage()?;
    let beacon = BeaconNode::new(&args.peers.beacon).or_usage()?;
    let ports = Ports {
        grpc: (args.listen, args.grpc_port).into(),
        faults: (args.listen, args.fault_port).into(),
        metrics: args.metrics_port,
    };
    tasks::run("ack-quorum", Duration::from_secs(10), move |tasks| async move {
        let checkpoint = match anchor {
            // A checkpoint without its slot could never be pruned.
            Some(anchor) => Some((anchor, beacon.header(&format!("0x{}", anchor.root)).await.or_usage()?.signed.header.slot)),
            None => None,
        };
        let parts = Parts {
            spec,
            beacon,
            dht: args.peers.dht.clone(),
            sidecar: Some(args.peers.sidecar.clone()).filter(|uri| !uri.is_empty()),
            ai_engine: engine,
            table,
            checkpoint,
            guard,
            signer,
            trainers: args.keys.trainers.iter().map(|key| key.0).collect(),
            clock: Arc::new(System::new()),
        };
        service::start(&tasks, parts, ports).await.map(drop)
    })
}
