use std::collections::BTreeSet;
use std::sync::Arc;

use sync_core::ports::{Store, Tx, TxResult, UNSEEN_PAGE};
use sync_core::pull::RunId;
use sync_core::rows::{Key, Model, StoredRow, Value};

use super::sample::{alpha, at, beta, delta, key, null_row, pair, read, run, write};

const MODEL: Model = Model::LmsUsers;

fn ids(ids: &[&str]) -> Vec<Key> {
    ids.iter().map(|id| key(id)).collect()
}

/// Stores live users with these ids, and begins a run.
fn begin(tx: &mut dyn Tx, users: &[&str]) -> TxResult<RunId> {
    let rows: Vec<StoredRow> = users.iter().map(|id| null_row(MODEL, key(id))).collect();
    tx.put_rows(MODEL, &alpha(), &rows)?;
    tx.insert_run(&run(delta()))
}

fn unseen(tx: &mut dyn Tx, run: RunId) -> TxResult<Vec<Key>> {
    unseen_of(tx, run, MODEL)
}

/// Returns the keys of all pages. Every page but the last must be full.
fn unseen_of(tx: &mut dyn Tx, run: RunId, model: Model) -> TxResult<Vec<Key>> {
    let pages = tx.find_unseen(run, model, &alpha())?;
    let mut found = Vec::new();
    for page in 0..pages {
        let keys = tx.unseen(run, model, page)?;
        assert!(!keys.is_empty() && (keys.len() == UNSEEN_PAGE || page == pages - 1), "page {page} has {}", keys.len());
        found.extend(keys);
    }
    assert_eq!(tx.unseen(run, model, pages)?, [], "there is no page behind the last one");
    Ok(found)
}

/// Ids that any batch of the run noted are seen. Those noted by another run are not.
pub async fn seen_ids_are_not_unseen<S: Store>(store: Arc<S>) {
    let first = write(&store, |tx| {
        let (first, second) = (begin(tx, &["a", "b", "c", "d", "e"])?, tx.insert_run(&run(delta()))?);
        tx.put_seen(first, 0, MODEL, &ids(&["a", "c", "no row"]))?;
        tx.put_seen(first, 1, MODEL, &ids(&["c", "d"]))?;
        tx.put_seen(second, 0, MODEL, &ids(&["b"]))?;
        assert_eq!(unseen(tx, first)?, ids(&["b", "e"]));
        assert_eq!(unseen(tx, second)?, ids(&["a", "c", "d", "e"]));
        assert_eq!((tx.seen_batches(first)?, tx.seen_batches(second)?), (2, 1));
        let asked = ids(&["a", "b", "d", "no row", "neither"]);
        assert_eq!(tx.seen(first, MODEL, &asked)?, ids(&["a", "d", "no row"]).into_iter().collect());
        assert_eq!(tx.seen(first, Model::LmsCourses, &asked)?, BTreeSet::new(), "of another model");
        Ok(first)
    })
    .await;
    let later = write(&store, move |tx| Ok((unseen(tx, first)?, tx.seen_batches(first)?))).await;
    assert_eq!(later, (ids(&["b", "e"]), 2), "notes last beyond their transaction");
}

/// Rows that are deleted or removed are not unseen, nor those of other integrations and models.
pub async fn unseen_ids_are_of_rows_not_removed<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let run = begin(tx, &["live", "seen"])?;
        let (mut deleted, mut removed) = (null_row(MODEL, key("deleted")), null_row(MODEL, key("removed")));
        *deleted.row.values_mut().last_mut().unwrap() = Value::Time(at(1));
        removed.removed_at = Some(at(1));
        tx.put_rows(MODEL, &alpha(), &[deleted, removed])?;
        tx.put_rows(MODEL, &beta(), &[null_row(MODEL, key("elsewhere"))])?;
        tx.put_rows(Model::LmsCourses, &alpha(), &[null_row(Model::LmsCourses, key("course"))])?;
        tx.put_seen(run, 0, MODEL, &ids(&["seen"]))?;
        assert_eq!(unseen(tx, run)?, ids(&["deleted", "live"]));
        Ok(())
    })
    .await;
}

/// Pages are in the order of ids, and a second comparison replaces them.
pub async fn unseen_ids_page_in_order<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let run = begin(tx, &["b", "B", "a", "ä", "_", "10", "9", "z", "seen"])?;
        tx.put_seen(run, 0, MODEL, &ids(&["seen"]))?;
        assert_eq!(unseen(tx, run)?, ids(&["10", "9", "B", "_", "a", "b", "z", "ä"]));
        let many: Vec<String> = (0..=2 * UNSEEN_PAGE).map(|number| format!("more {number:06}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        tx.put_rows(MODEL, &alpha(), &many.iter().map(|id| null_row(MODEL, key(id))).collect::<Vec<_>>())?;
        assert_eq!(tx.find_unseen(run, MODEL, &alpha())?, 3);
        let all = unseen(tx, run)?;
        assert!(all.is_sorted() && all.len() == many.len() + 8, "{}", all.len());
        assert_eq!(tx.seen_batches(run)?, 1, "pages are no notes");
        assert!(tx.seen(run, MODEL, &ids(&["a"]))?.is_empty(), "pages are no notes");
        tx.put_seen(run, 1, MODEL, &ids(&many))?;
        assert_eq!(unseen(tx, run)?.len(), 8);
        assert_eq!(tx.unseen(run, MODEL, 1)?, [], "the former pages are gone");
        tx.clear_seen(run)?;
        assert_eq!(tx.unseen(run, MODEL, 0)?, [], "and with the notes, all of them");
        Ok(())
    })
    .await;
}

/// Keys of rows that are not removed are listed in order, whatever was noted.
pub async fn keys_page_in_order<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let run = begin(tx, &["b", "B", "a", "ä", "_", "10", "9", "z"])?;
        tx.put_seen(run, 0, MODEL, &ids(&["a"]))?;
        let mut removed = null_row(MODEL, key("removed"));
        removed.removed_at = Some(at(1));
        tx.put_rows(MODEL, &alpha(), &[removed])?;
        tx.put_rows(MODEL, &beta(), &[null_row(MODEL, key("elsewhere"))])?;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = tx.keys_after(MODEL, &alpha(), after.as_ref(), 3)?;
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page);
        }
        assert_eq!(found, ids(&["10", "9", "B", "_", "a", "b", "z", "ä"]));
        Ok(())
    })
    .await;
}

/// A batch may contain rows of several models. A note counts for its own model, and all notes of a batch count as one
/// batch. Both ids of a join table count.
pub async fn notes_are_of_a_model<S: Store>(store: Arc<S>) {
    const JOINS: Model = Model::LmsJoinRevisionsSkills;
    write(&store, |tx| {
        let run = begin(tx, &["a", "b"])?;
        let joins = [pair("a", "x"), pair("a", "y"), pair("b", "x"), pair("c", "x")];
        let rows: Vec<StoredRow> = joins.iter().map(|key| null_row(JOINS, key.clone())).collect();
        tx.put_rows(JOINS, &alpha(), &rows)?;
        tx.put_seen(run, 0, MODEL, &ids(&["a"]))?;
        tx.put_seen(run, 0, JOINS, &[pair("a", "y"), pair("b", "x"), pair("b", "x")])?;
        assert_eq!(unseen(tx, run)?, ids(&["b"]));
        assert_eq!(unseen_of(tx, run, JOINS)?, [pair("a", "x"), pair("c", "x")]);
        assert_eq!(tx.keys_after(JOINS, &alpha(), None, 1)?, [pair("a", "x")]);
        assert_eq!(tx.keys_after(JOINS, &alpha(), Some(&pair("a", "x")), 2)?, [pair("a", "y"), pair("b", "x")]);
        assert_eq!(unseen_of(tx, run, Model::LmsSkills)?, []);
        assert_eq!(tx.seen_batches(run)?, 1);
        tx.put_seen(run, 1, JOINS, &joins)?;
        assert_eq!(unseen_of(tx, run, JOINS)?, []);
        assert_eq!((unseen(tx, run)?, tx.seen_batches(run)?), (ids(&["b"]), 2));
        tx.clear_seen(run)?;
        assert_eq!(unseen_of(tx, run, JOINS)?, joins);
        // Whatever characters the ids contain, no key is mistaken for another one.
        let odd = [pair("d\u{1b}s", "x"), pair("d\u{1f}x", "y"), pair("d", "x\u{1f}y"), pair("e\u{1b}", "\u{1f}s")];
        let rows: Vec<StoredRow> = odd.iter().map(|key| null_row(JOINS, key.clone())).collect();
        tx.put_rows(JOINS, &alpha(), &rows)?;
        let unseen = unseen_of(tx, run, JOINS)?;
        assert!(unseen.len() == joins.len() + odd.len() && odd.iter().all(|key| unseen.contains(key)), "{unseen:?}");
        tx.put_seen(run, 0, JOINS, &odd)?;
        assert_eq!(unseen_of(tx, run, JOINS)?, joins);
        assert_eq!(tx.seen(run, JOINS, &odd)?, odd.into_iter().collect());
        Ok(())
    })
    .await;
}

/// A repeated batch leaves one note, with the rows of the repetition.
pub async fn a_repeated_note_replaces_the_first<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let run = begin(tx, &["a", "b", "c"])?;
        tx.put_seen(run, 0, MODEL, &ids(&["a", "b"]))?;
        tx.put_seen(run, 0, MODEL, &ids(&["b", "c", "b"]))?;
        assert_eq!(unseen(tx, run)?, ids(&["a"]));
        assert_eq!(tx.seen_batches(run)?, 1);
        Ok(())
    })
    .await;
}

/// A batch without rows counts, so that the notes show that no batch is lost.
pub async fn a_note_may_be_empty<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let run = begin(tx, &["a"])?;
        assert_eq!(tx.seen_batches(run)?, 0);
        tx.put_seen(run, 0, MODEL, &[])?;
        tx.put_seen(run, 1, MODEL, &[])?;
        assert_eq!(tx.seen_batches(run)?, 2);
        assert_eq!(unseen(tx, run)?, ids(&["a"]));
        Ok(())
    })
    .await;
}

/// Clearing removes the notes of one run only. Clearing again does nothing.
pub async fn cleared_notes_are_gone<S: Store>(store: Arc<S>) {
    let (first, second) = write(&store, |tx| {
        let (first, second) = (begin(tx, &["a"])?, tx.insert_run(&run(delta()))?);
        tx.put_seen(first, 0, MODEL, &ids(&["a"]))?;
        tx.put_seen(second, 0, MODEL, &ids(&["a"]))?;
        tx.clear_seen(first)?;
        tx.clear_seen(first)?;
        Ok((first, second))
    })
    .await;
    write(&store, move |tx| {
        assert_eq!((tx.seen_batches(first)?, tx.seen_batches(second)?), (0, 1));
        assert_eq!(unseen(tx, first)?, ids(&["a"]));
        assert!(unseen(tx, second)?.is_empty());
        Ok(())
    })
    .await;
    let gone = read(&store, |tx| tx.rows_after(MODEL, &beta(), None, 1)).await;
    assert!(gone.is_empty());
}
