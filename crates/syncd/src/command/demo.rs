use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kombo_client::Client;
use kombo_model::{Endpoint, IntegrationId};
use kombo_sandbox::{FIRST_INTEGRATION, GeneratorConfig, Model, Mutation, Sandbox, SandboxConfig};
use store_diesel::{DieselStore, StoreUrl};
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock as _, Store as _};
use sync_core::pull::SyncPolicy;
use sync_runtime::RuntimePolicy;
use tokio_util::sync::CancellationToken;

use super::sync::{self, Wanted};
use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::kombo::KomboSource;
use crate::store::{Tables, open_url};
use crate::{output, owner, wiring};

/// The demo's database, in the working directory.
const FILE: &str = "syncd-demo.db";
const WORKERS: usize = 4;

/// Demonstrates a first load, a change and its log entries, with a sandbox instead of Kombo.
pub(crate) async fn run(context: &Context) -> anyhow::Result<Exit> {
    begin_anew()?;
    let sandbox = Sandbox::start(SandboxConfig {
        generator: GeneratorConfig { users: 1_500, courses: 120, progressions: 6_000, ..GeneratorConfig::default() },
        ..SandboxConfig::default()
    })
    .await
    .context("the sandbox cannot start")?;
    let url: StoreUrl = format!("sqlite://{FILE}").parse()?;
    let store = Arc::new(open_url(&url, Tables::Migrate).await?);
    let demo = Demo { context, sandbox, store };

    say("1. A sandbox plays Kombo: a company with 1,500 learners, 120 courses and 6,000 course progressions.")?;
    say(&format!("   It answers at {}.\n", demo.sandbox.base_url()))?;
    say(&format!("2. The first load, into {FILE}:\n"))?;
    demo.sync().await?;
    say(
        "\n3. Something happens at the company: somebody finishes a course, a course gets a new title, a learner leaves.\n",
    )?;
    let before = demo.last_change().await?;
    demo.change()?;
    say("4. A delta asks only for what changed:\n")?;
    demo.sync().await?;
    say("\n5. What changed, as the change log tells it:\n")?;
    demo.print_changes(before).await?;
    say(&format!("\nLook around: sqlite3 {FILE}\n"))?;
    for query in QUERIES {
        say(&format!("{query}\n"))?;
    }
    demo.sandbox.shutdown().await;
    Ok(Exit::Done)
}

const QUERIES: [&str; 2] = [
    "-- Who finished what last?\n\
     SELECT first_name, last_name, course_title, completed_at\n\
     FROM lms_course_completions ORDER BY completed_at DESC LIMIT 5;",
    "-- What changed, and how did it become known?\n\
     SELECT seq, model, record_id, kind, cause, fields FROM sync_changes ORDER BY seq DESC LIMIT 10;",
];

struct Demo<'a> {
    context: &'a Context,
    sandbox: Sandbox,
    store: Arc<DieselStore>,
}

impl Demo<'_> {
    async fn sync(&self) -> anyhow::Result<()> {
        let client = Client::builder("sandbox-key").base_url(self.sandbox.base_url()).build()?;
        let source = Arc::new(KomboSource::new(&client, None, "the sandbox".to_owned()));
        let endpoints = BTreeSet::from([Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions]);
        let policy = SyncPolicy { change_values: true, ..SyncPolicy::new(endpoints.clone()) };
        let policies = (policy, RuntimePolicy::new(owner::this_process(), WORKERS));
        let (progress, stop) = (sync::progress(self.context), CancellationToken::new());
        let runtime = wiring::runtime(&source, &self.store, progress, policies, Arc::default(), &stop);
        let integration = IntegrationId::from(FIRST_INTEGRATION);
        let wanted = Wanted {
            register: BTreeSet::from([integration]),
            integrations: BTreeSet::new(),
            endpoints,
            kind: SyncKind::Delta,
            allow_mass_removal: false,
        };
        let (targets, _) = sync::request(&runtime, wanted).await?;
        let report = sync::work(&runtime, targets).await?;
        sync::print(&report)?;
        match report.runs.iter().find_map(|run| run.error()) {
            Some(error) => bail!("{error}"),
            None => Ok(()),
        }
    }

    /// Makes three changes in the sandbox.
    fn change(&self) -> anyhow::Result<()> {
        let live = |model| {
            let rows = self.sandbox.truth(FIRST_INTEGRATION, model)?;
            Ok::<_, anyhow::Error>(
                rows.into_iter().filter(|row| row.get("remote_deleted_at").is_some_and(serde_json::Value::is_null)),
            )
        };
        let text = |row: &serde_json::Map<String, serde_json::Value>, name: &str| {
            row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let under_way = live(Model::CourseProgressions)?.find(|row| text(row, "status") == "IN_PROGRESS");
        let progression = under_way.context("the sandbox has no course under way")?;
        let revision = live(Model::CourseRevisions)?.find(|row| text(row, "status") == "ACTIVE");
        let revision = revision.context("the sandbox has no active revision")?;
        let user = live(Model::Users)?.next_back().context("the sandbox has no user")?;

        let id = |row| -> anyhow::Result<kombo_sandbox::Id> { Ok(text(row, "id").parse()?) };
        let set = [("status", "COMPLETED".to_owned()), ("completed_at", SystemClock.now().to_string())];
        let set = set.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let title = format!("{} (new edition)", text(&revision, "title"));
        for mutation in [
            Mutation::Update { model: Model::CourseProgressions, id: id(&progression)?, set },
            Mutation::update(Model::CourseRevisions, id(&revision)?, "title", title),
            Mutation::delete(Model::Users, id(&user)?),
        ] {
            self.sandbox.mutate(FIRST_INTEGRATION, mutation)?;
        }
        Ok(())
    }

    async fn last_change(&self) -> anyhow::Result<i64> {
        Ok(self.store.read(|tx| tx.last_change()).await?)
    }

    async fn print_changes(&self, since: i64) -> anyhow::Result<()> {
        for change in self.store.read(move |tx| tx.changes(None, since, 50)).await? {
            let model = change.model.as_str();
            say(&format!("   {} {model} {} ({})", change.kind, change.record_id, change.cause))?;
            for (name, values) in change.fields.as_object().into_iter().flatten() {
                let shown = |which: &str| values.get(which).map(ToString::to_string).unwrap_or_default();
                say(&format!("      {name}: {} -> {}", shown("old"), shown("new")))?;
            }
        }
        Ok(())
    }
}

/// Removes the file of an earlier demo, because the demo shows a first load. Any other file stays.
fn begin_anew() -> anyhow::Result<()> {
    for file in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
        let path = Path::new(&file);
        if path.exists() {
            std::fs::remove_file(path).with_context(|| format!("cannot remove {file} of an earlier demo"))?;
        }
    }
    Ok(())
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(output::line(text)?)
}
