use super::*;

#[test]
fn a_trailing_slash_makes_no_difference_and_a_path_is_kept() {
    for (text, url) in [
        ("https://api.kombo.dev/v1", "https://api.kombo.dev/v1"),
        ("http://127.0.0.1:9000/kombo/v1//", "http://127.0.0.1:9000/kombo/v1"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
    ] {
        assert_eq!(parse(text).unwrap().as_str(), url);
    }
}

#[test]
fn says_what_is_wrong() {
    for (text, what) in [
        ("api.kombo.dev/v1", "without a base"),
        ("ftp://api.kombo.dev", "the scheme is ftp"),
        ("http://", "empty host"),
        ("https://me:secret@api.kombo.dev", "user name or password"),
        ("https://api.kombo.dev/v1?key=secret", "a query or a fragment"),
        ("https://api.kombo.dev/v1#x", "a query or a fragment"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(what), "{text}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn names_host_and_port() {
    assert_eq!(host(&parse("https://api.kombo.dev/v1").unwrap()), "api.kombo.dev:443");
    assert_eq!(host(&parse("http://[::1]:9/v1").unwrap()), "[::1]:9");
}

#[test]
fn knows_this_machine() {
    for (text, own) in [
        ("http://localhost:1", true),
        ("http://127.8.0.1", true),
        ("http://[::1]", true),
        ("http://10.0.0.1", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(is_loopback(&parse(text).unwrap()), own, "{text}");
    }
}
