use kombo_model::{ApiKeyInfo, Course, CourseProgression, User};
use proptest::prelude::*;

use super::*;

fn users(results: &str) -> List<User> {
    list(&format!(r#"{{"status":"success","data":{{"next":null,"results":{results}}}}}"#)).unwrap()
}

fn unexpected<T>(result: Result<T, Undecodable>) -> (String, String) {
    match result {
        Err(Undecodable::Unexpected { path, reason }) => (path, reason),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("readable"),
    }
}

#[test]
fn a_broken_record_fails_alone() {
    let page = users(r#"[{"id":"a"},{"id":"b","first_name":["Ada"]},{"id":"c"},7,{"id":5},null,{"first_name":"Ada"}]"#);
    let ids: Vec<&str> = page.records.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["a", "c"]);
    let rejected: Vec<_> = page
        .rejected
        .iter()
        .map(|record| (record.index, record.id.as_deref(), record.path.as_str(), record.reason.as_str()))
        .collect();
    assert_eq!(
        rejected,
        [
            (1, Some("b"), "first_name", "invalid type: sequence, expected a string"),
            (3, None, ".", "invalid type: integer, expected struct User"),
            (4, None, "id", "invalid type: integer, expected a string"),
            (5, None, ".", "invalid type: null, expected struct User"),
            (6, None, ".", "missing field `id`"),
        ]
    );
    assert_eq!(page.rejected[0].json.as_str(), r#"{"id":"b","first_name":["Ada"]}"#);
}

#[test]
fn the_path_leads_into_nested_records() {
    let body = r#"{"status":"success","data":{"next":"n","results":[
        {"id":"c","revisions":[{"id":"r0"},{"id":"r1"},{"id":"r2","changed_at":"yesterday, expected today"}]},
        {"id":"d","revisions":[{"id":"r0","skill_assignments":[{"skill":{"name":"x"}}]}]}]}}"#;
    let page = list::<Course>(body).unwrap();
    assert_eq!(page.next.as_deref(), Some("n"));
    assert_eq!(page.rejected[0].path, "revisions[2].changed_at");
    assert_eq!(page.rejected[0].reason, "not a time such as 2022-08-07T14:01:29.196Z");
    assert_eq!(page.rejected[1].path, "revisions[0].skill_assignments[0].skill");
    assert_eq!(page.rejected[1].reason, "missing field `id`");

    let body = r#"{"status":"success","data":{"next":null,"results":[{"id":"p","user":{"id":"u","work_email":7}}]}}"#;
    assert_eq!(list::<CourseProgression>(body).unwrap().rejected[0].path, "user.work_email");
}

#[test]
fn a_fault_at_a_key_without_a_name_has_a_path_too() {
    let page = users(r#"[{"id":"a","":"\ud83d, half of a character"}]"#);
    assert_eq!((page.rejected[0].id.as_deref(), page.rejected[0].path.as_str()), (Some("a"), "."));
}

#[test]
fn reasons_do_not_quote_values() {
    for (name, value, reason) in [
        ("status", r#"{"Ada":"Lovelace"}"#, "invalid type: map, expected a string"),
        ("changed_at", r#""Ada, expected Lovelace""#, "not a time such as 2022-08-07T14:01:29.196Z"),
        ("first_name", "1234567", "invalid type: integer, expected a string"),
        ("first_name", "12.5", "invalid type: floating point, expected a string"),
        ("first_name", "true", "invalid type: boolean, expected a string"),
    ] {
        let page = users(&format!(r#"[{{"id":"a","{name}":{value}}}]"#));
        assert_eq!((page.rejected[0].path.as_str(), page.rejected[0].reason.as_str()), (name, reason));
    }
    let page = users(r#"["Ada \", expected Lovelace"]"#);
    assert_eq!(page.rejected[0].reason, "invalid type: string, expected struct User");
}

#[test]
fn unknown_keys_values_and_deep_free_json_are_no_fault() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let page = users(&format!(r#"[{{"id":"a","status":"ON_LEAVE","new_key":[1],"remote_data":{deep}}}]"#));
    assert!(page.rejected.is_empty());
    assert_eq!(page.records[0].remote_data.as_ref().unwrap().as_str(), deep);
}

#[test]
fn a_body_that_is_not_kombos_names_the_place() {
    for (body, path, reason) in [
        (r#"{"status":"success","data":{"results":[]}}"#, "data", "missing field `next`"),
        (r#"{"status":"success","data":{"next":null}}"#, "data", "missing field `results`"),
        (
            r#"{"status":"success","data":{"next":5,"results":[]}}"#,
            "data.next",
            "invalid type: integer, expected a string",
        ),
        (
            r#"{"status":"success","data":{"next":null,"results":{}}}"#,
            "data.results",
            "invalid type: map, expected a sequence",
        ),
        (r#"{"status":"ok","data":{"next":null,"results":[]}}"#, "status", "not \"success\""),
        (r#"{"message":"hello"}"#, ".", "missing field `status`"),
        ("[]", ".", "invalid length 0, expected struct Envelope with 2 elements"),
    ] {
        let (at, why) = unexpected(list::<User>(body));
        assert_eq!((at.as_str(), why.as_str()), (path, reason), "{body}");
    }
    let reason = "expected value at line 1 column 1".to_owned();
    assert_eq!(list::<User>("<html></html>").err(), Some(Undecodable::NotJson { reason }));
    assert!(unexpected(object::<ApiKeyInfo>(r#"{"status":"success","data":[7]}"#)).1.contains("expected"));
}

proptest! {
    #[test]
    fn a_body_cut_anywhere_is_incomplete(cut in 0_usize..1_000) {
        let body = r#"{"status":"success","data":{"next":"abc","results":[{"id":"a","first_name":"Ada"},{"id":"b"}]}}"#;
        let cut = cut % body.len();
        prop_assert_eq!(list::<User>(&body[..cut]).map(|_| ()), Err(Undecodable::Incomplete));
    }

    #[test]
    fn no_text_makes_it_panic(body in "\\PC*") {
        list::<User>(&body).ok();
    }
}

#[test]
fn remarks_on_a_write_that_cannot_be_read_do_not_fail_it() {
    for (warnings, read) in [(r#"[{"message":"a"},{}]"#, 2), ("[]", 0), ("null", 0), (r#""oops""#, 0), ("[7]", 0)] {
        let body = format!(r#"{{"status":"success","data":5,"warnings":{warnings}}}"#);
        let (data, warnings) = written::<u8>(&body).unwrap();
        assert_eq!((data, warnings.len()), (5, read), "{body}");
    }
    assert!(written::<u8>(r#"{"status":"error","data":5,"warnings":[]}"#).is_err());
    assert!(written::<u8>(r#"{"status":"success","warnings":[]}"#).is_err());
}
