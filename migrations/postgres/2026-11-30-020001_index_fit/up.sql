-- Ids are compared byte by byte. PostgreSQL uses an index on a column that refers to an id only if both have the same
-- collation: so far the completions of one user needed a scan of the whole table.
DO $$
DECLARE
    grants aclitem[] := (SELECT relacl FROM pg_class WHERE oid = 'kombo.lms_course_completions'::regclass);
    given record;
BEGIN
    DROP VIEW kombo.lms_course_completions;
    ALTER TABLE kombo.lms_courses ALTER COLUMN provider_id TYPE text COLLATE "C";
    ALTER TABLE kombo.lms_course_revisions ALTER COLUMN course_id TYPE text COLLATE "C";
    ALTER TABLE kombo.lms_course_progressions
        ALTER COLUMN user_id TYPE text COLLATE "C",
        ALTER COLUMN course_revision_id TYPE text COLLATE "C";
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
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW kombo.lms_course_completions SET (security_invoker = true);
    END IF;
    FOR given IN
        SELECT a.privilege_type, a.is_grantable,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee
        FROM aclexplode(grants) AS a
    LOOP
        EXECUTE format('GRANT %s ON kombo.lms_course_completions TO %s', given.privilege_type, given.grantee)
            || CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END;
    END LOOP;
EXCEPTION WHEN dependent_objects_still_exist OR feature_not_supported THEN
    -- Views of others use these columns, so their types cannot change. Joins with ids find these indexes all the same.
    DROP INDEX kombo.lms_courses_provider_id;
    CREATE INDEX lms_courses_provider_id ON kombo.lms_courses (provider_id COLLATE "C");
    DROP INDEX kombo.lms_course_revisions_course_id;
    CREATE INDEX lms_course_revisions_course_id ON kombo.lms_course_revisions (course_id COLLATE "C");
    DROP INDEX kombo.lms_course_progressions_user_id;
    CREATE INDEX lms_course_progressions_user_id ON kombo.lms_course_progressions (user_id COLLATE "C");
    DROP INDEX kombo.lms_course_progressions_course_revision_id;
    CREATE INDEX lms_course_progressions_course_revision_id
        ON kombo.lms_course_progressions (course_revision_id COLLATE "C");
END
$$;

-- Entries are written in the order of their times, so a few pages tell where a day begins and ends.
CREATE INDEX sync_changes_at ON kombo.sync_changes USING brin (at) WITH (pages_per_range = 32, autosummarize = on);
