-- The mirror of HRIS and ATS: one table for each model, as for LMS.

CREATE TABLE hris_legal_entities (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    address TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_locations (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    type TEXT,
    address TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_teams (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    parent_id TEXT,
    name TEXT,
    type TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_teams_parent_id ON hris_teams (parent_id);

CREATE TABLE hris_employees (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    manager_id TEXT,
    legal_entity_id TEXT,
    work_location_id TEXT,
    employee_number TEXT,
    first_name TEXT,
    last_name TEXT,
    display_full_name TEXT,
    job_title TEXT,
    work_email TEXT,
    personal_email TEXT,
    mobile_phone_number TEXT,
    date_of_birth TEXT,
    nationality TEXT,
    gender TEXT,
    ethnicity TEXT,
    marital_status TEXT,
    home_address TEXT,
    ssn TEXT,
    tax_id TEXT,
    bank_accounts TEXT,
    avatar TEXT,
    employment_status TEXT,
    employment_type TEXT,
    weekly_hours REAL,
    start_date TEXT,
    termination_date TEXT,
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
CREATE INDEX hris_employees_manager_id ON hris_employees (manager_id);
CREATE INDEX hris_employees_legal_entity_id ON hris_employees (legal_entity_id);
CREATE INDEX hris_employees_work_location_id ON hris_employees (work_location_id);

CREATE TABLE hris_join_employees_teams (
    integration_id TEXT NOT NULL,
    employee_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, employee_id, team_id)
) STRICT;
CREATE INDEX hris_join_employees_teams_team_id ON hris_join_employees_teams (team_id);

CREATE TABLE hris_employments (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    employee_id TEXT,
    job_title TEXT,
    employment_type TEXT,
    pay_rate REAL,
    pay_period TEXT,
    pay_frequency TEXT,
    pay_currency TEXT,
    effective_date TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_employments_employee_id ON hris_employments (employee_id);

CREATE TABLE hris_absence_types (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    unit TEXT,
    half_days_supported INTEGER,
    exact_times_supported INTEGER,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_time_off_balances (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    employee_id TEXT,
    type_id TEXT,
    balance REAL,
    balance_unit TEXT,
    used REAL,
    used_unit TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_time_off_balances_employee_id ON hris_time_off_balances (employee_id);
CREATE INDEX hris_time_off_balances_type_id ON hris_time_off_balances (type_id);

CREATE TABLE hris_absences (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    employee_id TEXT,
    approver_id TEXT,
    type_id TEXT,
    status TEXT,
    start_date TEXT,
    end_date TEXT,
    start_half_day INTEGER,
    end_half_day INTEGER,
    start_time TEXT,
    end_time TEXT,
    amount REAL,
    unit TEXT,
    employee_note TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_absences_employee_id ON hris_absences (employee_id);
CREATE INDEX hris_absences_approver_id ON hris_absences (approver_id);
CREATE INDEX hris_absences_type_id ON hris_absences (type_id);

CREATE TABLE hris_timesheets (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    employee_id TEXT,
    started_at TEXT,
    ended_at TEXT,
    timezone TEXT,
    payable_hours REAL,
    unpaid_break_minutes REAL,
    breaks TEXT,
    approval_status TEXT,
    approved_at TEXT,
    comment TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_timesheets_employee_id ON hris_timesheets (employee_id);

CREATE TABLE hris_employee_document_categories (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_skills (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    description TEXT,
    ordered_levels TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_employee_skill_assignments (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    employee_id TEXT,
    skill_id TEXT,
    current_level TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_employee_skill_assignments_employee_id ON hris_employee_skill_assignments (employee_id);
CREATE INDEX hris_employee_skill_assignments_skill_id ON hris_employee_skill_assignments (skill_id);

CREATE TABLE hris_performance_review_cycles (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    review_period_start_date TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE hris_performance_reviews (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    review_cycle_id TEXT,
    reviewee_id TEXT,
    reviewer_id TEXT,
    type TEXT,
    summary_comment TEXT,
    summary_rating TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_performance_reviews_review_cycle_id ON hris_performance_reviews (review_cycle_id);
CREATE INDEX hris_performance_reviews_reviewee_id ON hris_performance_reviews (reviewee_id);
CREATE INDEX hris_performance_reviews_reviewer_id ON hris_performance_reviews (reviewer_id);

CREATE TABLE hris_staffing_entities (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    parent_id TEXT,
    name TEXT,
    model_type TEXT,
    description TEXT,
    status TEXT,
    number_of_openings REAL,
    employment_types TEXT,
    remote_url TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX hris_staffing_entities_parent_id ON hris_staffing_entities (parent_id);

CREATE TABLE hris_join_staffing_entities_locations (
    integration_id TEXT NOT NULL,
    staffing_entity_id TEXT NOT NULL,
    location_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, location_id)
) STRICT;
CREATE INDEX hris_join_staffing_entities_locations_location_id ON hris_join_staffing_entities_locations (location_id);

CREATE TABLE hris_join_staffing_entities_legal_entities (
    integration_id TEXT NOT NULL,
    staffing_entity_id TEXT NOT NULL,
    legal_entity_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, legal_entity_id)
) STRICT;
CREATE INDEX hris_join_staffing_entities_legal_entities_legal_entity_id ON hris_join_staffing_entities_legal_entities (legal_entity_id);

CREATE TABLE hris_join_staffing_entities_groups (
    integration_id TEXT NOT NULL,
    staffing_entity_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, staffing_entity_id, team_id)
) STRICT;
CREATE INDEX hris_join_staffing_entities_groups_team_id ON hris_join_staffing_entities_groups (team_id);

CREATE TABLE ats_roles (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    remote_label TEXT,
    scope TEXT,
    unified_type TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_users (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    first_name TEXT,
    last_name TEXT,
    email TEXT,
    status TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_join_users_roles (
    integration_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role_remote_id TEXT NOT NULL,
    remote_label TEXT,
    scope TEXT,
    unified_type TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, user_id, role_remote_id)
) STRICT;
CREATE INDEX ats_join_users_roles_role_remote_id ON ats_join_users_roles (role_remote_id);

CREATE TABLE ats_application_stages (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_jobs (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    contact_id TEXT,
    name TEXT,
    job_code TEXT,
    description TEXT,
    confidential INTEGER,
    weekly_hours REAL,
    employment_type TEXT,
    status TEXT,
    visibility TEXT,
    category TEXT,
    department TEXT,
    post_url TEXT,
    experience_level TEXT,
    remote_work_status TEXT,
    salary_amount REAL,
    salary_amount_from REAL,
    salary_amount_to REAL,
    salary_currency TEXT,
    salary_period TEXT,
    location TEXT,
    remote_url TEXT,
    opened_at TEXT,
    closed_at TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX ats_jobs_contact_id ON ats_jobs (contact_id);

CREATE TABLE ats_join_jobs_application_stages (
    integration_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    application_stage_id TEXT NOT NULL,
    "index" INTEGER,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, job_id, application_stage_id)
) STRICT;
CREATE INDEX ats_join_jobs_application_stages_application_stage_id ON ats_join_jobs_application_stages (application_stage_id);

CREATE TABLE ats_screening_questions (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    title TEXT,
    description TEXT,
    format TEXT,
    category TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_join_jobs_screening_questions (
    integration_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    screening_question_id TEXT NOT NULL,
    precondition_question_id TEXT,
    precondition_options TEXT,
    "index" INTEGER,
    required INTEGER,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, job_id, screening_question_id)
) STRICT;
CREATE INDEX ats_join_jobs_screening_questions_screening_question_id ON ats_join_jobs_screening_questions (screening_question_id);
CREATE INDEX ats_join_jobs_screening_questions_precondition_question_id ON ats_join_jobs_screening_questions (precondition_question_id);

CREATE TABLE ats_job_postings (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    job_id TEXT,
    title TEXT,
    description_html TEXT,
    status TEXT,
    visibility TEXT,
    url TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX ats_job_postings_job_id ON ats_job_postings (job_id);

CREATE TABLE ats_join_jobs_users (
    integration_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    job_roles TEXT,
    hiring_team_roles TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, job_id, user_id)
) STRICT;
CREATE INDEX ats_join_jobs_users_user_id ON ats_join_jobs_users (user_id);

CREATE TABLE ats_tags (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_candidates (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    first_name TEXT,
    last_name TEXT,
    company TEXT,
    title TEXT,
    confidential INTEGER,
    source TEXT,
    phone_numbers TEXT,
    email_addresses TEXT,
    social_media TEXT,
    location TEXT,
    remote_url TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_join_candidates_tags (
    integration_id TEXT NOT NULL,
    candidate_id TEXT NOT NULL,
    tag_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, candidate_id, tag_id)
) STRICT;
CREATE INDEX ats_join_candidates_tags_tag_id ON ats_join_candidates_tags (tag_id);

CREATE TABLE ats_rejection_reasons (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    name TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;

CREATE TABLE ats_applications (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    candidate_id TEXT,
    job_id TEXT,
    current_stage_id TEXT,
    outcome TEXT,
    rejection_reason_name TEXT,
    rejected_at TEXT,
    screening_question_answers TEXT,
    remote_url TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX ats_applications_candidate_id ON ats_applications (candidate_id);
CREATE INDEX ats_applications_job_id ON ats_applications (job_id);
CREATE INDEX ats_applications_current_stage_id ON ats_applications (current_stage_id);

CREATE TABLE ats_interviews (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    application_id TEXT,
    stage_id TEXT,
    title TEXT,
    starting_at TEXT,
    ending_at TEXT,
    location TEXT,
    video_conferencing_url TEXT,
    canceled INTEGER,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX ats_interviews_application_id ON ats_interviews (application_id);
CREATE INDEX ats_interviews_stage_id ON ats_interviews (stage_id);

CREATE TABLE ats_join_interviews_users (
    integration_id TEXT NOT NULL,
    interview_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, interview_id, user_id)
) STRICT;
CREATE INDEX ats_join_interviews_users_user_id ON ats_join_interviews_users (user_id);

CREATE TABLE ats_offers (
    integration_id TEXT NOT NULL,
    id TEXT NOT NULL,
    remote_id TEXT,
    application_id TEXT,
    status TEXT,
    employment_start_date TEXT,
    remote_created_at TEXT,
    remote_updated_at TEXT,
    remote_data TEXT,
    custom_fields TEXT,
    integration_fields TEXT,
    changed_at TEXT,
    remote_deleted_at TEXT,
    removed_at TEXT,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (integration_id, id)
) STRICT;
CREATE INDEX ats_offers_application_id ON ats_offers (application_id);
