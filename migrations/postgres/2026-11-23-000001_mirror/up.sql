-- The mirror: one table for each model, under the names that Kombo uses. A row is live while both
-- remote_deleted_at and removed_at are null. There are no foreign keys: the order of arrival is not ours.

-- The schema itself is made beforehand, if it is not there: a role may own it without being able to make it.

CREATE TABLE kombo.lms_users (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    first_name text,
    last_name text,
    work_email text,
    status text,
    remote_created_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);
CREATE INDEX lms_users_work_email ON kombo.lms_users (integration_id, work_email);

CREATE TABLE kombo.lms_courses (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    provider_id text,
    origin_id text,
    remote_created_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);
CREATE INDEX lms_courses_provider_id ON kombo.lms_courses (integration_id, provider_id);

CREATE TABLE kombo.lms_course_revisions (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    course_id text,
    title text,
    description text,
    remote_url text,
    status text,
    remote_created_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);
CREATE INDEX lms_course_revisions_course_id ON kombo.lms_course_revisions (integration_id, course_id);

CREATE TABLE kombo.lms_course_providers (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);

CREATE TABLE kombo.lms_skills (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    remote_created_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);

CREATE TABLE kombo.lms_join_revisions_skills (
    integration_id text COLLATE "C" NOT NULL,
    course_revision_id text COLLATE "C" NOT NULL,
    skill_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, course_revision_id, skill_id)
);
CREATE INDEX lms_join_revisions_skills_skill_id ON kombo.lms_join_revisions_skills (integration_id, skill_id);

CREATE TABLE kombo.lms_course_progressions (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    user_id text,
    course_revision_id text,
    status text,
    enrolled_at timestamptz,
    completed_at timestamptz,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
);
CREATE INDEX lms_course_progressions_user_id ON kombo.lms_course_progressions (integration_id, user_id);
CREATE INDEX lms_course_progressions_course_revision_id ON kombo.lms_course_progressions (integration_id, course_revision_id);

-- Who finished which course, and when.
CREATE VIEW kombo.lms_course_completions AS
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
FROM kombo.lms_course_progressions AS p
JOIN kombo.lms_users AS u
    ON u.integration_id = p.integration_id AND u.id = p.user_id
    AND u.remote_deleted_at IS NULL AND u.removed_at IS NULL
JOIN kombo.lms_course_revisions AS r
    ON r.integration_id = p.integration_id AND r.id = p.course_revision_id
    AND r.remote_deleted_at IS NULL AND r.removed_at IS NULL
WHERE p.status = 'COMPLETED' AND p.remote_deleted_at IS NULL AND p.removed_at IS NULL;
