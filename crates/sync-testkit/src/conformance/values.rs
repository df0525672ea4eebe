use std::sync::Arc;

use kombo_model::Timestamp;
use sync_core::ports::{Scope, Store, StoreError};
use sync_core::rows::{Model, Value};

use super::sample::{alpha, check_rows, full_row, key, read, row_with, time};

/// Texts are stored exactly: empty ones, long ones, white space, quotes, any Unicode, in values and in keys.
pub async fn texts_come_back_to_the_letter<S: Store>(store: Arc<S>) {
    let long = "x".repeat(1_000_000);
    let texts = [
        "",
        " ",
        " a ",
        "a\nb\r\n\tc",
        "O'Neil; DROP TABLE lms_users; --",
        "\"quoted\" \\ back\\slash %_ ?1 $1 :a",
        "NULL",
        "2026-01-01T00:00:00.000Z",
        "{\"json\":1}",
        "Zoë Ωμέγα 学习 한국어 עברית ไทย",
        "e\u{301} é \u{200b} \u{feff} \u{202e}",
        "👩‍👩‍👧‍👦 😀 \u{10ffff}",
        "\u{1} \u{7f} \u{85} \u{fffd} \u{ffff}",
        &long,
    ];
    let model = Model::LmsUsers;
    let rows = texts.iter().enumerate().map(|(number, text)| {
        row_with(model, key(&format!("{number:03}")), "first_name", &Value::Text((*text).to_owned()))
    });
    check_rows(&store, model, rows.collect()).await;
    let keys = texts.iter().filter(|text| !text.is_empty() && text.len() < 1_000);
    check_rows(&store, model, keys.map(|text| full_row(model, key(text))).collect()).await;
}

/// Times keep their milliseconds, from the earliest possible time to the latest.
pub async fn times_come_back_to_the_millisecond<S: Store>(store: Arc<S>) {
    let times = [
        Timestamp::MIN,
        Timestamp::MIN.saturating_add(std::time::Duration::from_millis(1)),
        time("0001-01-01T00:00:00.000Z"),
        time("1582-10-10T12:00:00.001Z"),
        time("1969-12-31T23:59:59.999Z"),
        time("1970-01-01T00:00:00.000Z"),
        time("2022-08-07T14:01:29.196Z"),
        time("2026-03-29T02:30:00.500Z"),
        time("2026-10-25T02:30:00.999Z"),
        time("2038-01-19T03:14:08.000Z"),
        Timestamp::MAX,
    ];
    let model = Model::LmsCourseProgressions;
    let rows = times.iter().enumerate().map(|(number, time)| {
        let mut row = row_with(model, key(&number.to_string()), "completed_at", &Value::Time(*time));
        row.removed_at = Some(*time);
        row.synced_at = *time;
        row
    });
    check_rows(&store, model, rows.collect()).await;
}

/// A value that a database may reject (NUL in a text) is either stored, or the transaction fails with
/// [`StoreError::Refused`] and leaves nothing. The store continues to work.
pub async fn a_value_is_stored_or_refused<S: Store>(store: Arc<S>) {
    let nul = Value::Text("a\0b".to_owned());
    let json = Value::Json(r#"{"a":"\u0000"}"#.to_owned());
    let lone = Value::Json(r#""\ud83d""#.to_owned());
    let model = Model::LmsUsers;
    for (number, (column, value)) in
        [("first_name", nul), ("custom_fields", json), ("remote_data", lone)].iter().enumerate()
    {
        let [good, bad, next] = ["good", "bad", "next"].map(|name| key(&format!("{name} {number}")));
        let rows = [full_row(model, good.clone()), row_with(model, bad.clone(), column, value)];
        let result = store.transact(Scope::Integration(alpha()), move |tx| tx.put_rows(model, &alpha(), &rows)).await;
        let found = read(&store, move |tx| tx.rows(model, &alpha(), &[good, bad])).await;
        match result {
            Ok(()) => assert_eq!(found.len(), 2, "what was taken is there"),
            Err(StoreError::Refused { message }) => {
                assert!(!message.is_empty(), "a refusal says what was refused");
                assert_eq!(found.len(), 0, "nothing of a refused transaction happened");
            }
            Err(error) => panic!("refused values give StoreError::Refused, not {error:?}"),
        }
        check_rows(&store, model, vec![full_row(model, next)]).await;
    }
}
