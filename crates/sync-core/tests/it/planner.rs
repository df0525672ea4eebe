use std::fmt::Write;
use std::time::Duration;

use kombo_model::{Endpoint, ModelName, Timestamp};
use proptest::prelude::*;
use sync_core::jobs::SyncKind;
use sync_core::rows::Model;
use sync_core::webhooks::planner::{PlanMode, PlanPolicy, SyncPlan, plan};

const NOW: &str = "2026-01-01T12:00:00.000Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn policy(endpoints: &[Endpoint], mode: PlanMode) -> PlanPolicy {
    PlanPolicy {
        endpoints: endpoints.iter().copied().collect(),
        mode,
        blind_full_min_interval: Duration::from_secs(3_600),
    }
}

fn names(names: &str) -> Vec<ModelName> {
    names.split_whitespace().map(ModelName::from).collect()
}

/// Renders a plan as text.
fn text(plan: &SyncPlan) -> String {
    let list = |names: &[ModelName]| names.iter().map(ModelName::as_str).collect::<Vec<_>>().join(" ");
    let mut text = String::new();
    for fetch in &plan.fetches {
        let from = fetch.not_before.map(|from| format!(", not before {from}")).unwrap_or_default();
        writeln!(text, "  {} of {}{from}: {}", fetch.kind, fetch.endpoint, list(&fetch.because)).unwrap();
    }
    for spared in &plan.spared {
        writeln!(text, "  {} spared: {}", spared.endpoint, spared.why).unwrap();
    }
    if !plan.ignored.is_empty() {
        writeln!(text, "  ignored: {}", list(&plan.ignored)).unwrap();
    }
    text
}

fn plans(endpoints: &[Endpoint], mode: PlanMode, changed: &[&str]) -> String {
    let policy = policy(endpoints, mode);
    let plan_of = |changed: &&str| format!("[{changed}]\n{}", text(&plan(&names(changed), &policy, None, now())));
    changed.iter().map(plan_of).collect()
}

const CHANGES: [&str; 9] = [
    "",
    "lms_users",
    "lms_courses lms_course_revisions",
    "lms_course_progressions",
    "lms_course_progressions lms_courses",
    "lms_skills",
    "lms_course_providers lms_join_revisions_skills lms_courses",
    "lms_badges",
    "hris_employees ats_jobs lms_users lms_users",
];

#[test]
fn the_three_usual_endpoints() {
    let endpoints = [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions];
    insta::assert_snapshot!(plans(&endpoints, PlanMode::Planned, &CHANGES));
}

#[test]
fn all_endpoints() {
    insta::assert_snapshot!(plans(&Endpoint::LMS, PlanMode::Planned, &CHANGES));
}

#[test]
fn progressions_only() {
    insta::assert_snapshot!(plans(&[Endpoint::LmsCourseProgressions], PlanMode::Planned, &CHANGES));
}

#[test]
fn users_and_progressions() {
    insta::assert_snapshot!(plans(&[Endpoint::LmsUsers, Endpoint::LmsCourseProgressions], PlanMode::Planned, &CHANGES));
}

#[test]
fn simple_mode_calls_everything() {
    let endpoints = [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions];
    insta::assert_snapshot!(plans(&endpoints, PlanMode::Simple, &CHANGES));
}

#[test]
fn a_full_fetch_for_what_deltas_do_not_show_waits_for_its_time() {
    let policy = policy(&Endpoint::LMS, PlanMode::Planned);
    let mut all = String::new();
    for last in [None, Some("2026-01-01T11:00:00.000Z"), Some("2026-01-01T11:00:00.001Z"), Some(NOW)] {
        for changed in ["lms_course_providers", "lms_courses lms_join_revisions_skills"] {
            let plan = plan(&names(changed), &policy, last.map(|last| last.parse().unwrap()), now());
            write!(all, "[{changed}] after a full fetch at {last:?}\n{}", text(&plan)).unwrap();
        }
    }
    insta::assert_snapshot!(all);
}

/// If the owner of a model is disabled, only copies show it, and deltas may miss them.
#[test]
fn what_only_copies_show_is_fetched_in_full_and_waits_for_its_time() {
    let policy = policy(&[Endpoint::LmsCourseProgressions], PlanMode::Planned);
    let last = Some("2026-01-01T11:30:00.000Z".parse().unwrap());
    let plan = plan(&names("lms_users lms_course_progressions"), &policy, last, now());
    assert_eq!(
        text(&plan),
        "  delta of lms/course-progressions: lms_course_progressions lms_users\n  full of lms/course-progressions, not before \
         2026-01-01T12:30:00.000Z: lms_users\n"
    );
}

#[test]
fn the_json_of_a_plan_is_what_the_command_line_promises() {
    let policy = policy(&[Endpoint::LmsUsers, Endpoint::LmsCourseProgressions], PlanMode::Planned);
    let plan = plan(&names("lms_users hris_teams"), &policy, None, now());
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "fetches": [{ "endpoint": "lms/users", "kind": "delta", "because": ["lms_users"] }],
            "spared": [{ "endpoint": "lms/course-progressions", "why": "lms_users comes from lms/users" }],
            "ignored": ["hris_teams"],
        })
    );
    assert_eq!(serde_json::from_value::<SyncPlan>(json).unwrap(), plan);
}

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    proptest::sample::subsequence(Endpoint::LMS.to_vec(), 0..=4)
}

fn models() -> impl Strategy<Value = Vec<ModelName>> {
    let known = Model::LMS.map(|model| model.as_str().to_owned());
    let others = ["lms_badges", "hris_employees", ""].map(str::to_owned);
    proptest::sample::subsequence([known.to_vec(), others.to_vec()].concat(), 0..=10)
        .prop_shuffle()
        .prop_map(|names| names.into_iter().map(ModelName::from).collect())
}

proptest! {
    #[test]
    fn nothing_that_can_be_fetched_is_missed(enabled in endpoints(), changed in models(), simple: bool) {
        let mode = if simple { PlanMode::Simple } else { PlanMode::Planned };
        let plan = plan(&changed, &policy(&enabled, mode), None, now());
        let fetched = |endpoint: &Endpoint| plan.fetches.iter().any(|fetch| fetch.endpoint == *endpoint);
        // Every enabled endpoint is called or spared.
        for endpoint in &enabled {
            let spared = plan.spared.iter().any(|spared| spared.endpoint == *endpoint);
            prop_assert!(fetched(endpoint) != spared);
        }
        prop_assert!(plan.fetches.iter().all(|fetch| enabled.contains(&fetch.endpoint) && !fetch.because.is_empty()));
        for name in &changed {
            let is_meant = enabled.iter().any(|endpoint| name.may_be_of(endpoint.category()));
            prop_assert!(is_meant != plan.ignored.contains(name));
            if let Some(model) = Model::from_name(name.as_str()) {
                let owner = enabled.contains(&model.owner());
                if owner {
                    prop_assert!(fetched(&model.owner()));
                } else {
                    for endpoint in model.embedded_by().iter().filter(|endpoint| enabled.contains(endpoint)) {
                        prop_assert!(fetched(endpoint));
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_names_changes_nothing_but_their_order(enabled in endpoints(), changed in models()) {
        let policy = policy(&enabled, PlanMode::Planned);
        let mut reversed = changed.clone();
        reversed.reverse();
        let calls = |changed: &[ModelName]| -> Vec<(Endpoint, SyncKind)> {
            plan(changed, &policy, None, now()).fetches.iter().map(|fetch| (fetch.endpoint, fetch.kind)).collect()
        };
        prop_assert_eq!(calls(&changed), calls(&reversed));
    }
}
