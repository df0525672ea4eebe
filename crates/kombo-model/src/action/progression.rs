use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{CourseRevisionId, Timestamp, UserId};

/// The body of `POST /lms/course-progressions`: enrols a user in a revision of a course.
///
/// Instead of Kombo's ids, you can give `remote:` followed by the connected tool's id, as in `remote:12312`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCourseProgression {
    /// Id of the user to enrol.
    pub user_id: UserId,
    /// Id of the revision to learn.
    pub course_revision_id: CourseRevisionId,
}

/// The body of `POST /lms/course-progressions/{id}/complete`.
///
/// ```
/// use kombo_model::{CompleteCourseProgression, Score};
///
/// let done = CompleteCourseProgression { score: Some(Score::new(93)?), ..Default::default() };
/// assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"score":93}"#);
/// # Ok::<(), kombo_model::InvalidScore>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteCourseProgression {
    /// When the user completed it; now if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The user's score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// A score from 0 to 100.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Score(u8);

/// The number is above 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a score of {0} is not between 0 and 100")]
pub struct InvalidScore(pub u8);

impl Score {
    /// Accepts a number from 0 to 100.
    pub fn new(score: u8) -> Result<Self, InvalidScore> {
        if score <= 100 { Ok(Self(score)) } else { Err(InvalidScore(score)) }
    }

    /// Returns the number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for Score {
    /// A score is personal data, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Score(..)")
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u8::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
