//! Random histories: whatever happens at Kombo, in whatever order, the mirror ends up right and the log tells how.
//!
//! A [`History`] follows from a seed: edits at Kombo, with a sync after every few of them. [`check`] lives through it
//! twice, with the two readings of `updated_after` into nested records ([`Nesting`]), each time with a mirror and a
//! change log of its own, and holds them against each other.
//!
//! # What has to be equal
//!
//! **Within each life.** The log is a chain: every entry goes on from the values that the entries before it led to, and
//! calls the change what it is (`created`, `updated`, `deleted`, `restored`). After every sync, replaying it from the
//! first load's snapshot (which is empty in half of the histories) gives the rows of the mirror, `changed_at` and
//! `synced_at` aside, which are no matter of the log. At the end, after a full fetch of everything, the mirror is what
//! Kombo has.
//!
//! **Between the two lives,** after every sync that sees the same of Kombo under both readings:
//!
//! - the rows of the mirror with all their values. Left aside are `synced_at`, and when a row was removed: both follow
//!   from when pages were asked for, and the readings need different numbers of pages.
//! - the *net* changes that the log tells of since the last such sync: for each record what happened to it, and for
//!   each column the value that it had before and the one that it has after. Entries are netted because a sync may tell
//!   of a record in several: a copy shows some columns, and the record itself the rest; a revision is missing in one
//!   course, and appears in another on a later page. Whether it does follows from which pages come first. Causes and
//!   numbers of runs are aside for the same reason.
//! - in *calm* histories, where every sync sees everything, also the entries themselves, column by column: model,
//!   record, column, old value, new value. No column but `removed_at` may change twice in one sync.
//!
//! A sync sees the same of a model unless the model may stay unseen by deltas ([`Model::blind_in_delta`]) and a full
//! fetch still waits, or the sync was disturbed: by edits between its pages, failures, or a stop. Half of the histories
//! have such syncs, and times of rest at which everything that was asked for is done; the readings may differ in
//! between, and a value that came and went in between may be in one log alone. So these histories are compared in what
//! Kombo has at both ends of the time between two rests. Of records that Kombo no longer has, one life may never have
//! heard.
//!
//! [`Model::blind_in_delta`]: sync_core::mirror::Model::blind_in_delta
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "what panics says what is wrong"
)]

mod daemon;
mod edit;
mod ledger;
mod life;
mod plan;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use kombo_model::IntegrationId;
use sync_core::port::Store;

use crate::Nesting;

pub use daemon::{Daemon, Tables};
pub use edit::{Edit, Kind};
pub use ledger::{Fields, Ledger, Table};
use life::{Life, Sight};
pub use plan::History;

/// How much a history had to say, so that nobody takes an empty one for a proof.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// How many syncs there were.
    pub syncs: usize,
    /// After how many of them the two lives were held against each other.
    pub compared: usize,
    /// How many net changes they agreed on.
    pub changes: usize,
    /// How many rows they ended with.
    pub rows: usize,
}

impl Size {
    /// Adds what another history had to say.
    pub fn add(&mut self, other: Self) {
        self.syncs += other.syncs;
        self.compared += other.compared;
        self.changes += other.changes;
        self.rows += other.rows;
    }
}

/// Which histories are to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// By their seeds.
    pub seeds: Vec<u64>,
    /// How many steps each has.
    pub steps: usize,
}

impl Asked {
    /// As many as the environment variable `SYNC_HISTORIES` says, or `usual` ones, of as many steps as
    /// `SYNC_HISTORY_STEPS` says, or 200; or the one history whose seed is in `SYNC_HISTORY_SEED`.
    pub fn or(usual: u64) -> Self {
        let seeds = match asked("SYNC_HISTORY_SEED") {
            Some(seed) => vec![seed],
            None => (0..asked("SYNC_HISTORIES").unwrap_or(usual)).collect(),
        };
        Self { seeds, steps: asked("SYNC_HISTORY_STEPS").unwrap_or(200) }
    }
}

fn asked<T: FromStr>(variable: &str) -> Option<T> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Checks histories, so many side by side, all of them whatever becomes of some.
///
/// # Panics
///
/// Panics at the end, naming the seeds, if any failed.
pub async fn check_all<St: Store>(store: St, asked: &Asked, lanes: usize) -> Size {
    let store = Arc::new(store);
    let (mut sum, mut failed) = (Size::default(), Vec::new());
    let mut under_way = tokio::task::JoinSet::new();
    let mut seeds = asked.seeds.iter().copied();
    loop {
        while under_way.len() < lanes.max(1)
            && let Some(seed) = seeds.next()
        {
            let (store, steps) = (Arc::clone(&store), asked.steps);
            let checked = async move { check(&store, &History::random(seed, steps)).await };
            let task = tokio::spawn(checked);
            under_way.spawn(async move { (seed, task.await) });
        }
        match under_way.join_next().await {
            Some(Ok((_, Ok(size)))) => sum.add(size),
            Some(Ok((seed, Err(_)))) => failed.push(seed),
            Some(Err(error)) => panic!("{error}"),
            None => break,
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} histories fail; again: SYNC_HISTORY_STEPS={} SYNC_HISTORY_SEED= any of {failed:?}",
        failed.len(),
        asked.seeds.len(),
        asked.steps
    );
    sum
}

/// Lives through a history under both readings, and holds the mirrors and the logs against each other and against
/// Kombo. The store may hold other histories, under other names.
///
/// # Panics
///
/// Panics, with the seed and what differs, where anything does.
pub async fn check<St: Store>(store: &Arc<St>, history: &History) -> Size {
    let name = |reading: &str| IntegrationId::from(format!("history:{:x}-{reading}", history.seed));
    let guide = Life::live(Arc::clone(store), name("guide"), history, Nesting::Guide).await;
    let reference = Life::live(Arc::clone(store), name("reference"), history, Nesting::Reference).await;
    assert_eq!(guide.len(), reference.len(), "seed {}: not the same syncs", history.seed);
    let mut size = Size { syncs: guide.len(), ..Size::default() };
    for (guide, reference) in guide.iter().zip(&reference) {
        compare(history, guide, reference);
        size.compared += usize::from(!guide.models.is_empty());
        size.changes += guide.net.len();
        size.rows = guide.rows.len();
    }
    size
}

fn compare(history: &History, guide: &Sight, reference: &Sight) {
    let place = format!("seed {}, after step {}", history.seed, guide.step);
    assert_eq!(guide.models, reference.models, "{place}: not the same models can be compared");
    same(&place, "rows of the mirror", &guide.rows, &reference.rows);
    same(&place, "net changes of the log", &guide.net, &reference.net);
    same(&place, "entries of the log", &guide.entries, &reference.entries);
}

fn same(place: &str, what: &str, guide: &BTreeSet<String>, reference: &BTreeSet<String>) {
    let (of_guide, of_reference): (Vec<_>, Vec<_>) =
        (guide.difference(reference).collect(), reference.difference(guide).collect());
    assert!(
        of_guide.is_empty() && of_reference.is_empty(),
        "{place}: {what}: the guide alone has {of_guide:#?}, the reference alone has {of_reference:#?}"
    );
}
