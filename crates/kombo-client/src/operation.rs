use std::fmt;

use kombo_model::Endpoint;

/// What was asked of Kombo. Prints as method and path, such as `GET /lms/users`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Whether the API key works.
    CheckApiKey,
    /// The state of one integration.
    Integration,
    /// The end of one integration.
    DeleteIntegration,
    /// That Kombo reads from the connected tool now.
    ForceSync,
    /// A page of one of the read endpoints.
    List(Endpoint),
    /// That a user is enrolled in a revision of a course.
    CreateCourseProgression,
    /// That a user has finished a revision of a course.
    CompleteCourseProgression,
    /// That courses are created or changed.
    UpsertCourses,
    /// How far the task of an [`UpsertCourses`](Self::UpsertCourses) is.
    CourseTask,
    /// That a course is no longer in use.
    DeactivateCourse,
}

/// Whether asking twice is as good as asking once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeatable {
    /// The second request finds what the first one did, or reads only.
    Always,
    /// The second request might be carried out as well: it is sent only if the first one certainly was not.
    IfNotCarriedOut,
}

impl Operation {
    /// The HTTP method.
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

    /// The path below the base URL, with a placeholder where it holds an id.
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
            // A sync that waits is found, an integration that is gone stays gone.
            | Self::ForceSync
            | Self::DeleteIntegration => Repeatable::Always,
            Self::CreateCourseProgression
            | Self::CompleteCourseProgression
            | Self::UpsertCourses
            | Self::DeactivateCourse => Repeatable::IfNotCarriedOut,
        }
    }

    /// Whether it names something within an integration, which may be what a 404 did not find.
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
