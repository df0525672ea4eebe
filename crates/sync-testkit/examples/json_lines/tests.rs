//! The store keeps the contract, and a folder keeps what was committed.

use std::fs;
use std::path::PathBuf;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::delivery::{DeadLetter, Delivery, DeliveryId, Undelivered};
use sync_core::mirror::{Key, MAX_DOCUMENT_DEPTH, Model, Row, StoredRow, Value};
use sync_core::pacing::{Budget, Pacing};
use sync_core::port::{Scope, Store, StoreError, Tx, TxResult};
use sync_core::types::{Change, ChangeCause, ChangeKind, RunId};
use sync_testkit::conformance_suite;
use sync_testkit::history::{Asked, check_all};
use tempfile::TempDir;

use crate::edit::{Edit, Line};
use crate::journal::{JOURNAL, Journal, replay};
use crate::state::State;
use crate::store::JsonLinesStore;

conformance_suite!(async || {
    let folder = Folder::new();
    (folder.open(), folder)
});

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> JsonLinesStore {
        JsonLinesStore::open(self.0.path()).unwrap()
    }

    /// Opens it and closes it again.
    fn stored(&self) -> State {
        self.open().committed()
    }

    fn refusal(&self) -> StoreError {
        JsonLinesStore::open(self.0.path()).err().unwrap()
    }

    fn journal(&self) -> PathBuf {
        self.0.path().join(JOURNAL)
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap()
}

fn id() -> IntegrationId {
    IntegrationId::from("sandbox:a")
}

fn put_user(tx: &mut dyn Tx, name: &str) -> TxResult<()> {
    let model = Model::LmsUsers;
    let mut row = Row::new(model, Key::Id(name.to_owned()), vec![Value::Null; model.columns().len()]);
    row.values_mut()[1] = Value::Text(format!("first\nname of {name}"));
    tx.put_rows(model, &id(), &[StoredRow { row, removed_at: None, synced_at: at(1) }])
}

fn change(record_id: &str, seconds: i64) -> Change {
    Change {
        seq: 0,
        integration_id: id(),
        model: Model::LmsUsers,
        record_id: record_id.to_owned(),
        kind: ChangeKind::Created,
        cause: ChangeCause::Direct,
        fields: serde_json::json!(["first_name"]),
        run_id: RunId(1),
        at: at(seconds),
    }
}

fn dead_letter() -> DeadLetter {
    DeadLetter {
        integration_id: id(),
        id: DeliveryId("a".to_owned()),
        first_seq: 1,
        last_seq: 2,
        entries: 2,
        first_tried_at: at(1),
        last_tried_at: at(2),
        attempts: 3,
        error: "no answer".to_owned(),
        again: true,
    }
}

fn append(tx: &mut dyn Tx, record_id: &str, seconds: i64) -> TxResult<()> {
    tx.append_changes(&[change(record_id, seconds)])
}

async fn write(store: &JsonLinesStore, work: impl FnOnce(&mut dyn Tx) -> TxResult<()> + Send + 'static) {
    store.transact(Scope::Shared, work).await.unwrap();
}

/// Whatever an engine writes in the course of a history is there again, read from the units and from the short journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_survives() {
    let folder = Folder::new();
    let store = std::sync::Arc::new(folder.open());
    let size = check_all(std::sync::Arc::clone(&store), &Asked { seeds: vec![1, 2], steps: 60 }, 1).await;
    assert!(size.compared > 0 && size.rows > 0, "the histories say something: {size:?}");
    write(&store, |tx| {
        // As deep as a value in the log may be: with what is around it, a line is about as deep as can be read.
        let deep = format!("{}{}", "[".repeat(MAX_DOCUMENT_DEPTH), "]".repeat(MAX_DOCUMENT_DEPTH));
        let fields = serde_json::json!({ "remote_data": { "old": null, "new": Value::Json(deep).to_json() } });
        tx.append_changes(&[Change { fields, ..change("deep", 1) }])?;
        tx.insert_delivery_start(3)?;
        tx.put_delivery(&Delivery::new(id(), 2, at(1)))?;
        tx.put_dead_letter(&dead_letter(), "{\n}")?;
        let left = Budget::Left { limit: 100, left: 7, renewed_at: at(60) };
        tx.put_pacing(&Pacing { next_at: Some(at(1)), budget: left })
    })
    .await;
    let before = store.committed();
    assert!(!before.changes.is_empty() && !before.runs.is_empty() && !before.webhooks.is_empty());
    drop(store);
    let length = |folder: &Folder| fs::metadata(folder.journal()).unwrap().len();
    let long = length(&folder);
    assert!(folder.stored() == before, "read from the units");
    assert!(length(&folder) < long, "the journal is shorter now");
    assert!(folder.stored() == before, "read from the short journal");
}

#[tokio::test]
async fn numbers_are_not_given_again_when_what_had_them_is_gone() {
    let folder = Folder::new();
    let store = folder.open();
    write(&store, |tx| append(tx, "a", 1)).await;
    write(&store, |tx| tx.trim_changes(at(2), Undelivered::Remove).map(|trimmed| assert_eq!(trimmed, 1))).await;
    drop(store);
    folder.stored();
    let store = folder.open();
    write(&store, |tx| append(tx, "b", 3)).await;
    let changes = store.read(|tx| tx.changes(None, 0, 9)).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.seq).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_last_line_that_is_not_whole_is_dropped() {
    let folder = Folder::new();
    let store = folder.open();
    write(&store, |tx| put_user(tx, "a")).await;
    let first = store.committed();
    write(&store, |tx| put_user(tx, "b").and_then(|()| append(tx, "b", 1))).await;
    let both = store.committed();
    drop(store);
    let whole = fs::read(folder.journal()).unwrap();
    let last = whole.len() - whole.split_inclusive(|byte| *byte == b'\n').next_back().unwrap().len();

    for end in last..whole.len() {
        fs::write(folder.journal(), &whole[..end]).unwrap();
        assert!(replay(&folder.journal()).unwrap() == first, "{end} of {} bytes", whole.len());
    }
    for hole in last..whole.len() {
        let mut holey = whole.clone();
        holey[hole..whole.len() - 1].fill(0);
        fs::write(folder.journal(), &holey).unwrap();
        let expected = if hole == whole.len() - 1 { &both } else { &first };
        assert!(replay(&folder.journal()).unwrap() == *expected, "zeros from {hole} of {} bytes", whole.len());
    }

    fs::write(folder.journal(), &whole[..whole.len() - 1]).unwrap();
    let store = folder.open();
    write(&store, |tx| put_user(tx, "c")).await;
    let more = store.committed();
    drop(store);
    assert!(folder.stored() == more, "what comes after it is whole");
}

#[tokio::test]
async fn what_makes_no_sense_is_said_and_left_alone() {
    let folder = Folder::new();
    let store = folder.open();
    write(&store, |tx| put_user(tx, "a")).await;
    drop(store);
    let good = fs::read_to_string(folder.journal()).unwrap();
    let number = good.lines().count() + 1;
    let column = good.replace("first_name", "no_such_column");
    for (bad, place) in [
        (format!("{good}torn\n{good}"), number),
        (format!("{good}[{{\"an_edit_of_a_later_version\":1}}]\n"), number),
        (column.clone(), 1 + column.lines().position(|line| line.contains("no_such_column")).unwrap()),
    ] {
        fs::write(folder.journal(), &bad).unwrap();
        let error = folder.refusal();
        let StoreError::Corrupt { message, .. } = &error else { panic!("{error:?}") };
        assert!(message.starts_with(&format!("line {place}: ")), "{message}");
        assert_eq!(fs::read_to_string(folder.journal()).unwrap(), bad);
    }
}

#[tokio::test]
async fn a_unit_that_fails_leaves_nothing_in_the_folder() {
    let folder = Folder::new();
    let store = folder.open();
    write(&store, |tx| put_user(tx, "a")).await;
    let (before, journal) = (store.committed(), fs::read(folder.journal()).unwrap());
    let failed = store.transact(Scope::Shared, |tx| {
        put_user(tx, "b")?;
        append(tx, "b", 1)?;
        Err::<(), _>(StoreError::Refused { message: "no".to_owned() })
    });
    failed.await.unwrap_err();
    let panicked = store.transact(Scope::Shared, |tx| {
        put_user(tx, "b")?;
        if tx.live_rows(Model::LmsUsers, &id())? == 2 { panic!("on purpose") } else { Ok::<_, StoreError>(()) }
    });
    assert!(panicked.await.unwrap_err().to_string().contains("did not end"));
    let reading = store.read(|tx| put_user(tx, "b"));
    assert!(reading.await.unwrap_err().to_string().contains("must not write"));
    assert_eq!(fs::read(folder.journal()).unwrap(), journal);
    drop(store);
    assert!(folder.stored() == before);
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let folder = Folder::new();
    let store = folder.open();
    assert!(folder.refusal().to_string().contains("another process"));
    drop(store);
    folder.stored();
}

/// The journal that was being written when the process died is not the one that counts.
#[tokio::test]
async fn a_journal_that_was_not_finished_does_not_count() {
    let folder = Folder::new();
    write(&folder.open(), |tx| put_user(tx, "a")).await;
    let before = folder.stored();
    fs::write(folder.0.path().join("journal.jsonl.next"), "[{\"rows\":").unwrap();
    assert!(folder.stored() == before);
}

#[test]
fn nothing_follows_a_line_that_could_not_be_written() {
    let folder = Folder::new();
    let line = || {
        let mut line = Line::default();
        line.add(&Edit::SeenCleared(RunId(1))).unwrap();
        line
    };
    let (mut journal, _) = Journal::open(folder.0.path()).unwrap();
    journal.append(line()).unwrap();
    let good = journal.write_to(fs::File::open(folder.journal()).unwrap());
    assert!(journal.append(line()).unwrap_err().to_string().contains("write the journal"));
    journal.write_to(good);
    assert!(journal.append(line()).unwrap_err().to_string().contains("open the folder again"));
}
