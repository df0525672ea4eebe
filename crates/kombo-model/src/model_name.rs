use crate::catalogue::Category;
use crate::open_enum::open_enum;

open_enum! {
    /// The name of a model, as in the `data-changed` webhook. Those that the type does not list, such as models that Kombo
    /// adds later, are [`ModelName::Other`].
    ///
    /// ```
    /// use kombo_model::{Category, ModelName};
    ///
    /// assert_eq!(ModelName::from("lms_users"), ModelName::LmsUsers);
    /// let later = ModelName::from("lms_quizzes");
    /// assert!(later.may_be_of(Category::Lms) && !later.may_be_of(Category::Hris));
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
    /// Whether the model may belong to a category: true unless its name begins with that of another.
    pub fn may_be_of(&self, category: Category) -> bool {
        let name = self.as_str().trim_start().to_ascii_lowercase();
        match name.split_once('_') {
            Some(("hris" | "ats" | "lms" | "assessment", _)) => name.starts_with(category.as_str()),
            Some(_) | None => true,
        }
    }
}
