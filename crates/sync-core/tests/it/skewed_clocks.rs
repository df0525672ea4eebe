//! Tests of clocks that differ: deltas lose nothing.

use kombo_model::Endpoint;
use sync_core::jobs::SyncKind;
use sync_core::ports::{Clock, FailureClass};
use sync_core::rows::{Key, Model};

use crate::bench::{Bench, USUAL, id};

#[tokio::test]
async fn a_hundred_deltas_lose_nothing_however_wrong_the_clocks_are() {
    for skew_millis in [-600_000, -61_000, -999, 0, 1, 61_000, 600_000] {
        let bench = Bench::new(&[Endpoint::LmsUsers]);
        bench.kombo.configure(|settings| settings.skew_millis = skew_millis);
        bench.furnish();
        bench.load().await;
        for round in 0..100_u64 {
            // Some changes become visible only some time after their date, some while the pages are read.
            let late = std::time::Duration::from_secs(round % 110);
            bench.kombo.edit_late(late, |lms| lms.rename_user("u1", &format!("round {round}")));
            bench.kombo.before_page(1, move |lms| lms.rename_user("u2", &format!("round {round}")));
            bench.pass(round * 7 % 200);
            let watermark = bench.watermark(Endpoint::LmsUsers);
            bench.delta(Endpoint::LmsUsers).await;
            assert!(bench.watermark(Endpoint::LmsUsers) >= watermark);
            let name = bench.text(Model::LmsUsers, "u1", "first_name");
            assert_eq!(name, Some(format!("round {round}")), "{skew_millis} ms of skew");
        }
        bench.delta(Endpoint::LmsUsers).await;
        bench.assert_mirrors();
    }
}

/// A full fetch that begins while our clock is days ahead, and ends when it is right, does not remove rows stored in
/// between.
#[tokio::test]
async fn a_full_fetch_that_began_by_a_clock_ahead_removes_nothing_newer() {
    const AHEAD: std::time::Duration = std::time::Duration::from_secs(40 * 86_400);
    let is_live = |bench: &Bench| bench.row(Model::LmsCourseRevisions, "new").removed_at.is_none();
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    let right = bench.clock.now();
    bench.clock.advance(AHEAD);
    bench.kombo.configure(|settings| settings.skew_millis = -i64::try_from(AHEAD.as_millis()).unwrap());
    bench.ask(Endpoint::LmsCourses, SyncKind::Full);
    let pages = bench.kombo.pages();
    bench.kombo.fail_page(2, FailureClass::Transient);
    bench.attempt(Endpoint::LmsCourses, SyncKind::Full).await.unwrap();
    assert!(bench.kombo.pages() > pages, "it began");
    bench.kombo.fail_no_more();

    bench.clock.set(right.saturating_add(std::time::Duration::from_secs(60)));
    bench.kombo.configure(|settings| settings.skew_millis = 0);
    bench.kombo.edit(|lms| lms.add_revision("c1", "new", "New"));
    bench.pass(60);
    bench.delta(Endpoint::LmsCourses).await;
    assert!(is_live(&bench));
    bench.pass(86_400 * 50);
    bench.attempt(Endpoint::LmsCourses, SyncKind::Full).await.unwrap();
    assert!(is_live(&bench), "what came after the fetch began stays");
}

/// Our clock and Kombo's may differ permanently. A full fetch still removes a row that a delta stored a minute before.
#[tokio::test]
async fn a_full_fetch_removes_what_was_stored_shortly_before_whatever_the_clocks_say() {
    for skew_millis in [-3_600_000, -420_000, -61_000, 0, 61_000, 3_600_000] {
        let bench = Bench::new(&USUAL);
        bench.kombo.configure(|settings| settings.skew_millis = skew_millis);
        bench.furnish();
        bench.load().await;
        bench.pass(3_600);
        bench.kombo.edit(|lms| {
            lms.assign("r1", "s2");
            lms.update_revision("r1", |revision| revision.title = Some("New".to_owned()));
        });
        bench.pass(150);
        bench.delta(Endpoint::LmsCourses).await;
        let assigned = bench.store.table(Model::LmsJoinRevisionsSkills, &id());
        assert!(assigned.iter().any(|stored| stored.row.key == Key::Pair("r1".to_owned(), "s2".to_owned())));
        bench.pass(60);
        bench.kombo.edit(|lms| lms.unassign("r1", "s2"));
        bench.full(Endpoint::LmsCourses).await;
        bench.assert_mirrors();
    }
}
