-- The mirror of HRIS and ATS: one table for each model, as for LMS.

CREATE TABLE kombo.hris_legal_entities (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    address jsonb,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_locations (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    type text,
    address jsonb,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_teams (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    parent_id text COLLATE "C",
    name text,
    type text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_teams_parent_id ON kombo.hris_teams (parent_id);

CREATE TABLE kombo.hris_employees (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    manager_id text COLLATE "C",
    legal_entity_id text COLLATE "C",
    work_location_id text COLLATE "C",
    employee_number text,
    first_name text,
    last_name text,
    display_full_name text,
    job_title text,
    work_email text,
    personal_email text,
    mobile_phone_number text,
    date_of_birth timestamptz,
    nationality text,
    gender text,
    ethnicity text,
    marital_status text,
    home_address jsonb,
    ssn text,
    tax_id text,
    bank_accounts jsonb,
    avatar text,
    employment_status text,
    employment_type text,
    weekly_hours double precision,
    start_date timestamptz,
    termination_date timestamptz,
    remote_created_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_employees_manager_id ON kombo.hris_employees (manager_id);
CREATE INDEX hris_employees_legal_entity_id ON kombo.hris_employees (legal_entity_id);
CREATE INDEX hris_employees_work_location_id ON kombo.hris_employees (work_location_id);

CREATE TABLE kombo.hris_join_employees_teams (
    integration_id text COLLATE "C" NOT NULL,
    employee_id text COLLATE "C" NOT NULL,
    team_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, employee_id, team_id)
) WITH (fillfactor = 85);
CREATE INDEX hris_join_employees_teams_team_id ON kombo.hris_join_employees_teams (team_id);

CREATE TABLE kombo.hris_employments (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    employee_id text COLLATE "C",
    job_title text,
    employment_type text,
    pay_rate double precision,
    pay_period text,
    pay_frequency text,
    pay_currency text,
    effective_date timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_employments_employee_id ON kombo.hris_employments (employee_id);

CREATE TABLE kombo.hris_absence_types (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    unit text,
    half_days_supported boolean,
    exact_times_supported boolean,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_time_off_balances (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    employee_id text COLLATE "C",
    type_id text COLLATE "C",
    balance double precision,
    balance_unit text,
    used double precision,
    used_unit text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_time_off_balances_employee_id ON kombo.hris_time_off_balances (employee_id);
CREATE INDEX hris_time_off_balances_type_id ON kombo.hris_time_off_balances (type_id);

CREATE TABLE kombo.hris_absences (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    employee_id text COLLATE "C",
    approver_id text COLLATE "C",
    type_id text COLLATE "C",
    status text,
    start_date date,
    end_date date,
    start_half_day boolean,
    end_half_day boolean,
    start_time text,
    end_time text,
    amount double precision,
    unit text,
    employee_note text,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_absences_employee_id ON kombo.hris_absences (employee_id);
CREATE INDEX hris_absences_approver_id ON kombo.hris_absences (approver_id);
CREATE INDEX hris_absences_type_id ON kombo.hris_absences (type_id);

CREATE TABLE kombo.hris_timesheets (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    employee_id text COLLATE "C",
    started_at timestamptz,
    ended_at timestamptz,
    timezone text,
    payable_hours double precision,
    unpaid_break_minutes double precision,
    breaks jsonb,
    approval_status text,
    approved_at timestamptz,
    comment text,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_timesheets_employee_id ON kombo.hris_timesheets (employee_id);

CREATE TABLE kombo.hris_employee_document_categories (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_skills (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    description text,
    ordered_levels jsonb,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_employee_skill_assignments (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    employee_id text COLLATE "C",
    skill_id text COLLATE "C",
    current_level text,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_employee_skill_assignments_employee_id ON kombo.hris_employee_skill_assignments (employee_id);
CREATE INDEX hris_employee_skill_assignments_skill_id ON kombo.hris_employee_skill_assignments (skill_id);

CREATE TABLE kombo.hris_performance_review_cycles (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    review_period_start_date timestamptz,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.hris_performance_reviews (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    review_cycle_id text COLLATE "C",
    reviewee_id text COLLATE "C",
    reviewer_id text COLLATE "C",
    type text,
    summary_comment text,
    summary_rating jsonb,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_performance_reviews_review_cycle_id ON kombo.hris_performance_reviews (review_cycle_id);
CREATE INDEX hris_performance_reviews_reviewee_id ON kombo.hris_performance_reviews (reviewee_id);
CREATE INDEX hris_performance_reviews_reviewer_id ON kombo.hris_performance_reviews (reviewer_id);

CREATE TABLE kombo.hris_staffing_entities (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    parent_id text COLLATE "C",
    name text,
    model_type text,
    description text,
    status text,
    number_of_openings double precision,
    employment_types jsonb,
    remote_url text,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX hris_staffing_entities_parent_id ON kombo.hris_staffing_entities (parent_id);

CREATE TABLE kombo.hris_join_staffing_entities_locations (
    integration_id text COLLATE "C" NOT NULL,
    staffing_entity_id text COLLATE "C" NOT NULL,
    location_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, location_id)
) WITH (fillfactor = 85);
CREATE INDEX hris_join_staffing_entities_locations_location_id ON kombo.hris_join_staffing_entities_locations (location_id);

CREATE TABLE kombo.hris_join_staffing_entities_legal_entities (
    integration_id text COLLATE "C" NOT NULL,
    staffing_entity_id text COLLATE "C" NOT NULL,
    legal_entity_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, legal_entity_id)
) WITH (fillfactor = 85);
CREATE INDEX hris_join_staffing_entities_legal_entities_legal_entity_id ON kombo.hris_join_staffing_entities_legal_entities (legal_entity_id);

CREATE TABLE kombo.hris_join_staffing_entities_groups (
    integration_id text COLLATE "C" NOT NULL,
    staffing_entity_id text COLLATE "C" NOT NULL,
    team_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, team_id)
) WITH (fillfactor = 85);
CREATE INDEX hris_join_staffing_entities_groups_team_id ON kombo.hris_join_staffing_entities_groups (team_id);

CREATE TABLE kombo.ats_roles (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    remote_label text,
    scope text,
    unified_type text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_users (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    first_name text,
    last_name text,
    email text,
    status text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_join_users_roles (
    integration_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    role_remote_id text COLLATE "C" NOT NULL,
    remote_label text,
    scope text,
    unified_type text,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, user_id, role_remote_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_users_roles_role_remote_id ON kombo.ats_join_users_roles (role_remote_id);

CREATE TABLE kombo.ats_application_stages (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_jobs (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    contact_id text COLLATE "C",
    name text,
    job_code text,
    description text,
    confidential boolean,
    weekly_hours double precision,
    employment_type text,
    status text,
    visibility text,
    category text,
    department text,
    post_url text,
    experience_level text,
    remote_work_status text,
    salary_amount double precision,
    salary_amount_from double precision,
    salary_amount_to double precision,
    salary_currency text,
    salary_period text,
    location jsonb,
    remote_url text,
    opened_at timestamptz,
    closed_at timestamptz,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX ats_jobs_contact_id ON kombo.ats_jobs (contact_id);

CREATE TABLE kombo.ats_join_jobs_application_stages (
    integration_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    application_stage_id text COLLATE "C" NOT NULL,
    "index" bigint,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, job_id, application_stage_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_jobs_application_stages_application_stage_id ON kombo.ats_join_jobs_application_stages (application_stage_id);

CREATE TABLE kombo.ats_screening_questions (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    title text,
    description text,
    format jsonb,
    category text,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_join_jobs_screening_questions (
    integration_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    screening_question_id text COLLATE "C" NOT NULL,
    precondition_question_id text COLLATE "C",
    precondition_options jsonb,
    "index" bigint,
    required boolean,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, job_id, screening_question_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_jobs_screening_questions_screening_question_id ON kombo.ats_join_jobs_screening_questions (screening_question_id);
CREATE INDEX ats_join_jobs_screening_questions_precondition_question_id ON kombo.ats_join_jobs_screening_questions (precondition_question_id);

CREATE TABLE kombo.ats_job_postings (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    job_id text COLLATE "C",
    title text,
    description_html text,
    status text,
    visibility text,
    url text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX ats_job_postings_job_id ON kombo.ats_job_postings (job_id);

CREATE TABLE kombo.ats_join_jobs_users (
    integration_id text COLLATE "C" NOT NULL,
    job_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    job_roles jsonb,
    hiring_team_roles jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, job_id, user_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_jobs_users_user_id ON kombo.ats_join_jobs_users (user_id);

CREATE TABLE kombo.ats_tags (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_candidates (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    first_name text,
    last_name text,
    company text,
    title text,
    confidential boolean,
    source text,
    phone_numbers jsonb,
    email_addresses jsonb,
    social_media jsonb,
    location jsonb,
    remote_url text,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_join_candidates_tags (
    integration_id text COLLATE "C" NOT NULL,
    candidate_id text COLLATE "C" NOT NULL,
    tag_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, candidate_id, tag_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_candidates_tags_tag_id ON kombo.ats_join_candidates_tags (tag_id);

CREATE TABLE kombo.ats_rejection_reasons (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    name text,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);

CREATE TABLE kombo.ats_applications (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    candidate_id text COLLATE "C",
    job_id text COLLATE "C",
    current_stage_id text COLLATE "C",
    outcome text,
    rejection_reason_name text,
    rejected_at timestamptz,
    screening_question_answers jsonb,
    remote_url text,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX ats_applications_candidate_id ON kombo.ats_applications (candidate_id);
CREATE INDEX ats_applications_job_id ON kombo.ats_applications (job_id);
CREATE INDEX ats_applications_current_stage_id ON kombo.ats_applications (current_stage_id);

CREATE TABLE kombo.ats_interviews (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    application_id text COLLATE "C",
    stage_id text COLLATE "C",
    title text,
    starting_at timestamptz,
    ending_at timestamptz,
    location jsonb,
    video_conferencing_url text,
    canceled boolean,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX ats_interviews_application_id ON kombo.ats_interviews (application_id);
CREATE INDEX ats_interviews_stage_id ON kombo.ats_interviews (stage_id);

CREATE TABLE kombo.ats_join_interviews_users (
    integration_id text COLLATE "C" NOT NULL,
    interview_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, interview_id, user_id)
) WITH (fillfactor = 85);
CREATE INDEX ats_join_interviews_users_user_id ON kombo.ats_join_interviews_users (user_id);

CREATE TABLE kombo.ats_offers (
    integration_id text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    remote_id text,
    application_id text COLLATE "C",
    status text,
    employment_start_date timestamptz,
    remote_created_at timestamptz,
    remote_updated_at timestamptz,
    remote_data json,
    custom_fields jsonb,
    integration_fields jsonb,
    changed_at timestamptz,
    remote_deleted_at timestamptz,
    removed_at timestamptz,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (integration_id, id)
) WITH (fillfactor = 85);
CREATE INDEX ats_offers_application_id ON kombo.ats_offers (application_id);
