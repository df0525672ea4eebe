//! What the catalogue does not say of the data: which ids a column holds, and plausible values.

use kombo_model::catalogue::Model;
use kombo_model::{Category, Endpoint};
use serde_json::{Value, json};

use crate::generate::words::{FIRST, LAST};

/// Columns with the ids of other rows.
const TARGETS: &[(&str, &str)] = &[
    ("application_id", "ats_applications"),
    ("application_stage_id", "ats_application_stages"),
    ("approver_id", "hris_employees"),
    ("candidate_id", "ats_candidates"),
    ("contact_id", "ats_users"),
    ("current_stage_id", "ats_application_stages"),
    ("employee_id", "hris_employees"),
    ("group_id", "hris_teams"),
    ("interview_id", "ats_interviews"),
    ("job_id", "ats_jobs"),
    ("legal_entity_id", "hris_legal_entities"),
    ("location_id", "hris_locations"),
    ("manager_id", "hris_employees"),
    ("precondition_question_id", "ats_screening_questions"),
    ("review_cycle_id", "hris_performance_review_cycles"),
    ("reviewee_id", "hris_employees"),
    ("reviewer_id", "hris_employees"),
    ("screening_question_id", "ats_screening_questions"),
    ("skill_id", "hris_skills"),
    ("staffing_entity_id", "hris_staffing_entities"),
    ("stage_id", "ats_application_stages"),
    ("tag_id", "ats_tags"),
    ("team_id", "hris_teams"),
    ("type_id", "hris_absence_types"),
    ("user_id", "ats_users"),
    ("work_location_id", "hris_locations"),
];

/// Returns the model whose ids a column holds. Columns such as `parent_id` refer to no nested record.
pub(super) fn target(category: Category, column: &str) -> Option<Model> {
    let (_, name) = TARGETS.iter().find(|(name, _)| *name == column)?;
    Model::from_name(name).filter(|model| model.category() == category)
}

/// Columns that the contract declares as not nullable.
const REQUIRED: &[(&str, &[&str])] = &[
    ("hris_employees", &["remote_id"]),
    ("hris_teams", &["remote_id"]),
    ("hris_employments", &["employee_id"]),
    ("hris_absence_types", &["remote_id"]),
    ("hris_time_off_balances", &["employee_id", "type_id"]),
    ("hris_absences", &["employee_id"]),
    ("hris_timesheets", &["employee_id"]),
    ("hris_performance_review_cycles", &["remote_id"]),
    ("hris_performance_reviews", &["remote_id", "reviewee_id"]),
    ("hris_skills", &["remote_id", "name"]),
    ("hris_employee_skill_assignments", &["employee_id", "skill_id"]),
    ("hris_staffing_entities", &["remote_id"]),
    ("ats_candidates", &["remote_id"]),
    ("ats_jobs", &["remote_id"]),
    ("ats_rejection_reasons", &["remote_id"]),
    ("ats_join_jobs_users", &["job_roles", "hiring_team_roles"]),
];

/// Returns the required columns of `model` with ids of `target`.
pub(super) fn required_references(model: Model, to: Model) -> impl Iterator<Item = &'static str> {
    let columns = REQUIRED.iter().find(|(name, _)| *name == model.as_str()).map_or(&[][..], |(_, columns)| columns);
    columns.iter().copied().filter(move |column| target(model.category(), column) == Some(to))
}

pub(super) fn is_required(model: Model, column: &str) -> bool {
    REQUIRED.iter().any(|(name, columns)| *name == model.as_str() && columns.contains(&column))
}

/// Fields that copies carry beside the columns of the catalogue, by the surrounding model and the key.
pub(super) fn more_in_copies(around: Model, field: &str) -> &'static [&'static str] {
    match (around.as_str(), field) {
        ("hris_employees", "employments" | "time_off_balances" | "work_location")
        | ("hris_absences" | "hris_time_off_balances", "type")
        | ("hris_performance_reviews", "review_cycle") => &["changed_at", "remote_deleted_at"],
        ("hris_performance_reviews", "reviewee" | "reviewer") => &["remote_deleted_at"],
        ("ats_candidates", "applications") => &["changed_at"],
        ("ats_applications", "current_stage") => &["index"],
        _ => &[],
    }
}

type Field = (&'static str, fn() -> Value);

/// Fields of records that the mirror leaves out.
pub(super) fn left_out(endpoint: Endpoint) -> &'static [Field] {
    match endpoint.as_str() {
        "hris/employees" => &[("teams", || json!([]))],
        _ => &[],
    }
}

/// The values of a text column.
pub(super) enum Words {
    OneOf(&'static [&'static str]),
    Email,
    Number(&'static str),
    Url,
}

const EMPLOYMENT_TYPES: &[&str] = &["FULL_TIME", "PART_TIME", "CONTRACT"];
const UNITS: &[&str] = &["DAYS", "HOURS"];
const TITLES: &[&str] =
    &["Software Engineer", "Account Executive", "People Partner", "Nurse", "Warehouse Lead", "Financial Analyst"];

#[expect(clippy::match_same_arms, reason = "one line for each column")]
/// Returns the values of a text column. A column of one model goes before one of any.
pub(super) fn words(model: &str, column: &str) -> Words {
    let values: &[&str] = match (model, column) {
        (_, "first_name") => FIRST,
        (_, "last_name") => LAST,
        (_, "work_email" | "personal_email" | "email") => return Words::Email,
        (_, "remote_url" | "post_url" | "url" | "video_conferencing_url" | "avatar") => return Words::Url,
        ("hris_employees", "employment_status") => &["ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "LEAVE", "PENDING"],
        (_, "employment_type") => EMPLOYMENT_TYPES,
        (_, "gender") => &["FEMALE", "MALE", "NON_BINARY", "NOT_SPECIFIED"],
        (_, "ethnicity") => &["DECLINE_TO_SPECIFY", "ASIAN", "WHITE", "MULTIPLE_ETHNICITIES"],
        (_, "marital_status") => &["SINGLE", "MARRIED", "DIVORCED"],
        (_, "nationality") => &["DE", "FR", "GB", "US", "NL"],
        ("hris_employments" | "hris_employees", "job_title") => TITLES,
        (_, "pay_period" | "salary_period") => &["YEAR", "MONTH", "HOUR"],
        (_, "pay_frequency") => &["MONTHLY", "BIWEEKLY"],
        (_, "pay_currency" | "salary_currency") => &["EUR", "USD", "GBP"],
        ("hris_teams", "type") => &["DEPARTMENT", "TEAM", "COST_CENTER"],
        ("hris_teams", "name") => &["Engineering", "Sales", "People", "Finance", "Support", "Operations"],
        ("hris_locations", "name") => &["Berlin", "Lyon", "Leeds", "Austin", "Utrecht"],
        ("hris_locations", "type") => &["office", "remote"],
        ("hris_legal_entities", "name") => &["Acme GmbH", "Acme SAS", "Acme Ltd", "Acme, Inc."],
        (_, "unit" | "balance_unit" | "used_unit") => UNITS,
        ("hris_absence_types", "name") => &["Vacation", "Sick leave", "Parental leave", "Business trip"],
        ("hris_absences", "status") => &["APPROVED", "REQUESTED", "DECLINED", "CANCELLED"],
        ("hris_absences", "employee_note") => &["Moving house", "Family visit", "Dentist"],
        ("hris_timesheets", "approval_status") => &["APPROVED", "PENDING"],
        ("hris_timesheets", "comment") => &["Inventory", "Night shift"],
        (_, "timezone") => &["+02:00", "-05:00"],
        ("hris_performance_review_cycles", "name") => &["Mid-year review", "Annual review"],
        ("hris_performance_reviews", "type") => &["MANAGER", "PEER", "SELF", "DIRECT_REPORT"],
        ("hris_performance_reviews", "summary_comment") => &["Exceeds expectations.", "Solid work.", "Needs support."],
        ("hris_skills", "name") => &["Negotiation", "Rust", "First aid", "Forklift", "Accounting"],
        ("hris_employee_skill_assignments", "current_level") => &["Beginner", "Advanced", "Expert"],
        ("hris_staffing_entities", "name") => TITLES,
        ("hris_staffing_entities", "model_type") => &["POSITION", "JOB", "REQUISITION"],
        ("hris_staffing_entities", "status") => &["OPEN_LIMITED", "FILLED", "FROZEN"],
        ("hris_employee_document_categories", "name") => &["Contracts", "Payslips", "Certificates"],
        ("ats_applications", "outcome") => &["PENDING", "PENDING", "PENDING", "HIRED", "DECLINED"],
        ("ats_applications", "rejection_reason_name") | ("ats_rejection_reasons", "name") => {
            &["Not enough experience", "Withdrew", "Position filled"]
        }
        ("ats_application_stages", "name") => &["Applied", "Phone screen", "Interview", "Offer", "Hired"],
        ("ats_jobs", "name" | "title") | ("ats_job_postings" | "ats_candidates", "title") => TITLES,
        ("ats_jobs", "status") => &["OPEN", "OPEN", "CLOSED", "DRAFT"],
        (_, "visibility") => &["PUBLIC", "INTERNAL"],
        ("ats_jobs", "department" | "category") => &["Engineering", "Sales", "Operations"],
        ("ats_jobs", "experience_level") => &["Senior", "Junior"],
        ("ats_jobs", "remote_work_status") => &["REMOTE", "HYBRID", "ON_SITE"],
        ("ats_job_postings" | "ats_users", "status") => &["ACTIVE", "INACTIVE"],
        ("ats_offers", "status") => &["SENT", "ACCEPTED", "DECLINED", "DRAFT"],
        ("ats_screening_questions", "category") => &["EEO", "DEMOGRAPHIC"],
        ("ats_screening_questions", "title") => &["Do you have a driving licence?", "When can you start?"],
        (_, "scope") => &["SYSTEM", "JOB"],
        (_, "unified_type") => &["RECRUITER", "HIRING_MANAGER", "ADMIN"],
        (_, "remote_label") => &["Recruiter", "Hiring manager", "Administrator"],
        ("ats_tags", "name") => &["referral", "relocation", "alumni", "urgent"],
        ("ats_candidates", "source") => &["Referral", "Careers page", "Job board"],
        ("ats_candidates", "company") => &["Globex", "Initech", "Umbrella"],
        ("ats_interviews", "title") => &["Phone screen", "On-site interview", "Meet the team"],
        ("hris_employees", "employee_number") => return Words::Number("E"),
        ("ats_jobs", "job_code") => return Words::Number("J"),
        (_, "remote_id" | "role_remote_id") => return Words::Number("r"),
        _ => &["Lorem ipsum", "As agreed", "See the handbook"],
    };
    Words::OneOf(values)
}

/// Returns the value of a JSON column.
pub(super) fn document(model: &str, column: &str, number: usize) -> Value {
    let address = || {
        json!({ "city": "Berlin", "country": "DE", "raw": format!("Hauptstraße {number}, Berlin"), "state": null,
                "street_1": format!("Hauptstraße {number}"), "street_2": null, "zip_code": "10115" })
    };
    match (model, column) {
        (_, "integration_fields") => json!([]),
        (_, "custom_fields") => json!({ "badge": number, "since": "2024" }),
        (_, "address" | "home_address" | "location") => address(),
        ("ats_candidates", "email_addresses") => {
            json!([{ "email_address": format!("candidate{number}@example.com"), "type": "PRIMARY" }])
        }
        ("ats_candidates", "phone_numbers") => json!([{ "phone_number": format!("+49 30 {number}"), "type": null }]),
        ("ats_screening_questions", "format") => {
            json!({ "type": "BOOLEAN" })
        }
        ("ats_join_jobs_users", "hiring_team_roles") => json!(["RECRUITER"]),
        ("ats_join_jobs_users", "job_roles") => {
            json!([{ "remote_id": "1", "remote_label": "Recruiter", "scope": "JOB", "unified_type": "RECRUITER" }])
        }
        ("hris_staffing_entities", "employment_types") => {
            json!([{ "remote_label": "Full time", "unified_type": "FULL_TIME" }])
        }
        ("hris_join_staffing_entities_skills", "proficiency_scale") => json!({ "type": "NUMERIC", "min": 1, "max": 5 }),
        ("hris_skills", "ordered_levels") => json!(["Beginner", "Advanced", "Expert"]),
        _ => Value::Null,
    }
}
