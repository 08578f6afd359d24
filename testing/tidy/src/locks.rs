//! Two workspaces, one set of types: what a Reth node shares with this workspace has the same version in both Cargo.lock files.

use crate::Finding;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Families of crates whose types cross the border between the workspaces: their APIs are tested here and used there.
const SHARED: [&str; 3] = ["alloy", "revm", "jsonrpsee"];

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Shared crates whose version here is not the one there.
///
/// # Errors
/// When a text is no Cargo.lock.
pub fn check(here: &str, there: &str) -> Result<Vec<Finding>, toml::de::Error> {
    let (here, there) = (versions(here)?, versions(there)?);
    let differ =
        here.iter().filter_map(|(name, here)| Some((name, here, there.get(name)?))).filter(|(_, here, there)| here != there);
    let text = |versions: &BTreeSet<String>| versions.iter().cloned().collect::<Vec<_>>().join(", ");
    Ok(differ
        .map(|(name, here, there)| {
            let (here, there) = (text(here), text(there));
            Finding::new(name, format!("is {here} here and {there} with Reth: cargo update -p {name} --precise {there}"))
        })
        .collect())
}

fn versions(lock: &str) -> Result<BTreeMap<String, BTreeSet<String>>, toml::de::Error> {
    let lock: Lock = toml::from_str(lock)?;
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Package { name, version } in lock.package {
        let family = name.split('-').next().unwrap_or_default();
        if SHARED.contains(&family) {
            versions.entry(name).or_default().insert(version);
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &[(&str, &str)]) -> String {
        packages.iter().map(|(name, version)| format!("[[package]]\nname = '{name}'\nversion = '{version}'\n")).collect()
    }

    #[test]
    fn a_shared_crate_of_another_version_is_found_and_no_other() {
        let here = lock(&[
            ("alloy-eips", "2.3.1"),
            ("revm", "42.0.1"),
            ("revm-state", "42.0.0"),
            ("serde", "1.0.1"),
            ("alloyed", "1.0.0"),
        ]);
        let there = lock(&[
            ("alloy-eips", "2.3.0"),
            ("revm", "42.0.1"),
            ("serde", "1.0.0"),
            ("alloyed", "2.0.0"),
            ("jsonrpsee", "0.26.0"),
        ]);
        let findings = check(&here, &there).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            findings[0].to_string(),
            "alloy-eips: is 2.3.1 here and 2.3.0 with Reth: cargo update -p alloy-eips --precise 2.3.0"
        );
        assert!(check("[[package]]", "").is_err());
    }
}
