//! The one-way dependency rule: a crate uses only crates further in (docs/ARCHITECTURE.md, section 2).

use crate::Finding;
use cargo_metadata::{DependencyKind, Metadata, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// Every crate of ours, innermost ring first; crates of one ring never use each other. A new crate gets its place here.
const RINGS: &[&[&str]] = &[
    &["pol-core"],
    &["pol-api"],
    &["pol-kit"],
    &["pol-dht", "reth-ai-exex", "lighthouse-ack-quorum", "ml-sidecar"],
    &["pol-execution", "pol-beacon"],
    &["polai"],
];

/// Crates in this folder form the outermost ring and may use each other.
const TESTING_FOLDER: &str = "testing/";

/// What must not stand below `pol-core`, not even through others: runtimes, sockets, clocks, randomness, tensors. A name that
/// ends in `*` stands for all that begin so.
const NOT_IN_CORE: &[&str] = &[
    "async-*",
    "chrono",
    "fastrand",
    "futures*",
    "getrandom",
    "hyper*",
    "libp2p*",
    "mio",
    "quinn*",
    "rand",
    "rayon",
    "reqwest",
    "rustls*",
    "smol",
    "socket2",
    "tch",
    "time",
    "tokio*",
    "tonic*",
    "torch-sys",
    "tracing*",
];

/// A crate of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its folder, from the root of the repository.
    pub folder: String,
    /// The workspace's crates that it uses, in whatever way (normal, build, dev).
    pub uses: BTreeSet<String>,
}

impl Member {
    fn ring(&self) -> Option<usize> {
        if self.folder.starts_with(TESTING_FOLDER) {
            return Some(RINGS.len());
        }
        RINGS.iter().position(|ring| ring.contains(&self.name.as_str()))
    }
}

/// The workspace's crates, from Cargo's metadata.
pub fn members(metadata: &Metadata) -> Vec<Member> {
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let member = |package: &&cargo_metadata::Package| {
        let folder = package.manifest_path.parent().and_then(|folder| folder.strip_prefix(&metadata.workspace_root).ok());
        let uses = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        Member {
            name: package.name.to_string(),
            folder: folder.map(ToString::to_string).unwrap_or_default(),
            uses: uses.filter(|name| names.contains(name)).map(str::to_owned).collect(),
        }
    };
    packages.iter().map(member).collect()
}

/// Crates without a place, and uses that point outward or sideways.
pub fn check_direction(members: &[Member]) -> Vec<Finding> {
    let rings: BTreeMap<&str, usize> = members.iter().filter_map(|m| Some((m.name.as_str(), m.ring()?))).collect();
    let mut findings = Vec::new();
    for member in members {
        let Some(&ring) = rings.get(member.name.as_str()) else {
            let text = "this crate has no place in the dependency rule: give it one in testing/tidy/src/dependencies.rs";
            findings.push(Finding::new(&member.name, text));
            continue;
        };
        for used in member.uses.iter().filter(|used| **used != member.name) {
            let allowed = rings.get(used.as_str()).is_none_or(|&inner| inner < ring || ring == RINGS.len());
            if !allowed {
                findings.push(Finding::new(&member.name, format!("must not use {used}: dependencies point inward only")));
            }
        }
    }
    findings
}

/// Names of everything in the normal dependency tree below `root`, itself not counted. Empty when Cargo did not resolve it.
pub fn normal_tree(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let Some(resolve) = &metadata.resolve else { return BTreeSet::new() };
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut open: Vec<&PackageId> = metadata.packages.iter().filter(|p| p.name == root).map(|p| &p.id).collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_normal && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    metadata.packages.iter().filter(|package| seen.contains(&package.id)).map(|package| package.name.to_string()).collect()
}

/// Crates below `pol-core` that bring I/O, time or chance into the rules.
pub fn check_core(tree: &BTreeSet<String>) -> Vec<Finding> {
    let is_banned = |name: &&String| {
        NOT_IN_CORE.iter().any(|banned| match banned.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == banned,
        })
    };
    let finding =
        |name| Finding::new("pol-core", format!("{name} is in its dependency tree: rules have no I/O, clock or chance"));
    tree.iter().filter(is_banned).map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, folder: &str, uses: &[&str]) -> Member {
        Member { name: name.into(), folder: folder.into(), uses: uses.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn workspace(name: &str, folder: &str, uses: &[&str]) -> Vec<Member> {
        let others = RINGS.iter().flat_map(|ring| ring.iter()).filter(|other| **other != name);
        let mut members: Vec<_> = others.map(|other| member(other, "crates/x", &[])).collect();
        members.push(member("e2e", "testing/e2e", &[]));
        members.push(member(name, folder, uses));
        members
    }

    #[test]
    fn uses_that_point_inward_pass() {
        for (name, folder, uses) in [
            ("pol-dht", "crates/pol-dht", vec!["pol-core", "pol-api", "pol-kit"]),
            ("pol-beacon", "devnet/beacon", vec!["lighthouse-ack-quorum", "pol-core"]),
            ("polai", "crates/polai", vec!["pol-beacon", "ml-sidecar"]),
            ("sim", "testing/sim", vec!["e2e", "polai"]),
        ] {
            assert_eq!(check_direction(&workspace(name, folder, &uses)), [], "{name}");
        }
    }

    #[test]
    fn uses_that_point_outward_or_sideways_are_found() {
        for (name, used) in [
            ("pol-core", "pol-api"),
            ("pol-core", "e2e"),
            ("pol-api", "pol-kit"),
            ("pol-dht", "ml-sidecar"),
            ("ml-sidecar", "reth-ai-exex"),
            ("reth-ai-exex", "lighthouse-ack-quorum"),
            ("pol-beacon", "pol-execution"),
            ("polai", "e2e"),
        ] {
            assert_eq!(check_direction(&workspace(name, "crates/x", &[used])).len(), 1, "{name} -> {used}");
        }
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        let findings = check_direction(&workspace("pol-new", "crates/pol-new", &[]));
        assert!(matches!(findings.as_slice(), [finding] if finding.text.contains("no place")), "{findings:?}");
    }

    #[test]
    fn io_time_and_chance_below_the_core_are_found() {
        let tree = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(check_core(&tree(&["rand_core", "sha2", "blst"])), []);
        assert_eq!(check_core(&tree(&["tokio-util", "rand", "libp2p-core", "sha2", "async-trait"])).len(), 4);
    }
}
