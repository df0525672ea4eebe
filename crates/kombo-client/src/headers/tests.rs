use reqwest::header::{HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Number of seconds that a response asks to wait.
fn wait(status: u16, pairs: &[(&'static str, &str)]) -> Option<u64> {
    let wait = retry_after(&headers(pairs), StatusCode::from_u16(status).unwrap(), None, EPOCH.parse().unwrap());
    wait.map(|wait| wait.as_secs())
}

#[test]
fn reads_the_rate_limit() {
    let read = rate_limit(&headers(&[
        ("ratelimit-limit", "300"),
        ("ratelimit-remaining", " 299 "),
        ("ratelimit-reset", "42"),
    ]));
    assert_eq!(read, RateLimit { limit: Some(300), remaining: Some(299), reset: Some(Duration::from_secs(42)) });
}

#[test]
fn nonsense_counts_as_missing() {
    let read = rate_limit(&headers(&[
        ("ratelimit-limit", "300;w=60"),
        ("ratelimit-remaining", "-1"),
        // A time of day instead of the time left.
        ("ratelimit-reset", "1754000000"),
    ]));
    assert_eq!(read, RateLimit::default());
    assert_eq!(server_date(&headers(&[("date", "yesterday")])), None);
    assert_eq!(server_date(&headers(&[("date", "Mon, 01 Jan 99999 00:00:00 GMT")])), None);
    assert_eq!(wait(503, &[("retry-after", "soon")]), None);
}

#[test]
fn reads_the_date() {
    let date = server_date(&headers(&[("date", "Sun, 07 Aug 2022 14:01:29 GMT")]));
    assert_eq!(date, Some("2022-08-07T14:01:29Z".parse().unwrap()));
}

#[test]
fn retry_after_may_be_seconds_or_a_date() {
    assert_eq!(wait(503, &[("retry-after", "7")]), Some(7));
    assert_eq!(wait(503, &[("retry-after", "0")]), Some(0));
    assert_eq!(wait(503, &[("retry-after", "18446744073709551615")]), Some(3_600));
    let date = ("retry-after", "Sun, 07 Aug 2022 14:01:39 GMT");
    assert_eq!(wait(503, &[date, ("date", "Sun, 07 Aug 2022 14:01:29 GMT")]), Some(10));
    assert_eq!(wait(503, &[date, ("date", "Sun, 07 Aug 2022 15:00:00 GMT")]), Some(0));
    assert_eq!(wait(503, &[("retry-after", "Thu, 01 Jan 1970 00:00:05 GMT")]), Some(5));
}

#[test]
fn a_wait_is_read_in_each_form_that_http_ever_had() {
    let now = ("date", "Sun, 07 Aug 2022 14:01:29 GMT");
    for (text, seconds) in [
        ("Sun, 07 Aug 2022 14:01:39 GMT", Some(10)),
        ("Sunday, 07-Aug-22 14:01:39 GMT", Some(10)),
        ("Sun Aug  7 14:01:39 2022", Some(10)),
        ("Sun, 07 Aug 2022 16:01:39 +0200", Some(10)),
        ("Tue, 07 Aug 2029 14:01:39 GMT", Some(3_600)),
        ("Fri, 07 Aug 1992 14:01:39 GMT", Some(0)),
        (" 12 ", Some(12)),
        ("1.9", Some(1)),
        ("99999999999999999999999999", Some(3_600)),
        ("-5", None),
        ("-99999999999999999999999999", None),
        ("", None),
        ("inf", None),
        ("NaN", None),
        ("+5", None),
    ] {
        assert_eq!(wait(503, &[("retry-after", text), now]), seconds, "{text:?}");
    }
    for date in ["Sunday, 07-Aug-22 14:01:29 GMT", "Sun Aug  7 14:01:29 2022", "Sun, 07 Aug 2022 14:01:29 GMT"] {
        assert_eq!(server_date(&headers(&[("date", date)])), server_date(&headers(&[now])), "{date:?}");
        assert_eq!(wait(503, &[("retry-after", "Sun Aug  7 14:01:39 2022"), ("date", date)]), Some(10), "{date:?}");
    }
}

#[test]
fn codings_that_are_not_undone_are_named() {
    let named = |value: &str| foreign_encoding(&headers(&[("content-encoding", value)]));
    for known in ["gzip", "GZIP", "x-gzip", "identity", "", " gzip , identity"] {
        assert_eq!(named(known), None, "{known:?}");
    }
    assert_eq!(named("br").as_deref(), Some("br"));
    assert_eq!(named("gzip, Zstd,deflate").as_deref(), Some("Zstd, deflate"));
    assert_eq!(foreign_encoding(&HeaderMap::new()), None);
}

#[test]
fn a_charset_of_one_byte_is_recognised() {
    let latin1 = |kind: &str| is_latin1(&headers(&[("content-type", kind)]));
    assert!(latin1("application/json; charset=ISO-8859-1") && latin1("text/json;v=1; Charset=\"latin1\""));
    assert!(!latin1("application/json; charset=utf-8") && !latin1("application/json"));
}

#[test]
fn the_window_counts_only_where_it_is_used_up() {
    let reset = ("ratelimit-reset", "30");
    assert_eq!(wait(429, &[reset]), Some(30));
    assert_eq!(wait(429, &[reset, ("ratelimit-remaining", "0")]), Some(30));
    assert_eq!(wait(429, &[reset, ("ratelimit-remaining", "12")]), None);
    assert_eq!(wait(503, &[reset, ("ratelimit-remaining", "0")]), None);
    assert_eq!(wait(429, &[reset, ("retry-after", "5")]), Some(30));
    assert_eq!(wait(429, &[reset, ("retry-after", "50")]), Some(50));

    let headers = headers(&[reset, ("ratelimit-remaining", "12")]);
    let code = ErrorCode::PlatformRateLimitExceeded;
    let named = retry_after(&headers, StatusCode::TOO_MANY_REQUESTS, Some(&code), EPOCH.parse().unwrap());
    assert_eq!(named, Some(Duration::from_secs(30)));
}

#[test]
fn a_redirect_names_its_host() {
    let asked: Url = "http://127.0.0.1:9000/v1/lms/users".parse().unwrap();
    let host = |location: &str| redirect_host(&headers(&[("location", location)]), &asked);
    assert_eq!(host("https://kombo.example/login?key=1").as_deref(), Some("kombo.example"));
    assert_eq!(host("/login").as_deref(), Some("127.0.0.1"));
    assert_eq!(redirect_host(&HeaderMap::new(), &asked), None);
}
