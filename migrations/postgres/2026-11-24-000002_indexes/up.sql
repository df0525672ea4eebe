-- Ids name one record whatever the integration, so an index needs no more: it is half the size. And with one index
-- only that begins with integration_id, the planner cannot take another one for it in a table that it knows nothing of.

DROP INDEX kombo.lms_users_work_email;
CREATE INDEX lms_users_work_email ON kombo.lms_users (work_email);
DROP INDEX kombo.lms_courses_provider_id;
CREATE INDEX lms_courses_provider_id ON kombo.lms_courses (provider_id);
DROP INDEX kombo.lms_course_revisions_course_id;
CREATE INDEX lms_course_revisions_course_id ON kombo.lms_course_revisions (course_id);
DROP INDEX kombo.lms_join_revisions_skills_skill_id;
CREATE INDEX lms_join_revisions_skills_skill_id ON kombo.lms_join_revisions_skills (skill_id);
DROP INDEX kombo.lms_course_progressions_user_id;
CREATE INDEX lms_course_progressions_user_id ON kombo.lms_course_progressions (user_id);
DROP INDEX kombo.lms_course_progressions_course_revision_id;
CREATE INDEX lms_course_progressions_course_revision_id ON kombo.lms_course_progressions (course_revision_id);

-- Ids do not shrink by being compressed.
ALTER TABLE kombo.sync_seen ALTER COLUMN ids SET STORAGE EXTERNAL;
