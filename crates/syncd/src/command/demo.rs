use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use kombo_client::Client;
use kombo_model::{Category, Endpoint, IntegrationId};
use kombo_sandbox::{FIRST_INTEGRATION, GeneratorConfig, Id, Model, Mutation, Sandbox, SandboxConfig, Stamp};
use store_diesel::{DieselStore, StoreUrl};
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock as _, Store as _};
use sync_core::pull::SyncPolicy;
use sync_core::rows;
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
pub(crate) async fn run(context: &Context, category: Category) -> anyhow::Result<Exit> {
    begin_anew()?;
    let plot = Story::of(category);
    let sizes = GeneratorConfig { users: plot.users, courses: 120, progressions: 6_000, ..GeneratorConfig::default() };
    let now = Stamp::from_millis(SystemClock.now().unix_millis());
    // Absences are planned from today on.
    let until = if category == Category::Lms { sizes.until } else { now };
    let generator = GeneratorConfig { category, until, ..sizes };
    let sandbox = Sandbox::start(SandboxConfig { generator, ..SandboxConfig::default() }).await;
    let sandbox = sandbox.context("the sandbox cannot start")?;
    let url: StoreUrl = format!("sqlite://{FILE}").parse()?;
    let store = Arc::new(open_url(&url, Tables::Migrate).await?);
    let demo = Demo { context, category, sandbox, store };

    say(&format!("1. A sandbox plays Kombo: {}.", plot.company))?;
    say(&format!("   It answers at {}.\n", demo.sandbox.base_url()))?;
    say(&format!("2. The first load, into {FILE}:\n"))?;
    demo.sync().await?;
    say(&format!("\n3. Something happens at the company: {}.\n", plot.events))?;
    let before = demo.last_change().await?;
    for mutation in (plot.change)(&demo)? {
        demo.sandbox.mutate(FIRST_INTEGRATION, mutation)?;
    }
    say("4. A delta asks only for what changed:\n")?;
    demo.sync().await?;
    say("\n5. What changed, as the change log tells it:\n")?;
    demo.print_changes(before).await?;
    say(&format!("\nLook around: sqlite3 {FILE}\n"))?;
    for query in [plot.query, CHANGES] {
        say(&format!("{query}\n"))?;
    }
    demo.sandbox.shutdown().await;
    Ok(Exit::Done)
}

const CHANGES: &str = "-- What changed, and how did it become known?\n\
     SELECT seq, model, record_id, kind, cause, fields FROM sync_changes ORDER BY seq DESC LIMIT 10;";

/// What a demo shows.
struct Story {
    users: usize,
    company: &'static str,
    events: &'static str,
    /// Returns the changes of the events.
    change: fn(&Demo<'_>) -> anyhow::Result<Vec<Mutation>>,
    query: &'static str,
}

impl Story {
    fn of(category: Category) -> Self {
        match category {
            Category::Lms => Self {
                users: 1_500,
                company: "a company with 1,500 learners, 120 courses and 6,000 course progressions",
                events: "somebody finishes a course, a course gets a new title, a learner leaves",
                change: learn,
                query: "-- Who finished what last?\n\
                     SELECT first_name, last_name, course_title, completed_at\n\
                     FROM lms_course_completions ORDER BY completed_at DESC LIMIT 5;",
            },
            Category::Hris => Self {
                users: 400,
                company: "a company with 400 employees, their terms of employment and their absences",
                events: "an absence is approved, a salary rises, somebody joins another team",
                change: employ,
                query: "-- Who is away in the next 30 days?\n\
                     SELECT first_name, last_name, absence_type, start_date, end_date\n\
                     FROM hris_upcoming_absences ORDER BY start_date LIMIT 5;",
            },
            Category::Ats => Self {
                users: 400,
                company: "a company with 80 jobs, 400 candidates and 600 applications",
                events: "an application moves to another stage, a candidate is hired, a job is closed",
                change: hire,
                query: "-- How many open applications are in which stage?\n\
                     SELECT job_name, stage_name, count(*) FROM ats_open_applications\n\
                     GROUP BY job_name, stage_name ORDER BY count(*) DESC LIMIT 5;",
            },
        }
    }
}

type Row = serde_json::Map<String, serde_json::Value>;

fn text(row: &Row, name: &str) -> String {
    row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}

fn id(row: &Row) -> anyhow::Result<Id> {
    Ok(text(row, "id").parse()?)
}

fn learn(demo: &Demo<'_>) -> anyhow::Result<Vec<Mutation>> {
    let progression = demo.find(Model::CourseProgressions, |row| text(row, "status") == "IN_PROGRESS")?;
    let revision = demo.find(Model::CourseRevisions, |row| text(row, "status") == "ACTIVE")?;
    let user = demo.live(Model::Users)?.next_back().context("the sandbox has no user")?;
    let set = [("status", "COMPLETED".to_owned()), ("completed_at", SystemClock.now().to_string())];
    let set = set.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let title = format!("{} (new edition)", text(&revision, "title"));
    Ok(vec![
        Mutation::Update { model: Model::CourseProgressions, id: id(&progression)?, set },
        Mutation::update(Model::CourseRevisions, id(&revision)?, "title", title),
        Mutation::delete(Model::Users, id(&user)?),
    ])
}

fn employ(demo: &Demo<'_>) -> anyhow::Result<Vec<Mutation>> {
    let of = |model: rows::Model| Model::of(model);
    let absence = demo.find(of(rows::Model::HrisAbsences), |row| text(row, "status") == "REQUESTED")?;
    let employment = demo
        .find(of(rows::Model::HrisEmployments), |row| row.get("pay_rate").is_some_and(serde_json::Value::is_number))?;
    let pay = employment.get("pay_rate").and_then(serde_json::Value::as_f64).unwrap_or_default();
    let employee = demo.find(of(rows::Model::HrisEmployees), |_| true)?;
    let team = demo.find(of(rows::Model::HrisTeams), |_| true)?;
    let join = of(rows::Model::HrisJoinEmployeesTeams);
    let (parent, team) = (id(&employee)?, id(&team)?);
    // They may be a member already.
    let member = Mutation::Link { model: join, parent, id: team, set: Row::new() };
    Ok(vec![
        Mutation::update(of(rows::Model::HrisAbsences), id(&absence)?, "status", "APPROVED"),
        Mutation::update(of(rows::Model::HrisEmployments), id(&employment)?, "pay_rate", pay + 1_000.0),
        member,
    ])
}

fn hire(demo: &Demo<'_>) -> anyhow::Result<Vec<Mutation>> {
    let (applications, jobs) = (Model::of(rows::Model::AtsApplications), Model::of(rows::Model::AtsJobs));
    let is_pending = |row: &Row| text(row, "outcome") == "PENDING";
    let mut pending = demo.live(applications)?.filter(is_pending);
    let moved = pending.next().context("the sandbox has no open application")?;
    let hired = pending.next().context("the sandbox has one open application only")?;
    let stage = demo.find(Model::of(rows::Model::AtsApplicationStages), |row| {
        text(row, "id") != text(&moved, "current_stage_id")
    })?;
    let job = demo.find(jobs, |row| text(row, "status") == "OPEN")?;
    Ok(vec![
        Mutation::update(applications, id(&moved)?, "current_stage_id", text(&stage, "id")),
        Mutation::update(applications, id(&hired)?, "outcome", "HIRED"),
        Mutation::update(jobs, id(&job)?, "status", "CLOSED"),
    ])
}

struct Demo<'a> {
    context: &'a Context,
    category: Category,
    sandbox: Sandbox,
    store: Arc<DieselStore>,
}

impl Demo<'_> {
    async fn sync(&self) -> anyhow::Result<()> {
        let client = Client::builder("sandbox-key").base_url(self.sandbox.base_url()).build()?;
        let source = Arc::new(KomboSource::new(&client, None, "the sandbox".to_owned()));
        let enabled = self.category.endpoints().filter(|endpoint| endpoint.info().is_enabled);
        let endpoints: BTreeSet<Endpoint> = enabled.collect();
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

    /// Returns the rows of the sandbox that are not deleted.
    fn live(&self, model: Model) -> anyhow::Result<impl DoubleEndedIterator<Item = Row>> {
        let rows = self.sandbox.truth(FIRST_INTEGRATION, model)?;
        let is_live = |row: &Row| row.get("remote_deleted_at").is_some_and(serde_json::Value::is_null);
        Ok(rows.into_iter().filter(is_live))
    }

    fn find(&self, model: Model, fits: impl Fn(&Row) -> bool) -> anyhow::Result<Row> {
        self.live(model)?.find(fits).with_context(|| format!("the sandbox has no such row of {model}"))
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
