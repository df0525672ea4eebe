use kombo_model::{ApiKeyInfo, Course, CourseProgression, User};
use proptest::prelude::*;

use super::*;

fn users(results: &str) -> List<User> {
    list(
        Endpoint::LmsUsers,
        &format!(r#"{{"status":"success","data":{{"next":null,"results":{results}}}}}"#),
        Asked::Many,
    )
    .unwrap()
}

fn unexpected<T>(result: Result<T, Undecodable>) -> (String, String) {
    match result {
        Err(Undecodable::Unexpected { path, reason }) => (path, reason),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("readable"),
    }
}

#[test]
fn a_broken_record_fails_alone_and_a_broken_field_costs_itself() {
    let page = users(
        r#"[{"id":"a"},{"id":"b","first_name":["Ada"],"last_name":"L"},{"id":"c"},7,{"id":5},null,{"first_name":"Ada"}]"#,
    );
    let ids: Vec<&str> = page.records.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "5"]);
    assert_eq!((&page.records[1].first_name, page.records[1].last_name.as_deref()), (&None, Some("L")));
    assert_eq!(page.records[1].unread, ["first_name"]);
    let rejected: Vec<_> = page
        .rejected
        .iter()
        .map(|record| (record.index, record.id.as_deref(), record.path.as_str(), record.reason.as_str()))
        .collect();
    assert_eq!(
        rejected,
        [
            (1, Some("b"), "first_name", "expected a text, found a list"),
            (3, None, ".", "expected an object, found a number"),
            (5, None, ".", "expected an object, found null"),
            (6, None, "id", "missing"),
        ]
    );
    assert_eq!(page.rejected[0].json.as_str(), r#"{"id":"b","first_name":["Ada"],"last_name":"L"}"#);
}

#[test]
fn the_path_leads_into_nested_records() {
    let body = r#"{"status":"success","data":{"next":"n","results":[
        {"id":"c","revisions":[{"id":"r0"},{"id":"r1"},{"id":"r2","changed_at":"yesterday, expected today"}]},
        {"id":"d","revisions":[{"id":"r0","skill_assignments":[{"skill":{"name":"x"}}]}]}]}}"#;
    let page = list::<Course>(Endpoint::LmsCourses, body, Asked::Many).unwrap();
    assert_eq!(page.next.as_deref(), Some("n"));
    assert_eq!(page.rejected[0].path, "revisions[2].changed_at");
    assert_eq!(page.rejected[0].reason, "not a time such as 2022-08-07T14:01:29.196Z");
    assert_eq!(page.rejected[1].path, "revisions[0].skill_assignments[0].skill.id");
    assert_eq!(page.rejected[1].reason, "missing");
    assert_eq!(page.records.len(), 2);

    let body = r#"{"status":"success","data":{"next":null,"results":[{"id":"p","user":{"id":"u","work_email":[]}}]}}"#;
    let page = list::<CourseProgression>(Endpoint::LmsCourseProgressions, body, Asked::Many).unwrap();
    assert_eq!(page.rejected[0].path, "user.work_email");
    let user = page.records[0].user.value().unwrap();
    assert_eq!((user.id.as_str(), &user.work_email), ("u", &kombo_model::Maybe::Absent));
}

#[test]
fn what_no_parser_reads_costs_a_letter() {
    let page =
        users("[{\"id\":\"a\",\"\":\"\\ud83d\",\"last_name\":\"Ada \\ud83d\"},{\"id\":\"b\",\"first_name\":\"a\nb\"}]");
    assert!(page.rejected.is_empty());
    assert_eq!(page.records[0].last_name.as_deref(), Some("Ada \u{fffd}"));
    assert_eq!(page.records[1].first_name.as_deref(), Some("a\nb"));
}

#[test]
fn reasons_do_not_quote_values() {
    for (name, value, reason) in [
        ("status", r#"{"Ada":"Lovelace"}"#, "expected a text, found an object"),
        ("changed_at", r#""Ada, expected Lovelace""#, "not a time such as 2022-08-07T14:01:29.196Z"),
        ("changed_at", "1659880889196", "expected a time, found a number"),
        ("first_name", r#"["Ada"]"#, "expected a text, found a list"),
    ] {
        let page = users(&format!(r#"[{{"id":"a","{name}":{value}}}]"#));
        assert_eq!((page.rejected[0].path.as_str(), page.rejected[0].reason.as_str()), (name, reason));
    }
    let page = users(r#"["Ada \", expected Lovelace"]"#);
    assert_eq!(page.rejected[0].reason, "expected an object, found a text");
}

#[test]
fn unknown_keys_are_skipped_whatever_they_hold() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for odd in ["1e400", r#""\ud83d""#, r#"{"\ud83d":1}"#, "-0.0e-999999999999", deep.as_str()] {
        let user = format!(r#"{{"id":"u","odd":{odd},"custom_fields":{odd},"first_name":"Ada"}}"#);
        let page = users(&format!("[{user}]"));
        assert!(page.rejected.is_empty(), "{odd}");
        assert_eq!(page.records[0].first_name.as_deref(), Some("Ada"), "{odd}");
        let nested = format!(
            r#"{{"status":"success","x":{odd},"data":{{"y":{odd},"next":null,"results":[
            {{"id":"p","odd":{odd},"user":{user},"course_revision":{{"id":"r","odd":{odd},"course":{{"id":"c","odd":{odd}}}}}}}
        ]}}}}"#
        );
        let page = list::<CourseProgression>(Endpoint::LmsCourseProgressions, &nested, Asked::Many).unwrap();
        assert!(page.rejected.is_empty(), "{odd}");
        assert!(page.records[0].course_revision.value().unwrap().course.value().is_some(), "{odd}");
    }
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
        (r#"{"status":"success","data":{"next":false,"results":[]}}"#, "data.next", "neither a text nor null"),
        (
            r#"{"status":"success","data":{"next":null,"results":{}}}"#,
            "data.results",
            "invalid type: map, expected a sequence",
        ),
        (r#"{"status":"ok","data":{"next":null,"results":[]}}"#, "status", "not \"success\""),
        (r#"{"message":"hello"}"#, ".", "missing field `status`"),
        ("[]", ".", "invalid length 0, expected struct Envelope with 2 elements"),
    ] {
        let (at, why) = unexpected(list::<User>(Endpoint::LmsUsers, body, Asked::Many));
        assert_eq!((at.as_str(), why.as_str()), (path, reason), "{body}");
    }
    let reason = "expected value at line 1 column 1".to_owned();
    assert_eq!(
        list::<User>(Endpoint::LmsUsers, "<html></html>", Asked::Many).err(),
        Some(Undecodable::NotJson { reason })
    );
    assert!(unexpected(object::<ApiKeyInfo>(r#"{"status":"success","data":[7]}"#)).1.contains("expected"));
}

proptest! {
    #[test]
    fn a_body_cut_anywhere_is_incomplete(cut in 0_usize..1_000) {
        let body = r#"{"status":"success","data":{"next":"abc","results":[{"id":"a","first_name":"Ada"},{"id":"b"}]}}"#;
        let cut = cut % body.len();
        prop_assert_eq!(list::<User>(Endpoint::LmsUsers, &body[..cut], Asked::One).map(|_| ()), Err(Undecodable::Incomplete));
    }

    #[test]
    fn no_text_makes_it_panic(body in "\\PC*") {
        list::<User>(Endpoint::LmsUsers, &body, Asked::Many).ok();
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

#[test]
fn a_value_that_is_no_json_costs_its_field() {
    for value in ["NaN", "-Infinity", "01", "1.", ".5", "+1", "True", "undefined", "0x1F", "", "'Ada'"] {
        for field in ["first_name", "changed_at", "custom_fields", "integration_fields"] {
            let page = users(&format!(r#"[{{"id":"a"}},{{"id":"b","{field}":{value},"last_name":"L"}},{{"id":"c"}}]"#));
            let ids: Vec<&str> = page.records.iter().map(|user| user.id.as_str()).collect();
            assert_eq!(ids, ["a", "b", "c"], "{value} in {field}");
            let read = &page.records[1];
            assert_eq!((read.last_name.as_deref(), &*read.unread), (Some("L"), &[field][..]), "{value} in {field}");
            let [rejected] = &page.rejected[..] else { panic!("{:?}", page.rejected) };
            assert_eq!((rejected.index, rejected.id.as_deref(), rejected.path.as_str()), (1, Some("b"), field));
            assert!(rejected.reason.contains("no JSON"), "{}", rejected.reason);
        }
        let nested = users(&format!(r#"[{{"id":"b","custom_fields":{{"a":[1,{{"b":{value}}}]}}}},{{"id":"c"}}]"#));
        assert_eq!((nested.records.len(), nested.rejected[0].path.as_str()), (2, "custom_fields"), "{value}");
        // An unknown key loses nothing.
        let unknown = users(&format!(r#"[{{"id":"b","added_later":{{"a":{value}}}}}]"#));
        assert_eq!((unknown.records.len(), unknown.rejected.len()), (1, 0), "{value}");
    }
    let page = users(r#"[{"id":"a","custom_fields":{"a":[1,2,],},},{"id":"b"},]"#);
    assert_eq!((page.records.len(), page.rejected.len()), (2, 0));
    assert_eq!(page.records[0].custom_fields.as_ref().unwrap().as_str(), r#"{"a":[1,2]}"#);
}

#[test]
fn a_record_that_is_no_json_is_quarantined() {
    for broken in [
        r#"{"id":"b" "first_name":"Ada"}"#,
        r#"{"first_name":"Ada" "x","id":"b"}"#,
        r#"{"id":"b",first_name:"Ada"}"#,
        r#"{"id":"b","custom_fields":[1,2}"#,
        r#"{"id":"b","custom_fields":{"a":1}}}"#,
        r#"{"id":"b","first_name":"Ada "the first""}"#,
        r#"{"id":"b","first_name":"\x"}"#,
    ] {
        let page = users(&format!(r#"[{{"id":"a"}}, {broken}, {{"id":"c"}}]"#));
        let ids: Vec<&str> = page.records.iter().map(|user| user.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"], "{broken}");
        let [rejected] = &page.rejected[..] else { panic!("{:?}", page.rejected) };
        assert_eq!((rejected.index, rejected.id.as_deref(), rejected.path.as_str()), (1, Some("b"), "."), "{broken}");
        assert_eq!(rejected.reason, "not JSON");
        let kept: String = serde_json::from_str(rejected.json.as_str()).unwrap();
        assert!(kept.starts_with('{') && kept.contains(r#""id":"b""#), "{kept}");
    }
}

/// If a quotation mark or a bracket is missing, the end of a record is unclear, unless it is the only one.
#[test]
fn a_record_without_an_end_is_quarantined_if_it_is_alone() {
    for broken in [
        r#"{"id":"b","first_name":"Ada ",x","last_name":"L"}"#,
        r#"{"id":"b","first_name":"Ada}"#,
        r#"{"id":"b","custom_fields":{"a":1}"#,
        r#"{"id":"b","custom_fields":1]}"#,
    ] {
        for (before, behind) in [(r#""next":"n[]","#, ""), ("", r#","next":"n[]""#)] {
            let body =
                |records: &str| format!(r#"{{"status":"success","data":{{{before}"results":[{records}]{behind}}}}}"#);
            let several =
                list::<User>(Endpoint::LmsUsers, &body(&format!(r#"{{"id":"a"}},{broken},{{"id":"c"}}"#)), Asked::Many);
            assert!(matches!(several, Err(Undecodable::Garbled { .. })), "{broken}: {several:?}");
            let alone = list::<User>(Endpoint::LmsUsers, &body(broken), Asked::One).unwrap();
            assert_eq!((alone.records.len(), alone.next.as_deref()), (0, Some("n[]")), "{broken}");
            assert_eq!((alone.rejected[0].id.as_deref(), alone.rejected[0].reason.as_str()), (Some("b"), "not JSON"));
        }
    }
}

/// A body that is not a page is never mended into one.
#[test]
fn what_is_no_page_is_not_mended() {
    for body in ["<html>{}</html>", "NaN", "[NaN]", r#"{"status":"success","data":NaN}"#, "{'status': 'success'}"] {
        assert!(
            matches!(list::<User>(Endpoint::LmsUsers, body, Asked::One), Err(Undecodable::NotJson { .. })),
            "{body}"
        );
    }
    for body in [
        r#"{"status":"success","data":{"next":null,"results":[{"id":"a"},{"id":"b","custom_fields":{"x":[NaN]}}"#,
        r#"{"status":"success","data":{"next":null,"results":[{"id":"a"},{"id":"b","custom_fields":{"x":[]}}"#,
        r#"{"status":"success","data":{"next":null,"results":[NaN,"a"#,
        r#"{"status":"success","data":{"next":null,"results":[NaN]"#,
    ] {
        let cut = list::<User>(Endpoint::LmsUsers, body, Asked::One);
        assert!(matches!(cut, Err(Undecodable::Incomplete | Undecodable::NotJson { .. })), "{body}: {cut:?}");
    }
}

/// If each closing bracket searched all open ones, this would take hours.
#[test]
fn brackets_that_match_nothing_take_linear_time() {
    for (opened, closed) in [("{", "]"), ("[", "}")] {
        let brackets = [opened.repeat(1_000_000), closed.repeat(1_000_000)].concat();
        let outside = format!(r#"{brackets}"data":{{"results":[{{"id":"a"}}]}}}}"#);
        list::<User>(Endpoint::LmsUsers, &outside, Asked::Many).unwrap_err();
        let inside = format!(r#"{{"status":"success","data":{{"next":null,"results":[{brackets}{{"id":"a"}}]}}}}"#);
        list::<User>(Endpoint::LmsUsers, &inside, Asked::One).ok();
    }
}
