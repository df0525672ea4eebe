//! Enrols a user, loses an answer, completes the course, and pushes its own course. Always uses a sandbox.
//!
//! ```text
//! enrolled: ENROLLED
//! the answer was lost: looking before enrolling again
//! the enrolment was carried out
//! completed: COMPLETED
//! the task is PENDING
//! course-1: SUCCEEDED
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::time::Duration;

use chrono::TimeDelta;
use kombo_client::{Client, CoursesQuery, ProgressionFilters, ProgressionsQuery, UsersQuery};
use kombo_model::{
    CompleteCourseProgression, ExternalCourse, IntegrationId, NewCourseProgression, ProgressionStatus, Score,
    UpsertCourse, UpsertCourses,
};
use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, Sandbox, SandboxConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(SandboxConfig::default()).await?;
    // The sandbox's clock stands still until this moves it, and tasks end by that clock.
    sandbox.clock().set(sandbox.clock().now());
    let client = Client::builder("sandbox-key").base_url(sandbox.base_url()).build()?;
    let integration = IntegrationId::from(FIRST_INTEGRATION);

    let users = client.users(&integration, UsersQuery::default()).next_page().await?.ok_or("no users")?.records;
    let courses = client.courses(&integration, CoursesQuery::default()).next_page().await?.ok_or("no courses")?.records;
    let revision = courses.iter().find_map(|course| course.revisions.value()?.first()).ok_or("no revision")?;
    let (first, second) = (users.first().ok_or("no user")?, users.get(1).ok_or("no second user")?);

    let wanted = NewCourseProgression { user_id: first.id.clone(), course_revision_id: revision.id.clone() };
    let enrolled = client.create_course_progression(&integration, &wanted).await?;
    for warning in &enrolled.warnings {
        println!("Kombo remarks: {}", warning.message);
    }
    println!("enrolled: {}", status(enrolled.data.status.as_ref()));

    // An enrolment with an answer that never arrives. The client does not repeat it: the user might be enrolled twice.
    sandbox.inject(Fault::once(FaultKind::DropConnection).at(Endpoint::CreateCourseProgression));
    let wanted = NewCourseProgression { user_id: second.id.clone(), ..wanted };
    match client.create_course_progression(&integration, &wanted).await {
        Err(error) if error.outcome_unknown() => {
            println!("the answer was lost: looking before enrolling again");
            let filters = ProgressionFilters { user_ids: vec![wanted.user_id.clone()], ..Default::default() };
            let mut pages =
                client.course_progressions(&integration, ProgressionsQuery { filters, ..Default::default() });
            let mut found = false;
            while let Some(page) = pages.next_page().await? {
                found |=
                    page.records.iter().any(|it| it.course_revision_id.as_ref() == Some(&wanted.course_revision_id));
            }
            println!("the enrolment was {}", if found { "carried out" } else { "not carried out" });
        }
        other => println!("unexpected: {other:?}"),
    }

    let completion = CompleteCourseProgression { score: Some(Score::new(93)?), ..Default::default() };
    let done = client.complete_course_progression(&integration, &enrolled.data.id, &completion).await?;
    println!("completed: {}", status(done.data.status.as_ref()));

    let course = ExternalCourse::new("Welding for beginners", "https://courses.example.com/welding");
    let items = vec![UpsertCourse { origin_id: "course-1".to_owned(), course: course.into() }];
    let task_id = client.upsert_courses(&integration, &UpsertCourses { items }).await?.data.task_id;
    let mut task = client.course_task(&integration, &task_id).await?.data;
    println!("the task is {}", task.status);
    sandbox.advance(TimeDelta::seconds(1));
    while !task.has_ended() {
        // Ask a real account less often: tools may take minutes.
        tokio::time::sleep(Duration::from_millis(50)).await;
        task = client.course_task(&integration, &task_id).await?.data;
    }
    for outcome in task.outcomes.unwrap_or_default() {
        println!("{}: {}", outcome.origin_id, outcome.status);
    }
    Ok(())
}

fn status(status: Option<&ProgressionStatus>) -> &str {
    status.map_or("unknown", ProgressionStatus::as_str)
}
