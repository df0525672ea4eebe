use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{ApiError, CourseId, Extra, TaskId, Timestamp};

/// The body of `POST /lms/courses/bulk`: courses to create in the connected tool, or to change there.
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
    /// The course's id in the system of the account's owner. A course that was pushed under it before is changed; the
    /// outcome names it.
    pub origin_id: String,
    /// What the course is.
    pub course: CourseContent,
}

/// What a course is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum CourseContent {
    /// Its content stays where it is: the connected tool links to it.
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
    /// What it is called.
    pub title: String,
    /// Where a learner finds it.
    pub course_url: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A picture of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// How long it takes, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<NonZeroU32>,
    /// In which languages it can be taken. A tool that knows one language a course gets the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub languages: Option<Vec<CourseLanguage>>,
}

impl ExternalCourse {
    /// A course of which no more is known than Kombo demands.
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

/// Not a language as Kombo writes them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a language such as en or de-CH")]
pub struct InvalidCourseLanguage(pub String);

impl CourseLanguage {
    /// The language as Kombo writes it.
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

/// A task that was started.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct StartedTask {
    /// The task, to ask how far it is.
    pub task_id: TaskId,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What `GET /lms/courses/bulk/{task_id}` says of a task.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseTask {
    /// Which task.
    pub task_id: TaskId,
    /// How far it is.
    pub status: TaskStatus,
    /// When it was started. The contract does not fix how this is written, so it stays text.
    #[serde(default)]
    pub created_at: Option<String>,
    /// When it ended; none while it is pending.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// What became of each course; only of a task that completed.
    #[serde(default, rename = "data", skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Vec<CourseOutcome>>,
    /// Why it failed as a whole; only of a task that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl CourseTask {
    /// Whether nothing more will happen. A status that this version does not know counts by `completed_at`.
    pub fn has_ended(&self) -> bool {
        match self.status {
            TaskStatus::Pending => false,
            TaskStatus::Completed | TaskStatus::Failed => true,
            TaskStatus::Other(_) => self.completed_at.is_some(),
        }
    }
}

open_enum! {
    /// How far a task is.
    pub enum TaskStatus {
        /// Kombo works on it.
        Pending = "PENDING",
        /// Every item was tried; each has its own outcome.
        Completed = "COMPLETED",
        /// It failed as a whole.
        Failed = "FAILED",
    }
}

/// What became of one course of [`UpsertCourses`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseOutcome {
    /// Which of them.
    pub origin_id: String,
    /// Whether it was written.
    pub status: OutcomeStatus,
    /// The course, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<UpsertedCourse>,
    /// Why not, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ApiError>,
    /// Keys that this version does not know.
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
    /// Keys that this version does not know.
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
