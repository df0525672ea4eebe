//! The change log: the output of `syncd changes`, following it, and its retention.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};
use kombo_sandbox::{GeneratorConfig, SandboxConfig};
use serde_json::Value;
use store_diesel::DieselStore;
use sync_core::changes::{Change, LogPosition};
use sync_core::jobs::retention;
use sync_core::outbox::Undelivered;
use sync_core::ports::{Scope, Store as _, StoreError};
use sync_core::pull::RunId;
use sync_core::rows::Model;
use sync_core::rows::{ChangeCause, ChangeKind};
use sync_core::webhooks::WebhookRecord;
use sync_testkit::postgres::PrivatePostgres;

use crate::database::{Backend, Database};
use crate::world::World;

on_both_databases!(
    the_log_is_printed_from_any_place_on,
    a_follower_sees_what_is_new_until_it_is_reported_to_end,
    a_reader_that_has_seen_enough_is_no_error,
    sync_trims_the_log,
    webhooks_are_kept_for_a_week_at_least,
    a_follower_misses_nothing_of_two_writers,
);

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn change(integration: &str, record_id: String, at: Timestamp) -> Change {
    Change {
        seq: 0,
        integration_id: IntegrationId::from(integration),
        model: Model::LmsUsers,
        record_id,
        kind: ChangeKind::Updated,
        cause: ChangeCause::Direct,
        fields: serde_json::json!(["first_name"]),
        run_id: RunId(1),
        at,
    }
}

/// Creates a world with tables but without records.
fn empty(backend: Backend) -> World {
    let world = World::new(backend, SandboxConfig::empty());
    world.syncd(&["migrate"]).expect_code(0);
    world
}

async fn open(url: &str) -> DieselStore {
    DieselStore::open(&url.parse().unwrap()).await.unwrap()
}

async fn append(store: &DieselStore, changes: Vec<Change>) {
    store.transact(Scope::Shared, move |tx| tx.append_changes(&changes)).await.unwrap();
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

fn fill(world: &World, changes: Vec<Change>) {
    block_on(async { append(&open(&world.database.url()).await, changes).await });
}

fn some_changes(count: usize) -> Vec<Change> {
    let of =
        |number| change(["sandbox:a", "sandbox:b"][number % 2], format!("u{number}"), at("2026-03-01T12:00:00.000Z"));
    (0..count).map(of).collect()
}

fn the_log_is_printed_from_any_place_on(backend: Backend) {
    let world = empty(backend);
    assert_eq!(world.syncd(&["changes", "--since", "0"]).expect_code(0).stdout, "");
    let beyond = world.syncd(&["changes", "--since", "7"]).expect_code(2);
    assert!(beyond.complaint().contains("--since 7: the change log ends at 0"), "{}", beyond.stderr);
    fill(&world, some_changes(2_500));
    let printed = world.syncd(&["changes", "--json"]).expect_code(0).stdout;
    let entries: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 2_500);
    let first = r#"{"seq":1,"integration_id":"sandbox:a","model":"lms_users","record_id":"u0","kind":"updated","cause":"direct","fields":["first_name"],"run_id":1,"at":"2026-03-01T12:00:00.000Z"}"#;
    assert_eq!(printed.lines().next().unwrap(), first);

    let printed = world.syncd(&["changes", "--since", "2498"]).expect_code(0).stdout;
    let line =
        "  2499  2026-03-01T12:00:00.000Z  sandbox:a  lms_users                 u2498  updated   direct  first_name\n";
    assert_eq!(
        printed,
        format!("{line}{}", line.replace("2499", "2500").replace("u2498", "u2499").replace(":a", ":b"))
    );
    let of_b = world.syncd(&["changes", "--json", "--integration", "sandbox:b"]).expect_code(0).stdout;
    assert!(of_b.lines().count() == 1_250 && of_b.lines().all(|line| line.contains("sandbox:b")));
    assert_eq!(world.syncd(&["changes", "--since", "2500"]).expect_code(0).stdout, "");
    world.syncd(&["changes", "--since=-1"]).expect_code(2);
    for more in [&[][..], &["--follow"], &["--json"]] {
        let beyond = world.syncd(&[&["changes", "--since", "2501"], more].concat()).expect_code(2);
        assert!(beyond.complaint().contains("--since 2501: the change log ends at 2500"), "{}", beyond.stderr);
        let unknown = world.syncd(&[&["changes", "--integration", "sandbox:unknown"], more].concat()).expect_code(2);
        assert!(unknown.complaint().contains("sandbox:unknown is not in this store"), "{}", unknown.stderr);
    }
}

/// A process with output that is read line by line.
struct Follower {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next_record(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended");
        let entry: Value = serde_json::from_str(&line).unwrap();
        entry["record_id"].as_str().unwrap().to_owned()
    }

    /// Ends the process with a signal, and returns its standard error.
    fn end(mut self, signal: &str) -> String {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        drop(self.lines);
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{stderr}");
        stderr
    }
}

fn a_follower_sees_what_is_new_until_it_is_reported_to_end(backend: Backend) {
    let world = empty(backend);
    fill(&world, some_changes(10));
    for signal in ["TERM", "INT"] {
        let mut follower = Follower::start(world.command(&["changes", "--follow", "--json", "--since", "8"]));
        assert_eq!([follower.next_record(), follower.next_record()], ["u8", "u9"]);
        fill(&world, vec![change("sandbox:a", "new".to_owned(), at("2026-03-01T12:00:00.000Z"))]);
        if signal == "INT" {
            assert_eq!(follower.next_record(), "new"); // the entry of the first round
        }
        assert_eq!(follower.next_record(), "new");
        assert_eq!(follower.end(signal), "");
    }
}

fn a_reader_that_has_seen_enough_is_no_error(backend: Backend) {
    let world = empty(backend);
    fill(&world, some_changes(5_000)); // more than a pipe holds
    for follow in [&["changes", "--json"][..], &["changes", "--json", "--follow", "--since", "0"]] {
        let mut reader = Follower::start(world.command(follow));
        assert_eq!(reader.next_record(), "u0");
        drop(reader.lines);
        let output = reader.child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    }
}

#[test]
fn a_follower_outlives_a_crash_of_the_database() {
    let mut server = PrivatePostgres::start().unwrap();
    let url = server.create_database("follow").unwrap();
    let mut world = World::new(Backend::Sqlite, SandboxConfig::empty());
    world.set("store.url", &url);
    world.syncd(&["migrate"]).expect_code(0);
    let write = |changes: Vec<Change>| block_on(async { append(&open(&url).await, changes).await });
    write(some_changes(3));
    let mut follower = Follower::start(world.command(&["changes", "--follow", "--json", "--since", "0"]));
    assert_eq!([follower.next_record(), follower.next_record(), follower.next_record()], ["u0", "u1", "u2"]);
    server.kill_9().unwrap();
    // Long enough for a read of the log to fail.
    let mut stderr = BufReader::new(follower.child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("the database does not answer"), "{said}");
    server.restart().unwrap();
    write(vec![change("sandbox:a", "after".to_owned(), at("2026-03-01T12:00:00.000Z"))]);
    assert_eq!(follower.next_record(), "after");
    let kill = format!("kill -TERM {}", follower.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    assert_eq!(follower.child.wait().unwrap().code(), Some(0));
    let mut more = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut more).unwrap();
    assert_eq!(more, "", "it is said once");
}

fn sync_trims_the_log(backend: Backend) {
    let generator = GeneratorConfig { users: 20, courses: 5, progressions: 20, ..GeneratorConfig::default() };
    let mut world = World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() });
    world.sync();
    for seed in 0..20 {
        world.sandbox.mutate_random(&world.sandbox.integrations()[0], seed).unwrap();
    }
    fill(&world, vec![change("sandbox:a", "of long ago".to_owned(), at("2020-01-01T00:00:00.000Z"))]);
    world.set("changes.keep_for", "0s");
    world.sync();
    let log = world.read(|tx| tx.changes(None, 0, 100));
    assert!(log.len() > 1 && log[0].record_id == "of long ago", "zero keeps everything");
    world.set("changes.keep_for", "1d");
    world.sync();
    assert_eq!(world.read(|tx| tx.changes(None, 0, 100)), log[1..]);
}

fn webhooks_are_kept_for_a_week_at_least(backend: Backend) {
    const DAY: Duration = Duration::from_secs(86_400);
    let world = empty(backend);
    let now = at("2026-03-31T00:00:00.000Z");
    block_on(async {
        let store = open(&world.database.url()).await;
        let trimmed = |keep_for| {
            store.transact(Scope::Shared, move |tx| {
                for days in [30, 3, 0] {
                    let at = now.saturating_sub(DAY * days);
                    tx.append_changes(&[change("sandbox:a", format!("{days}"), at)])?;
                    tx.insert_webhooks(&[WebhookRecord {
                        id: format!("{days} days old"),
                        kind: "data-changed".to_owned(),
                        integration_id: None,
                        received_at: at,
                        models: Vec::new(),
                        result: String::new(),
                    }])?;
                }
                let trimmed = retention::trim(tx, keep_for, Undelivered::Remove, now)?;
                // All entries are removed for the next round.
                tx.trim_changes(Timestamp::MAX, Undelivered::Remove)?;
                tx.trim_webhooks(Timestamp::MAX)?;
                Ok::<_, StoreError>((trimmed.changes, trimmed.webhooks))
            })
        };
        for (keep_for, expected) in
            [(Duration::ZERO, (0, 0)), (DAY, (2, 1)), (DAY * 10, (1, 1)), (DAY * 30, (0, 0)), (DAY * 365, (0, 0))]
        {
            assert_eq!(trimmed(keep_for).await.unwrap(), expected, "{keep_for:?}");
        }
    });
}

/// Two processes write for different integrations at once, while a third reads on from the last position it saw.
fn a_follower_misses_nothing_of_two_writers(backend: Backend) {
    const EACH: usize = 50_000;
    const UNIT: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new(backend, folder.path());
    let url = database.url();
    block_on(async {
        open(&url).await.migrate().await.unwrap();
        let follower = open(&url).await;
        let mut writers = Vec::new();
        for integration in ["sandbox:a", "sandbox:b"] {
            let store = open(&url).await;
            writers.push(tokio::spawn(async move {
                for transaction in 0..EACH / UNIT {
                    let changes: Vec<Change> = (transaction * UNIT..(transaction + 1) * UNIT)
                        .map(|number| change(integration, number.to_string(), at("2026-03-01T12:00:00.000Z")))
                        .collect();
                    let scope = Scope::Integration(IntegrationId::from(integration));
                    store.transact(scope, move |tx| tx.append_changes(&changes)).await.unwrap();
                }
            }));
        }
        let (mut since, mut seen) = (LogPosition::default(), BTreeMap::<String, usize>::new());
        while seen.values().sum::<usize>() < 2 * EACH {
            let page = follower.read(move |tx| tx.settled_changes(since, 1_000)).await.unwrap();
            for (position, change) in page {
                assert!(position > since, "positions rise");
                since = position;
                let next = seen.entry(change.integration_id.to_string()).or_default();
                assert_eq!(change.record_id, next.to_string(), "none is missed, none comes twice");
                *next += 1;
            }
        }
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(seen, BTreeMap::from([("sandbox:a".to_owned(), EACH), ("sandbox:b".to_owned(), EACH)]));
        let rest = follower.read(move |tx| tx.settled_changes(since, 1_000)).await.unwrap();
        assert_eq!(rest, []);
    });
}
