use crate::open_enum::open_enum;

open_enum! {
    /// The name of a model, as in the `data-changed` webhook. Models of other categories (`hris_…`, `ats_…`) and those
    /// that Kombo adds later are [`ModelName::Other`].
    ///
    /// ```
    /// use kombo_model::ModelName;
    ///
    /// assert_eq!(ModelName::from("lms_users"), ModelName::LmsUsers);
    /// let later = ModelName::from("lms_quizzes");
    /// assert!(later.may_be_lms());
    /// assert_eq!(later.as_str(), "lms_quizzes");
    /// ```
    pub enum ModelName {
        /// Learners.
        LmsUsers = "lms_users",
        /// Courses.
        LmsCourses = "lms_courses",
        /// Revisions of courses: title, description, address.
        LmsCourseRevisions = "lms_course_revisions",
        /// Providers of courses.
        LmsCourseProviders = "lms_course_providers",
        /// Skills that revisions teach.
        LmsSkills = "lms_skills",
        /// A user's progress in a revision.
        LmsCourseProgressions = "lms_course_progressions",
        /// The assignment of skills to revisions.
        LmsJoinRevisionsSkills = "lms_join_revisions_skills",
    }
}

impl ModelName {
    /// The seven LMS models known to this version.
    pub const LMS: [Self; 7] = [
        Self::LmsUsers,
        Self::LmsCourses,
        Self::LmsCourseRevisions,
        Self::LmsCourseProviders,
        Self::LmsSkills,
        Self::LmsCourseProgressions,
        Self::LmsJoinRevisionsSkills,
    ];

    /// Whether the model may belong to the LMS category: true unless it is known to belong to another.
    pub fn may_be_lms(&self) -> bool {
        let name = self.as_str().trim_start().to_ascii_lowercase();
        !["hris_", "ats_", "assessment_"].iter().any(|prefix| name.starts_with(prefix))
    }
}
