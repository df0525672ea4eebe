//! Creates single rows, for the generator and for mutations that add rows.

use serde_json::{Value, json, value::to_raw_value};

use super::{Dice, words};
use crate::{Course, Id, Json, Meta, Progression, ProgressionStatus, Provider, Revision, Skill, Stamp, User};

fn raw(value: &Value) -> Option<Json> {
    to_raw_value(value).ok()
}

fn boxed(text: impl AsRef<str>) -> Box<str> {
    text.as_ref().into()
}

fn meta(dice: &mut Dice<'_>, prefix: &str) -> Meta {
    let created = dice.past();
    let remote_deleted_at = dice.deletion();
    let changed_at = remote_deleted_at.unwrap_or_else(|| dice.past().max(created));
    Meta {
        remote_id: Some(remote_id(dice, prefix)),
        remote_created_at: dice.nullable(created),
        changed_at,
        remote_deleted_at,
        remote_data: remote_data(dice, prefix),
        custom_fields: custom_fields(dice),
        integration_fields: integration_fields(dice),
        anonymised: false,
    }
}

fn remote_id(dice: &mut Dice<'_>, prefix: &str) -> Box<str> {
    let number = dice.below(10_000_000);
    if dice.chance(0.5) { number.to_string().into() } else { format!("{prefix}-{number}").into() }
}

fn remote_data(dice: &mut Dice<'_>, prefix: &str) -> Option<Json> {
    if !dice.chance(dice.config.extra_rate) {
        return None;
    }
    let number = dice.below(1_000_000);
    raw(&json!({
        format!("/api/v2/{prefix}s"): {
            "ID": number,
            "ratio": 0.1,
            "big": 9_007_199_254_740_993_u64,
            "tags": ["a", null, { "deep": [1, 2.5, -3] }],
            "note": dice.pick(words::SENTENCES),
            "empty": {},
        }
    }))
}

/// Returns random letters and digits, split into words.
fn letters(dice: &mut Dice<'_>, count: usize) -> String {
    let mut text = String::with_capacity(count + 25);
    while text.len() < count {
        text.push_str(Id::random(&mut dice.rng).as_str());
        text.push(' ');
    }
    text.truncate(count);
    text
}

fn custom_fields(dice: &mut Dice<'_>) -> Option<Json> {
    if !dice.chance(dice.config.extra_rate) {
        return None;
    }
    let value = match dice.below(5) {
        0 => json!({}),
        1 => json!({ "cost_centre": format!("CC-{}", dice.below(900)), "remote": dice.chance(0.5) }),
        2 => json!({ "größe": "XL", "日付": "2024-02-29", "": "empty key" }),
        3 => json!({ "nested": { "list": [], "none": null }, "n": dice.below(1000) }),
        _ => json!({ "language": dice.pick(&["de", "en", "fr", "ja"]), "score": 12.75 }),
    };
    raw(&value)
}

fn integration_fields(dice: &mut Dice<'_>) -> Option<Json> {
    if !dice.chance(dice.config.extra_rate) {
        return None;
    }
    let mut fields = Vec::new();
    for number in 0..dice.below(3) {
        let value = match dice.below(6) {
            0 => Value::Null,
            1 => json!("XL"),
            2 => json!(dice.below(5000)),
            3 => json!(dice.chance(0.5)),
            4 => json!(["a", 1, null]),
            _ => json!({ "id": 1, "name": "Jo\u{0301}" }),
        };
        let default = dice.chance(0.5);
        fields.push(json!({
            "id": Id::random(&mut dice.rng),
            "key": format!("field{number}"),
            "type": if default { "DEFAULT" } else { "CUSTOM" },
            "value": value,
            "label": dice.nullable("Field 🏷️"),
        }));
    }
    raw(&Value::Array(fields))
}

pub(crate) fn new_user(dice: &mut Dice<'_>, id: Id) -> User {
    let (first, last) = (dice.pick(words::FIRST), dice.pick(words::LAST));
    let short: String = id.as_str().chars().take(10).collect();
    let email = boxed(format!("{}@example.com", short.to_lowercase()));
    let active = dice.chance(0.9);
    User {
        meta: meta(dice, "user"),
        first_name: dice.nullable(boxed(first)),
        last_name: dice.nullable(boxed(last)),
        work_email: dice.nullable(email),
        status: dice.nullable(boxed(if active { "ACTIVE" } else { "INACTIVE" })),
    }
}

pub(crate) fn new_provider(dice: &mut Dice<'_>) -> Provider {
    let name = boxed(dice.pick(words::PROVIDERS));
    Provider { remote_id: Some(remote_id(dice, "provider")), name: dice.nullable(name) }
}

pub(crate) fn new_skill(dice: &mut Dice<'_>) -> Skill {
    let name = boxed(dice.pick(words::SKILLS));
    let mut meta = meta(dice, "skill");
    meta.remote_id = meta.remote_id.and_then(|it| dice.nullable(it));
    Skill { meta, name: dice.nullable(name) }
}

pub(crate) fn new_course(dice: &mut Dice<'_>, providers: &[Id]) -> Course {
    let provider_id = dice.pick_id(providers);
    let origin = boxed(format!("origin-{}", dice.below(100_000)));
    let has_origin = dice.chance(0.2);
    Course {
        meta: meta(dice, "course"),
        provider_id: provider_id.and_then(|it| dice.nullable(it)),
        origin_id: has_origin.then_some(origin),
        revisions: Vec::new(),
        revisions_changed_at: Stamp::MIN,
        nested_changed_at: Stamp::MIN,
    }
}

pub(crate) fn new_revision(dice: &mut Dice<'_>, course: Id, number: usize, skills: &[Id]) -> Revision {
    let mut title = format!("{} {}", dice.pick(words::VERBS), dice.pick(words::TOPICS));
    if number > 0 {
        title = format!("{title} (v{})", number + 1);
    }
    let description = boxed(format!("{} {}", dice.pick(words::SENTENCES), dice.pick(words::SENTENCES)));
    let url = boxed(format!("https://learning.example.com/courses/{course}/v{}?lang=en#top", number + 1));
    let active = dice.chance(0.85);
    let mut taught = Vec::new();
    for _ in 0..dice.below(4) {
        if let Some(skill) = dice.pick_id(skills)
            && !taught.contains(&skill)
        {
            taught.push(skill);
        }
    }
    Revision {
        meta: meta(dice, "revision"),
        course_id: Some(course),
        title: dice.nullable(title.into()),
        description: dice.nullable(description),
        remote_url: dice.nullable(url),
        status: dice.nullable(boxed(if active { "ACTIVE" } else { "INACTIVE" })),
        skills: taught,
    }
}

pub(crate) fn new_progression(dice: &mut Dice<'_>, user: Id, revision: Id) -> Progression {
    let status = match dice.below(10) {
        0..=2 => ProgressionStatus::Enrolled,
        3..=5 => ProgressionStatus::InProgress,
        6..=8 => ProgressionStatus::Completed,
        _ => ProgressionStatus::Dropped,
    };
    let enrolled = dice.past();
    let changed = dice.past().max(enrolled);
    let completed_at = (status == ProgressionStatus::Completed).then_some(changed);
    let remote_deleted_at = dice.deletion();
    let has_remote_data = dice.chance(0.1);
    let remote_data = match dice.config.filler {
        0 if has_remote_data => remote_data(dice, "progress"),
        0 => None,
        filler => raw(&json!({ "/api/v2/progress": { "note": letters(dice, filler) } })),
    };
    Progression {
        remote_id: Some(remote_id(dice, "progress")),
        user_id: user,
        course_revision_id: revision,
        status: dice.nullable(status),
        enrolled_at: dice.nullable(enrolled),
        completed_at,
        changed_at: remote_deleted_at.unwrap_or(changed),
        remote_deleted_at,
        remote_data,
        anonymised: false,
    }
}
