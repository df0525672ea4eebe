use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::report::Outcome;
use crate::process::{cargo, output};

/// The members that each member may depend on. All others are forbidden.
const ARROWS: &[(&str, &[&str])] = &[
    ("kombo-model", &[]),
    ("kombo-client", &["kombo-model"]),
    ("sync-core", &["kombo-model"]),
    ("sync-runtime", &["kombo-model", "sync-core"]),
    ("store-diesel", &["kombo-model", "sync-core"]),
    ("sync-testkit", &["kombo-model", "sync-core"]),
    ("sync-sim", &["kombo-client", "kombo-model", "sync-core", "sync-runtime", "sync-testkit"]),
    ("kombo-sandbox", &["kombo-model"]),
    ("syncd", &["kombo-client", "kombo-model", "kombo-sandbox", "store-diesel", "sync-core", "sync-runtime"]),
    ("xtask", &["kombo-model", "sync-testkit"]),
];

/// The crates that are also used on their own: the maximum number of crates in each one's dependency tree, including
/// itself and platform-specific ones, and the crates that must not be in it. Raise a number only on purpose.
const LIBRARIES: &[(&str, usize, &[&str])] = &[
    ("kombo-model", 12, &["axum", "diesel", "reqwest", "tokio"]),
    ("kombo-client", 145, &["axum", "diesel"]),
    ("sync-core", 30, &["axum", "diesel", "hyper", "reqwest", "tokio-postgres"]),
    ("sync-runtime", 31, &["axum", "diesel", "hyper", "reqwest", "tokio-postgres"]),
    ("store-diesel", 155, &["axum", "hyper", "reqwest"]),
];

/// Forbidden everywhere: a clean clone must need only a C compiler.
const NOWHERE: &[&str] = &["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl-sys"];

/// Must not occur in two versions, because both would be linked.
const ONCE: &[&str] = &["libsqlite3-sys"];

/// Checks that the crates depend on each other as the architecture says, and on nothing that it forbids.
pub(crate) fn check() -> Result<Outcome> {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let mut violations = wrong_arrows(&serde_json::from_str(&metadata).context("read cargo's metadata")?);
    let mut sizes = Vec::new();
    for (member, at_most, forbidden) in LIBRARIES {
        let tree = tree(&["--package", member, "--edges", "normal,no-proc-macro"])?;
        let crates = crates_in(&tree);
        violations.extend(present(&crates, forbidden).into_iter().map(|name| format!("{member} reaches {name}")));
        violations.extend(too_many(member, crates.len(), *at_most));
        sizes.push(format!("{member} {}", crates.len()));
    }
    let tree = tree(&["--workspace", "--edges", "normal,build,dev"])?;
    let crates = crates_in(&tree);
    violations.extend(present(&crates, NOWHERE).into_iter().map(|name| format!("the workspace reaches {name}")));
    violations.extend(repeated(&crates, ONCE));
    let passed = format!("{} members, {} crates in all; {}", ARROWS.len(), crates.len(), sizes.join(", "));
    Ok(Outcome::of(&violations, passed))
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev` or `build`; `None` for a normal dependency.
    kind: Option<String>,
    /// Set for a member of the workspace.
    path: Option<String>,
}

fn wrong_arrows(metadata: &Metadata) -> Vec<String> {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let Some(allowed) = arrows.get(package.name.as_str()) else {
            violations.push(format!("{} is new: say in the layering check what it may build on", package.name));
            continue;
        };
        let members = package.dependencies.iter().filter(|it| it.path.is_some() && it.kind.as_deref() != Some("dev"));
        let wrong = members.filter(|it| !allowed.contains(&it.name.as_str()));
        violations.extend(wrong.map(|it| format!("{} must not build on {}", package.name, it.name)));
    }
    violations
}

fn tree(selection: &[&str]) -> Result<String> {
    let mut command = cargo(&["tree", "--all-features", "--target", "all", "--prefix", "none", "--format", "{p}"]);
    output(command.args(selection))
}

/// Each crate's name with its versions.
type Crates<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Parses the output of `cargo tree` without indentation: lines `NAME vVERSION …`.
fn crates_in(tree: &str) -> Crates<'_> {
    let mut crates = Crates::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            crates.entry(name).or_default().insert(version);
        }
    }
    crates
}

fn present<'a>(crates: &Crates<'_>, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| crates.contains_key(name)).collect()
}

fn too_many(member: &str, crates: usize, at_most: usize) -> Option<String> {
    (crates > at_most).then(|| format!("{member} brings {crates} crates: {at_most} are enough"))
}

fn repeated(crates: &Crates<'_>, names: &[&str]) -> Vec<String> {
    let several = names.iter().filter_map(|name| crates.get_key_value(name)).filter(|(_, versions)| versions.len() > 1);
    several.map(|(name, versions)| format!("{name} is there in several versions: {versions:?}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(metadata: &str) -> Vec<String> {
        wrong_arrows(&serde_json::from_str(metadata).unwrap())
    }

    #[test]
    fn arrows_that_run_down_are_well() {
        let metadata = r#"{"packages": [
            {"name": "kombo-model", "dependencies": [{"name": "serde", "kind": null, "path": null}]},
            {"name": "sync-core", "dependencies": [
                {"name": "kombo-model", "kind": null, "path": "crates/kombo-model"},
                {"name": "sync-testkit", "kind": "dev", "path": "crates/sync-testkit"}
            ]}
        ]}"#;
        assert_eq!(wrong(metadata), Vec::<String>::new());
    }

    #[test]
    fn arrows_that_run_up_or_across_are_named() {
        let metadata = r#"{"packages": [
            {"name": "kombo-model", "dependencies": [{"name": "sync-core", "kind": null, "path": "x"}]},
            {"name": "kombo-client", "dependencies": [{"name": "sync-core", "kind": "build", "path": "x"}]},
            {"name": "newcomer", "dependencies": []}
        ]}"#;
        assert_eq!(
            wrong(metadata),
            [
                "kombo-model must not build on sync-core",
                "kombo-client must not build on sync-core",
                "newcomer is new: say in the layering check what it may build on",
            ]
        );
    }

    #[test]
    fn a_crate_is_found_by_its_whole_name() {
        let crates = crates_in("sync-core v0.1.0 (here)\ndiesel_derives v2.3.0 (proc-macro)\nhyper v1.0.0 (*)\n");
        assert_eq!(present(&crates, &["diesel", "hyper"]), ["hyper"]);
    }

    #[test]
    fn a_library_that_grows_is_named() {
        assert_eq!(too_many("kombo-model", 12, 12), None);
        assert!(too_many("kombo-model", 13, 12).unwrap().contains("kombo-model brings 13"));
    }

    #[test]
    fn the_same_crate_twice_is_one_version_unless_versions_differ() {
        assert!(repeated(&crates_in("a v1.0.0\na v1.0.0 (*)\nb v1.0.0\nb v2.0.0"), &["a"]).is_empty());
        assert_eq!(repeated(&crates_in("b v1.0.0\nb v2.0.0"), &["b"]).len(), 1);
    }
}
