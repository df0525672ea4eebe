//! The bodies and answers of Kombo's write endpoints.
//!
//! Keys that are `None` are omitted from a body.

mod force_sync;
mod progression;
mod upsert_courses;

pub use force_sync::{ForceSync, ForcedSync, SyncType};
pub use progression::{CompleteCourseProgression, InvalidScore, NewCourseProgression, Score};
pub use upsert_courses::{
    CourseContent, CourseLanguage, CourseOutcome, CourseTask, ExternalCourse, InvalidCourseLanguage, OutcomeStatus,
    StartedTask, TaskStatus, UpsertCourse, UpsertCourses, UpsertedCourse,
};
