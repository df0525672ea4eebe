//! Compares all answers of the sandbox with Kombo's `OpenAPI` document.

mod cases;
mod categories;
mod document;
mod http;
mod writes;

use std::{
    io::{self, Write},
    path::Path,
};

use cases::Checked;
use document::Document;

/// Checks every answer against the document at `contract`; returns false if one does not match.
pub(crate) async fn check(contract: &Path) -> Result<bool, Box<dyn std::error::Error>> {
    let document = Document::read(&std::fs::read_to_string(contract)?)?;
    let mut checked = Checked::new(document);
    cases::run(&mut checked).await?;
    let mut out = io::stdout().lock();
    for fault in &checked.faults {
        writeln!(out, "{fault}")?;
    }
    writeln!(out, "{} requests, responses and webhooks checked, {} faults", checked.count, checked.faults.len())?;
    writeln!(out, "not checked: rows anonymised beyond the contract (anonymise_hard), by design outside of it")?;
    Ok(checked.faults.is_empty())
}
