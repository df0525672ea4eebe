//! An integration of unknown category: Kombo is asked for it before anything is fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use kombo_model::{Category, Endpoint, IntegrationCategory};
use sync_core::jobs::dispatch::{self, SchedulePolicy, Scheduled};
use sync_core::jobs::{IntegrationRecord, IntegrationStatus};
use sync_core::ports::Clock as _;
use sync_testkit::bench::{Bench, USUAL, id};

fn policy(bench: &Bench) -> SchedulePolicy {
    let hour = Duration::from_secs(3_600);
    SchedulePolicy {
        endpoints: bench.endpoints(),
        poll_every: None,
        full_every: 168 * hour,
        look_at_paused_every: hour,
    }
}

fn schedule(bench: &Bench) -> Scheduled {
    let (policy, now) = (policy(bench), bench.clock.now());
    bench.store.edit(|tx| dispatch::schedule(tx, &policy, now)).unwrap()
}

fn known(bench: &Bench) -> IntegrationRecord {
    bench.store.look(|tx| tx.integration(&id())).unwrap().unwrap()
}

fn unknown() -> Bench {
    let bench = Bench::new(&USUAL);
    let (configured, now) = (BTreeMap::from([(id(), None)]), bench.clock.now());
    bench.store.edit(|tx| dispatch::register(tx, &configured, now)).unwrap();
    bench
}

fn answer(bench: &Bench, category: &str) {
    let (category, now) = (IntegrationCategory::from(category.to_owned()), bench.clock.now());
    bench.store.edit(|tx| dispatch::categorize(tx, &id(), &category, now)).unwrap();
}

#[test]
fn nothing_is_fetched_before_the_category_is_known() {
    let bench = unknown();
    let scheduled = schedule(&bench);
    assert_eq!((scheduled.requests, scheduled.uncategorized), (0, vec![id()]));
    assert_eq!(schedule(&bench), Scheduled::default(), "Kombo is not asked again at once");
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(schedule(&bench).uncategorized, [id()]);

    answer(&bench, "LMS");
    assert_eq!(known(&bench).category, Some(Category::Lms));
    let scheduled = schedule(&bench);
    assert_eq!((scheduled.requests, scheduled.uncategorized), (USUAL.len(), Vec::new()));
    answer(&bench, "ATS");
    assert_eq!(known(&bench).category, Some(Category::Lms), "Kombo does not change a category");
}

#[test]
fn a_category_that_is_not_mirrored_pauses_the_integration() {
    let bench = unknown();
    schedule(&bench);
    for category in ["ASSESSMENT", "of tomorrow", ""] {
        answer(&bench, category);
        let known = known(&bench);
        assert_eq!((known.category, known.status), (None, IntegrationStatus::Paused));
        assert!(known.reason.unwrap().contains("ASSESSMENT"));
    }
    assert_eq!(schedule(&bench).requests, 0);
    // A later version of Kombo, or of this program, may know better.
    bench.clock.advance(Duration::from_secs(3_601));
    assert_eq!(schedule(&bench).uncategorized, [id()]);
}

#[test]
fn an_integration_that_kombo_does_not_have_is_asked_for_rarely() {
    let bench = unknown();
    schedule(&bench);
    let now = bench.clock.now();
    let not_found = || bench.store.edit(|tx| dispatch::not_found(tx, &id(), "there is none".to_owned(), now)).unwrap();
    not_found();
    assert_eq!(known(&bench).status, IntegrationStatus::NotFound);
    assert_eq!(schedule(&bench).uncategorized, [id()], "it changed");
    not_found();
    bench.clock.advance(Duration::from_secs(600));
    assert_eq!(schedule(&bench), Scheduled::default());
}

/// Only the endpoints of the category are requested.
#[test]
fn an_integration_has_the_endpoints_of_its_category() {
    let bench = unknown();
    schedule(&bench);
    answer(&bench, "HRIS");
    assert_eq!(schedule(&bench).requests, 0, "all enabled endpoints are of LMS");
    let requests = bench.store.look(|tx| tx.requests()).unwrap();
    assert!(requests.is_empty() && Endpoint::LmsUsers.category() == Category::Lms);
}
