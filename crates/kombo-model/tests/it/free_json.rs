use kombo_model::{Course, FreeJson, User};
use proptest::prelude::*;

/// Returns a user with this `remote_data`.
fn user(remote_data: &str) -> User {
    serde_json::from_str(&format!(r#"{{"id":"a","remote_data":{remote_data},"first_name":"x"}}"#)).unwrap()
}

#[test]
fn free_json_stays_as_it_came() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(1_000_000));
    for text in [
        "{}",
        r#"{ "b" : 1,"a":1 , "a":2 }"#,
        "1.50",
        "1e400",
        "123456789012345678901234567890",
        "0.1000000000000000000000000000000000001",
        r#""\u00e9\/\ud83d\ude00""#,
        "false",
        &deep,
        &deep_object,
        &large,
    ] {
        let user = user(text);
        let kept = user.remote_data.as_ref().unwrap();
        assert!(kept.as_str() == text, "{} characters", text.len());
        let written = serde_json::to_string(&user).unwrap();
        assert!(written.contains(text));
        assert!(serde_json::from_str::<User>(&written).unwrap() == user);
        assert!(kept.clone().into_string() == text);
    }
}

#[test]
fn free_json_is_kept_inside_nested_records() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let json = format!(r#"{{"id":"c","revisions":[{{"id":"r","remote_data":{deep},"custom_fields":{{ }}}}]}}"#);
    let course: Course = serde_json::from_str(&json).unwrap();
    let revision = &course.revisions.value().unwrap()[0];
    assert!(revision.remote_data.as_ref().unwrap().as_str() == deep);
    assert_eq!(revision.custom_fields.as_ref().unwrap().as_str(), "{ }");
}

#[test]
fn null_is_no_free_json() {
    assert_eq!(user("null").remote_data, None);
}

#[test]
fn equality_is_of_the_text() {
    let json = |text: &str| FreeJson::new(text.to_owned()).unwrap();
    assert_eq!(json(r#"{"a":1}"#), json(r#"{"a":1}"#));
    assert_ne!(json(r#"{"a":1}"#), json(r#"{ "a": 1 }"#));
    assert_eq!(json("[1, 2]").read::<Vec<u8>>().unwrap(), [1, 2]);
}

#[test]
fn what_is_not_json_is_refused() {
    for text in ["", "{", "nul", "{'a':1}", "1 2", "[1,]", "NaN"] {
        FreeJson::new(text.to_owned()).unwrap_err();
    }
}

proptest! {
    #[test]
    fn any_text_survives(text in "\\PC{0,60}", key in "\\PC{0,10}") {
        let json = serde_json::json!({ key: [text, 1] }).to_string();
        prop_assert_eq!(user(&json).remote_data.unwrap().into_string(), json);
    }
}
