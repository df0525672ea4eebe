//! Rate limit, latency and the Date header.

use chrono::TimeDelta;
use kombo_sandbox::{ClockMode, RateLimit, SandboxConfig, Stamp};

use crate::client::{get, send, start};

#[tokio::test]
async fn the_limit_is_counted_down_refused_and_reset() {
    let now = Stamp::parse_request("2025-07-01T00:00:20.500Z").unwrap();
    let sandbox = start(SandboxConfig {
        clock: ClockMode::Manual { now },
        rate_limit: RateLimit { requests: 2, retry_after: true, ..RateLimit::default() },
        ..SandboxConfig::default()
    })
    .await;
    let _ = send(&sandbox, "GET", "/v1/check-api-key", &[], "").await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = get(&sandbox, "/check-api-key").await;
        assert_eq!(answer.header("ratelimit-limit"), "2");
        assert_eq!(answer.header("ratelimit-reset"), "40");
        seen.push((answer.status, answer.header("ratelimit-remaining").to_owned()));
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "40");
            assert_eq!(answer.code(), "PLATFORM.RATE_LIMIT_EXCEEDED");
        }
    }
    assert_eq!(seen, [(200, "1".to_owned()), (200, "0".to_owned()), (429, "0".to_owned())]);
    sandbox.advance(TimeDelta::seconds(40));
    assert_eq!(get(&sandbox, "/lms/users").await.status, 200);
}

#[tokio::test]
async fn without_a_limit_the_headers_are_still_there() {
    let sandbox = start(SandboxConfig::default()).await;
    let answer = get(&sandbox, "/check-api-key").await;
    assert_eq!((answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")), ("300", "300"));
    assert!((1..=60).contains(&answer.header("ratelimit-reset").parse().unwrap()));
}

#[tokio::test]
async fn the_date_is_the_sandboxs_own() {
    let now = Stamp::parse_request("2025-07-01T00:00:20.999Z").unwrap();
    let sandbox = start(SandboxConfig { clock: ClockMode::Manual { now }, ..SandboxConfig::default() }).await;
    let answer = get(&sandbox, "/check-api-key").await;
    assert_eq!(answer.header("date"), "Tue, 01 Jul 2025 00:00:20 GMT");
    assert_eq!(answer.headers.get_all("date").iter().count(), 1);
}
