DROP INDEX kombo.lms_users_work_email;
CREATE INDEX lms_users_work_email ON kombo.lms_users (integration_id, work_email);
DROP INDEX kombo.lms_courses_provider_id;
CREATE INDEX lms_courses_provider_id ON kombo.lms_courses (integration_id, provider_id);
DROP INDEX kombo.lms_course_revisions_course_id;
CREATE INDEX lms_course_revisions_course_id ON kombo.lms_course_revisions (integration_id, course_id);
DROP INDEX kombo.lms_join_revisions_skills_skill_id;
CREATE INDEX lms_join_revisions_skills_skill_id ON kombo.lms_join_revisions_skills (integration_id, skill_id);
DROP INDEX kombo.lms_course_progressions_user_id;
CREATE INDEX lms_course_progressions_user_id ON kombo.lms_course_progressions (integration_id, user_id);
DROP INDEX kombo.lms_course_progressions_course_revision_id;
CREATE INDEX lms_course_progressions_course_revision_id ON kombo.lms_course_progressions (integration_id, course_revision_id);

ALTER TABLE kombo.sync_seen ALTER COLUMN ids SET STORAGE EXTENDED;
