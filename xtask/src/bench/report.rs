use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Options;
use super::figure::Figure;
use super::machine::Machine;

const DOCUMENT: &str = "docs/performance.md";
const BEGIN: &str = "<!-- cargo xtask bench --write: from here -->";
const END: &str = "<!-- to here -->";

/// Stores a part's figures as JSON.
pub(crate) fn store(name: &str, machine: &Machine, options: &Options, figures: &[Figure]) -> Result<()> {
    let folder = Path::new("target/bench");
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.json"));
    let json = serde_json::json!({
        "machine": machine, "records": options.records, "runs": options.runs, "figures": figures,
    });
    fs::write(&file, format!("{json:#}\n")).with_context(|| format!("write {}", file.display()))
}

/// Renders the figures as tables.
pub(crate) fn markdown(machine: &Machine, options: &Options, parts: &[(&str, Vec<Figure>)]) -> String {
    let mut text = format!(
        "{}\n\n{} records where a number is not given, medians of {}.\n",
        machine.line(),
        options.records,
        options.runs
    );
    for (name, figures) in parts {
        text = format!(
            "{text}\n### {name}\n\n| what | measured | beside it | ratio or value | target |\n|---|---|---|---|---|\n"
        );
        for figure in figures {
            text = format!("{text}| {} |\n", figure.cells().join(" | "));
        }
    }
    text
}

/// Replaces the tables between the marks in the documentation.
pub(crate) fn into_document(tables: &str) -> Result<()> {
    let text = fs::read_to_string(DOCUMENT).with_context(|| format!("read {DOCUMENT}"))?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{DOCUMENT} has no mark {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{DOCUMENT} has no mark {END}"))?;
    fs::write(DOCUMENT, format!("{before}{BEGIN}\n\n{tables}\n{END}{after}"))
        .with_context(|| format!("write {DOCUMENT}"))
}
