//! docker-compose.yaml as Docker Compose itself reads it, and its services as processes of this machine. No engine is needed, and none is asked.

mod dockerfile;
mod run;

pub use dockerfile::{Dockerfile, Stage};
pub use run::Node;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::ports;

/// Ports that nobody has, for the variables that move them.
///
/// # Panics
/// Too many are asked for.
pub fn free_ports(names: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let mut ports = ports::free_ports::<32>().into_iter();
    names.into_iter().map(|name| (name, ports.next().expect("at most 32 ports").to_string())).collect()
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The file, everything in it filled in.
#[derive(Debug, Clone)]
pub struct Compose(Value);

/// One of its services.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// All that is said of it.
    pub value: Value,
}

/// Whether Docker Compose is here: scripts/setup brings it, where there is one for the machine.
pub fn is_here() -> bool {
    Command::new("docker-compose").arg("version").output().is_ok_and(|output| output.status.success())
}

impl Compose {
    /// Reads the file with these profiles and variables and nothing else: no `.env`, nothing of this process's environment.
    ///
    /// # Panics
    /// Docker Compose refuses it.
    pub fn read(profiles: &[&str], variables: &[(String, String)]) -> Self {
        let mut command = Command::new("docker-compose");
        command.current_dir(root()).env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(variables.iter().map(|(name, value)| (name, value))).args(["--env-file", "/dev/null"]);
        command.args(profiles.iter().flat_map(|profile| ["--profile", profile])).args(["config", "--format", "json"]);
        let output = command.output().expect("docker-compose");
        assert!(output.status.success(), "docker-compose config: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "docker-compose warns: {}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// The services that these profiles start, by name.
    ///
    /// # Panics
    /// There are none.
    pub fn services(&self) -> BTreeMap<String, Service> {
        let services = self.0["services"].as_object().expect("services");
        let service = |(name, value): (&String, &Value)| (name.clone(), Service { name: name.clone(), value: value.clone() });
        services.iter().map(service).collect()
    }
}

impl Service {
    /// A list of words at a JSON pointer; empty when it is not there.
    pub fn words(&self, pointer: &str) -> Vec<String> {
        let list = self.value.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
    }

    /// A text at a JSON pointer; empty when it is not there.
    pub fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its command line: program and arguments.
    pub fn command(&self) -> Vec<String> {
        [self.words("/entrypoint"), self.words("/command")].concat()
    }

    /// Its variables, without the image's.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let variables = self.value["environment"].as_object();
        let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        variables.into_iter().flatten().filter_map(pair).collect()
    }

    /// Whom it waits for, and for what.
    pub fn waits_for(&self) -> Vec<(String, String)> {
        let others = self.value["depends_on"].as_object();
        let pair = |(name, how): (&String, &Value)| Some((name.clone(), how["condition"].as_str()?.to_owned()));
        others.into_iter().flatten().filter_map(pair).collect()
    }

    /// Its mounts: source, place, and whether it may write.
    pub fn mounts(&self) -> Vec<(String, String, bool)> {
        let mounts = self.value["volumes"].as_array();
        let mount = |mount: &Value| {
            let writes = mount["read_only"].as_bool() != Some(true);
            Some((mount["source"].as_str()?.to_owned(), mount["target"].as_str()?.to_owned(), writes))
        };
        mounts.into_iter().flatten().filter_map(mount).collect()
    }

    /// The ports that it publishes: host's address, port outside, port inside, protocol.
    pub fn ports(&self) -> Vec<(String, u64, u64, String)> {
        let ports = self.value["ports"].as_array();
        let port = |port: &Value| {
            let outside = port["published"].as_str()?.parse().ok()?;
            let address = port["host_ip"].as_str().unwrap_or_default().to_owned();
            Some((address, outside, port["target"].as_u64()?, port["protocol"].as_str()?.to_owned()))
        };
        ports.into_iter().flatten().filter_map(port).collect()
    }

    /// The stage of which Dockerfile its image is; None when it is somebody else's image.
    pub fn stage(&self) -> Option<(PathBuf, String)> {
        let build = self.value.get("build")?;
        let file = root().join(build["dockerfile"].as_str()?);
        Some((file, build["target"].as_str().unwrap_or_default().to_owned()))
    }
}
