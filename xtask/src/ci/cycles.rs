use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::report::Outcome;

/// The imports of each file, by module path. A file and its own submodules may use each other: `super` in a child does
/// not count as an import.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The simulator is exempt: everything in it acts on one world, which contains everything.
const EXEMPT: &str = "sync-sim";

/// Checks that within a crate no file imports a file that imports it, directly or indirectly.
pub(crate) fn check() -> Result<Outcome> {
    let mut violations = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir("crates").context("list the crates")? {
        let entry = entry?;
        if entry.file_name() == EXEMPT {
            continue;
        }
        let source = entry.path().join("src");
        let imports = imports(&source)?;
        files += imports.len();
        violations.extend(cycle(&imports).map(|modules| format!("{}: {}", source.display(), modules.join(" -> "))));
    }
    Ok(Outcome::of(&violations, format!("{files} files")))
}

fn imports(source: &Path) -> Result<Imports> {
    let mut texts = BTreeMap::new();
    collect(source, source, &mut texts)?;
    let modules: BTreeSet<String> = texts.keys().cloned().collect();
    let of_text = |(module, text): (&String, &String)| {
        let named = text.split("crate::").skip(1).flat_map(paths);
        let imported = named.filter_map(|path| module_of(&path, &modules)).filter(|other| other != module);
        (module.clone(), imported.collect())
    };
    Ok(texts.iter().map(of_text).collect())
}

/// Reads the code of all files in a folder, without comments and tests.
fn collect(root: &Path, folder: &Path, texts: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            collect(root, &path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root)?.with_extension("");
            let module = name.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("::");
            if !["lib", "main"].contains(&module.as_str()) && !module.ends_with("tests") {
                let text = fs::read_to_string(&path)?;
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
                texts.insert(module, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    Ok(())
}

/// Returns the paths at the start of a text after `crate::`: one, or those of a group in braces.
fn paths(text: &str) -> Vec<String> {
    let head: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
    let group = text[head.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next());
    match group {
        None => vec![head],
        Some(group) => group.split(',').map(|item| format!("{head}{}", item.trim())).collect(),
    }
}

/// Returns the file of a path: the longest prefix that is a module.
fn module_of(path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let heads = (1..=parts.len()).rev().filter_map(|length| parts.get(..length));
    heads.map(|head| head.join("::")).find(|module| modules.contains(module))
}

/// Returns the modules of one cycle, with the first repeated at the end.
fn cycle(imports: &Imports) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| walk(module, imports, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    module: &'a str,
    imports: &'a Imports,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|seen| *seen == module) {
        return Some(path.iter().skip(start).chain([&module]).map(|&name| name.to_owned()).collect());
    }
    if done.contains(module) {
        return None;
    }
    path.push(module);
    let found = imports.get(module)?.iter().find_map(|other| walk(other, imports, path, done));
    path.pop();
    done.insert(module);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_of_three_is_found() {
        let of = |pairs: &[(&str, &str)]| -> Imports {
            pairs.iter().map(|(from, to)| ((*from).to_owned(), BTreeSet::from([(*to).to_owned()]))).collect()
        };
        assert_eq!(
            cycle(&of(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "c")])).unwrap(),
            ["c", "d", "e", "c"]
        );
        assert_eq!(cycle(&of(&[("a", "b"), ("b", "c"), ("d", "b")])), None);
    }

    #[test]
    fn a_path_leads_to_its_file() {
        let modules = ["jobs", "jobs::queue", "rows"].map(str::to_owned).into();
        let leads = |text: &str| paths(text).iter().filter_map(|path| module_of(path, &modules)).collect::<Vec<_>>();
        assert_eq!(leads("jobs::queue::claim;"), ["jobs::queue"]);
        assert_eq!(leads("jobs::{queue, Target};"), ["jobs::queue", "jobs"]);
        assert_eq!(leads("{rows::Row, error};"), ["rows"]);
    }
}
