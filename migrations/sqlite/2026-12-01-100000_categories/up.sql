-- Endpoints are named by their whole path: users exist in several categories.
UPDATE sync_watermarks SET endpoint = 'lms/' || endpoint WHERE endpoint IN ('users', 'courses', 'course-progressions', 'skills');
UPDATE sync_requests SET endpoint = 'lms/' || endpoint WHERE endpoint IN ('users', 'courses', 'course-progressions', 'skills');
UPDATE sync_runs SET endpoint = 'lms/' || endpoint WHERE endpoint IN ('users', 'courses', 'course-progressions', 'skills');
UPDATE sync_quarantine SET endpoint = 'lms/' || endpoint WHERE endpoint IN ('users', 'courses', 'course-progressions', 'skills');
