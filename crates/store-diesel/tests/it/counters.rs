//! Counters that are lost while the program runs, for example when it is led to a server that has the rows but not the
//! counters.

use kombo_model::Endpoint;
use sync_core::outbox::Undelivered;
use sync_core::ports::{Scope, Store as _, StoreError};

use crate::bench::{Bench, on_both_databases};

on_both_databases!(numbers_that_followers_saw_are_not_handed_out_again);

async fn lose_counters(bench: &Bench) {
    bench
        .sql(if bench.is_sqlite() {
            "DELETE FROM sqlite_sequence"
        } else {
            "ALTER SEQUENCE sync_changes_seq_seq RESTART; ALTER SEQUENCE sync_runs_id_seq RESTART"
        })
        .await;
}

/// Changes a user, and returns the number of the run that finds the change and that of its log entry.
async fn change(bench: &Bench, name: &str) -> (i64, i64) {
    bench.lists(Endpoint::LmsUsers, [format!(r#"{{"id":"u","first_name":"{name}"}}"#)]);
    let run = bench.full(Endpoint::LmsUsers).await;
    (run.id.0, bench.changes().await.last().unwrap_or_else(|| panic!("{run:?}")).seq)
}

async fn numbers_that_followers_saw_are_not_handed_out_again(bench: Bench) {
    bench.lists(Endpoint::LmsUsers, [r#"{"id":"u"}"#]);
    bench.full(Endpoint::LmsUsers).await;
    change(&bench, "Ada").await;
    bench.sql("UPDATE sync_changes SET seq = 40; UPDATE sync_runs SET id = id + 70").await;
    lose_counters(&bench).await;
    assert_eq!(change(&bench, "Grace").await, (73, 41));
    let trim = |tx: &mut dyn sync_core::ports::Tx| tx.trim_changes(kombo_model::Timestamp::MAX, Undelivered::Remove);
    let trimmed = bench.store.transact(Scope::Shared, trim).await;
    assert_eq!(trimmed.unwrap_or_else(|error: StoreError| panic!("{error}")), 2);
    lose_counters(&bench).await;
    assert_eq!(change(&bench, "Ada").await, (74, 42));
}
