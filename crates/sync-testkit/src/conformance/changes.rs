use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kombo_model::IntegrationId;
use sync_core::changes::{Change, LogPosition};
use sync_core::outbox::Undelivered;
use sync_core::ports::{Scope, Store, StoreError};
use sync_core::rows::{ChangeCause, ChangeKind};
use sync_core::rows::{MAX_DOCUMENT_DEPTH, MAX_OPAQUE_DEPTH, Model, Value};

use super::sample::{alpha, at, beta, change, read, write};
use super::transactions::beside;

fn records(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.record_id.as_str()).collect()
}

/// Entries come back as written, with a rising `seq`, in the order in which they were appended.
pub async fn changes_come_back_in_order<S: Store>(store: Arc<S>) {
    assert_eq!(read(&store, |tx| tx.last_change()).await, 0);
    let mut written = Vec::new();
    for model in Model::ALL {
        for (kind, cause) in ChangeKind::ALL.iter().zip(ChangeCause::ALL) {
            let record = format!("{model}/{kind}");
            let entry = Change { model, kind: *kind, cause: *cause, ..change(alpha(), &record, at(1)) };
            written.push(entry);
        }
    }
    written[0].fields = serde_json::json!([]);
    written[1].fields = serde_json::json!({ "title": { "old": null, "new": "Ω 'x'" }, "a": { "old": 1, "new": [] } });
    "r/s".clone_into(&mut written[2].record_id);
    let (first, second) = (written[..9].to_vec(), written[9..].to_vec());
    write(&store, move |tx| {
        tx.append_changes(&first)?;
        assert_eq!(tx.changes(None, 0, 100)?.len(), 9, "a transaction sees its own entries");
        Ok(())
    })
    .await;
    write(&store, move |tx| tx.append_changes(&second)).await;

    let (found, last) = read(&store, |tx| Ok((tx.changes(None, 0, 1_000)?, tx.last_change()?))).await;
    assert!(found.windows(2).all(|two| two[0].seq < two[1].seq) && found[0].seq > 0, "seq rises");
    assert_eq!(found.last().map(|change| change.seq), Some(last));
    let seqs: Vec<i64> = found.iter().map(|change| change.seq).collect();
    let expected: Vec<Change> =
        written.into_iter().zip(&seqs).map(|(change, seq)| Change { seq: *seq, ..change }).collect();
    assert_eq!(found, expected);

    let page = read(&store, move |tx| tx.changes(None, seqs[4], 3)).await;
    assert_eq!(page, expected[5..8], "a page begins after the given seq");
    assert!(read(&store, move |tx| tx.changes(None, last, 3)).await.is_empty());
}

/// Entries come back whatever the depth of their values.
pub async fn changes_may_be_deep<S: Store>(store: Arc<S>) {
    let levels = [1, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_DEPTH + 1, 125, 126, 127, 128, MAX_OPAQUE_DEPTH];
    let entries = levels.map(|levels| {
        let value = Value::Json(format!("{}{}", "[".repeat(levels), "]".repeat(levels))).to_json();
        let fields = serde_json::json!({ "remote_data": { "old": value, "new": value } });
        Change { fields, ..change(alpha(), &levels.to_string(), at(1)) }
    });
    let written = entries.clone();
    write(&store, move |tx| tx.append_changes(&written)).await;
    let found = read(&store, |tx| tx.changes(None, 0, 100)).await;
    let found: Vec<Change> = found.into_iter().map(|change| Change { seq: 0, ..change }).collect();
    assert_eq!(found, entries);
}

/// Entries of other integrations are left out, and do not use up the limit.
pub async fn changes_of_an_integration_can_be_read_alone<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for number in 0..6 {
            let integration = if number % 3 == 0 { alpha() } else { beta() };
            tx.append_changes(&[change(integration, &number.to_string(), at(number))])?;
        }
        Ok(())
    })
    .await;
    let (of_alpha, of_beta) =
        read(&store, |tx| Ok((tx.changes(Some(&alpha()), 0, 2)?, tx.changes(Some(&beta()), 0, 3)?))).await;
    assert_eq!(records(&of_alpha), ["0", "3"]);
    assert_eq!(records(&of_beta), ["1", "2", "4"]);
    let rest = read(&store, move |tx| tx.changes(Some(&beta()), of_beta[2].seq, 3)).await;
    assert_eq!(records(&rest), ["5"]);
}

/// The latest entries of an integration or of one of its records below a `seq`, up to the limit.
pub async fn the_latest_changes_come_latest_first<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        for (integration, record) in [(alpha(), "a"), (beta(), "a"), (alpha(), "b"), (alpha(), "a"), (alpha(), "c")] {
            tx.append_changes(&[change(integration, record, at(1))])?;
        }
        let all = tx.latest_changes(&alpha(), None, i64::MAX, 9)?;
        assert_eq!(records(&all), ["c", "a", "b", "a"]);
        assert!(all.windows(2).all(|two| two[0].seq > two[1].seq), "the latest first");
        assert_eq!(tx.latest_changes(&alpha(), None, all[1].seq, 1)?, all[2..3], "a page begins below the given seq");
        let of_a = tx.latest_changes(&alpha(), Some("a"), i64::MAX, 9)?;
        assert_eq!(of_a, [all[1].clone(), all[3].clone()]);
        assert_eq!(tx.latest_changes(&alpha(), Some("a"), of_a[0].seq, 9)?, of_a[1..]);
        assert!(tx.latest_changes(&beta(), Some("b"), i64::MAX, 9)?.is_empty());
        Ok(())
    })
    .await;
}

/// Entries older than a time are removed, later ones keep their `seq`, and no number is given twice.
pub async fn trimmed_changes_leave_the_rest<S: Store>(store: Arc<S>) {
    let before = write(&store, |tx| {
        tx.append_changes(&[change(alpha(), "a", at(1)), change(beta(), "b", at(2)), change(alpha(), "c", at(3))])?;
        tx.changes(None, 0, 10)
    })
    .await;
    assert_eq!(write(&store, |tx| tx.trim_changes(at(3), Undelivered::Remove)).await, 2);
    assert_eq!(read(&store, |tx| tx.changes(None, 0, 10)).await, before[2..]);
    assert_eq!(write(&store, |tx| tx.trim_changes(at(9), Undelivered::Remove)).await, 1);
    assert!(read(&store, |tx| tx.changes(None, 0, 10)).await.is_empty());
    assert_eq!(read(&store, |tx| tx.last_change()).await, before[2].seq, "where the log ended");
    let next = write(&store, |tx| {
        tx.append_changes(&[change(alpha(), "d", at(4))])?;
        tx.changes(None, 0, 10)
    })
    .await;
    assert!(next.len() == 1 && next[0].seq > before[2].seq);
}

/// A reader that continues after an entry sees the following ones, even if that entry was removed.
pub async fn a_position_is_found_by_its_number<S: Store>(store: Arc<S>) {
    let written = write(&store, |tx| {
        tx.append_changes(&[change(alpha(), "a", at(1))])?;
        tx.append_changes(&[change(beta(), "b", at(2)), change(alpha(), "c", at(3))])?;
        tx.changes(None, 0, 10)
    })
    .await;
    // Transactions in other databases of the server may delay when entries are settled. Once settled, they stay so.
    while read(&store, |tx| tx.settled_changes(LogPosition::default(), 10)).await.len() < written.len() {
        std::thread::yield_now();
    }
    let after = async |seq: i64| {
        let found = read(&store, move |tx| {
            let position = tx.log_position(seq)?;
            assert_eq!(position.seq, seq);
            tx.settled_changes(position, 10)
        });
        found.await.into_iter().map(|(_, change)| change).collect::<Vec<_>>()
    };
    assert_eq!(after(0).await, written);
    assert_eq!(after(written[0].seq).await, written[1..]);
    assert_eq!(after(written[2].seq).await, []);
    let awaited = write(&store, |tx| Ok((tx.last_change()?, tx.last_change_of_all()?))).await;
    assert_eq!(awaited, (written[2].seq, written[2].seq));
    write(&store, |tx| tx.trim_changes(at(2), Undelivered::Remove)).await;
    assert_eq!(after(written[0].seq).await, written[1..]);
    write(&store, |tx| tx.trim_changes(at(9), Undelivered::Remove)).await;
    assert_eq!(read(&store, |tx| tx.settled_end()).await, LogPosition::default());
}

/// While several integrations write at once, a reader that continues from its last position sees every entry once.
pub async fn a_follower_of_the_changes_misses_none<S: Store>(store: Arc<S>) {
    const WRITERS: usize = 4;
    const TRANSACTIONS: usize = 25;
    let done = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            beside(async move {
                let integration = IntegrationId::from(format!("sandbox:{writer}"));
                for transaction in 0..TRANSACTIONS {
                    let of = integration.clone();
                    let written = store.transact(Scope::Integration(integration.clone()), move |tx| {
                        tx.append_changes(&[change(of.clone(), &format!("{transaction}a"), at(1))])?;
                        std::thread::yield_now();
                        tx.append_changes(&[change(of, &format!("{transaction}b"), at(1))])
                    });
                    written.await.expect("the transaction passes");
                }
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    let mut seen: Vec<Change> = Vec::new();
    let mut from = LogPosition::default();
    // The last entry. Transactions in other databases of the server may keep it from being settled for a while; all
    // others come before it.
    let last = IntegrationId::from("sandbox:last");
    let mut is_written = false;
    while seen.last().is_none_or(|change| change.integration_id != last) {
        let over = done.load(Ordering::SeqCst) == WRITERS || writers.iter().all(std::thread::JoinHandle::is_finished);
        if over && !is_written {
            let of = last.clone();
            let written = store
                .transact(Scope::Integration(last.clone()), move |tx| tx.append_changes(&[change(of, "last", at(1))]));
            written.await.expect("the transaction passes");
            is_written = true;
        }
        let page: Result<_, StoreError> =
            store.read(move |tx| Ok((tx.settled_changes(from, 7)?, tx.settled_end()?))).await;
        let (page, end) = page.expect("the transaction passes");
        assert!(page.iter().all(|(position, change)| position.seq == change.seq && *position <= end));
        for (position, change) in page {
            assert!(position > from, "positions rise");
            from = position;
            seen.push(change);
        }
    }
    for writer in writers {
        writer.join().expect("the writer passes");
    }
    for writer in 0..WRITERS {
        let of = format!("sandbox:{writer}");
        let found: Vec<String> = seen
            .iter()
            .filter(|change| change.integration_id.as_str() == of)
            .map(|change| change.record_id.clone())
            .collect();
        let expected: Vec<String> =
            (0..TRANSACTIONS).flat_map(|transaction| [format!("{transaction}a"), format!("{transaction}b")]).collect();
        assert_eq!(found, expected, "the entries of {of}");
    }
}
