use std::sync::Arc;

use kombo_model::{Date, IntegrationId};
use sync_core::ports::{QuarantineRelease, Scope, Store, StoreError, Tx, TxResult};
use sync_core::rows::{Key, MirrorRow, Model, NewRow, Stored, StoredRow, Value};

use super::sample::{
    alpha, at, beta, check_rows, check_same, example_key, full_row, key, null_row, pair, read, row_with, sorted, write,
};

/// Every column of every model returns the written value.
pub async fn rows_of_every_model_come_back_as_written<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let mut deleted = full_row(model, example_key(model, "deleted"));
        *deleted.row.values_mut().last_mut().unwrap() = Value::Time(at(7));
        let mut removed = full_row(model, example_key(model, "removed"));
        removed.removed_at = Some(at(8));
        removed.synced_at = at(9);
        check_rows(&store, model, vec![full_row(model, example_key(model, "live")), deleted, removed]).await;
    }
}

/// Every column can be null, except those of the key and `synced_at`.
pub async fn rows_of_null_values_come_back_as_written<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        check_rows(&store, model, vec![null_row(model, example_key(model, "a"))]).await;
    }
}

/// Only stored rows are returned for a list of keys, and each of them once.
pub async fn rows_not_stored_are_not_returned<S: Store>(store: Arc<S>) {
    let found = write(&store, |tx| {
        tx.put_rows(Model::LmsUsers, &alpha(), &[null_row(Model::LmsUsers, key("a"))])?;
        tx.rows(Model::LmsUsers, &alpha(), &[key("b"), key("a"), key("A"), key("a ")])
    })
    .await;
    check_same(Model::LmsUsers, &found, &[null_row(Model::LmsUsers, key("a"))]);
}

/// A replaced row keeps none of its old values, and other rows stay as they are.
pub async fn rows_are_replaced_whole<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let (first, second) = (example_key(model, "first"), example_key(model, "second"));
        let mut before = full_row(model, first.clone());
        before.removed_at = Some(at(1));
        let other = full_row(model, second.clone());
        let mut after = null_row(model, first.clone());
        after.synced_at = at(50); // older than before: the store does not decide which row is newer
        let written = vec![before, other.clone()];
        write(&store, move |tx| tx.put_rows(model, &alpha(), &written)).await;
        let replacing = after.clone();
        write(&store, move |tx| tx.put_rows(model, &alpha(), &[replacing])).await;
        let found = read(&store, move |tx| tx.rows(model, &alpha(), &[first, second])).await;
        check_same(model, &sorted(found), &sorted(vec![after, other]));
    }
}

fn new_row(row: &StoredRow) -> NewRow<'_> {
    NewRow { row: &row.row, synced_at: row.synced_at }
}

/// Stored and new rows can be written together.
pub async fn rows_are_written_whether_they_are_stored_or_not<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let rows = |numbers: std::ops::Range<usize>, full: bool| -> Vec<StoredRow> {
            let row = if full { full_row } else { null_row };
            numbers.map(|number| row(model, example_key(model, &format!("key-{number:05}")))).collect()
        };
        let (before, after) = (rows(0..400, true), rows(200..900, false));
        let found = write(&store, move |tx| {
            tx.put_rows(model, &alpha(), &before)?;
            tx.put_rows(model, &alpha(), &after)?;
            tx.rows_after(model, &alpha(), None, 1_000)
        });
        let expected: Vec<StoredRow> = rows(0..200, true).into_iter().chain(rows(200..900, false)).collect();
        check_same(model, &found.await, &expected);
    }
}

/// Rows are written if none of them is stored.
pub async fn rows_that_are_new_are_inserted<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let (first, second) = (example_key(model, "first"), example_key(model, "second"));
        let rows = vec![full_row(model, first.clone()), null_row(model, second.clone())];
        let written = rows.clone();
        write(&store, move |tx| {
            let new: Vec<NewRow<'_>> = written.iter().map(new_row).collect();
            tx.insert_rows(model, &alpha(), &new)
        })
        .await;
        let found = read(&store, move |tx| tx.rows(model, &alpha(), &[first, second])).await;
        check_same(model, &sorted(found), &sorted(rows));
    }
}

/// Rows are inserted if none of them is stored.
pub async fn rows_are_inserted_if_none_is_stored<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let rows = vec![full_row(model, example_key(model, "first")), null_row(model, example_key(model, "second"))];
        let (written, keys) = (rows.clone(), rows.iter().map(|row| row.row.key.clone()).collect::<Vec<_>>());
        let inserted = write(&store, move |tx| {
            let new: Vec<NewRow<'_>> = written.iter().map(new_row).collect();
            tx.insert_if_new(model, &alpha(), &new)
        });
        assert!(inserted.await, "{model}");
        check_same(model, &sorted(read(&store, move |tx| tx.rows(model, &alpha(), &keys)).await), &sorted(rows));
    }
}

/// If one of the rows is stored, none is written, and the transaction continues.
pub async fn rows_are_not_inserted_if_one_is_stored<S: Store>(store: Arc<S>) {
    const MANY: usize = 3_000;
    for model in Model::ALL {
        let new_key = move |number: usize| example_key(model, &format!("new-{number:05}"));
        let stored = full_row(model, new_key(MANY - 1));
        let other = null_row(model, example_key(model, "other"));
        let (before, after) = (stored.clone(), other.clone());
        let inserted = write(&store, move |tx| {
            tx.put_rows(model, &alpha(), &[before])?;
            let rows: Vec<StoredRow> = (0..MANY).map(|number| null_row(model, new_key(number))).collect();
            let new: Vec<NewRow<'_>> = rows.iter().map(new_row).collect();
            let inserted = tx.insert_if_new(model, &alpha(), &new)?;
            tx.put_rows(model, &alpha(), &[after])?;
            Ok(inserted)
        });
        assert!(!inserted.await, "{model}");
        let found = read(&store, move |tx| tx.rows_after(model, &alpha(), None, MANY)).await;
        check_same(model, &sorted(found), &sorted(vec![stored, other]));
    }
}

/// Absent values of a new row are stored as null.
pub async fn absent_values_of_new_rows_become_null<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let absent = MirrorRow::new(model, example_key(model, "a"), Vec::new());
        let expected = null_row(model, absent.key.clone());
        let (key, synced_at) = (absent.key.clone(), expected.synced_at);
        write(&store, move |tx| tx.insert_rows(model, &alpha(), &[NewRow { row: &absent, synced_at }])).await;
        check_same(model, &read(&store, move |tx| tx.rows(model, &alpha(), &[key])).await, &[expected]);
    }
}

/// Each row is classified as not stored, the same or different, whatever the number of rows.
pub async fn rows_are_held_against_what_is_stored<S: Store>(store: Arc<S>) {
    const MANY: usize = 3_000;
    for model in Model::ALL {
        let key = |number: usize| example_key(model, &format!("key-{number:05}"));
        let stored: Vec<StoredRow> = (0..MANY).step_by(3).map(|number| full_row(model, key(number))).collect();
        let mut rows: Vec<MirrorRow> = (0..MANY).map(|number| full_row(model, key(number)).row).collect();
        // Every other stored row has a different value.
        for row in rows.iter_mut().step_by(6) {
            *row = null_row(model, row.key.clone()).row;
        }
        let held = write(&store, move |tx| {
            tx.put_rows(model, &alpha(), &stored)?;
            tx.held(model, &alpha(), &rows.iter().collect::<Vec<_>>())
        })
        .await;
        assert_eq!(held.len(), MANY, "{model}");
        for (number, held) in held.into_iter().enumerate() {
            match held {
                Stored::Nothing => assert_ne!(number % 3, 0, "{model}: {number} is stored"),
                Stored::Same(_) => assert_eq!(number % 6, 3, "{model}: {number} is not the same"),
                Stored::Row(stored) => {
                    assert_eq!(number % 3, 0, "{model}: {number} is not stored");
                    check_same(model, &[stored], &[full_row(model, key(number))]);
                }
            }
        }
    }
}

/// A row is the same if it is not removed and has all values that are present in the given row.
pub async fn rows_are_the_same_if_they_hold_what_is_said<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let (there, removed) = (full_row(model, example_key(model, "a")), full_row(model, example_key(model, "b")));
        let removed = StoredRow { removed_at: Some(at(8)), ..removed };
        let nothing_said = MirrorRow::new(model, there.row.key.clone(), Vec::new());
        let (stored, said) = (vec![there.clone(), removed.clone()], removed.row.clone());
        let held = write(&store, move |tx| {
            tx.put_rows(model, &alpha(), &stored)?;
            tx.held(model, &alpha(), &[&nothing_said, &said])
        })
        .await;
        let [first, second] = held.as_slice() else { panic!("{} are held", held.len()) };
        assert!(*first == Stored::Same(there.synced_at) || *first == Stored::Row(there), "{model}: {first:?}");
        assert_eq!(*second, Stored::Row(removed), "{model}");
    }
}

/// A stored row is returned if any one value differs in meaning.
pub async fn rows_that_differ_in_one_value_are_handed_over<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        for (position, column) in model.columns().iter().enumerate() {
            let stored = full_row(model, example_key(model, "a"));
            let mut said = stored.row.clone();
            said.values_mut()[position] = match &stored.row.values()[position] {
                Value::Time(time) => Value::Time(time.saturating_add(std::time::Duration::from_millis(1))),
                Value::Json(text) => Value::Json(format!("[{text}]")),
                Value::Text(text) => Value::Text(format!("{text} ")),
                Value::Date(date) => Value::Date(Date::from_unix_days(date.unix_days() + 1).unwrap()),
                Value::Number(number) => Value::Number(number + 0.125),
                Value::Integer(number) => Value::Integer(number ^ 1),
                Value::Flag(flag) => Value::Flag(!flag),
                Value::Absent | Value::Null | Value::Unreadable => continue,
            };
            let before = stored.clone();
            let held = write(&store, move |tx| {
                tx.put_rows(model, &alpha(), &[before])?;
                tx.held(model, &alpha(), &[&said])
            });
            assert_eq!(held.await, [Stored::Row(stored)], "{model}: {}", column.name);
        }
    }
}

/// If a row turns out to be stored, it is replaced, or the transaction fails with a retryable error.
pub async fn rows_that_are_not_new_are_replaced_or_refused<S: Store>(store: Arc<S>) {
    let model = Model::LmsUsers;
    let (before, after) = (full_row(model, key("a")), null_row(model, key("a")));
    let (stored, inserted) = (before.clone(), after.clone());
    write(&store, move |tx| tx.put_rows(model, &alpha(), &[stored])).await;
    let transaction = move |tx: &mut dyn Tx| {
        tx.insert_rows(model, &alpha(), &[new_row(&null_row(model, key("b"))), new_row(&inserted)])
    };
    let expected = match store.transact(Scope::Integration(alpha()), transaction).await {
        Ok(()) => vec![after, null_row(model, key("b"))],
        Err(StoreError::Unavailable { .. }) => vec![before],
        Err(error) => panic!("{error}"),
    };
    let found = read(&store, move |tx| tx.rows(model, &alpha(), &[key("a"), key("b")])).await;
    check_same(model, &sorted(found), &expected);
}

/// The same id may occur in several models and integrations.
pub async fn rows_with_the_same_id_do_not_meet<S: Store>(store: Arc<S>) {
    let places = |write: bool| {
        move |tx: &mut dyn Tx| -> TxResult<()> {
            for model in Model::ALL {
                for integration in [alpha(), beta(), IntegrationId::from("sandbox:ALPHA")] {
                    let mut row = full_row(model, example_key(model, "same"));
                    row.synced_at = at(i64::try_from(integration.as_str().len()).unwrap());
                    if integration.as_str().ends_with("ALPHA") {
                        row.removed_at = Some(at(3));
                    }
                    if write {
                        tx.put_rows(model, &integration, &[row])?;
                    } else {
                        let found = tx.rows(model, &integration, &[example_key(model, "same")])?;
                        check_same(model, &found, &[row]);
                        assert_eq!(tx.rows_after(model, &integration, None, 10)?.len(), 1, "{model} of {integration}");
                    }
                }
            }
            Ok(())
        }
    };
    write(&store, places(true)).await;
    read(&store, places(false)).await;
}

/// Pages follow the order of [`Key`], whatever the database's collation. A page has at most `limit` rows, and the next
/// one begins after its last key.
pub async fn rows_page_in_the_order_of_keys<S: Store>(store: Arc<S>) {
    let ids = ["a", "B", "b", "_", "-", "ä", "Z", "zz", "z", "10", "9", "a b", "ab", "ß", "ss", "é", "e\u{301}", "😀"];
    let rows: Vec<StoredRow> = ids.iter().map(|id| null_row(Model::LmsCourses, key(id))).collect();
    check_pages(&store, Model::LmsCourses, rows).await;
}

/// Key pairs are ordered by their first id, then by the second.
pub async fn rows_page_through_key_pairs<S: Store>(store: Arc<S>) {
    let keys = [("a", "z"), ("a", "b"), ("ab", "a"), ("B", "b"), ("b", "B"), ("b", "a"), ("a-", "c"), ("a", "😀")];
    let rows =
        keys.iter().map(|(first, second)| null_row(Model::LmsJoinRevisionsSkills, pair(first, second))).collect();
    check_pages(&store, Model::LmsJoinRevisionsSkills, rows).await;
}

async fn check_pages(store: &impl Store, model: Model, rows: Vec<StoredRow>) {
    let expected = sorted(rows.clone());
    let elsewhere = rows.clone();
    write(store, move |tx| {
        tx.put_rows(model, &alpha(), &rows)?;
        tx.put_rows(model, &beta(), &elsewhere)
    })
    .await;
    for limit in [1, 2, 3, expected.len(), expected.len() + 1] {
        let pages = read(store, move |tx| {
            let mut pages: Vec<Vec<StoredRow>> = Vec::new();
            let mut after: Option<Key> = None;
            loop {
                let page = tx.rows_after(model, &alpha(), after.as_ref(), limit)?;
                let Some(last) = page.last() else { return Ok(pages) };
                after = Some(last.row.key.clone());
                pages.push(page);
            }
        })
        .await;
        let full = expected.len() / limit;
        assert!(pages.iter().take(full).all(|page| page.len() == limit), "a page before the last one is full");
        check_same(model, &pages.concat(), &expected);
    }
}

/// A row with `remote_deleted_at` or `removed_at` is not live.
pub async fn live_rows_are_neither_deleted_nor_removed<S: Store>(store: Arc<S>) {
    for model in Model::ALL {
        let mut rows: Vec<StoredRow> =
            ["a", "b", "c", "d"].into_iter().map(|id| null_row(model, example_key(model, id))).collect();
        rows[0].removed_at = Some(at(1));
        *rows[1].row.values_mut().last_mut().unwrap() = Value::Time(at(1));
        let live = write(&store, move |tx| {
            tx.put_rows(model, &alpha(), &rows)?;
            Ok((tx.live_rows(model, &alpha())?, tx.live_rows(model, &beta())?))
        })
        .await;
        assert_eq!(live, (2, 0), "{model}");
    }
}

/// Members are found by their parent's id. Deleted ones are included, removed ones are not.
pub async fn members_are_rows_of_the_parents_that_are_not_removed<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let model = Model::LmsCourseRevisions;
        let of = |id: &str, course: Value| row_with(model, key(id), "course_id", &course);
        let course = |id: &str| Value::Text(id.to_owned());
        let mut deleted = of("deleted", course("c1"));
        *deleted.row.values_mut().last_mut().unwrap() = Value::Time(at(1));
        let mut removed = of("removed", course("c1"));
        removed.removed_at = Some(at(1));
        let (first, second) = (of("first", course("c1")), of("second", course("c2")));
        let rows = [first.clone(), deleted.clone(), removed, second.clone(), of("other", course("C1"))];
        tx.put_rows(model, &alpha(), &rows)?;
        tx.put_rows(model, &alpha(), &[of("of nobody", Value::Null)])?;
        tx.put_rows(model, &beta(), &[of("elsewhere", course("c1"))])?;
        let members = tx.members(model, &alpha(), &["c1".to_owned(), "c2".to_owned(), "c3".to_owned()])?;
        check_same(model, &sorted(members), &sorted(vec![first, deleted, second]));

        let model = Model::LmsJoinRevisionsSkills;
        let row = |revision: &str, skill: &str| null_row(model, pair(revision, skill));
        let mut removed = row("r1", "removed");
        removed.removed_at = Some(at(1));
        tx.put_rows(model, &alpha(), &[row("r1", "s1"), row("r1", "s2"), row("r2", "s1"), removed])?;
        let members = tx.members(model, &alpha(), &["r1".to_owned()])?;
        check_same(model, &sorted(members), &[row("r1", "s1"), row("r1", "s2")]);
        Ok(())
    })
    .await;
}

/// A statement with an empty list does nothing.
pub async fn lists_may_be_empty<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for model in Model::ALL {
            assert!(tx.rows(model, &alpha(), &[])?.is_empty());
            tx.put_rows(model, &alpha(), &[])?;
        }
        assert!(tx.members(Model::LmsCourseRevisions, &alpha(), &[])?.is_empty());
        tx.append_changes(&[])?;
        tx.put_quarantined(&[])?;
        assert_eq!(tx.clear_quarantined(&alpha(), kombo_model::Endpoint::LmsUsers, QuarantineRelease::Ids(&[]))?, 0);
        Ok(())
    })
    .await;
}

/// Ten thousand keys, rows, parents and ids are accepted, despite any limit of a database on parameters.
pub async fn lists_may_be_long<S: Store>(store: Arc<S>) {
    const MANY: usize = 10_000;
    write(&store, |tx| {
        let ids: Vec<String> = (0..MANY).map(|number| format!("id-{number:05}")).collect();
        let rows: Vec<StoredRow> = ids.iter().map(|id| full_row(Model::LmsUsers, key(id))).collect();
        let keys: Vec<Key> = ids.iter().map(|id| key(id)).collect();
        tx.put_rows(Model::LmsUsers, &alpha(), &rows)?;
        assert_eq!(tx.rows(Model::LmsUsers, &alpha(), &keys)?.len(), MANY);
        tx.put_rows(Model::LmsUsers, &alpha(), &rows)?;
        assert_eq!(tx.live_rows(Model::LmsUsers, &alpha())?, 10_000);

        let pairs: Vec<StoredRow> =
            ids.iter().map(|id| null_row(Model::LmsJoinRevisionsSkills, pair(id, "skill"))).collect();
        let keys: Vec<Key> = ids.iter().map(|id| pair(id, "skill")).collect();
        tx.put_rows(Model::LmsJoinRevisionsSkills, &alpha(), &pairs)?;
        assert_eq!(tx.rows(Model::LmsJoinRevisionsSkills, &alpha(), &keys)?.len(), MANY);
        assert_eq!(tx.members(Model::LmsJoinRevisionsSkills, &alpha(), &ids)?.len(), MANY);

        let run = tx.insert_run(&super::sample::run(super::sample::delta()))?;
        let keys: Vec<Key> = ids.iter().map(|id| super::sample::key(id)).collect();
        tx.put_seen(run, 0, Model::LmsUsers, &keys)?;
        assert_eq!(tx.find_unseen(run, Model::LmsUsers, &alpha())?, 0);
        assert_eq!(tx.keys_after(Model::LmsUsers, &alpha(), None, MANY)?.len(), MANY);
        let changes: Vec<_> = ids.iter().map(|id| super::sample::change(alpha(), id, at(1))).collect();
        tx.append_changes(&changes)?;
        assert_eq!(tx.changes(None, 0, MANY + 1)?.len(), MANY);
        assert_eq!(tx.clear_quarantined(&alpha(), kombo_model::Endpoint::LmsUsers, QuarantineRelease::Ids(&ids))?, 0);
        Ok(())
    })
    .await;
}
