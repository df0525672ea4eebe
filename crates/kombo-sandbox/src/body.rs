//! Parses the bodies of the write endpoints, as strictly as the contract.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::Stamp;

/// The error is Kombo's message about the body.
type Checked<T> = Result<T, String>;

/// Parses a body as a JSON object. An empty body counts as an empty object, because the contract requires no body.
pub(crate) fn object(content_type: Option<&str>, body: &[u8]) -> Checked<Map<String, Value>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let media = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(format!("headers.content-type: expected application/json, got {media:?}"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("body: expected an object".to_owned()),
        Err(error) => Err(format!("body: not JSON: {error}")),
    }
}

/// Rejects keys that the contract does not name, such as misspelt ones.
fn only(at: &str, object: &Map<String, Value>, known: &[&str]) -> Checked<()> {
    match object.keys().find(|it| !known.contains(&it.as_str())) {
        Some(key) => Err(format!("{at}: unrecognised key {key:?}")),
        None => Ok(()),
    }
}

fn text(at: &str, object: &Map<String, Value>, key: &str) -> Checked<String> {
    match object.get(key) {
        None => Err(format!("{at}.{key}: required")),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("{at}.{key}: expected a string, got {other}")),
    }
}

/// Reads a key that may be missing or null, with the same meaning.
fn nullable_text(at: &str, object: &Map<String, Value>, key: &str) -> Checked<Option<String>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(at, object, key).map(Some),
    }
}

fn whole_number(at: &str, object: &Map<String, Value>, key: &str, fits: impl Fn(i64) -> bool) -> Checked<Option<i64>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().filter(|it| fits(*it)) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{at}.{key}: not a whole number in its range: {value}")),
        },
    }
}

/// Checks the empty body of requests without content.
pub(crate) fn nothing(body: &Map<String, Value>) -> Checked<()> {
    only("body", body, &[])
}

/// Reads `type` of `POST /force-sync`.
pub(crate) fn sync_type(body: &Map<String, Value>) -> Checked<&'static str> {
    only("body", body, &["type"])?;
    match body.get("type") {
        None => Ok("FULL"),
        Some(Value::String(text)) if text == "FULL" => Ok("FULL"),
        Some(Value::String(text)) if text == "DELTA" => Ok("DELTA"),
        Some(other) => Err(format!("body.type: expected \"FULL\" or \"DELTA\", got {other}")),
    }
}

/// The user and the revision of a new progression.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) user_id: String,
    pub(crate) course_revision_id: String,
}

/// Reads the body of `POST /lms/course-progressions`.
pub(crate) fn enrolment(body: &Map<String, Value>) -> Checked<Enrolment> {
    only("body", body, &["user_id", "course_revision_id"])?;
    Ok(Enrolment {
        user_id: text("body", body, "user_id")?,
        course_revision_id: text("body", body, "course_revision_id")?,
    })
}

/// The time and score of a completion.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) completed_at: Option<Stamp>,
    pub(crate) score: Option<i64>,
}

/// Reads the body of `POST /lms/course-progressions/{id}/complete`.
pub(crate) fn completion(body: &Map<String, Value>) -> Checked<Completion> {
    only("body", body, &["completed_at", "score"])?;
    let completed_at = match nullable_text("body", body, "completed_at")? {
        None => None,
        Some(text) => {
            let stamp = Stamp::parse_request(&text);
            Some(stamp.ok_or_else(|| format!("body.completed_at: not an accepted date-time: {text:?}"))?)
        }
    };
    Ok(Completion { completed_at, score: whole_number("body", body, "score", |it| (0..=100).contains(&it))? })
}

/// A course to create or change.
#[derive(Clone, Debug)]
pub(crate) struct CourseItem {
    pub(crate) origin_id: String,
    pub(crate) title: String,
    pub(crate) course_url: String,
    /// `None` if the key is missing or null.
    pub(crate) description: Option<String>,
    /// Keys without a field in the read endpoints: duration, languages, thumbnail.
    pub(crate) rest: Map<String, Value>,
}

/// Reads the body of `POST /lms/courses/bulk`.
pub(crate) fn courses(body: &Map<String, Value>) -> Checked<Vec<CourseItem>> {
    only("body", body, &["items"])?;
    let items = match body.get("items") {
        None => return Err("body.items: required".to_owned()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err("body.items: expected an array".to_owned()),
    };
    let items: Vec<CourseItem> = items
        .iter()
        .enumerate()
        .map(|(index, it)| course(&format!("body.items.{index}"), it))
        .collect::<Checked<_>>()?;
    let mut seen = BTreeSet::new();
    match items.iter().find(|it| !seen.insert(&it.origin_id)) {
        Some(twice) => Err(format!("body.items: the origin_id {:?} is there more than once", twice.origin_id)),
        None => Ok(items),
    }
}

fn course(at: &str, item: &Value) -> Checked<CourseItem> {
    let item = item.as_object().ok_or_else(|| format!("{at}: expected an object"))?;
    only(at, item, &["origin_id", "course"])?;
    let origin_id = text(at, item, "origin_id")?;
    let at = &format!("{at}.course");
    let course = match item.get("course") {
        None => return Err(format!("{at}: required")),
        Some(course) => course.as_object().ok_or_else(|| format!("{at}: expected an object"))?,
    };
    let known = ["type", "title", "course_url", "description", "thumbnail_url", "duration", "languages"];
    only(at, course, &known)?;
    if text(at, course, "type")? != "EXTERNAL" {
        return Err(format!("{at}.type: expected \"EXTERNAL\""));
    }
    nullable_text(at, course, "thumbnail_url")?;
    whole_number(at, course, "duration", |it| it > 0)?;
    languages(at, course.get("languages"))?;
    let rest = course.iter().filter(|(key, _)| matches!(key.as_str(), "thumbnail_url" | "duration" | "languages"));
    Ok(CourseItem {
        origin_id,
        title: text(at, course, "title")?,
        course_url: text(at, course, "course_url")?,
        description: nullable_text(at, course, "description")?,
        rest: rest.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

/// Checks each language against `^[a-z]{2,3}(-[A-Z]{2})?$`.
fn languages(at: &str, value: Option<&Value>) -> Checked<()> {
    let fits = |it: &Value| {
        let Some(text) = it.as_str() else { return false };
        let (language, country) = text.split_once('-').unwrap_or((text, "XX"));
        matches!(language.len(), 2..=3)
            && country.len() == 2
            && language.bytes().all(|it| it.is_ascii_lowercase())
            && country.bytes().all(|it| it.is_ascii_uppercase())
    };
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(items)) if items.iter().all(fits) => Ok(()),
        Some(other) => Err(format!("{at}.languages: expected languages such as \"en\" or \"de-CH\", got {other}")),
    }
}
