//! The change log with transactions of PostgreSQL that begin, append and end in any order.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kombo_model::{IntegrationId, Timestamp};
use store_diesel::DieselStore;
use sync_core::changes::{Change, LogPosition};
use sync_core::jobs::queue::Claim;
use sync_core::jobs::{LeaseToken, dispatch};
use sync_core::outbox::{self, Content, DeliveryId};
use sync_core::ports::{Scope, Store as _, StoreError};
use sync_core::pull::RunId;
use sync_core::rows::{ChangeCause, ChangeKind, Model};
use sync_testkit::lms;
use tokio_postgres::{Client, NoTls};

use crate::postgres::fresh;

/// The query for readers of docs/data-model.md.
const DOCUMENTED: &str = "SELECT transaction_id, seq, integration_id, record_id FROM kombo.sync_changes_settled \
                          WHERE (transaction_id, seq) > ($1, $2) ORDER BY transaction_id, seq LIMIT 1000";

/// Sufficient on any machine. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap()
}

fn change(integration: &str, record: &str) -> Change {
    Change {
        seq: 0,
        integration_id: IntegrationId::from(integration),
        model: Model::LmsUsers,
        record_id: record.to_owned(),
        kind: ChangeKind::Updated,
        cause: ChangeCause::Direct,
        fields: serde_json::json!(["status"]),
        run_id: RunId(1),
        at: at(1),
    }
}

/// A transaction that runs step by step.
struct Writer {
    go: Sender<bool>,
    done: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Writes a row, so that PostgreSQL assigns the transaction its number.
    fn begin(store: &DieselStore, integration: &str, record: String) -> Self {
        let ((go, may), (says, done)) = (channel(), channel());
        let (store, id) = (store.clone(), IntegrationId::from(integration));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let scope = Scope::Integration(id.clone());
            let written = store.transact(scope, move |tx| {
                dispatch::register(tx, &lms([id.clone()]), at(0))?;
                let known = tx.integration(&id)?.unwrap();
                tx.put_integration(&known)?;
                says.send(()).unwrap();
                may.recv().unwrap();
                tx.append_changes(&[change(id.as_str(), &record)])?;
                says.send(()).unwrap();
                if may.recv().unwrap() { Ok(()) } else { Err(StoreError::Refused { message: "on purpose".to_owned() }) }
            });
            drop(runtime.block_on(written));
        });
        let writer = Self { go, done, thread };
        writer.done.recv_timeout(PATIENCE).expect("it begins");
        writer
    }

    fn append(&self) {
        self.go.send(true).unwrap();
        self.done.recv_timeout(PATIENCE).expect("it waits for no other integration");
    }

    fn end(self, commits: bool) {
        self.go.send(commits).unwrap();
        self.thread.join().unwrap();
    }
}

/// A follower that reads from its last position, by SQL and by the store.
struct Reader {
    client: Client,
    store: DieselStore,
    position: LogPosition,
    seen: Vec<(String, String)>,
    /// Number of entries that a follower by `seq` alone would see, settled or not.
    seen_by_number: usize,
    greatest: i64,
}

impl Reader {
    async fn new(store: &DieselStore, url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self {
            client,
            store: store.clone(),
            position: LogPosition::default(),
            seen: Vec::new(),
            seen_by_number: 0,
            greatest: 0,
        }
    }

    async fn read(&mut self) -> usize {
        let after = self.position;
        let rows = self.client.query(DOCUMENTED, &[&after.transaction_id, &after.seq]).await.unwrap();
        let settled = self.store.read(move |tx| tx.settled_changes(after, 1_000)).await;
        let settled: Vec<(i64, i64)> = settled
            .unwrap_or_else(|error: StoreError| panic!("{error}"))
            .into_iter()
            .map(|(position, _)| (position.transaction_id, position.seq))
            .collect();
        let found: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        // More entries may have settled meanwhile, because transactions in other databases of the server count too.
        assert!(settled.starts_with(&found), "{settled:?} {found:?}");
        if let Some((transaction_id, seq)) = found.last().copied() {
            self.position = LogPosition { transaction_id, seq };
        }
        let greatest = self.greatest;
        let by_number = self.store.read(move |tx| tx.changes(None, greatest, 1_000)).await;
        let by_number = by_number.unwrap_or_else(|error: StoreError| panic!("{error}"));
        self.greatest = by_number.last().map_or(greatest, |change| change.seq);
        self.seen_by_number += by_number.len();
        self.seen.extend(rows.iter().map(|row| (row.get(2), row.get(3))));
        found.len()
    }
}

impl Reader {
    /// Reads until it has `entries` more. Transactions in other databases of the server may delay the last ones.
    async fn read_more(&mut self, entries: usize) {
        let began = Instant::now();
        let mut found = 0;
        while found < entries {
            assert!(began.elapsed() < PATIENCE, "{found} of {entries} entries are settled");
            found += self.read().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(found, entries);
    }
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_misses_nothing_in_whatever_order_transactions_append_and_commit() {
    let (store, database) = fresh().await;
    let mut reader = Reader::new(&store, database.url()).await;
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let orders = ORDERS.iter().flat_map(|appends| ORDERS.iter().map(move |ends| (appends, ends)));
    for (rounds, (appends, ends)) in orders.enumerate() {
        let names = ["a", "b", "c"];
        let mut writers: Vec<Option<Writer>> =
            names.iter().map(|name| Some(Writer::begin(&store, name, rounds.to_string()))).collect();
        for writer in appends {
            writers[*writer].as_ref().unwrap().append();
            reader.read().await;
        }
        for writer in ends {
            // One transaction in five is rolled back.
            let commits = (rounds + writer) % 5 != 0;
            writers[*writer].take().unwrap().end(commits);
            if commits {
                expected.entry(names[*writer].to_owned()).or_default().push(rounds.to_string());
            }
            reader.read().await;
        }
    }
    let entries: usize = expected.values().map(Vec::len).sum();
    reader.read_more(entries - reader.seen.len()).await;
    assert!(reader.seen_by_number < reader.seen.len(), "these orders are harmless");
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (integration, record) in reader.seen {
        seen.entry(integration).or_default().push(record);
    }
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn integrations_commit_and_are_delivered_while_another_transaction_stays_open() {
    let (store, database) = fresh().await;
    store.transact::<_, StoreError, _>(Scope::Shared, |tx| outbox::begin(tx, at(0))).await.unwrap();
    let mut reader = Reader::new(&store, database.url()).await;
    let open = Writer::begin(&store, "c", "open".to_owned());
    open.append();
    let deliver = async |number: usize| {
        let claim = Claim {
            owner: "dispatcher".to_owned(),
            token: LeaseToken(number.to_string()),
            ttl: Duration::from_secs(30),
            longest_wait: Duration::from_secs(3_600),
        };
        let id = DeliveryId(number.to_string());
        let transaction = move |tx: &mut dyn sync_core::ports::Tx| outbox::take_next(tx, &claim, &id, 100, at(9));
        store.transact::<_, StoreError, _>(Scope::Shared, transaction).await.unwrap().map(|sending| {
            match sending.content {
                Content::Entries(entries) => entries.into_iter().map(|entry| entry.record_id).collect::<Vec<_>>(),
                Content::Body(_) => Vec::new(),
            }
        })
    };
    for batch in 0..3 {
        for name in ["a", "b"] {
            let writer = Writer::begin(&store, name, format!("{name}{batch}"));
            writer.append();
            writer.end(true);
        }
    }
    assert_eq!(deliver(1).await, Some(vec!["a0".to_owned(), "a1".to_owned(), "a2".to_owned()]));
    assert_eq!(deliver(2).await, Some(vec!["b0".to_owned(), "b1".to_owned(), "b2".to_owned()]));
    assert_eq!(deliver(3).await, None);
    assert_eq!(reader.read().await, 0, "a reader of all waits for the oldest transaction");
    open.end(true);
    reader.read_more(7).await;
    assert_eq!(deliver(4).await, Some(vec!["open".to_owned()]));
}

/// Delivery begins after the last existing entry, including those of transactions that had not ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_of_delivery_waits_for_open_transactions() {
    let (store, database) = fresh().await;
    let open = Writer::begin(&store, "a", "early".to_owned());
    open.append();
    let other = Writer::begin(&store, "b", "committed".to_owned());
    other.append();
    other.end(true);
    let beginning = {
        let store = store.clone();
        tokio::spawn(
            async move { store.transact::<_, StoreError, _>(Scope::Shared, |tx| outbox::begin(tx, at(0))).await },
        )
    };
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while database.execute(waits).unwrap() == "0" {
        assert!(!beginning.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    open.end(true);
    beginning.await.unwrap().unwrap();
    let last = "SELECT (SELECT seq FROM kombo.sync_delivery_start) = max(seq) FROM kombo.sync_changes";
    assert_eq!(database.execute(last).unwrap(), "t");
}

/// The tables are moved to another server with lower transaction numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_after_a_move_to_another_server() {
    let (store, database) = fresh().await;
    let mut reader = Reader::new(&store, database.url()).await;
    let append = |record: &str| {
        let writer = Writer::begin(&store, "a", record.to_owned());
        writer.append();
        writer.end(true);
    };
    append("before");
    database.execute("UPDATE kombo.sync_changes SET transaction_id = 5000000000").unwrap();
    database.execute("UPDATE kombo.sync_transaction_ids SET shift = 4999999990").unwrap();
    reader.read_more(1).await;
    database.execute("UPDATE kombo.sync_transaction_ids SET shift = 0").unwrap();
    let lost = store.lost_counters().await.unwrap();
    assert!(lost.len() == 1 && lost[0].contains("transactions up to 5000000000"), "{lost:?}");
    store.migrate().await.unwrap();
    assert_eq!(store.lost_counters().await.unwrap(), [""; 0]);
    append("after");
    reader.read_more(1).await;
    let trimmed = store
        .transact(Scope::Shared, |tx| tx.trim_changes(Timestamp::MAX, sync_core::outbox::Undelivered::Remove))
        .await;
    assert_eq!(trimmed.unwrap_or_else(|error: StoreError| panic!("{error}")), 2);
    database.execute("UPDATE kombo.sync_transaction_ids SET shift = 0").unwrap();
    assert_eq!(store.lost_counters().await.unwrap().len(), 1, "what was trimmed is taken too");
    store.migrate().await.unwrap();
    append("later");
    reader.read_more(1).await;
    assert_eq!(reader.seen.iter().map(|(_, record)| record.as_str()).collect::<Vec<_>>(), ["before", "after", "later"]);
}
