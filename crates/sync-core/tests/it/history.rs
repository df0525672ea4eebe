//! Random histories: whatever happens at Kombo and to us, in whatever order, the mirror ends up right.

use kombo_model::{Endpoint, ProgressionStatus};
use proptest::prelude::*;
use sync_core::mirror::{Model, Value};
use sync_core::planner::plan;
use sync_core::port::{Clock, FailureClass, StoreError};
use sync_core::queue;
use sync_core::types::{RequestCause, SyncKind, Target};
use sync_testkit::{Lms, Nesting};
use tokio_util::sync::CancellationToken;

use crate::bench::{ALL, Bench, id};
use crate::engine::futures_poll;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// At Kombo; `late` seconds before anybody can see it.
    Edit(Edit, u64),
    /// A webhook arrives for all that changed since the last one.
    Webhook,
    /// Whatever is due is worked on.
    Work,
    /// A full fetch, asked for by a person.
    Full(usize),
    /// A worker dies after some polls.
    Crash(usize, usize),
    /// A page fails.
    PageFault(u64),
    /// A statement fails.
    StatementFault(u64),
    /// Kombo forgets its page cursors.
    CursorsExpire,
    /// Time passes.
    Wait(u64),
}

#[derive(Debug, Clone)]
enum Edit {
    AddUser(u8),
    RenameUser(u8, u8),
    Delete(Kind, u8),
    Restore(Kind, u8),
    Anonymise(Kind, u8),
    AddCourse(u8),
    AddRevision(u8, u8),
    SetTitle(u8, u8),
    Move(u8, u8),
    Assign(u8, u8),
    Unassign(u8, u8),
    AddSkill(u8),
    RenameSkill(u8, u8),
    AddProvider(u8),
    RenameProvider(u8, u8),
    Provide(u8, u8),
    Enrol(u8, u8, u8),
    Progress(u8, u8),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    User,
    Course,
    Revision,
    Skill,
    Progression,
}

impl Kind {
    fn model(self) -> Model {
        match self {
            Self::User => Model::LmsUsers,
            Self::Course => Model::LmsCourses,
            Self::Revision => Model::LmsCourseRevisions,
            Self::Skill => Model::LmsSkills,
            Self::Progression => Model::LmsCourseProgressions,
        }
    }

    fn id(self, number: u8) -> String {
        let letter = match self {
            Self::User => 'u',
            Self::Course => 'c',
            Self::Revision => 'r',
            Self::Skill => 's',
            Self::Progression => 'g',
        };
        format!("{letter}{number}")
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::User), Just(Kind::Course), Just(Kind::Revision), Just(Kind::Skill), Just(Kind::Progression)]
}

fn edit() -> impl Strategy<Value = Edit> {
    let few = 0..5_u8;
    prop_oneof![
        few.clone().prop_map(Edit::AddUser),
        (few.clone(), any::<u8>()).prop_map(|(user, name)| Edit::RenameUser(user, name)),
        (kind(), few.clone()).prop_map(|(kind, id)| Edit::Delete(kind, id)),
        (kind(), few.clone()).prop_map(|(kind, id)| Edit::Restore(kind, id)),
        (kind(), few.clone()).prop_map(|(kind, id)| Edit::Anonymise(kind, id)),
        few.clone().prop_map(Edit::AddCourse),
        (few.clone(), few.clone()).prop_map(|(course, revision)| Edit::AddRevision(course, revision)),
        (few.clone(), any::<u8>()).prop_map(|(revision, title)| Edit::SetTitle(revision, title)),
        (few.clone(), few.clone()).prop_map(|(revision, course)| Edit::Move(revision, course)),
        (few.clone(), few.clone()).prop_map(|(revision, skill)| Edit::Assign(revision, skill)),
        (few.clone(), few.clone()).prop_map(|(revision, skill)| Edit::Unassign(revision, skill)),
        few.clone().prop_map(Edit::AddSkill),
        (few.clone(), any::<u8>()).prop_map(|(skill, name)| Edit::RenameSkill(skill, name)),
        few.clone().prop_map(Edit::AddProvider),
        (few.clone(), any::<u8>()).prop_map(|(provider, name)| Edit::RenameProvider(provider, name)),
        (few.clone(), few.clone()).prop_map(|(course, provider)| Edit::Provide(course, provider)),
        (few.clone(), few.clone(), few.clone()).prop_map(|(id, user, revision)| Edit::Enrol(id, user, revision)),
        (few, any::<u8>()).prop_map(|(id, status)| Edit::Progress(id, status)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (edit(), 0..100_u64).prop_map(|(edit, late)| Step::Edit(edit, late)),
        3 => Just(Step::Webhook),
        4 => Just(Step::Work),
        1 => (0..4_usize).prop_map(Step::Full),
        2 => (0..4_usize, 0..60_usize).prop_map(|(endpoint, polls)| Step::Crash(endpoint, polls)),
        1 => (1..6_u64).prop_map(Step::PageFault),
        1 => (1..60_u64).prop_map(Step::StatementFault),
        1 => Just(Step::CursorsExpire),
        3 => (1..600_u64).prop_map(Step::Wait),
    ]
}

fn apply(lms: &mut Lms, edit: &Edit) {
    let name = |number: &u8| format!("name {number}");
    match edit {
        Edit::AddUser(user) => lms.add_user(&Kind::User.id(*user)),
        Edit::RenameUser(user, to) => lms.rename_user(&Kind::User.id(*user), &name(to)),
        Edit::Delete(kind, id) => lms.delete(kind.model(), &kind.id(*id)),
        Edit::Restore(kind, id) => lms.restore(kind.model(), &kind.id(*id)),
        Edit::Anonymise(kind, id) => lms.anonymise(kind.model(), &kind.id(*id)),
        Edit::AddCourse(course) => {
            if !lms.ids(Model::LmsCourses).contains(&Kind::Course.id(*course)) {
                lms.add_course(&Kind::Course.id(*course), &Kind::Revision.id(*course), &name(course));
            }
        }
        Edit::AddRevision(course, revision) => {
            lms.add_revision(&Kind::Course.id(*course), &Kind::Revision.id(*revision), "added");
        }
        Edit::SetTitle(revision, title) => lms.set_title(&Kind::Revision.id(*revision), &name(title)),
        Edit::Move(revision, course) => lms.move_revision(&Kind::Revision.id(*revision), &Kind::Course.id(*course)),
        Edit::Assign(revision, skill) => lms.assign(&Kind::Revision.id(*revision), &Kind::Skill.id(*skill)),
        Edit::Unassign(revision, skill) => lms.unassign(&Kind::Revision.id(*revision), &Kind::Skill.id(*skill)),
        Edit::AddSkill(skill) => lms.add_skill(&Kind::Skill.id(*skill), "skill"),
        Edit::RenameSkill(skill, to) => lms.rename_skill(&Kind::Skill.id(*skill), &name(to)),
        Edit::AddProvider(provider) => lms.add_provider(&format!("p{provider}"), "provider"),
        Edit::RenameProvider(provider, to) => lms.rename_provider(&format!("p{provider}"), &name(to)),
        Edit::Provide(course, provider) => {
            let provider = format!("p{provider}");
            let known = lms.ids(Model::LmsCourseProviders).contains(&provider);
            lms.provide(&Kind::Course.id(*course), known.then_some(provider.as_str()));
        }
        Edit::Enrol(id, user, revision) => {
            let (user, revision) = (Kind::User.id(*user), Kind::Revision.id(*revision));
            lms.add_progression(&Kind::Progression.id(*id), &user, &revision);
        }
        Edit::Progress(id, status) => {
            let status = match status % 3 {
                0 => ProgressionStatus::InProgress,
                1 => ProgressionStatus::Completed,
                _ => ProgressionStatus::Dropped,
            };
            lms.progress(&Kind::Progression.id(*id), status);
        }
    }
}

/// Turns what changed into requests, as the receiver of webhooks does.
fn webhook(bench: &Bench) {
    let changed = bench.kombo.changed_models();
    let now = bench.clock.now();
    for fetch in plan(&changed, &bench.policy.plan, None, now).fetches {
        let target = Target { integration_id: id(), endpoint: fetch.endpoint, kind: fetch.kind };
        bench.store.edit(|tx| queue::request(tx, target, RequestCause::Webhook, now, now)).unwrap();
    }
}

/// Works on what is due; failures are put off by the engine itself.
async fn work(bench: &Bench, most: usize) {
    for _ in 0..most {
        let (claim, now) = (bench.claim(), bench.clock.now());
        let lease = bench.store.edit(|tx| queue::lease_next(tx, &claim, now, |_| true)).unwrap();
        let Some(lease) = lease else { return };
        drop(bench.engine().work(&lease, &CancellationToken::new()).await);
    }
}

async fn take(bench: &Bench, step: &Step) {
    match step {
        Step::Edit(edit, late) => {
            bench.kombo.edit_late(std::time::Duration::from_secs(*late), |lms| apply(lms, edit));
            bench.clock.advance(std::time::Duration::from_millis(7));
        }
        Step::Webhook => webhook(bench),
        Step::Work => work(bench, 8).await,
        Step::Full(endpoint) => bench.ask(ALL[*endpoint], SyncKind::Full),
        Step::Crash(endpoint, polls) => {
            let (claim, now) = (bench.claim(), bench.clock.now());
            let endpoint = ALL[*endpoint];
            let lease = bench
                .store
                .edit(|tx| queue::lease_next(tx, &claim, now, |request| request.target.endpoint == endpoint));
            let Some(lease) = lease.unwrap() else { return };
            let (engine, never) = (bench.engine(), CancellationToken::new());
            let mut work = std::pin::pin!(engine.work(&lease, &never));
            for _ in 0..*polls {
                if futures_poll(work.as_mut()).await.is_some() {
                    break;
                }
            }
        }
        Step::PageFault(n) => bench.kombo.fail_page(*n, FailureClass::Transient),
        Step::StatementFault(n) => {
            let lost = StoreError::Unavailable { message: "the connection is lost".to_owned(), source: None };
            bench.store.fail_statement(*n, lost);
        }
        Step::CursorsExpire => bench.kombo.expire_cursors(),
        Step::Wait(seconds) => bench.pass(*seconds),
    }
}

/// Lets all that was asked for come to its end.
async fn settle(bench: &Bench) {
    bench.store.fail_no_more();
    bench.kombo.fail_no_more();
    webhook(bench);
    for _ in 0..40 {
        bench.pass(5_000);
        work(bench, 50).await;
        if bench.store.look(|tx| tx.requests()).unwrap().is_empty() {
            return;
        }
    }
    let requests = bench.store.look(|tx| tx.requests()).unwrap();
    let state: Vec<_> = ALL.iter().map(|endpoint| bench.state(*endpoint)).collect();
    panic!("work is left: {requests:#?} {state:#?}");
}

/// The live rows without times: how often pages were asked for moves the clock. Providers aside: one that no course
/// shows any more is there if it was ever seen.
fn live(bench: &Bench) -> Vec<String> {
    let mut rows = Vec::new();
    for model in Model::ALL.into_iter().filter(|model| *model != Model::LmsCourseProviders) {
        for row in bench.store.table(model, &id()).iter().filter(|row| row.is_live()) {
            let texts: Vec<Option<&str>> = row.row.values().iter().map(Value::text).collect();
            rows.push(format!("{model} {} {texts:?}", row.row.key));
        }
    }
    rows
}

async fn live_through(steps: &[Step], nesting: Nesting, skew_millis: i64) -> Bench {
    let bench = Bench::new(&ALL);
    bench.kombo.configure(|settings| {
        settings.nesting = nesting;
        settings.skew_millis = skew_millis;
        settings.page_size = 2;
    });
    bench.furnish();
    bench.load().await;
    let mut watermarks = ALL.map(|endpoint| bench.watermark(endpoint));
    for step in steps {
        take(&bench, step).await;
        for (before, endpoint) in watermarks.iter_mut().zip(ALL) {
            let after = bench.watermark(endpoint);
            assert!(after >= *before, "the watermark of {endpoint} went back");
            *before = after;
        }
    }
    settle(&bench).await;
    bench
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(cases(60))]

    /// Webhooks and their planned fetches are enough, under both readings of `updated_after`, whatever dies meanwhile.
    #[test]
    fn planned_fetches_keep_the_mirror_right(
        steps in proptest::collection::vec(step(), 1..60),
        skew in -600_000..600_000_i64,
    ) {
        let ends = [Nesting::Guide, Nesting::Reference].map(|nesting| {
            block_on(async {
                let bench = live_through(&steps, nesting, skew).await;
                bench.assert_mirrors();
                // What a full fetch would still find is nothing.
                let seq = bench.last_change();
                for endpoint in ALL {
                    bench.full(endpoint).await;
                }
                assert_eq!(bench.log_since(seq), [""; 0], "{nesting:?}");
                live(&bench)
            })
        });
        prop_assert_eq!(&ends[0], &ends[1]);
    }
}

#[tokio::test]
async fn a_hundred_deltas_lose_nothing_however_wrong_the_clocks_are() {
    for skew_millis in [-600_000, -61_000, -999, 0, 1, 61_000, 600_000] {
        let bench = Bench::new(&[Endpoint::Users]);
        bench.kombo.configure(|settings| settings.skew_millis = skew_millis);
        bench.furnish();
        bench.load().await;
        for round in 0..100_u64 {
            // Some changes become visible only a while after their date, some while the pages are read.
            let late = std::time::Duration::from_secs(round % 110);
            bench.kombo.edit_late(late, |lms| lms.rename_user("u1", &format!("round {round}")));
            bench.kombo.before_page(1, move |lms| lms.rename_user("u2", &format!("round {round}")));
            bench.pass(round * 7 % 200);
            let watermark = bench.watermark(Endpoint::Users);
            bench.delta(Endpoint::Users).await;
            assert!(bench.watermark(Endpoint::Users) >= watermark);
            let name = bench.text(Model::LmsUsers, "u1", "first_name");
            assert_eq!(name, Some(format!("round {round}")), "{skew_millis} ms of skew");
        }
        bench.delta(Endpoint::Users).await;
        bench.assert_mirrors();
    }
}
