//! Tests the client against a fake Kombo that was written from the contract alone.

use std::num::NonZeroU32;

use kombo_client::{Client, ErrorKind, ProgressionFilters, ProgressionsQuery, UsersQuery};
use kombo_model::{
    ActiveStatus, CompleteCourseProgression, ErrorCode, ExternalCourse, ForceSync, IntegrationId, NewCourseProgression,
    OutcomeStatus, ProgressionStatus, Score, SyncType, TaskStatus, UpsertCourse, UpsertCourses,
};
use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, Sandbox, SandboxConfig, Stamp};

use crate::QUICK;

async fn sandbox() -> (Sandbox, Client, IntegrationId) {
    let sandbox = Sandbox::start(SandboxConfig::default()).await.unwrap();
    // Stops the clock, so that tasks end when the test moves it.
    sandbox.clock().set(Stamp::parse_request("2025-06-01").unwrap());
    let client = Client::builder("sandbox-key").base_url(sandbox.base_url()).retry(QUICK).build().unwrap();
    (sandbox, client, IntegrationId::from(FIRST_INTEGRATION))
}

async fn enrolment(client: &Client, integration: &IntegrationId) -> NewCourseProgression {
    let users = client.users(integration, UsersQuery::default()).next_page().await.unwrap().unwrap();
    let progressions = client.course_progressions(integration, ProgressionsQuery::default()).next_page().await;
    let progression = progressions.unwrap().unwrap().records.remove(0);
    NewCourseProgression {
        user_id: users.records[0].id.clone(),
        course_revision_id: progression.course_revision_id.unwrap(),
    }
}

#[tokio::test]
async fn enrolled_and_completed() {
    let (_sandbox, client, integration) = sandbox().await;
    let wanted = enrolment(&client, &integration).await;
    let enrolled = client.create_course_progression(&integration, &wanted).await.unwrap();
    assert_eq!(enrolled.data.status, Some(ProgressionStatus::Enrolled));
    assert_eq!((enrolled.data.user_id.as_ref(), enrolled.warnings.len()), (Some(&wanted.user_id), 0));

    let completion = CompleteCourseProgression {
        completed_at: Some("2024-04-15T10:00:00+02:00".parse().unwrap()),
        score: Some(Score::new(93).unwrap()),
    };
    let id = &enrolled.data.id;
    let done = client.complete_course_progression(&integration, id, &completion).await.unwrap();
    assert_eq!(done.data.completed_at, completion.completed_at);
    let again = client.complete_course_progression(&integration, id, &CompleteCourseProgression::default()).await;
    assert_eq!(again.unwrap().warnings[0].message, "The course progression was completed already.");

    let filters = ProgressionFilters { user_ids: vec![wanted.user_id], ..ProgressionFilters::default() };
    let query = ProgressionsQuery { filters, ..ProgressionsQuery::default() };
    let listed = client.course_progressions(&integration, query).next_page().await.unwrap().unwrap();
    let found = listed.records.iter().find(|it| it.id == *id).unwrap();
    assert_eq!(found.status, Some(ProgressionStatus::Completed));
}

#[tokio::test]
async fn enrolled_once_although_the_answer_was_lost() {
    let (sandbox, client, integration) = sandbox().await;
    let wanted = enrolment(&client, &integration).await;
    let count = || sandbox.ids(FIRST_INTEGRATION, kombo_sandbox::Model::CourseProgressions).unwrap().len();
    let before = count();
    sandbox.inject(Fault::once(FaultKind::DropConnection).at(Endpoint::CreateCourseProgression));
    let error = client.create_course_progression(&integration, &wanted).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(count(), before + 1);

    sandbox.inject(Fault::once(FaultKind::error(429, "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED")));
    let enrolled = client.create_course_progression(&integration, &wanted).await.unwrap();
    assert_eq!((enrolled.meta.attempts, count()), (2, before + 2));

    let nobody = NewCourseProgression { user_id: "nobody".into(), ..wanted };
    let error = client.create_course_progression(&integration, &nobody).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome_unknown()), (ErrorKind::InputInvalid, false));
}

#[tokio::test]
async fn courses_created_changed_and_deactivated() {
    let (sandbox, client, integration) = sandbox().await;
    let mut course = ExternalCourse::new("Welding", "https://example.com/courses/1");
    course.description = Some("How to weld".to_owned());
    course.duration = NonZeroU32::new(45);
    course.languages = Some(vec!["en".parse().unwrap(), "de-CH".parse().unwrap()]);
    let items = vec![UpsertCourse { origin_id: "course-1".to_owned(), course: course.into() }];
    let courses = UpsertCourses { items };

    let started = client.upsert_courses(&integration, &courses).await.unwrap().data.task_id;
    let task = client.course_task(&integration, &started).await.unwrap().data;
    assert_eq!((&task.status, task.has_ended()), (&TaskStatus::Pending, false));
    sandbox.advance(chrono::TimeDelta::seconds(1));
    let task = client.course_task(&integration, &started).await.unwrap().data;
    assert!(task.has_ended());
    let outcome = task.outcomes.unwrap().remove(0);
    assert_eq!((outcome.status, outcome.origin_id.as_str()), (OutcomeStatus::Succeeded, "course-1"));
    let id = outcome.data.unwrap().id;

    sandbox.edit(|state| state.integration_mut(FIRST_INTEGRATION).unwrap().updates_courses = false);
    let started = client.upsert_courses(&integration, &courses).await.unwrap().data.task_id;
    sandbox.advance(chrono::TimeDelta::seconds(1));
    let task = client.course_task(&integration, &started).await.unwrap().data;
    let error = task.outcomes.unwrap().remove(0).error.unwrap();
    assert_eq!(error.code, Some(ErrorCode::LmsCourseUpdateNotSupported));

    let written = client.deactivate_course(&integration, &id).await.unwrap();
    assert_eq!(written.data.origin_id.as_deref(), Some("course-1"));
    let revision = &written.data.revisions.value().unwrap()[0];
    assert_eq!((revision.title.as_deref(), revision.status.as_ref()), (Some("Welding"), Some(&ActiveStatus::Inactive)));
}

#[tokio::test]
async fn a_sync_by_force_and_the_end_of_an_integration() {
    let (_sandbox, client, integration) = sandbox().await;
    let delta = ForceSync { sync_type: Some(SyncType::Delta) };
    let first = client.force_sync(&integration, &delta).await.unwrap().data;
    assert_eq!((first.already_queued, first.sync_type), (Some(false), Some(SyncType::Delta)));
    let second = client.force_sync(&integration, &ForceSync::default()).await.unwrap().data;
    assert_eq!((second.already_queued, second.sync_id), (Some(true), first.sync_id));

    let about = client.integration(&integration).await.unwrap().data;
    assert!(about.extra.is_empty() && about.read_models.iter().all(|it| it.extra.is_empty()));
    assert!(about.scope_config.is_some() && about.created_at.is_some());

    client.delete_integration(&integration).await.unwrap();
    assert_eq!(client.delete_integration(&integration).await.unwrap_err().kind(), ErrorKind::IntegrationNotFound);
    assert_eq!(client.integration(&integration).await.unwrap_err().kind(), ErrorKind::IntegrationNotFound);
}
