//! What every crate of the workspace has to carry.

use crate::Finding;
use toml::{Table, Value};

/// A crate as far as the rule looks at it.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// The text of its Cargo.toml.
    pub manifest: String,
    /// Whether README.md lies beside the manifest.
    pub has_readme: bool,
}

/// README.md, description and `[lints]`: what each crate lacks.
///
/// # Errors
/// When a manifest is not TOML.
pub fn check(crates: &[Crate]) -> Result<Vec<Finding>, toml::de::Error> {
    let mut findings = Vec::new();
    for member in crates {
        let manifest: Table = member.manifest.parse()?;
        let description = manifest.get("package").and_then(|package| package.get("description")).and_then(Value::as_str);
        let has_lints = manifest.get("lints").and_then(Value::as_table).is_some_and(|lints| !lints.is_empty());
        let lacks = [
            (member.has_readme, "has no README.md"),
            (description.is_some_and(|text| text.trim().len() >= 20), "has no description (one sentence) in its Cargo.toml"),
            (has_lints, "has no [lints] table (usually `workspace = true`)"),
        ];
        findings.extend(lacks.into_iter().filter(|(there, _)| !there).map(|(_, text)| Finding::new(&member.name, text)));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = 'a'\ndescription = 'Codec of the thing, both ways.'\n[lints]\nworkspace = true\n";

    fn findings(manifest: &str, has_readme: bool) -> usize {
        check(&[Crate { name: "a".into(), manifest: manifest.into(), has_readme }]).unwrap().len()
    }

    #[test]
    fn a_complete_crate_passes() {
        assert_eq!(findings(GOOD, true), 0);
    }

    #[test]
    fn each_missing_part_is_found() {
        assert_eq!(findings(GOOD, false), 1);
        assert_eq!(findings(&GOOD.replace("description", "homepage"), true), 1);
        assert_eq!(findings(&GOOD.replace("workspace = true", ""), true), 1);
        assert_eq!(findings("[package]\nname = 'a'\n", false), 3);
    }
}
