//! The seven tables and the endpoints, under Kombo's names.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns Kombo's name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Returns the value with this name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// A table of Kombo's LMS model.
    Model {
        /// Learners.
        Users = "lms_users",
        /// Courses.
        Courses = "lms_courses",
        /// Revisions of courses.
        CourseRevisions = "lms_course_revisions",
        /// Providers of courses.
        CourseProviders = "lms_course_providers",
        /// Skills.
        Skills = "lms_skills",
        /// The assignment of skills to revisions.
        RevisionsSkills = "lms_join_revisions_skills",
        /// A user's progress in a revision.
        CourseProgressions = "lms_course_progressions",
    }
}

named! {
    /// The endpoint of a request.
    Endpoint {
        /// `GET /v1/lms/users`
        LmsUsers = "users",
        /// `GET /v1/lms/courses`
        LmsCourses = "courses",
        /// `GET /v1/lms/course-progressions`
        LmsCourseProgressions = "course-progressions",
        /// `GET /v1/lms/skills`
        LmsSkills = "skills",
        /// `GET /v1/check-api-key`
        CheckApiKey = "check-api-key",
        /// `GET /v1/integrations/{id}`
        Integration = "integration",
        /// `DELETE /v1/integrations/{id}`
        DeleteIntegration = "delete-integration",
        /// `POST /v1/force-sync`
        ForceSync = "force-sync",
        /// `POST /v1/lms/course-progressions`
        CreateCourseProgression = "create-course-progression",
        /// `POST /v1/lms/course-progressions/{id}/complete`
        CompleteCourseProgression = "complete-course-progression",
        /// `POST /v1/lms/courses/bulk`
        UpsertCourses = "upsert-courses",
        /// `GET /v1/lms/courses/bulk/{task_id}`
        CourseTask = "course-task",
        /// `POST /v1/lms/courses/{id}/deactivate`
        DeactivateCourse = "deactivate-course",
        /// Any other path or method.
        Unknown = "unknown",
    }
}
