use std::fs;
use std::process::Command;

use anyhow::Result;

use super::report::Outcome;
use crate::process::output;

/// First folders of paths that mean something on one machine only. In parts, so that this file does not hold them.
const FOLDERS: [&str; 4] = ["work", "root", "home", "Users"];

/// No tracked file names a path of the machine that it was written on.
pub(crate) fn check() -> Result<Outcome> {
    let files = output(Command::new("git").args(["ls-files", "-z"]))?;
    let mut violations = Vec::new();
    for file in files.split_terminator('\0') {
        // A file that is deleted but not committed yet, or that is no text, names nothing.
        let text = fs::read_to_string(file).unwrap_or_default();
        violations.extend(lines_with_paths(&text).map(|(line, text)| format!("{file}:{line}: {}", text.trim())));
    }
    Ok(Outcome::of(&violations, format!("{} files", files.split_terminator('\0').count())))
}

fn lines_with_paths(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| FOLDERS.iter().any(|folder| names_path(line, folder)))
}

/// Whether the line has `/FOLDER/` and something below it where a path begins: not within a longer path or a URL.
fn names_path(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + path.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(|c| c.is_alphanumeric() || "/._-}$*~".contains(c))
            && after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_where_it_begins() {
        for (template, expected) in [
            ("see /F/main/docs", true),
            ("\"/F/x\"", true),
            ("/F/x", true),
            ("https://example.com/F/x", false),
            ("target/F/x", false),
            ("$HOME/F/x", false),
            ("on /F/ itself", false),
            ("no path", false),
        ] {
            for folder in FOLDERS {
                assert_eq!(names_path(&template.replace('F', folder), folder), expected, "{template}, {folder}");
            }
        }
    }

    #[test]
    fn lines_are_counted_from_one() {
        let text = format!("a\nb /{}/c\n", FOLDERS[0]);
        assert_eq!(lines_with_paths(&text).map(|(line, _)| line).collect::<Vec<_>>(), [2]);
    }
}
