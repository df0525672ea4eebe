use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::Outcome;

const BACKENDS: [&str; 2] = ["postgres", "sqlite"];
const SCRIPTS: [&str; 2] = ["up.sql", "down.sql"];

/// Checks that each migration exists for every backend, with the same timestamp and a down migration.
pub(crate) fn check() -> Result<Outcome> {
    let (violations, count) = check_in(Path::new("migrations"))?;
    Ok(Outcome::of(&violations, format!("{count} migrations, for {}", BACKENDS.join(" and "))))
}

fn check_in(root: &Path) -> Result<(Vec<String>, usize)> {
    let mut violations = Vec::new();
    let mut all = BTreeSet::new();
    for backend in BACKENDS {
        all.extend(folders(&root.join(backend))?);
    }
    for (backend, stamp) in BACKENDS.iter().flat_map(|backend| all.iter().map(move |stamp| (backend, stamp))) {
        for script in SCRIPTS.map(|script| root.join(backend).join(stamp).join(script)) {
            if !script.is_file() {
                violations.push(format!("{} is missing", script.display()));
            }
        }
    }
    Ok((violations, all.len()))
}

fn folders(root: &Path) -> Result<Vec<String>> {
    if !root.exists() {
        return Ok(Vec::new()); // git stores no empty folders
    }
    let entries = fs::read_dir(root).with_context(|| format!("read {}", root.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let (violations, _) = check_in(root.path()).unwrap();
        let prefix = format!("{}/", root.path().display());
        violations.iter().map(|violation| violation.replace(&prefix, "")).collect()
    }

    #[test]
    fn pairs_are_well() {
        let files = ["postgres/1_a/up.sql", "postgres/1_a/down.sql", "sqlite/1_a/up.sql", "sqlite/1_a/down.sql"];
        assert_eq!(check(&files), Vec::<String>::new());
        assert_eq!(check(&[]), Vec::<String>::new());
    }

    #[test]
    fn a_missing_side_or_script_is_named() {
        let files = ["postgres/1_a/up.sql", "postgres/1_a/down.sql", "sqlite/1_a/up.sql", "sqlite/2_b/up.sql"];
        assert_eq!(
            check(&files),
            [
                "postgres/2_b/up.sql is missing",
                "postgres/2_b/down.sql is missing",
                "sqlite/1_a/down.sql is missing",
                "sqlite/2_b/down.sql is missing",
            ]
        );
    }
}
