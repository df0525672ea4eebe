ALTER TABLE kombo.lms_users RESET (fillfactor);
ALTER TABLE kombo.lms_courses RESET (fillfactor);
ALTER TABLE kombo.lms_course_revisions RESET (fillfactor);
ALTER TABLE kombo.lms_course_providers RESET (fillfactor);
ALTER TABLE kombo.lms_skills RESET (fillfactor);
ALTER TABLE kombo.lms_course_progressions RESET (fillfactor);
