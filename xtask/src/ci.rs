mod dependencies;
mod layering;
mod links;
mod machine_paths;
mod migrations;
mod report;
mod rust;
mod spelling;

use std::time::Instant;

use anyhow::Result;

use report::{Outcome, Report};

type Check = fn() -> Result<Outcome>;

const CHECKS: &[(&str, Check)] = &[
    ("format", rust::format),
    ("layering", layering::check),
    ("migrations", migrations::check),
    ("links", links::check),
    ("machine paths", machine_paths::check),
    ("spelling", spelling::check),
    ("licences, bans, sources", dependencies::licences_bans_sources),
    ("advisories", dependencies::advisories),
    ("unused dependencies", dependencies::unused),
    ("lints", rust::lints),
    ("documentation", rust::documentation),
];

/// Runs every check, the quick ones first, goes on after a failure, and says whether all is well.
pub(crate) fn run() -> bool {
    let mut report = Report::default();
    for (name, check) in CHECKS {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = check().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        report.add(name, outcome, start.elapsed());
    }
    print!("\n{report}");
    report.is_good()
}
