-- A row that changes finds room beside itself, so that no index has to learn where its next version is.

ALTER TABLE kombo.lms_users SET (fillfactor = 85);
ALTER TABLE kombo.lms_courses SET (fillfactor = 85);
ALTER TABLE kombo.lms_course_revisions SET (fillfactor = 85);
ALTER TABLE kombo.lms_course_providers SET (fillfactor = 85);
ALTER TABLE kombo.lms_skills SET (fillfactor = 85);
ALTER TABLE kombo.lms_course_progressions SET (fillfactor = 85);
