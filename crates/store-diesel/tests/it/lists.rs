//! Records without a list of members leave the members unchanged. Many members that vanish at once stop a fetch.

use kombo_model::Endpoint;
use sync_core::jobs::{EndpointStatus, SyncKind};
use sync_core::ports::Store as _;
use sync_core::pull::RunOutcome;
use sync_core::rows::Model;

use crate::bench::{Bench, alpha, on_both_databases};

on_both_databases!(
    only_a_list_says_who_is_gone,
    members_that_vanish_in_masses_stop_a_full_fetch,
    members_that_vanish_in_masses_stop_a_delta,
);

fn course(number: usize, at: &str, revisions: &str) -> String {
    format!(r#"{{"id":"c{number:02}","changed_at":"{at}"{revisions}}}"#)
}

fn revisions(number: usize, at: &str, assignments: &str) -> String {
    format!(r#","revisions":[{{"id":"r{number:02}","course_id":"c{number:02}","changed_at":"{at}"{assignments}}}]"#)
}

const AT: &str = "2025-06-01T00:00:00.000Z";
const LATER: &str = "2025-07-01T00:00:00.000Z";
const SKILLS: &str = r#","skill_assignments":[{"skill":{"id":"s","name":"Welding"}}]"#;

async fn loaded(bench: &mut Bench) {
    bench.endpoints = [Endpoint::LmsCourses].into();
    bench.said.page_size = 7;
    bench.lists(Endpoint::LmsCourses, (0..40).map(|number| course(number, AT, &revisions(number, AT, SKILLS))));
    bench.full_of_all().await;
    assert_eq!(bench.live(Model::LmsCourseRevisions).await.len(), 40);
}

async fn only_a_list_says_who_is_gone(mut bench: Bench) {
    loaded(&mut bench).await;
    let members = [Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills, Model::LmsSkills];
    let silent: [&dyn Fn(usize) -> String; 4] = [
        &|_| String::new(),
        &|_| r#","revisions":null"#.to_owned(),
        &|number| revisions(number, LATER, ""),
        &|number| revisions(number, LATER, r#","skill_assignments":null"#),
    ];
    for kind in [SyncKind::Full, SyncKind::Delta] {
        for (place, rest) in silent.iter().enumerate() {
            bench.lists(Endpoint::LmsCourses, (0..40).map(|number| course(number, LATER, &rest(number))));
            let run = bench.fetch(Endpoint::LmsCourses, kind).await;
            assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 0), "{kind} {place}");
            let mut live = Vec::new();
            for model in members {
                live.push(bench.live(model).await.len());
            }
            assert_eq!(live, [40, 40, 1], "{kind} {place}");
            let differences = bench.verify().await;
            assert!(differences.is_empty(), "{kind} {place}: {differences:?}");
        }
    }
    // An empty list removes the members, in both kinds of fetch.
    for (number, kind) in [(3, SyncKind::Full), (4, SyncKind::Delta)] {
        let list = |of| if of == number { r#","revisions":[]"# } else { "" };
        bench.lists(Endpoint::LmsCourses, (0..40).map(|of| course(of, LATER, list(of))));
        let run = bench.fetch(Endpoint::LmsCourses, kind).await;
        assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 2), "{kind}");
    }
}

async fn members_that_vanish_in_masses_stop_a_full_fetch(mut bench: Bench) {
    loaded(&mut bench).await;
    stops(&bench, SyncKind::Full).await;
    // The next full fetch removes nothing either, and nothing is lost when the members are back.
    stops(&bench, SyncKind::Full).await;
    bench.lists(Endpoint::LmsCourses, (0..40).map(|number| course(number, AT, &revisions(number, AT, SKILLS))));
    bench.full_of_all().await;
    bench.assert_settled().await;
}

async fn members_that_vanish_in_masses_stop_a_delta(mut bench: Bench) {
    loaded(&mut bench).await;
    stops(&bench, SyncKind::Delta).await;
}

async fn stops(bench: &Bench, kind: SyncKind) {
    bench.lists(Endpoint::LmsCourses, (0..40).map(|number| course(number, LATER, r#","revisions":[]"#)));
    let run = bench.fetch(Endpoint::LmsCourses, kind).await;
    assert_eq!(run.outcome, RunOutcome::Stopped, "{run:?}");
    let state = bench.store.read(|tx| tx.endpoint(&alpha(), Endpoint::LmsCourses)).await;
    let state = state.unwrap_or_else(|error: sync_core::ports::StoreError| panic!("{error}")).unwrap();
    assert_eq!(state.status, EndpointStatus::MassRemoval);
    let left = bench.live(Model::LmsCourseRevisions).await.len();
    assert!(left >= 30, "{left} of 40 are left");
    assert!(state.pending_removals.is_some_and(|pending| pending > 0));
}
