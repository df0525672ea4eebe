use std::fmt::Debug;

use kombo_model::catalogue::Record;
use kombo_model::{Course, CourseProgression, Endpoint, Skill, Timestamp, User};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use sync_core::rows::{Batch, Value, decompose};

use crate::{Listed, MARK, decode};

/// The body of a page, after a letter that selects the list: `u`, `c`, `p` or `s`.
///
/// Each record is read, as a whole or in part, or rejected with its id if it has one, without showing its values. A
/// record that was read as a whole is the same after writing and reading it again. It becomes rows that databases can
/// store, or is rejected with a reason.
pub fn page(data: &[u8]) {
    let Some((list, body)) = data.split_first() else { return };
    let Ok(body) = std::str::from_utf8(body) else { return };
    match list {
        b'c' => both::<Course>(Endpoint::LmsCourses, body),
        b'p' => both::<CourseProgression>(Endpoint::LmsCourseProgressions, body),
        b's' => both::<Skill>(Endpoint::LmsSkills, body),
        _ => both::<User>(Endpoint::LmsUsers, body),
    }
}

/// Reads the page as records of a type, and as the catalogue describes them.
fn both<R: Listed + Serialize + PartialEq + Debug>(endpoint: Endpoint, body: &str) {
    check::<R>(endpoint, body, |_| {});
    check::<Record>(endpoint, body, into_rows);
}

fn check<R>(endpoint: Endpoint, body: &str, check_record: fn(R))
where
    R: Listed + Serialize + PartialEq + Debug,
{
    // The reason why it is not a page must not quote its content either.
    let list = match decode::list::<R>(endpoint, body, decode::Asked::Many) {
        Ok(list) => list,
        Err(error) => {
            if body.matches(MARK).count() == 1 && body.contains(&format!(":\"{MARK}\"")) {
                assert!(!format!("{error:?}").contains(MARK), "{error:?}");
            }
            return;
        }
    };
    let whole: Json = match serde_json::from_str(body) {
        Ok(whole) => whole,
        // Too deep for a tree; the records were read one by one.
        Err(_) => Json::Null,
    };
    // If a key occurs twice, the tree has the last value, but the page is not read at all.
    if let Some(results) = whole["data"]["results"].as_array() {
        // A record that is read in part is in both lists.
        assert!(list.records.len() <= results.len(), "no record is read twice");
        assert!(results.len() <= list.records.len() + list.rejected.len(), "each record is read or rejected");
    }
    let mut last = None;
    for rejected in &list.rejected {
        assert!(last < Some(rejected.index), "in their order");
        last = Some(rejected.index);
        assert!(rejected.index < list.records.len() + list.rejected.len());
        assert!(!rejected.path.is_empty() && !rejected.reason.is_empty());
        assert!(!format!("{rejected:?}").contains(MARK) || in_a_key_or_id(rejected.json.as_str()), "{rejected:?}");
        let text = rejected.json.as_str();
        assert!(serde_json::from_str::<IgnoredAny>(text).is_ok());
        // If a record is too deep for a tree or has two ids, this cannot check it.
        if let Ok(tree) = serde_json::from_str::<Json>(text)
            && text.matches("\"id\"").count() == 1
            && !text.contains('\\')
        {
            if let Some(id) = tree.get("id").and_then(Json::as_str) {
                assert_eq!(rejected.id.as_deref(), Some(id), "a rejected record is named");
            }
        }
    }
    let all_are_whole = list.rejected.is_empty();
    for read in list.records {
        let _ = format!("{read:?}");
        let written = serde_json::to_string(&read).expect("what was read can be written");
        let mut json = serde_json::Deserializer::from_str(&written);
        let again = R::read(endpoint, &mut json).expect("what was written can be read");
        // Fractions under unknown keys may lose their last digit; they are not stored.
        assert!(again == read || !all_are_whole || whole_has_fractions(body), "it reads as something else: {written}");
        check_record(read);
    }
}

fn into_rows(record: Record) {
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut batch = Batch::default();
    match decompose(record, at, &mut batch) {
        Ok(_) => check_rows(&batch),
        Err(refused) => {
            assert!(batch.rows.is_empty() && batch.members.is_empty(), "all of a record or nothing");
            assert!(!refused.path.is_empty() && !refused.reason.is_empty());
        }
    }
}

fn check_rows(batch: &Batch) {
    assert!(!batch.rows.is_empty());
    for incoming in &batch.rows {
        assert!(!incoming.row.key.first().is_empty());
        assert!(!incoming.row.key.to_string().contains('\0'), "PostgreSQL takes no NUL");
        assert_eq!(incoming.row.values().len(), incoming.model.columns().len());
        for value in incoming.row.values() {
            let entry = serde_json::json!({ "column": { "old": value.to_json(), "new": null } }).to_string();
            assert!(serde_json::from_str::<Json>(&entry).is_ok(), "an entry of the change log can be read again");
            assert!(value == value, "a value is equal to itself");
            match value {
                Value::Text(text) => assert!(!text.contains('\0'), "PostgreSQL takes no NUL"),
                Value::Json(text) => {
                    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "cleaned JSON is JSON");
                    assert!(!text.contains('\0'));
                }
                Value::Unreadable => panic!("only a database holds what cannot be read"),
                Value::Absent
                | Value::Null
                | Value::Time(_)
                | Value::Date(_)
                | Value::Number(_)
                | Value::Integer(_)
                | Value::Flag(_) => {}
            }
        }
    }
    for members in &batch.members {
        assert!(members.keys.iter().all(|key| !key.to_string().contains('\0')));
    }
}

/// Whether the marker is part of an id or a key, which errors may show.
fn in_a_key_or_id(json: &str) -> bool {
    json.matches(MARK).count() != 1
        || !json.contains(&format!(":\"{MARK}\""))
        || json.contains(&format!("\"id\":\"{MARK}"))
}

fn whole_has_fractions(body: &str) -> bool {
    body.contains(['.', 'e', 'E'])
}
