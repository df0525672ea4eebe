-- Views of live rows for common questions.

CREATE VIEW kombo.hris_employee_directory AS
SELECT
    e.integration_id,
    e.id AS employee_id,
    e.employee_number,
    e.first_name,
    e.last_name,
    e.work_email,
    e.job_title,
    e.employment_status,
    e.start_date,
    e.termination_date,
    b.id AS manager_id,
    b.first_name AS manager_first_name,
    b.last_name AS manager_last_name,
    b.work_email AS manager_work_email,
    l.name AS work_location,
    t.name AS legal_entity,
    (
        SELECT string_agg(g.name, ', ' ORDER BY g.name)
        FROM kombo.hris_join_employees_teams AS m
        JOIN kombo.hris_teams AS g ON g.integration_id = m.integration_id AND g.id = m.team_id
            AND g.remote_deleted_at IS NULL AND g.removed_at IS NULL
        WHERE m.integration_id = e.integration_id AND m.employee_id = e.id AND m.removed_at IS NULL
    ) AS group_names
FROM kombo.hris_employees AS e
LEFT JOIN kombo.hris_employees AS b
    ON b.integration_id = e.integration_id AND b.id = e.manager_id AND b.remote_deleted_at IS NULL AND b.removed_at IS NULL
LEFT JOIN kombo.hris_locations AS l
    ON l.integration_id = e.integration_id AND l.id = e.work_location_id AND l.remote_deleted_at IS NULL AND l.removed_at IS NULL
LEFT JOIN kombo.hris_legal_entities AS t
    ON t.integration_id = e.integration_id AND t.id = e.legal_entity_id AND t.remote_deleted_at IS NULL AND t.removed_at IS NULL
WHERE e.remote_deleted_at IS NULL AND e.removed_at IS NULL;

CREATE VIEW kombo.hris_upcoming_absences AS
SELECT
    a.integration_id,
    a.id AS absence_id,
    e.id AS employee_id,
    e.first_name,
    e.last_name,
    e.work_email,
    t.name AS absence_type,
    a.status,
    a.start_date,
    a.end_date,
    a.start_half_day,
    a.end_half_day,
    a.amount,
    a.unit
FROM kombo.hris_absences AS a
JOIN kombo.hris_employees AS e
    ON e.integration_id = a.integration_id AND e.id = a.employee_id AND e.remote_deleted_at IS NULL AND e.removed_at IS NULL
LEFT JOIN kombo.hris_absence_types AS t ON t.integration_id = a.integration_id AND t.id = a.type_id
WHERE (a.end_date >= current_date OR a.end_date IS NULL) AND a.start_date <= current_date + 30
    AND coalesce(a.status, '') NOT IN ('DECLINED', 'CANCELLED', 'DELETED')
    AND a.remote_deleted_at IS NULL AND a.removed_at IS NULL;

CREATE VIEW kombo.ats_open_applications AS
SELECT
    a.integration_id,
    a.id AS application_id,
    j.id AS job_id,
    j.name AS job_name,
    j.status AS job_status,
    s.id AS stage_id,
    s.name AS stage_name,
    p."index" AS stage_index,
    c.id AS candidate_id,
    c.first_name,
    c.last_name,
    a.remote_created_at AS applied_at
FROM kombo.ats_applications AS a
JOIN kombo.ats_jobs AS j ON j.integration_id = a.integration_id AND j.id = a.job_id AND j.remote_deleted_at IS NULL AND j.removed_at IS NULL
JOIN kombo.ats_candidates AS c
    ON c.integration_id = a.integration_id AND c.id = a.candidate_id AND c.remote_deleted_at IS NULL AND c.removed_at IS NULL
LEFT JOIN kombo.ats_application_stages AS s
    ON s.integration_id = a.integration_id AND s.id = a.current_stage_id AND s.remote_deleted_at IS NULL AND s.removed_at IS NULL
LEFT JOIN kombo.ats_join_jobs_application_stages AS p
    ON p.integration_id = a.integration_id AND p.job_id = a.job_id
    AND p.application_stage_id = a.current_stage_id AND p.removed_at IS NULL
WHERE a.outcome = 'PENDING' AND a.remote_deleted_at IS NULL AND a.removed_at IS NULL;

-- The views read the days and applications in question only.
CREATE INDEX hris_absences_end_date ON kombo.hris_absences (end_date);
CREATE INDEX ats_applications_pending ON kombo.ats_applications (job_id) WHERE outcome = 'PENDING';

-- Row-level security of the tables applies to readers of the views.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW kombo.hris_employee_directory SET (security_invoker = true);
        ALTER VIEW kombo.hris_upcoming_absences SET (security_invoker = true);
        ALTER VIEW kombo.ats_open_applications SET (security_invoker = true);
    END IF;
END
$$;
