use std::num::NonZeroU32;

use kombo_model::{
    CompleteCourseProgression, CourseId, CourseLanguage, CourseProgression, CourseTask, ErrorCode, ExternalCourse,
    ForceSync, ForcedSync, InvalidScore, NewCourseProgression, ObjectEnvelope, OutcomeStatus, Score, StartedTask,
    SyncType, TaskStatus, UpsertCourse, UpsertCourses, WriteEnvelope,
};
use serde_json::{Value, json};

use crate::{PROGRESSION, round_trip, with};

#[test]
fn what_is_not_given_is_not_sent() {
    for (body, expected) in [
        (serde_json::to_value(ForceSync::default()), json!({})),
        (serde_json::to_value(ForceSync { sync_type: Some(SyncType::Full) }), json!({"type": "FULL"})),
        (serde_json::to_value(CompleteCourseProgression::default()), json!({})),
        (
            serde_json::to_value(CompleteCourseProgression {
                completed_at: Some("2024-04-15".parse().unwrap()),
                score: Some(Score::new(93).unwrap()),
            }),
            json!({"completed_at": "2024-04-15T00:00:00.000Z", "score": 93}),
        ),
        (
            serde_json::to_value(NewCourseProgression {
                user_id: "remote:12312".into(),
                course_revision_id: "3KMdr68N8kG9EzLwjsN9aoz".into(),
            }),
            json!({"user_id": "remote:12312", "course_revision_id": "3KMdr68N8kG9EzLwjsN9aoz"}),
        ),
    ] {
        assert_eq!(body.unwrap(), expected);
    }
}

#[test]
fn courses_to_upsert() {
    let mut course = ExternalCourse::new("Welding", "https://example.com");
    let bare = UpsertCourse { origin_id: "course-1".to_owned(), course: course.clone().into() };
    course.description = Some("How to weld".to_owned());
    course.thumbnail_url = Some("https://example.com/1.png".to_owned());
    course.duration = NonZeroU32::new(45);
    course.languages = Some(vec!["en".parse().unwrap()]);
    let full = UpsertCourse { origin_id: "course-2".to_owned(), course: course.into() };
    let body = UpsertCourses { items: vec![bare, full] };
    let json = json!({"items": [
        {"origin_id": "course-1",
         "course": {"type": "EXTERNAL", "title": "Welding", "course_url": "https://example.com"}},
        {"origin_id": "course-2",
         "course": {"type": "EXTERNAL", "title": "Welding", "course_url": "https://example.com",
                    "description": "How to weld", "thumbnail_url": "https://example.com/1.png", "duration": 45,
                    "languages": ["en"]}},
    ]});
    assert_eq!(serde_json::to_value(&body).unwrap(), json);
    assert_eq!(round_trip::<UpsertCourses>(&json.to_string()), body);
    assert!(!format!("{body:?}").contains("eld"), "{body:?}");
}

#[test]
fn languages_and_scores_are_those_that_kombo_takes() {
    for good in ["en", "de-CH", "gsw", "gsw-CH"] {
        assert_eq!(good.parse::<CourseLanguage>().unwrap().as_str(), good);
    }
    for bad in ["", "e", "EN", "english", "en-", "en-us", "en-USA", "en_US", "en-US-x", "ée"] {
        assert!(bad.parse::<CourseLanguage>().is_err(), "{bad}");
        serde_json::from_value::<CourseLanguage>(json!(bad)).unwrap_err();
    }
    assert_eq!(Score::new(0).unwrap().get(), 0);
    assert_eq!(Score::new(100).unwrap().get(), 100);
    assert_eq!(Score::new(101), Err(InvalidScore(101)));
    for bad in [json!(101), json!(-1), json!(1.5), json!("1")] {
        serde_json::from_value::<Score>(bad).unwrap_err();
    }
}

fn written(warnings: &str) -> WriteEnvelope<CourseProgression> {
    serde_json::from_str(&format!(r#"{{"status":"success","data":{PROGRESSION}{warnings}}}"#)).unwrap()
}

#[test]
fn a_write_comes_back_with_remarks() {
    let json =
        format!(r#"{{"status":"success","data":{PROGRESSION},"warnings":[{{"message":"Mind Sarah","code":1}}]}}"#);
    let answer: WriteEnvelope<CourseProgression> = round_trip(&json);
    assert_eq!(answer.warnings[0].message, "Mind Sarah");
    assert_eq!(answer.warnings[0].extra["code"], json!(1));
    assert!(!format!("{answer:?}").contains("Sarah"), "{answer:?}");
}

#[test]
fn a_write_without_remarks_is_none_that_failed() {
    for warnings in ["", r#","warnings":null"#, r#","warnings":[]"#] {
        assert_eq!(written(warnings).warnings, []);
    }
    assert_eq!(written(r#","warnings":[{"message":null},{}]"#).warnings.len(), 2);
}

#[test]
fn a_forced_sync() {
    let json = r#"{"status":"success","data":{"already_queued":false,"sync_id":"119ihtp91nA3","type":"DELTA","x":1}}"#;
    let sync = round_trip::<ObjectEnvelope<ForcedSync>>(json).data;
    assert_eq!((sync.already_queued, sync.sync_type), (Some(false), Some(SyncType::Delta)));
    assert_eq!(serde_json::from_str::<ForcedSync>(r#"{"sync_id":"a"}"#).unwrap().already_queued, None);
}

#[test]
fn a_task_from_its_start_to_its_end() {
    let started: WriteEnvelope<StartedTask> =
        round_trip(r#"{"status":"success","data":{"task_id":"t","x":1},"warnings":[]}"#);
    assert_eq!(started.data.task_id.as_str(), "t");

    let pending = json!({"task_id": "t", "created_at": "2022-08-07T14:01:29.196Z", "status": "PENDING",
                         "completed_at": null});
    let task: CourseTask = round_trip(&pending.to_string());
    assert!(!task.has_ended());

    let error = json!({"code": "LMS.COURSE_UPDATE_NOT_SUPPORTED", "title": null, "message": "No.", "log_url": null});
    let mut completed = pending.clone();
    completed["status"] = json!("COMPLETED");
    completed["completed_at"] = json!("2022-08-07T14:02:29.196Z");
    completed["data"] = json!([
        {"origin_id": "a", "status": "SUCCEEDED", "data": {"id": "c", "x": 1}},
        {"origin_id": "b", "status": "FAILED", "error": error},
    ]);
    let task: CourseTask = round_trip(&completed.to_string());
    assert!(task.has_ended());
    let outcomes = task.outcomes.unwrap();
    assert_eq!(outcomes[0].data.as_ref().unwrap().id, CourseId::from("c"));
    assert_eq!(outcomes[1].status, OutcomeStatus::Failed);
    assert_eq!(outcomes[1].error.as_ref().unwrap().code, Some(ErrorCode::LmsCourseUpdateNotSupported));

    let mut failed = pending;
    failed["status"] = json!("FAILED");
    failed["completed_at"] = json!("2022-08-07T14:02:29.196Z");
    failed["error"] = json!({"code": "PLATFORM.TASK_TIMED_OUT", "title": null, "message": "Late.", "log_url": null});
    let task: CourseTask = round_trip(&failed.to_string());
    assert!(task.has_ended());
    assert_eq!(task.error.unwrap().code, Some(ErrorCode::PlatformTaskTimedOut));
}

#[test]
fn a_task_of_a_later_kombo_can_be_read() {
    let task = r#"{"task_id":"t","status":"PAUSED","created_at":"on Monday","completed_at":null}"#;
    let paused: CourseTask = round_trip(task);
    assert_eq!(paused.status, TaskStatus::Other("PAUSED".to_owned()));
    assert!(!paused.has_ended());
    let cancelled = with(task, "", "completed_at", json!("2022-08-07T14:02:29.196Z"));
    assert!(round_trip::<CourseTask>(&cancelled).has_ended());
    round_trip::<CourseTask>(&with(task, "", "added_later", Value::Null));
}
