//! What the library crates promise, as text beside each crate: a change of it shows in the diff, and asks for a line in
//! the changelog and, once there are releases, for the right version.
//!
//! Read from the sources, which the lint `unreachable_pub` and rustfmt make possible: whatever is `pub` is reachable,
//! and stands where rustfmt puts it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The crates that others build on by themselves.
const LISTED: &[&str] = &["kombo-client", "kombo-model", "store-diesel", "sync-core"];

/// Writes the listings.
pub(crate) fn write() -> Result<bool> {
    for name in LISTED {
        let path = file(name);
        fs::write(&path, listing(name)?).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(true)
}

/// The listings that are not what the sources say.
pub(crate) fn outdated() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for name in LISTED {
        let (path, now) = (file(name), listing(name)?);
        let before = fs::read_to_string(&path).unwrap_or_default();
        if before == now {
            continue;
        }
        let lacks = |text: &str, line: &str| !text.lines().any(|it| it == line);
        violations.push(format!("{name}: public-api.txt is not what the sources say:"));
        violations.extend(before.lines().filter(|line| lacks(&now, line)).map(|line| format!("- {line}")));
        violations.extend(now.lines().filter(|line| lacks(&before, line)).map(|line| format!("+ {line}")));
    }
    if !violations.is_empty() {
        violations.push("if that is meant, run `cargo xtask api`".into());
    }
    Ok(violations)
}

pub(crate) fn listed() -> String {
    LISTED.join(", ")
}

fn file(name: &str) -> PathBuf {
    Path::new("crates").join(name).join("public-api.txt")
}

fn listing(name: &str) -> Result<String> {
    let mut paths = Vec::new();
    collect(&Path::new("crates").join(name).join("src"), &mut paths)?;
    paths.sort();
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
    let sources = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
    let types: BTreeSet<&str> = sources.iter().flat_map(|code| type_names(code)).collect();
    let mut text = String::new();
    for (path, code) in paths.iter().zip(&sources) {
        let items = public(code, &types);
        if !items.is_empty() {
            let place: Vec<_> = path.iter().skip(3).map(|part| part.to_string_lossy()).collect();
            text.extend([&*place.join("/"), "\n", &*items, "\n"]);
        }
    }
    Ok(text)
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|it| it == "rs") && path.file_name().is_some_and(|it| it != "tests.rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// The names of the public types in a source file.
fn type_names(code: &str) -> impl Iterator<Item = &str> {
    let names = code.lines().map(str::trim_start).filter_map(|line| {
        ["pub struct ", "pub enum ", "pub trait "].iter().find_map(|keyword| line.strip_prefix(keyword))
    });
    names.map(|name| name.split(|it: char| !it.is_alphanumeric() && it != '_').next().unwrap_or(name))
}

/// The public items of a source file without their bodies and documentation. `types` are the public ones of the crate.
fn public(code: &str, types: &BTreeSet<&str>) -> String {
    let mut out = String::new();
    let (mut attributes, mut header) = (Vec::new(), None);
    let mut lines = code.lines().filter(|line| !is_comment(line)).take_while(|line| *line != "#[cfg(test)]");
    while let Some(line) = lines.next() {
        let item = line.trim_start();
        let indent = line.len() - item.len();
        if item.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let before = std::mem::take(&mut attributes);
        if item.starts_with("impl") && indent == 0 {
            // Of a type's own functions the first public one tells that the type is public.
            header = Some(line);
            let is_known = |(of, name): (&str, &str)| types.contains(ident(of)) || types.contains(ident(name));
            if !line.trim_start_matches("impl").split_once(" for ").is_some_and(is_known) {
                continue;
            }
        } else if !item.starts_with("pub ") {
            continue;
        }
        if let Some(header) = header.take().filter(|it| *it != line && indent > 0) {
            push(&mut out, header);
        }
        let is_type = ["pub struct ", "pub enum ", "pub trait "].iter().any(|it| item.starts_with(it));
        let promises = |it: &&str| is_type || it.contains("must_use");
        before.into_iter().filter(promises).for_each(|it| push(&mut out, it));
        let closing = format!("{}}}", " ".repeat(indent));
        if is_type && line.ends_with('{') {
            out.push_str(line);
            out.push('\n');
            let mut body = lines.by_ref().take_while(|line| *line != closing);
            block(&mut out, &mut body, item, indent + 4);
            push(&mut out, &closing);
            continue;
        }
        push(&mut out, line);
        let is_list = item.starts_with("pub use ") && line.ends_with('{');
        if is_list || !ends(line) {
            // The rest of a signature or of a list.
            for line in lines.by_ref() {
                push(&mut out, line);
                if ends(line) && line.len() - line.trim_start().len() <= indent {
                    break;
                }
            }
        }
    }
    out
}

/// What a type promises: of a struct its public fields, of an enum all of it, of a trait its signatures.
fn block<'a>(out: &mut String, body: &mut impl Iterator<Item = &'a str>, item: &str, indent: usize) {
    let mut attributes = Vec::new();
    let (mut in_function, mut in_error) = (false, false);
    for line in body {
        let (text, depth) = (line.trim_start(), line.len() - line.trim_start().len());
        if in_error || text.starts_with("#[error(") {
            // What an error says is for people.
            in_error = !line.ends_with(")]");
        } else if in_function {
            in_function = !(depth == indent && text.starts_with('}'));
        } else if text.starts_with("#[") {
            attributes.push(line);
        } else {
            let is_private = item.starts_with("pub struct") && depth == indent && !text.starts_with("pub ");
            let before = std::mem::take(&mut attributes);
            if !is_private {
                for attribute in before {
                    push(out, attribute);
                }
                in_function = item.starts_with("pub trait") && line.ends_with('{');
                if in_function {
                    push(out, line);
                } else if !text.is_empty() {
                    out.extend([line, "\n"]);
                }
            }
        }
    }
}

/// The first name of a path without its modules: `Debug` of ` fmt::Debug`, `Pages` of `Pages<R> {`.
fn ident(path: &str) -> &str {
    // What stands before the trait in `impl<R: Listed> Debug` are its parameters.
    let path = path.strip_prefix('<').and_then(|it| it.split_once("> ")).map_or(path, |(_, rest)| rest).trim_start();
    let path = path.split(['<', ' ']).next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn ends(line: &str) -> bool {
    line.ends_with(['{', ';', '}', ','])
}

/// A line, without what opens a body that is left out.
fn push(out: &mut String, line: &str) {
    let line = line.strip_suffix(" {").unwrap_or(line);
    if !line.trim().is_empty() {
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public_is_listed_and_nothing_else() {
        let code = r"
//! A module.
use std::fmt;

pub use other::{
    One, Two,
};

/// A thing.
#[derive(Debug)]
pub struct Thing {
    /// Seen.
    #[serde(default)]
    pub seen: u8,
    hidden: u8,
}

pub struct Wrapped(u8);

impl Thing {
    /// Makes one.
    #[must_use]
    pub fn new(
        seen: u8,
    ) -> Self {
        let pub_like = seen;
        Self { seen, hidden: pub_like }
    }

    pub(crate) fn secret(&self) {}
}

impl fmt::Debug for Thing {
    fn fmt(&self) {}
}

struct Private;

impl Private {
    pub(crate) fn helper() {}
}

impl fmt::Debug for Private {}

impl Does for u8 {}

pub trait Does: Send {
    fn one(&self);
    fn two(&self) -> u8 {
        2
    }
}

#[cfg(test)]
mod tests {
    pub fn not_me() {}
}
";
        let expected = "\
pub use other::{
    One, Two,
};
#[derive(Debug)]
pub struct Thing {
    #[serde(default)]
    pub seen: u8,
}
pub struct Wrapped(u8);
impl Thing
    #[must_use]
    pub fn new(
        seen: u8,
    ) -> Self
impl fmt::Debug for Thing
impl Does for u8 {}
pub trait Does: Send {
    fn one(&self);
    fn two(&self) -> u8
}
";
        let types = type_names(code).collect();
        assert_eq!(public(code, &types), expected);
    }

    #[test]
    fn fields_of_variants_are_listed_and_what_errors_say_is_not() {
        let code = "\
pub enum Error {
    /// One.
    #[error(\"one line\")]
    One,
    #[error(
        \"several lines, {of}\"
    )]
    Two {
        /// Of what.
        of: String,
    },
}
";
        let expected = "pub enum Error {\n    One,\n    Two {\n        of: String,\n    },\n}\n";
        assert_eq!(public(code, &BTreeSet::new()), expected);
    }

    #[test]
    fn enums_are_listed_within_macros_too() {
        let code = "open_enum! {\n    /// A.\n    pub enum A {\n        /// B.\n        B = \"B\",\n    }\n}\n";
        assert_eq!(public(code, &BTreeSet::new()), "    pub enum A {\n        B = \"B\",\n    }\n");
    }
}
