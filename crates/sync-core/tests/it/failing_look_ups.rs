//! Look-ups on which Kombo fails while it answers others.

use kombo_model::Endpoint;
use sync_core::SyncError;
use sync_core::ports::{Clock, FailureClass, QuarantinePart, StoreError};
use sync_core::pull::RunOutcome;
use sync_core::pull::quarantine::{RetryPolicy, retry};
use sync_core::rows::{Key, Model};
use sync_core::verify::{Verifier, VerifyPolicy, What};

use crate::bench::{Bench, USUAL, id};

const UNANSWERED: [FailureClass; 2] = [FailureClass::Transient, FailureClass::Unintelligible];

async fn furnished() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench
}

fn in_quarantine(bench: &Bench) -> Vec<String> {
    let records = bench.store.look::<_, StoreError>(|tx| tx.quarantined(QuarantinePart::All, 100)).unwrap();
    records.into_iter().map(|record| record.record_id).collect()
}

fn is_live(bench: &Bench, model: Model, key: &str) -> bool {
    bench.row(model, key).is_live()
}

async fn not_compared(bench: &Bench, endpoint: Endpoint) -> Vec<(What, String)> {
    let policy = VerifyPolicy {
        endpoints: bench.endpoints(),
        enabled: bench.endpoints(),
        tombstones: bench.policy.tombstones,
        ids_per_lookup: bench.policy.ids_per_lookup,
    };
    let mut verifier = Verifier::new(&bench.store, &bench.kombo, policy, id());
    let mut differences = Vec::new();
    let tell = |difference: sync_core::verify::Difference| {
        differences.push((difference.what, difference.record_id));
        Ok::<_, SyncError>(())
    };
    verifier.endpoint(endpoint, tell).await.unwrap();
    differences
}

/// The fetch ends and removes the other records; the row and all that belongs to it stay, and are reported.
#[tokio::test]
async fn an_id_on_which_every_look_up_fails_stays_undecided() {
    for class in UNANSWERED {
        let bench = furnished().await;
        bench.kombo.edit(|lms| {
            lms.purge(Model::LmsCourses, "c0");
            lms.purge(Model::LmsCourses, "c1");
        });
        bench.kombo.fail_id("c0", class);
        let verified = not_compared(&bench, Endpoint::LmsCourses).await;
        assert!(verified.contains(&(What::Unreadable, "c0".to_owned())), "{verified:?}");
        assert!(verified.contains(&(What::Extra, "c1".to_owned())), "{verified:?}");
        assert!(!verified.iter().any(|(_, key)| key.starts_with("r0")), "{verified:?}");

        let run = bench.full(Endpoint::LmsCourses).await;
        assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1), "{run:?}");
        assert!(is_live(&bench, Model::LmsCourses, "c0"), "nothing is known about it");
        assert!(!is_live(&bench, Model::LmsCourses, "c1"));
        for (model, key, live) in [
            (Model::LmsCourseRevisions, "r0", true),
            (Model::LmsCourseRevisions, "r0b", true),
            (Model::LmsJoinRevisionsSkills, "r0/s2", true),
            (Model::LmsCourseRevisions, "r1", false),
        ] {
            assert_eq!(is_live(&bench, model, key), live, "{key}");
        }
        assert_eq!(in_quarantine(&bench), ["c0"]);

        let policy = RetryPolicy { tombstones: bench.policy.tombstones, change_values: false };
        let retried = retry(&bench.store, &id(), policy, bench.clock.now()).await.unwrap();
        assert!(retried.iter().all(|retried| retried.applied.is_none()), "a retry has nothing to store: {retried:?}");
        assert!(is_live(&bench, Model::LmsCourses, "c0"));

        bench.kombo.fail_no_id();
        bench.pass(3_600);
        let run = bench.full(Endpoint::LmsCourses).await;
        assert_eq!(run.outcome, RunOutcome::Completed, "{run:?}");
        assert_eq!(in_quarantine(&bench), [""; 0]);
        bench.assert_mirrors();
    }
}

/// A source that is unavailable fails the fetch, so that it is tried again soon.
#[tokio::test]
async fn a_source_that_answers_no_look_up_fails_the_fetch() {
    for class in UNANSWERED.into_iter().chain([FailureClass::RequestRefused]) {
        let bench = furnished().await;
        bench.kombo.edit(|lms| lms.purge(Model::LmsUsers, "u7"));
        (0..8).for_each(|user| bench.kombo.fail_id(&format!("u{user}"), class));
        let run = bench.full(Endpoint::LmsUsers).await;
        assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::Failed, 0), "{run:?}");
        assert!(is_live(&bench, Model::LmsUsers, "u7"));
    }
}

/// A short outage leaves nothing undecided: the id is looked up again when the source answers others.
#[tokio::test]
async fn a_look_up_that_fails_once_is_repeated() {
    let bench = furnished().await;
    bench.kombo.edit(|lms| lms.purge(Model::LmsUsers, "u7"));
    // Three pages of users, then the look-up.
    bench.kombo.fail_page(4, FailureClass::Transient);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 1), "{run:?}");
    bench.assert_mirrors();
}

/// With an empty list, other ids that are missing serve for comparison. Without any, nothing is removed.
#[tokio::test]
async fn an_empty_list_leaves_nothing_to_compare_with() {
    for class in UNANSWERED.into_iter().chain([FailureClass::RequestRefused]) {
        let bench = furnished().await;
        bench
            .kombo
            .edit(|lms| (0..10).for_each(|number| lms.purge(Model::LmsCourseProgressions, &format!("g{number}"))));
        let mut removed = bench.row(Model::LmsCourseProgressions, "g0");
        removed.removed_at = Some(bench.clock.now());
        for number in 1..10 {
            let mut row = removed.clone();
            row.row.key = Key::Id(format!("g{number}"));
            bench.put(Model::LmsCourseProgressions, row);
        }
        bench.kombo.fail_id("g0", class);
        let run = bench.full(Endpoint::LmsCourseProgressions).await;
        assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1), "{run:?}");
        assert!(is_live(&bench, Model::LmsCourseProgressions, "g0"));
    }
}
