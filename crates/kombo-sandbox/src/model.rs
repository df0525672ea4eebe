//! The tables and the endpoints, under Kombo's names.

use std::fmt;

use kombo_model::Category;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident of $catalogue:ty { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$vmeta])* $variant,)+
            /// One of HRIS or ATS.
            Of($catalogue),
        }

        impl $name {
            const NAMED: &[Self] = &[$(Self::$variant),+];

            /// Returns Kombo's name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Of(it) => it.as_str(),
                }
            }

            /// Returns the value of the catalogue, for HRIS and ATS.
            pub(crate) fn of_catalogue(self) -> Option<$catalogue> {
                match self {
                    Self::Of(it) => Some(it),
                    $(Self::$variant)|+ => None,
                }
            }

            /// Returns all values.
            pub fn all() -> impl Iterator<Item = Self> {
                let others = <$catalogue>::ALL.into_iter().filter(|it| it.category() != Category::Lms);
                Self::NAMED.iter().copied().chain(others.map(Self::Of))
            }

            /// Returns the value with this name.
            pub fn by_name(name: &str) -> Option<Self> {
                Self::all().find(|it| it.as_str() == name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::by_name(&name).ok_or_else(|| D::Error::custom(format!("unknown name {name:?}")))
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
    /// A table of Kombo's model.
    Model of kombo_model::catalogue::Model {
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
    Endpoint of kombo_model::Endpoint {
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

impl Model {
    /// Returns the model of the catalogue's.
    pub fn of(model: kombo_model::catalogue::Model) -> Self {
        Self::by_name(model.as_str()).unwrap_or(Self::Of(model))
    }
}

impl Endpoint {
    /// Returns the endpoint of the catalogue's.
    pub fn of(endpoint: kombo_model::Endpoint) -> Self {
        let name = endpoint.path().strip_prefix("lms/").unwrap_or(endpoint.path());
        Self::by_name(name).unwrap_or(Self::Of(endpoint))
    }
}
