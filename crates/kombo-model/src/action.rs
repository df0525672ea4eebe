//! What Kombo can be asked to do: the bodies of the write endpoints and what comes back.
//!
//! Keys that are `None` are left out of a body.

mod force_sync;
mod progression;
mod upsert_courses;

pub use force_sync::{ForceSync, ForcedSync, SyncType};
pub use progression::{CompleteCourseProgression, InvalidScore, NewCourseProgression, Score};
pub use upsert_courses::{
    CourseContent, CourseLanguage, CourseOutcome, CourseTask, ExternalCourse, InvalidCourseLanguage, OutcomeStatus,
    StartedTask, TaskStatus, UpsertCourse, UpsertCourses, UpsertedCourse,
};
