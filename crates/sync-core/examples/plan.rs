//! Shows which endpoints the changes of some models require, and why. Models can be passed as arguments: `cargo run -p
//! sync-core --example plan -- lms_users lms_skills`.
//!
//! Output for the default models:
//!
//! ```text
//! changed: lms_course_progressions, lms_courses, hris_employees
//! with progressions alone: full of lms/course-progressions because of lms_course_progressions, lms_courses
//! with everything: delta of lms/courses because of lms_courses
//! with everything: delta of lms/course-progressions because of lms_course_progressions
//! with everything: lms/users is spared: shows none of the changed models
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::time::Duration;

use kombo_model::{Endpoint, ModelName};
use sync_core::webhooks::planner::{PlanMode, PlanPolicy, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut changed: Vec<ModelName> = env::args().skip(1).map(ModelName::from).collect();
    if changed.is_empty() {
        changed = ["lms_course_progressions", "lms_courses", "hris_employees"].map(ModelName::from).into();
    }
    println!("changed: {}", list(&changed));
    show("progressions alone", [Endpoint::LmsCourseProgressions].into(), &changed)?;
    show("everything", [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions].into(), &changed)
}

fn show(name: &str, endpoints: BTreeSet<Endpoint>, changed: &[ModelName]) -> Result<(), Box<dyn Error>> {
    let policy = PlanPolicy { endpoints, mode: PlanMode::Planned, blind_full_min_interval: Duration::from_secs(3_600) };
    // A plan depends only on its arguments, and time is one of them.
    let now = "2026-01-01T00:00:00Z".parse()?;
    let plan = plan(changed, &policy, None, now);
    for fetch in &plan.fetches {
        println!("with {name}: {} of {} because of {}", fetch.kind, fetch.endpoint, list(&fetch.because));
    }
    for spared in &plan.spared {
        println!("with {name}: {} is spared: {}", spared.endpoint, spared.why);
    }
    Ok(())
}

fn list(names: &[ModelName]) -> String {
    names.iter().map(ModelName::as_str).collect::<Vec<_>>().join(", ")
}
