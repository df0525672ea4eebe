use std::sync::Arc;

use sync_core::ports::Store;
use sync_core::rows::{MAX_DOCUMENT_DEPTH, MAX_OPAQUE_DEPTH, Model, Value};

use super::sample::{check_rows, key, row_with};

const COLUMNS: [&str; 3] = ["remote_data", "custom_fields", "integration_fields"];

async fn check(store: &impl Store, columns: &[&str], texts: &[String]) {
    let model = Model::LmsUsers;
    for column in columns {
        let rows = texts.iter().enumerate().map(|(number, text)| {
            row_with(model, key(&format!("{column} {number:03}")), column, &Value::Json(text.clone()))
        });
        check_rows(store, model, rows.collect()).await;
    }
}

/// JSON keeps its meaning. White space, the order of keys and the spelling of numbers may change.
pub async fn json_keeps_its_meaning<S: Store>(store: Arc<S>) {
    let texts = [
        "null",
        "true",
        "0",
        "-0",
        "\"\"",
        "[]",
        "{}",
        "  { \"b\" : [ 1 , 2 ] ,\n\t\"a\" : { } }  ",
        r#"{"b":1,"a":2,"aa":3,"":4}"#,
        "[1.0, 1, 1e2, 1E+2, 100, 1.50, -1.5e-7, 0.1, 123456789.125]",
        "[9007199254740993, 18446744073709551615, -9223372036854775808, 1e300]",
        "[123456789012345678901, 0.12345678901234567890, -0.0, 1e400, 1e-400, 1.7976931348623157e308, 5e-324]",
        r#"{"b":1e400,"a":123456789012345678901,"b":1e400}"#,
        r#"["\u00e9", "é", "\ud83d\ude00", "😀", "\/", "\"", "\\", "\n", "\t", "\u0001", "\u007f"]"#,
        r#"{"'":"O'Neil","$1":"?","\\":"%","Ω":"学习"}"#,
        r#"[{"id":"f1","value":[null,{"x":[]}]},{"id":"f2","value":"2026-01-01"}]"#,
    ];
    check(&store, &COLUMNS, &texts.map(str::to_owned)).await;
}

/// JSON of a megabyte and more is stored, in many parts and in one.
pub async fn json_may_be_large<S: Store>(store: Arc<S>) {
    let parts: Vec<String> =
        (0..40_000).map(|number| format!(r#""key {number}":"the value of number {number}""#)).collect();
    let object = format!("{{{}}}", parts.join(","));
    let text = format!("\"{}\"", "é".repeat(600_000));
    assert!(object.len() > 1_000_000 && text.len() > 1_000_000);
    check(&store, &COLUMNS, &[object, text]).await;
}

/// JSON of the maximum depth that the core allows is stored.
pub async fn json_may_be_deep<S: Store>(store: Arc<S>) {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    check(&store, &COLUMNS, &[nested(MAX_DOCUMENT_DEPTH)]).await;
    check(&store, &["remote_data"], &[nested(MAX_OPAQUE_DEPTH)]).await;
}
