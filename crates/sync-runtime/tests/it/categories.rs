//! An integration of unknown category: Kombo is asked for it before anything is fetched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Category, Endpoint, IntegrationCategory, IntegrationId};
use sync_core::jobs::dispatch::{self, SchedulePolicy, Scheduled};
use sync_core::jobs::{IntegrationRecord, IntegrationStatus};
use sync_core::ports::{Clock as _, FailureClass, FetchSpec, Pages, RecordPage, Silent, Source, SourceError};
use sync_core::pull::Engine;
use sync_testkit::bench::{Bench, USUAL, id};

use crate::host::{Running, TestHost};

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
    assert_eq!(schedule(&bench).uncategorized, Vec::new());

    // It was moved to this region: its fetches do not wait.
    answer(&bench, "LMS");
    assert_eq!((known(&bench).status, known(&bench).reason), (IntegrationStatus::Active, None));
    assert_eq!(schedule(&bench).requests, USUAL.len());
    let now = bench.clock.now();
    assert!(bench.store.look(|tx| tx.requests()).unwrap().iter().all(|request| request.not_before <= now));
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

/// A Kombo that never answers for one integration, and has no connection to the tool of another.
struct Partly;

struct NoPages;

impl Pages for NoPages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        Ok(None)
    }
}

impl Source for Partly {
    type Pages = NoPages;

    fn open(&self, _spec: FetchSpec) -> NoPages {
        NoPages
    }

    async fn category(&self, integration: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        match integration.as_str() {
            "tool:0" => std::future::pending().await,
            "tool:1" => {
                let (class, message) = (FailureClass::Transient, "no answer".to_owned());
                Err(SourceError { class, message, retry_after: None })
            }
            _ => Ok(IntegrationCategory::Hris),
        }
    }
}

/// The failure of one integration concerns it alone.
#[tokio::test(start_paused = true)]
async fn integrations_do_not_wait_for_the_category_of_another() {
    let bench = Bench::new(&USUAL);
    let ids: Vec<IntegrationId> = (0..20).map(|number| IntegrationId::from(format!("tool:{number}"))).collect();
    let (configured, now) = (ids.iter().map(|id| (id.clone(), None)).collect(), bench.clock.now());
    bench.store.edit(|tx| dispatch::register(tx, &configured, now)).unwrap();
    let store = Arc::new(bench.store.clone());
    let engine = Engine::new(store, Arc::new(Partly), bench.clock.clone(), Silent, bench.policy.clone());
    let pool = Running::start(engine, TestHost::default(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let known = bench.store.look(|tx| tx.integrations()).unwrap();
    let unknown = known.iter().filter(|known| known.category.is_none()).map(|known| known.id.as_str());
    assert_eq!(unknown.collect::<Vec<_>>(), ["tool:0", "tool:1"]);
    pool.end().await;
}
