use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{ApiError, CourseId, Extra, TaskId, Timestamp};

/// The body of `POST /lms/courses/bulk`: courses to create or change in the connected tool.
///
/// ```
/// use kombo_model::{ExternalCourse, UpsertCourse, UpsertCourses};
///
/// let mut course = ExternalCourse::new("Welding", "https://example.com/courses/1");
/// course.languages = Some(vec!["en".parse()?, "de-CH".parse()?]);
/// let body = UpsertCourses { items: vec![UpsertCourse { origin_id: "course-1".to_owned(), course: course.into() }] };
/// assert_eq!(
///     serde_json::to_value(&body).unwrap(),
///     serde_json::json!({"items": [{
///         "origin_id": "course-1",
///         "course": {
///             "type": "EXTERNAL", "title": "Welding", "course_url": "https://example.com/courses/1",
///             "languages": ["en", "de-CH"],
///         },
///     }]}),
/// );
/// # Ok::<(), kombo_model::InvalidCourseLanguage>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsertCourses {
    /// The courses.
    pub items: Vec<UpsertCourse>,
}

/// One course of [`UpsertCourses`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpsertCourse {
    /// The course's id in the account owner's system. A course that was pushed under the same id is changed. The
    /// outcome repeats it.
    pub origin_id: String,
    /// The content of the course.
    pub course: CourseContent,
}

/// The content of a course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum CourseContent {
    /// The content stays outside of the connected tool, which links to it.
    #[serde(rename = "EXTERNAL")]
    External(ExternalCourse),
}

impl From<ExternalCourse> for CourseContent {
    fn from(course: ExternalCourse) -> Self {
        Self::External(course)
    }
}

/// A course that the connected tool links to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalCourse {
    /// Title of the course.
    pub title: String,
    /// URL of the course for learners.
    pub course_url: String,
    /// Description of the course.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// URL of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// Duration in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<NonZeroU32>,
    /// Available languages. A tool that supports only one per course gets the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<CourseLanguage>>,
}

impl ExternalCourse {
    /// Creates a course with only the fields that Kombo requires.
    pub fn new(title: impl Into<String>, course_url: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            course_url: course_url.into(),
            description: None,
            thumbnail_url: None,
            duration: None,
            languages: None,
        }
    }
}

/// A language, with or without a country: `en`, `de-CH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CourseLanguage(String);

/// The text is not a language in Kombo's notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a language such as en or de-CH")]
pub struct InvalidCourseLanguage(pub String);

impl CourseLanguage {
    /// Returns the language in Kombo's notation.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CourseLanguage {
    type Err = InvalidCourseLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (language, country) = text.split_once('-').map_or((text, None), |(it, country)| (it, Some(country)));
        let known = matches!(language.len(), 2 | 3) && language.bytes().all(|byte| byte.is_ascii_lowercase());
        let fits = country.is_none_or(|it| it.len() == 2 && it.bytes().all(|byte| byte.is_ascii_uppercase()));
        if known && fits { Ok(Self(text.to_owned())) } else { Err(InvalidCourseLanguage(text.to_owned())) }
    }
}

impl fmt::Display for CourseLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CourseLanguage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A background task that was started.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedTask {
    /// Id of the task, for requesting its state.
    pub task_id: TaskId,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The answer of `GET /lms/courses/bulk/{task_id}`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseTask {
    /// Id of the task.
    pub task_id: TaskId,
    /// State of the task.
    pub status: TaskStatus,
    /// When it was started. Text, because the contract does not fix the format.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it ended; `None` while it is pending.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// The outcome of each course; only if the task completed.
    #[serde(default, rename = "data", skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<CourseOutcome>>,
    /// The reason why the task failed as a whole; only if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CourseTask {
    /// Whether the task has ended. `completed_at` decides for a status unknown to this version.
    pub fn has_ended(&self) -> bool {
        match self.status {
            TaskStatus::Pending => false,
            TaskStatus::Completed | TaskStatus::Failed => true,
            TaskStatus::Other(_) => self.completed_at.is_some(),
        }
    }
}

open_enum! {
    /// The state of a task.
    pub enum TaskStatus {
        /// Kombo is working on it.
        Pending = "PENDING",
        /// Every item was tried; each has its own outcome.
        Completed = "COMPLETED",
        /// It failed as a whole.
        Failed = "FAILED",
    }
}

/// The outcome of one course of [`UpsertCourses`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseOutcome {
    /// The `origin_id` of the course.
    pub origin_id: String,
    /// Whether it was written.
    pub status: OutcomeStatus,
    /// The course, if it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<UpsertedCourse>,
    /// The error, if it was not written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

open_enum! {
    /// Whether an item of a task was written.
    pub enum OutcomeStatus {
        /// It was.
        Succeeded = "SUCCEEDED",
        /// It was not.
        Failed = "FAILED",
    }
}

/// A course that was created or changed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UpsertedCourse {
    /// Kombo's id of the course.
    pub id: CourseId,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    UpsertCourse { origin_id }
    ExternalCourse { duration, languages }
    StartedTask { task_id }
    CourseTask { task_id, status, created_at, completed_at, outcomes, error }
    CourseOutcome { origin_id, status, data, error }
    UpsertedCourse { id }
}
