//! A wait of some seconds is reported once on the terminal, in the log and in the status.

use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, RateLimit, SandboxConfig};

use crate::database::Backend;
use crate::program::wait_until;
use crate::world::World;

on_both_databases!(a_wait_for_the_rate_limit_is_said, a_wait_before_a_request_is_sent_again_is_said);

/// Also reported if it is short and concerns one request only.
fn a_wait_before_a_request_is_sent_again_is_said(backend: Backend) {
    for (status, retry_after) in [(429, Some("100")), (503, Some("20")), (502, None)] {
        let world = World::new(backend, SandboxConfig::default());
        let retry_after = retry_after.map(str::to_owned);
        let fault = Fault::always(FaultKind::Error { status, code: None, retry_after });
        world.sandbox.inject(fault.at(Endpoint::LmsUsers));
        let sync = world.spawn(&["sync"]);
        let said = "waiting before the request to Kombo is retried";
        wait_until("the wait is said", || sync.stderr_so_far().contains(said));
        let why = format!("GET /lms/users: HTTP {status}; the request is sent again at ");
        wait_until("the status says it", || {
            let report = world.syncd(&["status", "--json"]).expect_code(0).json();
            let endpoints = report["integrations"][0]["endpoints"].as_array().unwrap().clone();
            let waiting = endpoints.into_iter().find(|state| state["endpoint"] == "lms/users");
            waiting.is_some_and(|state| {
                state["state"] == "retrying" && state["reason"].as_str().is_some_and(|reason| reason.starts_with(&why))
            })
        });
        world.syncd(&["status", "--check"]).expect_code(3);
        sync.kill();
        world.sandbox.clear_faults();
    }
}

fn a_wait_for_the_rate_limit_is_said(backend: Backend) {
    let generator = GeneratorConfig { users: 100, ..GeneratorConfig::default() };
    let rate_limit = RateLimit { requests: 3, window: 60, ..RateLimit::default() };
    let mut world = World::new(backend, SandboxConfig { generator, rate_limit, ..SandboxConfig::default() });
    world.set_toml("kombo.page_size", "5");
    let sync = world.spawn(&["sync"]);
    let said = "Kombo's rate limit is exhausted";
    wait_until("the wait is said", || sync.stderr_so_far().contains(said));
    // The status shows the wait while it lasts, which may be no more than ten seconds from here.
    wait_until("the status says it", || {
        let shown = world.syncd(&["status"]).expect_code(0).stdout;
        let report = world.syncd(&["status", "--json"]).expect_code(0).json();
        shown.contains("No request is sent to Kombo before") && report["waiting_until"].is_string()
    });
    assert!(sync.stderr_so_far().matches(said).count() <= 3, "once for each wait: {}", sync.stderr_so_far());
    sync.kill();
}
