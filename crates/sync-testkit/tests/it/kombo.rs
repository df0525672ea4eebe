use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, ModelName, ProgressionStatus};
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock, FailureClass, Fetch, FetchSpec, Pages, Source};
use sync_core::rows::Model;
use sync_testkit::{FakeKombo, Lms, ManualClock, Nesting};

/// Returns the ids that an endpoint lists, page by page.
async fn fetch(kombo: &FakeKombo, endpoint: Endpoint, fetch: Fetch) -> Result<Vec<Vec<String>>, FailureClass> {
    let mut pages = kombo.open(FetchSpec {
        integration_id: IntegrationId::from("a:b"),
        endpoint,
        fetch,
        priority: SyncKind::Delta,
    });
    let mut ids = Vec::new();
    while let Some(page) = pages.next_page().await.map_err(|error| error.class)? {
        ids.push(page.records.iter().map(|record| record.id().to_owned()).collect());
    }
    Ok(ids)
}

fn furnished() -> (FakeKombo, ManualClock) {
    let clock = ManualClock::default();
    let kombo = FakeKombo::new(clock.clone());
    kombo.edit(|lms| {
        lms.add_user("u");
        lms.add_provider("p", "Acme");
        lms.add_skill("s", "Welding");
        lms.add_course("c", "r", "Welding for beginners");
        lms.add_course("d", "q", "Another");
        lms.provide("c", Some("p"));
        lms.assign("r", "s");
        lms.add_progression("g", "u", "r");
    });
    clock.advance(Duration::from_secs(60));
    (kombo, clock)
}

/// Records that are returned after a change, under each reading.
#[tokio::test]
async fn nested_changes_come_back_by_either_reading() {
    type Change = fn(&mut Lms);
    let changes: [(&str, Change, &str, &str); 9] = [
        ("user", |lms| lms.rename_user("u", "Grace"), "users:u course-progressions:g", "users:u"),
        ("course", |lms| lms.provide("c", None), "courses:c course-progressions:g", "courses:c"),
        ("title", |lms| lms.set_title("r", "Welding"), "courses:c course-progressions:g", "courses:c"),
        ("move", |lms| lms.move_revision("r", "d"), "courses:c courses:d course-progressions:g", "courses:c courses:d"),
        ("provider", |lms| lms.rename_provider("p", "Apex"), "courses:c", ""),
        ("skill", |lms| lms.rename_skill("s", "Soldering"), "courses:c skills:s", "skills:s"),
        ("unassign", |lms| lms.unassign("r", "s"), "courses:c", ""),
        (
            "progress",
            |lms| lms.progress("g", ProgressionStatus::Completed),
            "course-progressions:g",
            "course-progressions:g",
        ),
        ("purge", |lms| lms.purge(Model::LmsCourseRevisions, "q"), "courses:d", "courses:d"),
    ];
    for (name, change, guide, reference) in changes {
        for (nesting, expected) in [(Nesting::Guide, guide), (Nesting::Reference, reference)] {
            let (kombo, clock) = furnished();
            kombo.configure(|settings| settings.nesting = nesting);
            let since = clock.now();
            clock.advance(Duration::from_millis(1));
            kombo.edit(change);
            let mut found = Vec::new();
            for endpoint in Endpoint::LMS {
                let delta = Fetch::List { updated_after: Some(since), from: None };
                let ids = fetch(&kombo, endpoint, delta).await.unwrap().concat();
                found.extend(ids.into_iter().map(|id| format!("{}:{id}", endpoint.short_name())));
            }
            assert_eq!(found.join(" "), expected, "{name} by {nesting:?}");
        }
    }
}

#[tokio::test]
async fn silent_changes_come_back_to_nobody() {
    let (kombo, clock) = furnished();
    kombo.changed_models();
    let since = clock.now();
    kombo.edit_silently(|lms| lms.rename_user("u", "Grace"));
    let delta = Fetch::List { updated_after: Some(since), from: None };
    assert_eq!(fetch(&kombo, Endpoint::LmsUsers, delta).await.unwrap().concat(), [""; 0]);
    assert_eq!(kombo.changed_models(), []);
    kombo.edit(|lms| lms.rename_user("u", "Ada"));
    assert_eq!(kombo.changed_models(), [ModelName::LmsUsers]);
}

#[tokio::test]
async fn pages_follow_the_order_of_ids_and_can_fail() {
    let (kombo, _) = furnished();
    kombo.edit(|lms| (0..6).for_each(|user| lms.add_user(&format!("u{user}"))));
    let all = Fetch::List { updated_after: None, from: None };
    let pages = fetch(&kombo, Endpoint::LmsUsers, all.clone()).await.unwrap();
    assert_eq!(pages, [vec!["u", "u0", "u1"], vec!["u2", "u3", "u4"], vec!["u5"]]);
    let some = Fetch::Ids(["u5", "nobody", "u0"].map(str::to_owned).to_vec());
    assert_eq!(fetch(&kombo, Endpoint::LmsUsers, some).await.unwrap(), [["u0", "u5"]]);
    kombo.fail_page(2, FailureClass::Transient);
    assert_eq!(fetch(&kombo, Endpoint::LmsUsers, all.clone()).await, Err(FailureClass::Transient));
    kombo.before_page(2, |lms| lms.purge(Model::LmsUsers, "u"));
    let pages = fetch(&kombo, Endpoint::LmsUsers, all).await.unwrap();
    assert_eq!(pages.concat(), ["u", "u0", "u1", "u3", "u4", "u5"], "u2 moved to a page that was read already");
}
