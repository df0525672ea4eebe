//! Tests of verification: it reports exactly the changes that full fetches make.

use std::collections::BTreeSet;

use kombo_model::Endpoint;
use proptest::prelude::*;
use sync_core::SyncError;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{ColumnKind, Key, MirrorRow, Model, StoredRow, Value};
use sync_core::verify::{Verifier, VerifyPolicy};

use crate::bench::{ALL, Bench, USUAL, id};

/// A manual edit of rows, bypassing the engine.
#[derive(Debug, Clone)]
enum ByHand {
    /// Sets another value in a column.
    Write { model: usize, row: usize, column: usize, value: u8 },
    /// Marks a row as removed, or clears the mark.
    Mark { model: usize, row: usize },
    /// Inserts a member of a list that does not exist at Kombo.
    Insert { course: usize },
    /// Inserts a user that does not exist at Kombo.
    InsertUser,
}

/// A change at Kombo, with or without a new `changed_at`.
#[derive(Debug, Clone)]
enum AtKombo {
    Rename(u8),
    Delete(u8),
    Unassign,
    Title(u8),
    Provider,
}

fn by_hand() -> impl Strategy<Value = ByHand> {
    let place = 0..64_usize;
    prop_oneof![
        6 => (0..7_usize, place.clone(), place.clone(), any::<u8>())
            .prop_map(|(model, row, column, value)| ByHand::Write { model, row, column, value }),
        2 => (0..7_usize, place.clone()).prop_map(|(model, row)| ByHand::Mark { model, row }),
        1 => place.prop_map(|course| ByHand::Insert { course }),
        1 => Just(ByHand::InsertUser),
    ]
}

fn at_kombo() -> impl Strategy<Value = (AtKombo, bool)> {
    let what = prop_oneof![
        (0..8_u8).prop_map(AtKombo::Rename),
        (0..8_u8).prop_map(AtKombo::Delete),
        Just(AtKombo::Unassign),
        (0..5_u8).prop_map(AtKombo::Title),
        Just(AtKombo::Provider),
    ];
    (what, any::<bool>())
}

fn value(kind: ColumnKind, number: u8) -> Value {
    let time = || "2026-01-01T00:00:00.000Z".parse().unwrap();
    match (kind, number % 3) {
        (_, 0) => Value::Null,
        (ColumnKind::Text | ColumnKind::Id, _) => Value::Text(format!("by hand {number}")),
        (ColumnKind::Date, _) => Value::Date("2026-01-01".parse().unwrap()),
        (ColumnKind::Number, _) => Value::Number(f64::from(number)),
        (ColumnKind::Integer, _) => Value::Integer(i64::from(number)),
        (ColumnKind::Flag, _) => Value::Flag(true),
        (ColumnKind::Time, _) => Value::Time(time()),
        (ColumnKind::Document | ColumnKind::Opaque, _) => Value::Json(format!("{{\"by hand\": {number}}}")),
    }
}

fn apply_by_hand(bench: &Bench, edit: &ByHand) {
    let nth = |model: usize, row: usize| {
        let model = Model::LMS[model];
        let table = bench.store.table(model, &id());
        (!table.is_empty()).then(|| (model, table[row % table.len()].clone()))
    };
    let inserted = |model: Model, key: &str, course: Value| {
        let mut row = MirrorRow::new(model, Key::Id(key.to_owned()), vec![Value::Null; model.columns().len()]);
        if let Some(place) = model.columns().iter().position(|column| column.name == "course_id") {
            row.values_mut()[place] = course;
        }
        bench.put(model, StoredRow { row, removed_at: None, synced_at: "2026-01-01T00:00:00.000Z".parse().unwrap() });
    };
    match edit {
        ByHand::Write { model, row, column, value: number } => {
            if let Some((model, mut row)) = nth(*model, *row) {
                let column = column % model.columns().len();
                row.row.values_mut()[column] = value(model.columns()[column].kind, *number);
                bench.put(model, row);
            }
        }
        ByHand::Mark { model, row } => {
            if let Some((model, mut row)) = nth(*model, *row) {
                row.removed_at = if row.removed_at.is_some() { None } else { Some(row.synced_at) };
                bench.put(model, row);
            }
        }
        ByHand::Insert { course } => {
            let course = Value::Text(format!("c{}", course % 5));
            inserted(Model::LmsCourseRevisions, "made-up", course);
        }
        ByHand::InsertUser => inserted(Model::LmsUsers, "made-up", Value::Null),
    }
}

fn apply_at_kombo(bench: &Bench, (what, silent): &(AtKombo, bool)) {
    let change = |lms: &mut sync_testkit::Lms| match what {
        AtKombo::Rename(user) => lms.rename_user(&format!("u{user}"), "renamed"),
        AtKombo::Delete(user) => lms.delete(Model::LmsUsers, &format!("u{user}")),
        AtKombo::Unassign => lms.unassign("r0", "s2"),
        AtKombo::Title(revision) => lms.set_title(&format!("r{revision}"), "new"),
        AtKombo::Provider => lms.rename_provider("p1", "new"),
    };
    if *silent { bench.kombo.edit_silently(change) } else { bench.kombo.edit(change) }
}

/// Returns every column of every row, and whether the row is marked as removed, but not `synced_at`.
fn cells(bench: &Bench) -> BTreeSet<(Model, String, String, String)> {
    let mut cells = BTreeSet::new();
    for model in Model::LMS {
        for row in bench.store.table(model, &id()) {
            let key = row.row.key.to_string();
            for (column, value) in model.columns().iter().zip(row.row.values()) {
                cells.insert((model, key.clone(), column.name.to_owned(), value.to_json().to_string()));
            }
            cells.insert((model, key, "removed_at".to_owned(), row.removed_at.is_some().to_string()));
        }
    }
    cells
}

async fn listed(bench: &Bench) -> Vec<(Model, String, String)> {
    let policy = VerifyPolicy {
        endpoints: bench.endpoints(),
        enabled: bench.endpoints(),
        tombstones: bench.policy.tombstones,
        ids_per_lookup: 2,
    };
    let mut verifier = Verifier::new(&bench.store, &bench.kombo, policy, id());
    let mut listed = Vec::new();
    for endpoint in bench.endpoints() {
        let tell = |difference: sync_core::verify::Difference| {
            let column = difference.field.unwrap_or("removed_at");
            listed.push((difference.model, difference.record_id, column.to_owned()));
            Ok::<_, SyncError>(())
        };
        verifier.endpoint(endpoint, tell).await.unwrap();
    }
    listed
}

async fn check(endpoints: &[Endpoint], tombstones: Tombstones, hands: &[ByHand], kombo: &[(AtKombo, bool)]) {
    let mut bench = Bench::new(endpoints);
    bench.policy.tombstones = tombstones;
    // Kombo may check the format of ids, and manually inserted ids do not have it.
    bench.kombo.configure(|settings| settings.takes_id = |id| id != "made-up");
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    assert_eq!(listed(&bench).await, []);
    for edit in kombo {
        apply_at_kombo(&bench, edit);
    }
    for edit in hands {
        apply_by_hand(&bench, edit);
    }
    bench.pass(3_600);

    let before = cells(&bench);
    let listed = listed(&bench).await;
    let once: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "none is listed twice: {listed:?}");
    assert!(cells(&bench) == before, "nothing is written");

    for endpoint in bench.endpoints() {
        let run = bench.full(endpoint).await;
        assert!(run.outcome.is_complete(), "{run:?}");
    }
    let after = cells(&bench);
    let changed: BTreeSet<_> = before
        .symmetric_difference(&after)
        // `changed_at` is reported only if nothing else differs.
        .filter(|(model, key, column, _)| {
            column != "changed_at" || once.contains(&(*model, key.clone(), column.clone()))
        })
        .map(|(model, key, column, _)| (*model, key.clone(), column.clone()))
        .collect();
    assert_eq!(once, changed);
    assert_eq!(self::listed(&bench).await, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verify_lists_what_full_fetches_change(
        skills in any::<bool>(),
        keep in any::<bool>(),
        hands in proptest::collection::vec(by_hand(), 0..12),
        kombo in proptest::collection::vec(at_kombo(), 0..4),
    ) {
        let endpoints: &[Endpoint] = if skills { &ALL } else { &USUAL };
        let tombstones = if keep { Tombstones::Keep } else { Tombstones::Mirror };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(endpoints, tombstones, &hands, &kombo));
    }
}
