//! The services as processes: the very commands, variables, health checks and order of docker-compose.yaml, with folders in the volumes' place.
//!
//! Where the test may (it is root, and mount namespaces are not forbidden), each process is confined as its container would be: a root that can
//! only be read, the service's mounts at their own places, its user, no capability. Elsewhere links stand in for the mounts.
//!
//! # What it does not show
//! Images, and the engine.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Compose, Dockerfile, Service, root};
use crate::{
    home::Process,
    program,
    up::{kill, lives},
};

/// A service that is to become healthy does within this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// What holds the network has no work of its own.
const IDLE: &str = "net";
/// The volume that does not begin empty.
const MODELS: &str = "model_cache";

/// The node that the file describes.
#[derive(Debug)]
pub struct Node {
    folder: TempDir,
    confined: bool,
    services: BTreeMap<String, Service>,
    processes: BTreeMap<String, Process>,
}

impl Node {
    /// Starts what these profiles start.
    ///
    /// # Panics
    /// Something does not start, or does not become healthy.
    pub fn start(profiles: &[&str], variables: &[(String, String)]) -> Self {
        let services = Compose::read(profiles, variables).services();
        let folder = tempfile::tempdir().expect("a directory");
        let mut node = Self { confined: can_confine(folder.path()), folder, services, processes: BTreeMap::new() };
        println!("the services run {}", if node.confined { "confined, as containers would" } else { "unconfined: not root" });
        node.make_volumes();
        let mut left: Vec<String> = node.services.keys().filter(|name| *name != IDLE).cloned().collect();
        while !left.is_empty() {
            let ready = |name: &String| node.services[name].waits_for().iter().all(|(other, _)| !left.contains(other));
            let place = left.iter().position(ready).unwrap_or_else(|| panic!("these wait for each other: {left:?}"));
            let name = left.remove(place);
            for (other, condition) in node.services[&name].waits_for() {
                if condition == "service_healthy" {
                    node.until_healthy(&other);
                }
            }
            if node.is_awaited_to_end(&name) { node.run_once(&name) } else { node.spawn(&name) }
        }
        node
    }

    fn is_awaited_to_end(&self, name: &str) -> bool {
        let waiting = self.services.values().flat_map(Service::waits_for);
        waiting.into_iter().any(|(other, condition)| other == name && condition == "service_completed_successfully")
    }

    /// A folder for each volume, as an image's empty one with its owner.
    fn make_volumes(&self) {
        let mut mounts: Vec<_> = self.services.values().flat_map(Service::mounts).collect();
        // The outermost first.
        mounts.sort_by_key(|(volume, place, _)| (place.len(), volume.clone()));
        for (volume, place, _) in &mounts {
            let path = self.volume(volume);
            if !path.exists() {
                fs::DirBuilder::new().mode(0o700).create(&path).expect("a disk");
            }
            if let Some(inside) = place.strip_prefix("/data/") {
                let inside = self.volume("node_data").join(inside);
                let made = if self.confined { fs::DirBuilder::new().mode(0o700).create(inside) } else { symlink(&path, inside) };
                // Several services mount it.
                drop(made);
            }
        }
        // In the image there is a model already; here the one that all tests of this target folder share, once there is one.
        let models = program("polai").with_file_name("e2e-models");
        if models.exists() {
            let copied = Command::new("cp").arg("-r").arg(models.join(".")).arg(self.volume(MODELS)).status();
            assert!(copied.is_ok_and(|status| status.success()), "cp of the model");
        }
        if self.confined {
            let user = self.services["genesis"].text("/user");
            let owned =
                Command::new("chown").args(["-R", user]).args(mounts.iter().map(|(volume, ..)| self.volume(volume))).status();
            assert!(owned.is_ok_and(|status| status.success()), "chown to {user}");
        }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path inside a container, as the process sees it.
    fn place(&self, service: &Service, word: &str) -> String {
        if self.confined {
            return word.to_owned();
        }
        let mounts = service.mounts();
        let mount =
            mounts.iter().filter(|(_, place, _)| Path::new(word).starts_with(place)).max_by_key(|(_, place, _)| place.len());
        let Some((volume, place, _)) = mount else { return word.to_owned() };
        let rest = word.strip_prefix(place.as_str()).unwrap_or_default().trim_start_matches('/');
        self.volume(volume).join(rest).display().to_string()
    }

    fn command(&self, name: &str) -> Command {
        let service = &self.services[name];
        let words = service.command();
        let (file, stage) = service.stage().unwrap_or_else(|| panic!("{name}: not built here"));
        let mut command = if self.confined { self.confine(service) } else { Command::new("env") };
        command.arg(program(&words[0])).args(words[1..].iter().map(|word| self.place(service, word))).env_clear();
        command.envs(["PATH", "LD_LIBRARY_PATH"].iter().filter_map(|name| Some((name, env::var_os(name)?))));
        let variables = Dockerfile::read(&file).environment(&stage).into_iter().chain(service.environment());
        command.envs(variables.map(|(name, value)| (name, self.place(service, &value))));
        let log = fs::File::options().create(true).append(true).open(self.log_path(name)).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        command
    }

    /// What becomes the program, once it sees what a container would.
    fn confine(&self, service: &Service) -> Command {
        let root = self.folder.path().join(format!("{}.root", service.name));
        fs::create_dir_all(&root).expect("a disk");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).arg(script()).arg(root).arg(service.text("/user"));
        let programs = program("polai").parent().expect("a folder").display().to_string();
        command.arg(format!("{programs}:{programs}:ro"));
        // Where setup has put LibTorch, to which the sidecar is linked.
        let torch = env::var("LIBTORCH").ok().and_then(|torch| Some(Path::new(&torch).parent()?.display().to_string()));
        command.args(torch.map(|torch| format!("{torch}:{torch}:ro")));
        let mut mounts = service.mounts();
        mounts.sort_by_key(|(_, place, _)| place.len());
        for (volume, place, writes) in mounts {
            command.arg(format!("{}:{place}:{}", self.volume(&volume).display(), if writes { "rw" } else { "ro" }));
        }
        command.arg("--");
        command
    }

    fn spawn(&mut self, name: &str) {
        let process = Process(self.command(name).spawn().unwrap_or_else(|error| panic!("{name}: {error}")));
        self.processes.insert(name.to_owned(), process);
    }

    /// Runs a service that ends by itself.
    ///
    /// # Panics
    /// It fails.
    pub fn run_once(&self, name: &str) {
        let status = self.command(name).status().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(status.success(), "{name}: {status}:\n{}", self.log(name));
    }

    /// Ends a process as a crash does, and starts it again, as its restart policy says.
    ///
    /// # Panics
    /// It does not run, or does not start.
    pub fn crash(&mut self, name: &str) {
        assert_eq!(self.services[name].text("/restart"), "unless-stopped", "{name}");
        drop(self.processes.remove(name));
        self.spawn(name);
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// What a service has said.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    /// Runs a service's health check.
    fn is_healthy(&self, name: &str) -> bool {
        let check = self.services[name].words("/healthcheck/test");
        let [kind, program, arguments @ ..] = check.as_slice() else { panic!("{name}: no health check") };
        assert_eq!((kind.as_str(), program.as_str()), ("CMD", "polai-health"), "{name}");
        let mut command = Command::new(root().join("docker/health"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("docker/health").success()
    }

    /// Waits until a service's health check says yes.
    ///
    /// # Panics
    /// It does not in time; with the logs.
    pub fn until_healthy(&self, name: &str) {
        let start = Instant::now();
        while !self.is_healthy(name) {
            assert!(start.elapsed() < PATIENCE, "{name} is not healthy:\n{}", self.logs());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// The last lines of all logs.
    pub fn logs(&self) -> String {
        let end = |name: &String| {
            let log = self.log(name);
            let lines: Vec<_> = log.lines().rev().take(12).collect();
            format!("{name}:\n{}\n", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        };
        self.services.keys().map(end).collect()
    }

    /// Those that run, by name.
    pub fn running(&self) -> Vec<String> {
        self.processes.keys().cloned().collect()
    }

    /// `result` of a JSON-RPC call to the execution client; None while there is none.
    pub fn call(&self, port: u16, method: &str, params: Value) -> Option<Value> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let client = reqwest::blocking::Client::new();
        let answer: Value = client.post(format!("http://127.0.0.1:{port}")).json(&call).send().ok()?.json().ok()?;
        answer.get("result").cloned()
    }

    /// Tells every process to stop, as `docker compose down` does; how long each took is within its grace period.
    ///
    /// # Panics
    /// One does not end in time, or not with code 0.
    pub fn stop(mut self) {
        for (name, process) in &mut self.processes {
            let pid = process.0.id();
            assert!(
                lives(pid),
                "{name} has ended:\n{}",
                fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default()
            );
            kill(pid, self.services[name].text("/stop_signal").strip_prefix("SIG").unwrap_or("TERM"));
        }
        let start = Instant::now();
        for (name, process) in &mut self.processes {
            let status = loop {
                if let Some(status) = process.0.try_wait().expect("a child") {
                    break status;
                }
                assert_eq!(self.services[name].text("/stop_grace_period"), "15s", "{name}");
                assert!(start.elapsed() < Duration::from_secs(15), "{name} does not stop");
                thread::sleep(Duration::from_millis(20));
            };
            assert!(status.success(), "{name}: {status}");
        }
    }
}

fn script() -> PathBuf {
    root().join("testing/e2e/confine.sh")
}

/// Whether processes can be confined here.
fn can_confine(folder: &Path) -> bool {
    let root = folder.join("try.root");
    fs::create_dir_all(&root).expect("a disk");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(script()).arg(&root).args(["10001:10001", "--", "true"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
