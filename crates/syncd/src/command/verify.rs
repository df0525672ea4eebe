use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use kombo_client::RetryPolicy;
use kombo_model::IntegrationId;
use serde::Serialize;
use store_diesel::DieselStore;
use sync_core::SyncError;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus};
use sync_core::ports::{FailureClass, Store as _};
use sync_core::rows::Model;
use sync_core::verify::{self, Difference, Verifier, VerifyPolicy, What};

use super::sync::{log_retry, reach_kombo};
use crate::cli::VerifyArgs;
use crate::config::{Config, ConfigError, selected};
use crate::context::Context;
use crate::exit::Exit;
use crate::kombo::KomboSource;
use crate::store::{Tables, open};
use crate::wiring::Kombo;
use crate::{output, strays};

/// Compares Kombo with the store, and prints differences as they are found.
pub(crate) async fn run(context: &Context, args: VerifyArgs) -> anyhow::Result<Exit> {
    let config = context.config_with_warnings()?;
    let source = Kombo::new(&config, RetryPolicy::default(), Arc::new(log_retry))?.source;
    let store = open(&config, Tables::Expect).await?;
    let integrations = integrations(&store, &args).await?;
    reach_kombo(&config).await?;
    let policy = policy(&config, &args);
    let mut report = Report { json: context.global.json, values: args.values, reported: BTreeMap::new(), compared: 0 };
    match compare(&store, &source, &policy, integrations, args.integrations.is_empty(), &mut report).await {
        Ok(failures) if failures.is_empty() => {
            Ok(if report.reported.is_empty() { Exit::Done } else { Exit::Differences })
        }
        Ok(failures) => Err(anyhow::anyhow!(failures.join("\n"))),
        Err(error) if output::is_closed(&error) => Ok(Exit::Differences),
        Err(error) => Err(error),
    }
}

fn policy(config: &Config, args: &VerifyArgs) -> VerifyPolicy {
    let policy = config.policy();
    VerifyPolicy {
        endpoints: config.endpoints_or(&args.endpoints),
        enabled: &config.endpoints() | &selected(&args.endpoints),
        tombstones: policy.tombstones,
        ids_per_lookup: policy.ids_per_lookup,
    }
}

async fn integrations(store: &DieselStore, args: &VerifyArgs) -> anyhow::Result<Vec<IntegrationRecord>> {
    let known = store.read(|tx| tx.integrations()).await?;
    let wanted: BTreeSet<&IntegrationId> = args.integrations.iter().collect();
    if let Some(unknown) = wanted.iter().find(|id| known.iter().all(|known| known.id != ***id)) {
        let message = format!("{unknown} is not in this store: run `syncd sync --integration {unknown}` first");
        return Err(ConfigError(message).into());
    }
    let is_wanted = |id: &IntegrationId| wanted.is_empty() || wanted.contains(id);
    let live = known.into_iter().filter(|known| known.status != IntegrationStatus::Deleted);
    Ok(live.filter(|known| is_wanted(&known.id)).collect())
}

/// Compares all targets. Returns those that could not be compared, with reasons.
async fn compare(
    store: &DieselStore,
    source: &KomboSource,
    policy: &VerifyPolicy,
    integrations: Vec<IntegrationRecord>,
    all: bool,
    report: &mut Report,
) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    report.begin()?;
    for integration in integrations {
        let id = &integration.id;
        if integration.category.is_none() {
            let reason = integration.reason.as_deref().unwrap_or("Kombo has not named its category yet");
            failures.push(output::one_line(&format!("{id} could not be compared: {reason}")));
        }
        let mut verifier = Verifier::new(store, source, policy.clone(), id.clone());
        for endpoint in integration.endpoints(&policy.endpoints) {
            let print = |difference| report.print(&difference).map_err(Stopped::Printing);
            match verifier.endpoint(endpoint, print).await {
                Ok(compared) => report.compared += compared,
                Err(Stopped::Fetching(SyncError::Source(error))) if error.class != FailureClass::KeyRejected => {
                    let failure = format!("{endpoint} of {id} could not be compared: {error}");
                    failures.push(output::one_line(&failure));
                }
                Err(Stopped::Fetching(error)) => return Err(error.into()),
                Err(Stopped::Printing(error)) => return Err(error),
            }
        }
    }
    if all {
        let print = |difference| report.print(&difference).map_err(Stopped::Printing);
        match verify::strays(store, &policy.endpoints, print).await {
            Ok(()) => strays::warn(store, &policy.endpoints).await?,
            Err(Stopped::Fetching(error)) => return Err(error.into()),
            Err(Stopped::Printing(error)) => return Err(error),
        }
    }
    report.end()?;
    Ok(failures)
}

/// The reason why a comparison ended early.
enum Stopped {
    Fetching(SyncError),
    Printing(anyhow::Error),
}

impl From<SyncError> for Stopped {
    fn from(error: SyncError) -> Self {
        Self::Fetching(error)
    }
}

/// Prints differences as they are found, and keeps only their number by kind.
struct Report {
    json: bool,
    values: bool,
    reported: BTreeMap<(Model, Option<&'static str>, What), u64>,
    compared: u64,
}

#[derive(Serialize)]
struct DifferenceReport<'a> {
    integration_id: &'a IntegrationId,
    model: Model,
    record_id: &'a str,
    field: Option<&'a str>,
    what: What,
    #[serde(flatten)]
    values: Option<Values>,
}

#[derive(Serialize)]
struct Values {
    kombo: serde_json::Value,
    store: serde_json::Value,
}

impl Report {
    fn begin(&self) -> anyhow::Result<()> {
        if self.json { print_line(r#"{"differences":["#) } else { Ok(()) }
    }

    fn print(&mut self, difference: &Difference) -> anyhow::Result<()> {
        let Difference { integration_id, model, record_id, field, what, kombo, store } = difference;
        let is_first = self.reported.is_empty();
        *self.reported.entry((*model, *field, *what)).or_default() += 1;
        if self.json {
            let values = self.values.then(|| Values { kombo: kombo.to_json(), store: store.to_json() });
            let (integration_id, model, field, what) = (integration_id, *model, *field, *what);
            let text = output::to_json(&DifferenceReport { integration_id, model, record_id, field, what, values })?;
            return print_line(&if is_first { text } else { format!(",{text}") });
        }
        let mut line = format!("{:<10}  {integration_id}  {:<25}  {record_id}", what.as_str(), model.as_str());
        if let Some(field) = field {
            write!(line, "  {field}")?;
            if self.values {
                write!(line, "  kombo {}  store {}", kombo.to_json(), store.to_json())?;
            }
        }
        print_line(&format!("{}\n", output::one_line(&line)))
    }

    fn end(&self) -> anyhow::Result<()> {
        if self.json {
            return print_line(&format!("],\"compared\":{}}}\n", self.compared));
        }
        let records = self.compared;
        if self.reported.is_empty() {
            return print_line(&format!("Kombo and the store agree: {records} records compared.\n"));
        }
        let mut table = output::table(&["model", "field", "what", "differences"]);
        for ((model, field, what), count) in &self.reported {
            table.add_row([model.as_str(), field.unwrap_or("-"), what.as_str(), &count.to_string()]);
        }
        let differences: u64 = self.reported.values().sum();
        print_line(&format!("\n{}\n\n{differences} differences, {records} records compared.\n", table.trim_fmt()))
    }
}

fn print_line(text: &str) -> anyhow::Result<()> {
    Ok(output::write(text)?)
}
