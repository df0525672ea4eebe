use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::report::Outcome;
use crate::process::output;

/// Relative links of the Markdown files lead to files that are there, and to headings in them.
pub(crate) fn check() -> Result<Outcome> {
    let listed =
        output(Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]))?;
    let pages: Vec<&Path> = listed.split_terminator('\0').map(Path::new).filter(|page| page.is_file()).collect();
    let mut violations = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
        violations.extend(broken_links(page, &text));
    }
    Ok(Outcome::of(&violations, format!("{} pages", pages.len())))
}

fn broken_links(page: &Path, text: &str) -> Vec<String> {
    let targets = links(text).into_iter().filter(|(_, target)| is_relative(target) && !is_rust_item(page, target));
    let broken = targets.filter_map(|(line, target)| {
        let why = why_broken(page, text, target)?;
        Some(format!("{}:{line}: {target}: {why}", page.display()))
    });
    broken.collect()
}

fn why_broken(page: &Path, text: &str, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    if path.is_empty() {
        return missing_heading(text, anchor?);
    }
    let file = beside(page, path);
    if !file.exists() {
        return Some("no such file".into());
    }
    if file.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    missing_heading(&fs::read_to_string(&file).ok()?, anchor?)
}

fn missing_heading(text: &str, anchor: &str) -> Option<String> {
    (!anchors(text).contains(anchor)).then(|| "no such heading".into())
}

/// The path of a link on a page, without the `..` that it starts with.
fn beside(page: &Path, link: &str) -> PathBuf {
    let mut path = page.parent().map(Path::to_path_buf).unwrap_or_default();
    for component in Path::new(link).components() {
        if component != Component::ParentDir || !path.pop() {
            path.push(component);
        }
    }
    path
}

fn is_relative(target: &str) -> bool {
    let scheme = target.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric()));
    !scheme && !target.starts_with('/')
}

/// A crate's README is its documentation too, whose links to items rustdoc checks.
fn is_rust_item(page: &Path, target: &str) -> bool {
    page.starts_with("crates") && (target.contains("::") || !target.contains(['/', '.', '#']))
}

/// The targets of inline links `[text](target)` and of definitions `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        links.extend(inline_targets(line).map(|target| (number, target)));
        let definition = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        links
            .extend(definition.and_then(|(_, target)| target.split_whitespace().next()).map(|target| (number, target)));
    }
    links
}

fn inline_targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter(|(at, _)| !is_in_code(line, *at)).filter_map(|(at, bracket)| {
        let rest = line.get(at + bracket.len()..)?;
        rest.split([')', ' ']).next().map(|target| target.trim_matches(['<', '>']))
    })
}

/// Whether an odd number of backticks stands before, so that this is code: a link's text may well be code itself.
fn is_in_code(line: &str, at: usize) -> bool {
    line.get(..at).is_some_and(|before| before.matches('`').count() % 2 == 1)
}

/// Lines outside code blocks, numbered from one.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text).filter(|(_, line)| line.starts_with('#')) {
        let first = anchor(line.trim_start_matches('#').trim());
        let mut anchor = first.clone();
        let mut repetition = 0;
        while !anchors.insert(anchor) {
            repetition += 1;
            anchor = format!("{first}-{repetition}");
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken_in(page: &str, text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("docs/adr")).unwrap();
        fs::write(root.path().join("README.md"), "# Start here\n## Use it\n## Use it\n").unwrap();
        fs::write(root.path().join("docs/data.md"), "# `lms_users` & more\n```\n# no heading\n```\n").unwrap();
        let violations = broken_links(&root.path().join(page), text);
        let prefix = format!("{}/", root.path().display());
        violations.iter().map(|violation| violation.replace(&prefix, "")).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_well() {
        let text = "\
            # Own heading\n\
            [a](data.md) and [b](../README.md#start-here), [c](#own-heading), [`d`](adr)\n\
            [e](../README.md#use-it-1) [f](data.md#lms_users--more) [g](https://example.com/x#y) <a@b.example>\n\
            `[code](nowhere.md)`\n\
            ```\n[block](nowhere.md)\n```\n\
            [later]: ../README.md \"title\"\n";
        assert_eq!(broken_in("docs/page.md", text), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let text = "[a](nowhere.md)\n\n[b](data.md#no-heading) [c](#nothing)\n[later]: ../docs/gone.md\n";
        assert_eq!(
            broken_in("docs/page.md", text),
            [
                "docs/page.md:1: nowhere.md: no such file",
                "docs/page.md:3: data.md#no-heading: no such heading",
                "docs/page.md:3: #nothing: no such heading",
                "docs/page.md:4: ../docs/gone.md: no such file",
            ]
        );
    }

    #[test]
    fn items_of_rust_are_left_to_rustdoc_in_crates_only() {
        assert!(broken_links(Path::new("crates/x/README.md"), "[`A`](crate::A) [`B`](B)").is_empty());
        assert_eq!(broken_links(Path::new("docs/x.md"), "[`B`](B)").len(), 1);
    }
}
