use super::*;

#[test]
fn reads_kombos_error() {
    let body = r#"{"status":"error","error":{"code":"PLATFORM.INPUT_INVALID","title":"Input invalid",
        "message":"page_size is too large","log_url":"https://app.kombo.dev/logs/1"}}"#;
    let error = kombo_error(body, "key").unwrap();
    assert_eq!(error.code, Some(ErrorCode::PlatformInputInvalid));
    assert_eq!(error.title.as_deref(), Some("Input invalid"));
    assert_eq!(error.message, "page_size is too large");
    assert_eq!(error.log_url.as_deref(), Some("https://app.kombo.dev/logs/1"));
}

#[test]
fn a_code_is_not_lost_over_what_else_is_missing() {
    for body in [
        r#"{"status":"error","error":{"code":"INTEGRATION.INACTIVE"}}"#,
        r#"{"status":"error","error":{"code":"INTEGRATION.INACTIVE","message":null,"title":null,"log_url":null},"x":1}"#,
    ] {
        assert_eq!(kombo_error(body, "key").unwrap().code, Some(ErrorCode::IntegrationInactive));
    }
    let without = kombo_error(r#"{"status":"error","error":{"code":null,"message":"m"}}"#, "key").unwrap();
    assert_eq!(without.code, None);
    assert_eq!(kombo_error(r#"{"status":"error","error":{"code":"","message":"m"}}"#, "key").unwrap().code, None);
}

#[test]
fn bodies_of_others_are_not_kombos() {
    for body in [
        "",
        "<html>502</html>",
        "null",
        r#"{"message":"Internal server error"}"#,
        r#"{"error":{"code":"ServiceUnavailable","message":"Azure says"}}"#,
        r#"{"status":"error","error":"a text"}"#,
        r#"{"status":"error","error":{"code":503,"message":"m"}}"#,
        r#"{"status":503,"error":"Service Unavailable"}"#,
    ] {
        assert_eq!(kombo_error(body, "key"), None, "{body}");
    }
}

#[test]
fn texts_are_fit_for_a_log() {
    let message = format!("line\\nforged key-123 {}", "x".repeat(5_000));
    let body = format!(r#"{{"status":"error","error":{{"code":"key-123","message":"{message}"}}}}"#);
    let error = kombo_error(&body, "key-123").unwrap();
    assert!(error.message.starts_with("line forged [redacted] xxx"), "{}", error.message);
    assert_eq!(error.message.chars().count(), LONGEST_TEXT + 1);
    assert_eq!(error.code, Some(ErrorCode::Other("[redacted]".to_owned())));
}
