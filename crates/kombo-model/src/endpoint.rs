use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The four read endpoints of Kombo's LMS API.
///
/// ```
/// use kombo_model::Endpoint;
///
/// let endpoint: Endpoint = "course-progressions".parse()?;
/// assert_eq!(endpoint.path(), "lms/course-progressions");
/// # Ok::<(), kombo_model::UnknownEndpoint>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// `GET /lms/users`
    Users,
    /// `GET /lms/courses`
    Courses,
    /// `GET /lms/course-progressions`
    CourseProgressions,
    /// `GET /lms/skills`
    Skills,
}

impl Endpoint {
    /// All endpoints, in the usual order.
    pub const ALL: [Self; 4] = [Self::Users, Self::Courses, Self::CourseProgressions, Self::Skills];

    /// Returns the name used in configuration, on the command line and in tables: the last part of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Courses => "courses",
            Self::CourseProgressions => "course-progressions",
            Self::Skills => "skills",
        }
    }

    /// Returns the path below the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::Users => "lms/users",
            Self::Courses => "lms/courses",
            Self::CourseProgressions => "lms/course-progressions",
            Self::Skills => "lms/skills",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No endpoint has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown endpoint \"{0}\": use users, courses, course-progressions or skills")]
pub struct UnknownEndpoint(pub String);

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|endpoint| endpoint.as_str() == name).ok_or_else(|| UnknownEndpoint(name.to_owned()))
    }
}
