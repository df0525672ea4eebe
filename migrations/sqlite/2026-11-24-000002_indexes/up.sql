-- Ids name one record whatever the integration, so an index needs no more: it is half the size.

DROP INDEX lms_users_work_email;
CREATE INDEX lms_users_work_email ON lms_users (work_email);
DROP INDEX lms_courses_provider_id;
CREATE INDEX lms_courses_provider_id ON lms_courses (provider_id);
DROP INDEX lms_course_revisions_course_id;
CREATE INDEX lms_course_revisions_course_id ON lms_course_revisions (course_id);
DROP INDEX lms_join_revisions_skills_skill_id;
CREATE INDEX lms_join_revisions_skills_skill_id ON lms_join_revisions_skills (skill_id);
DROP INDEX lms_course_progressions_user_id;
CREATE INDEX lms_course_progressions_user_id ON lms_course_progressions (user_id);
DROP INDEX lms_course_progressions_course_revision_id;
CREATE INDEX lms_course_progressions_course_revision_id ON lms_course_progressions (course_revision_id);
