//! Plausible rows of any model, from a seed.

use chrono::TimeDelta;
use kombo_model::Category;
use kombo_model::catalogue::{Column, ColumnKind, Model};
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::render::target_of_join;
use super::words::{self, Words};
use super::{Record, Records, is_join, own_columns, target};
use crate::generate::Dice;
use crate::{GeneratorConfig, Id};

/// Models with many rows for each user of the configuration, and those with a few.
const FACTORS: &[(&str, usize, usize)] = &[
    ("hris_employees", 1, 1),
    ("hris_employments", 3, 2),
    ("hris_absences", 2, 1),
    ("hris_time_off_balances", 2, 1),
    ("hris_timesheets", 1, 1),
    ("hris_employee_skill_assignments", 1, 1),
    ("ats_candidates", 1, 1),
    ("ats_applications", 3, 2),
    ("ats_jobs", 1, 5),
    ("ats_interviews", 1, 2),
    ("ats_offers", 1, 4),
    ("ats_users", 1, 5),
];

/// Generates all rows of an integration of a category.
pub(crate) fn generate(config: &GeneratorConfig, category: Category) -> Records {
    let mut dice = Dice::new(config, config.seed);
    let mut records = Records::default();
    let models: Vec<Model> = category.models().filter(|model| !is_join(*model)).collect();
    // Ids first: models refer to each other in circles.
    for model in &models {
        let factor = FACTORS.iter().find(|(name, ..)| *name == model.as_str());
        let count = factor.map_or(config.users.min(12), |(_, times, part)| (config.users * times).div_ceil(*part));
        for _ in 0..count {
            let id = Id::random(&mut dice.rng);
            records.rows_mut(*model).insert(id, Record::default());
        }
    }
    for model in &models {
        for id in ids(&records, *model) {
            let row = row(&mut dice, &records, *model);
            records.rows_mut(*model).insert(id, row);
        }
    }
    for join in category.models().filter(|model| is_join(*model)) {
        let parents = join.parent().map(|parent| ids(&records, parent)).unwrap_or_default();
        let targets = target_of_join(join).map(|target| ids(&records, target));
        for parent in parents {
            for number in 0..dice.below(3) {
                let target = match &targets {
                    Some(targets) => dice.pick_id(targets),
                    None => format!("role-{number}").parse().ok(),
                };
                if let Some(target) = target {
                    let values = values(&mut dice, &records, join);
                    records.joins_mut(join).insert((parent, target), values);
                }
            }
        }
    }
    records
}

fn ids(records: &Records, model: Model) -> Vec<Id> {
    records.rows(model).keys().copied().collect()
}

/// Generates a row.
pub(crate) fn row(dice: &mut Dice<'_>, records: &Records, model: Model) -> Record {
    let mut values = values(dice, records, model);
    agree(dice, &mut values);
    let deleted_at = if model.info().has_times { dice.deletion() } else { None };
    let changed_at = deleted_at.unwrap_or_else(|| dice.past());
    Record { values, changed_at, members_changed_at: changed_at, deleted_at, anonymised: false }
}

/// Makes columns agree that belong together.
fn agree(dice: &mut Dice<'_>, values: &mut Map<String, Value>) {
    let text = |values: &Map<String, Value>, column: &str| values.get(column)?.as_str().map(str::to_owned);
    if let (Some(first), Some(last)) = (text(values, "first_name"), text(values, "last_name")) {
        let letters = |name: &str| -> String { name.chars().filter(char::is_ascii_alphanumeric).collect() };
        let name = format!("{}.{}", letters(&first), letters(&last)).to_lowercase();
        for column in ["work_email", "email"] {
            if values.get(column).is_some_and(Value::is_string) {
                values.insert(column.to_owned(), json!(format!("{}@example.com", name.trim_matches('.'))));
            }
        }
        if values.contains_key("display_full_name") {
            values.insert("display_full_name".to_owned(), json!(format!("{first} {last}")));
        }
    }
    if let Some(start) = text(values, "start_date").and_then(|start| start.parse::<chrono::NaiveDate>().ok()) {
        let days = dice.rng.random_range(0..10);
        values.insert("end_date".to_owned(), json!((start + TimeDelta::days(days)).to_string()));
    }
}

fn values(dice: &mut Dice<'_>, records: &Records, model: Model) -> Map<String, Value> {
    own_columns(model).iter().map(|column| (column.name.to_owned(), value(dice, records, model, column))).collect()
}

fn value(dice: &mut Dice<'_>, records: &Records, model: Model, column: &Column) -> Value {
    let is_optional = !words::is_required(model, column.name);
    if is_optional && column.name != "integration_fields" && dice.chance(dice.config.null_rate) {
        return Value::Null;
    }
    let number = dice.below(100_000);
    match column.kind {
        ColumnKind::Id => {
            let Some(target) = target(model, column.name) else { return Value::Null };
            let keys = records.rows(target).keys();
            let count = keys.len();
            keys.copied().nth(dice.below(count)).map_or(Value::Null, |id| id.as_str().into())
        }
        ColumnKind::Time => json!(dice.past()),
        ColumnKind::Date => {
            let days = dice.rng.random_range(-400..60);
            json!(dice.config.until.plus(TimeDelta::days(days)).to_chrono().format("%Y-%m-%d").to_string())
        }
        ColumnKind::Number => json!(f64::from(u32::try_from(number).unwrap_or_default()) / 4.0),
        ColumnKind::Integer => json!(number % 10),
        ColumnKind::Flag => json!(number.is_multiple_of(2)),
        ColumnKind::Document => words::document(model.as_str(), column.name, number),
        ColumnKind::Opaque => {
            if dice.chance(dice.config.extra_rate) {
                json!({ "/v1/raw": { "number": number } })
            } else {
                Value::Null
            }
        }
        ColumnKind::Text => match words::words(model.as_str(), column.name) {
            Words::OneOf(values) => json!(dice.pick(values)),
            Words::Email => json!(format!("person{number}@example.com")),
            Words::Number(prefix) => json!(format!("{prefix}{number}")),
            Words::Url => json!(format!("https://tool.example.com/{model}/{number}")),
        },
    }
}
