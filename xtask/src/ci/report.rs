use std::fmt;
use std::time::Duration;

use crate::process::in_ci;

/// The result of a check, with a description of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed(String),
    Failed(String),
    Skipped(String),
}

impl Outcome {
    /// Creates the outcome of a check from its failures, one per line; none means success.
    pub(crate) fn of(violations: &[String], passed: impl Into<String>) -> Self {
        if violations.is_empty() { Self::Passed(passed.into()) } else { Self::Failed(violations.join("\n")) }
    }

    /// Creates the outcome of a tool that prints its own report.
    pub(crate) fn of_tool(success: bool) -> Self {
        if success { Self::Passed(String::new()) } else { Self::Failed("see above".into()) }
    }

    /// Creates the outcome if a tool is not installed: a failure only in continuous integration.
    pub(crate) fn missing(tool: &str, install: &str) -> Self {
        let text = format!("{tool} is not installed; install with `{install}`");
        if in_ci() { Self::Failed(text) } else { Self::Skipped(text) }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Passed(text) | Self::Failed(text) | Self::Skipped(text) => text,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, Outcome, Duration)>,
}

impl Report {
    /// Adds a check's outcome, and prints it.
    pub(crate) fn add(&mut self, name: &'static str, outcome: Outcome, took: Duration) {
        println!("{}", outcome.text());
        println!("-- {name}: {} in {:.1} s", outcome.word(), took.as_secs_f64());
        self.rows.push((name, outcome, took));
    }

    pub(crate) fn is_good(&self) -> bool {
        !self.rows.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome, took) in &self.rows {
            let first_line = outcome.text().lines().next().unwrap_or_default();
            let row = format!("{name:<24} {:<8} {:>6.1} s   {first_line}", outcome.word(), took.as_secs_f64());
            writeln!(f, "{}", row.trim_end())?;
        }
        let count = |word| self.rows.iter().filter(|(_, outcome, _)| outcome.word() == word).count();
        writeln!(f, "checks: {} passed, {} failed, {} skipped", count("passed"), count("FAILED"), count("skipped"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_spoils_the_report_and_is_in_the_table() {
        let mut report = Report::default();
        report.add("format", Outcome::Passed(String::new()), Duration::from_millis(1250));
        report.add("spelling", Outcome::Skipped("no typos".into()), Duration::ZERO);
        assert!(report.is_good());
        report.add("layering", Outcome::of(&["a → b".into(), "a → c".into()], ""), Duration::from_secs(2));
        assert!(!report.is_good());
        assert_eq!(
            report.to_string(),
            "format                   passed      1.2 s\n\
             spelling                 skipped     0.0 s   no typos\n\
             layering                 FAILED      2.0 s   a → b\n\
             checks: 1 passed, 1 failed, 1 skipped\n"
        );
    }
}
