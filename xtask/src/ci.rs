mod cycles;
mod dependencies;
mod docs;
mod examples;
mod fuzz;
mod layering;
mod links;
mod migrations;
mod report;
mod rust;
mod spelling;

use std::time::Instant;

use anyhow::{Result, bail};

use report::{Outcome, Report};

type Check = fn() -> Result<Outcome>;

const CHECKS: &[(&str, Check)] = &[
    ("format", rust::format),
    ("layering", layering::check),
    ("cycles of files", cycles::check),
    ("migrations", migrations::check),
    ("links", links::check),
    ("spelling", spelling::check),
    ("licences, bans, sources", dependencies::licences_bans_sources),
    ("advisories", dependencies::advisories),
    ("unused dependencies", dependencies::unused),
    ("lints", rust::lints),
    ("configuration", docs::check),
    ("examples", examples::check),
    ("fuzz corpus", fuzz::corpus),
    ("documentation", rust::documentation),
];

/// Runs all checks or the named ones, the quick ones first, without stopping at a failure. Returns whether all passed.
pub(crate) fn run(names: &[&str]) -> Result<bool> {
    if let Some(unknown) = names.iter().find(|name| !CHECKS.iter().any(|(known, _)| known == *name)) {
        let known: Vec<_> = CHECKS.iter().map(|(known, _)| *known).collect();
        bail!("there is no check \"{unknown}\": use {}", known.join("; "));
    }
    let mut report = Report::default();
    for (name, check) in CHECKS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = check().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        report.add(name, outcome, start.elapsed());
    }
    print!("\n{report}");
    Ok(report.is_good())
}
