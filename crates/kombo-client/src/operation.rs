use std::fmt;

use kombo_model::Endpoint;

/// An operation of Kombo's API. Displays as method and path, such as `GET /lms/users`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Checks whether the API key works.
    CheckApiKey,
    /// Reads the state of one integration.
    Integration,
    /// Deletes one integration.
    DeleteIntegration,
    /// Makes Kombo read from the connected tool now.
    ForceSync,
    /// Reads a page of a read endpoint.
    List(Endpoint),
    /// Enrols a user in a revision of a course.
    CreateCourseProgression,
    /// Marks a revision of a course as completed by a user.
    CompleteCourseProgression,
    /// Creates or changes courses.
    UpsertCourses,
    /// Reads the state of a task of [`UpsertCourses`](Self::UpsertCourses).
    CourseTask,
    /// Takes a course out of use.
    DeactivateCourse,
}

/// Whether an operation is safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    /// It only reads, or a repetition changes nothing more.
    Always,
    /// A repetition might be carried out as well, so it is sent only if the first request certainly was not.
    IfNotCarriedOut,
}

impl Operation {
    /// Returns the HTTP method.
    pub fn method(self) -> &'static str {
        match self {
            Self::CheckApiKey | Self::Integration | Self::List(_) | Self::CourseTask => "GET",
            Self::ForceSync
            | Self::CreateCourseProgression
            | Self::CompleteCourseProgression
            | Self::UpsertCourses
            | Self::DeactivateCourse => "POST",
            Self::DeleteIntegration => "DELETE",
        }
    }

    /// Returns the path below the base URL, with a placeholder for an id.
    pub fn path(self) -> &'static str {
        match self {
            Self::CheckApiKey => "check-api-key",
            Self::Integration | Self::DeleteIntegration => "integrations/{id}",
            Self::ForceSync => "force-sync",
            Self::List(endpoint) => endpoint.path(),
            Self::CreateCourseProgression => "lms/course-progressions",
            Self::CompleteCourseProgression => "lms/course-progressions/{id}/complete",
            Self::UpsertCourses => "lms/courses/bulk",
            Self::CourseTask => "lms/courses/bulk/{id}",
            Self::DeactivateCourse => "lms/courses/{id}/deactivate",
        }
    }

    /// Whether Kombo writes to the connected tool.
    pub fn writes_to_tool(self) -> bool {
        self.repeatable() == Repeatable::IfNotCarriedOut
    }

    pub(crate) fn repeatable(self) -> Repeatable {
        match self {
            Self::CheckApiKey
            | Self::Integration
            | Self::List(_)
            | Self::CourseTask
            // A queued sync is found again, and a deleted integration stays deleted.
            | Self::ForceSync
            | Self::DeleteIntegration => Repeatable::Always,
            Self::CreateCourseProgression
            | Self::CompleteCourseProgression
            | Self::UpsertCourses
            | Self::DeactivateCourse => Repeatable::IfNotCarriedOut,
        }
    }

    /// Whether the path or body names an object within an integration, to which a 404 may refer.
    pub(crate) fn names_a_record(self) -> bool {
        match self {
            Self::CreateCourseProgression
            | Self::CompleteCourseProgression
            | Self::CourseTask
            | Self::DeactivateCourse => true,
            Self::CheckApiKey
            | Self::Integration
            | Self::DeleteIntegration
            | Self::ForceSync
            | Self::List(_)
            | Self::UpsertCourses => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method(), self.path())
    }
}
