DROP VIEW kombo.lms_course_completions;
DROP TABLE kombo.lms_course_progressions;
DROP TABLE kombo.lms_join_revisions_skills;
DROP TABLE kombo.lms_skills;
DROP TABLE kombo.lms_course_providers;
DROP TABLE kombo.lms_course_revisions;
DROP TABLE kombo.lms_courses;
DROP TABLE kombo.lms_users;
