-- The mirror: one table for each model, under the names that Kombo uses. A row is live while both
-- remote_deleted_at and removed_at are null. There are no foreign keys: the order of arrival is not ours.
-- Times are UTC text of fixed width, such as 2022-08-07T14:01:29.196Z: they sort.

CREATE TABLE lms_users (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    first_name TEXT,
    last_name TEXT,
    work_email TEXT,
    status TEXT,
    remote_created_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX lms_users_work_email ON lms_users (integration_id, work_email);

CREATE TABLE lms_courses (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    provider_id TEXT,
    origin_id TEXT,
    remote_created_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX lms_courses_provider_id ON lms_courses (integration_id, provider_id);

CREATE TABLE lms_course_revisions (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    course_id TEXT,
    title TEXT,
    description TEXT,
    remote_url TEXT,
    status TEXT,
    remote_created_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX lms_course_revisions_course_id ON lms_course_revisions (integration_id, course_id);

CREATE TABLE lms_course_providers (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE lms_skills (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    remote_created_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE lms_join_revisions_skills (
    integration_id TEXT NOT NULL,
    course_revision_id TEXT NOT NULL,
    skill_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, course_revision_id, skill_id)
) STRICT;
CREATE INDEX lms_join_revisions_skills_skill_id ON lms_join_revisions_skills (integration_id, skill_id);

CREATE TABLE lms_course_progressions (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    user_id TEXT,
    course_revision_id TEXT,
    status TEXT,
    enrolled_at TEXT,
    completed_at TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX lms_course_progressions_user_id ON lms_course_progressions (integration_id, user_id);
CREATE INDEX lms_course_progressions_course_revision_id ON lms_course_progressions (integration_id, course_revision_id);

-- Who finished which course, and when.
CREATE VIEW lms_course_completions AS
SELECT
    p.integration_id,
    p.id AS course_progression_id,
    u.id AS user_id,
    u.first_name,
    u.last_name,
    u.work_email,
    r.course_id,
    r.id AS course_revision_id,
    r.title AS course_title,
    p.enrolled_at,
    p.completed_at
FROM lms_course_progressions AS p
JOIN lms_users AS u
    ON u.integration_id = p.integration_id AND u.id = p.user_id
    AND u.remote_deleted_at IS NULL AND u.removed_at IS NULL
JOIN lms_course_revisions AS r
    ON r.integration_id = p.integration_id AND r.id = p.course_revision_id
    AND r.remote_deleted_at IS NULL AND r.removed_at IS NULL
WHERE p.status = 'COMPLETED' AND p.remote_deleted_at IS NULL AND p.removed_at IS NULL;
