DROP VIEW lms_course_completions;
DROP TABLE lms_course_progressions;
DROP TABLE lms_join_revisions_skills;
DROP TABLE lms_skills;
DROP TABLE lms_course_providers;
DROP TABLE lms_course_revisions;
DROP TABLE lms_courses;
DROP TABLE lms_users;
