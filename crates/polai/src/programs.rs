//! Where the programs of a node are.

use std::{
    env,
    path::{Path, PathBuf},
};

use pol_kit::exit::Exit;

/// The DHT.
pub const DHT: &str = "pol-dht";
/// The embedded execution client.
pub const EXECUTION: &str = "pol-execution";
/// The custom Reth, in place of it.
pub const RETH: &str = "pol-reth";
/// The embedded beacon node.
pub const BEACON: &str = "pol-beacon";
/// The ACK side beside a beacon node that is not ours.
pub const ACK_QUORUM: &str = "ack-quorum";
/// Lighthouse's beacon node, as a part.
pub const LIGHTHOUSE_BN: &str = "lighthouse-bn";
/// Lighthouse's validator client, as a part.
pub const LIGHTHOUSE_VC: &str = "lighthouse-vc";
/// Parts without which no block comes, as far as they have a health page.
pub const MAKE_BLOCKS: [&str; 4] = [EXECUTION, RETH, BEACON, LIGHTHOUSE_BN];
/// The machine learning side.
pub const SIDECAR: &str = "ml-sidecar";
/// Those of an embedded node, in the order in which they are started.
pub const ALL: [&str; 4] = [DHT, EXECUTION, BEACON, SIDECAR];

/// All parts that a node can have.
pub const PARTS: [&str; 8] = [DHT, EXECUTION, RETH, BEACON, LIGHTHOUSE_BN, LIGHTHOUSE_VC, ACK_QUORUM, SIDECAR];

/// Where programs are looked for.
#[derive(Debug, Clone)]
pub struct Programs {
    folders: Vec<PathBuf>,
}

impl Programs {
    /// Beside this program, then in PATH.
    pub fn of_process() -> Self {
        let own = env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
        let path = env::var_os("PATH").unwrap_or_default();
        Self { folders: own.into_iter().chain(env::split_paths(&path)).collect() }
    }

    /// In these folders.
    pub const fn in_folders(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// A program.
    ///
    /// # Errors
    /// The operator's: it is not there.
    pub fn find(&self, name: &str) -> Result<PathBuf, Exit> {
        let found = self.folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        found.ok_or_else(|| {
            let how = match name {
                RETH => "reth-ai-exex/node/README.md says how it is built; --reth-bin names it".to_owned(),
                ACK_QUORUM => "build it with `cargo build --release -p lighthouse-ack-quorum`".to_owned(),
                name => format!("build it with scripts/devnet or `cargo build --release -p {name}`"),
            };
            Exit::usage(format!("{name} is neither beside polai nor in PATH: {how}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_the_first_file_of_its_name_and_a_missing_one_is_named() {
        let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in [&one, &two] {
            std::fs::write(folder.path().join(DHT), "").unwrap();
        }
        std::fs::create_dir(one.path().join(BEACON)).unwrap();
        std::fs::write(two.path().join(BEACON), "").unwrap();
        let programs = Programs::in_folders(vec![one.path().to_owned(), two.path().to_owned()]);
        assert_eq!(programs.find(DHT).unwrap(), one.path().join(DHT));
        assert_eq!(programs.find(BEACON).unwrap(), two.path().join(BEACON), "a folder is no program");
        let line = programs.find(SIDECAR).unwrap_err().to_string();
        assert!(line.starts_with("ml-sidecar is neither beside polai nor in PATH"), "{line}");
    }
}
