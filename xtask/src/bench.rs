//! `cargo xtask bench`: measures the speed of everything, next to yardsticks from the same run.

mod figure;
mod fleet;
mod freshness;
mod http;
mod load;
mod machine;
mod pace;
mod program;
mod report;
mod store;
mod webhooks;
mod world;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use figure::Figure;
use world::World;

pub(crate) use http::Connection;
pub(crate) use world::{Process, free_port};

/// Measures one part of the benchmark.
type Part = fn(&World) -> Result<Vec<Figure>>;

/// The parts, under their names for `--only`.
const PARTS: &[(&str, Part)] = &[
    ("program", program::run),
    ("store", store::run),
    ("load", load::run),
    ("pace", pace::run),
    ("webhooks", webhooks::run),
    ("freshness", freshness::run),
    ("fleet", fleet::run),
];

/// The command line options.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    only: Vec<String>,
    /// Number of records in the large fetches.
    pub(crate) records: usize,
    /// Number of runs; the median counts.
    pub(crate) runs: usize,
    /// Sizes of the fleets, in integrations.
    pub(crate) fleets: Vec<usize>,
    /// Whether to write the figures into the documentation.
    write: bool,
    /// Folder of the measured programs; `None` to build them.
    programs: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let fleets = vec![100, 1_000, 10_000];
        let mut options = Self { only: Vec::new(), records: 1_000_000, runs: 5, fleets, write: false, programs: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().copied().with_context(|| format!("{argument} needs a value"));
            match *argument {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--records" => options.records = value()?.parse().context("--records needs a number")?,
                "--runs" => options.runs = value()?.parse().context("--runs needs a number")?,
                "--fleets" => {
                    let sizes = value()?.split(',').map(str::parse).collect::<Result<_, _>>();
                    options.fleets = sizes.context("--fleets needs numbers")?;
                }
                "--quick" => (options.records, options.runs, options.fleets) = (50_000, 1, vec![100, 300]),
                "--write" => options.write = true,
                "--programs" => options.programs = Some(std::path::absolute(value()?)?),
                other => bail!("bench does not know {other}"),
            }
        }
        for name in &options.only {
            let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            anyhow::ensure!(names.contains(&name.as_str()), "--only {name}: there are {}", names.join(", "));
        }
        anyhow::ensure!(options.records >= 1_000 && options.runs >= 1, "at least 1000 records and one run");
        Ok(options)
    }
}

/// Measures, prints a table, and writes it to `target/bench`.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let world = World::prepare(options.clone())?;
    let machine = machine::describe();
    let mut all = Vec::new();
    for (name, part) in PARTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        println!("\n{name}");
        let figures = part(&world).with_context(|| format!("bench {name}"))?;
        for figure in &figures {
            println!("  {figure}");
        }
        report::store(name, &machine, options, &figures)?;
        all.push((*name, figures));
    }
    let tables = report::markdown(&machine, options, &all);
    println!("\n{tables}");
    if options.write {
        report::into_document(&tables)?;
    }
    Ok(all.iter().flat_map(|(_, figures)| figures).all(Figure::holds))
}
