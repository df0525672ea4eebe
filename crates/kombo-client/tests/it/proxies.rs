//! Proxies set in the environment. The tests run in a child process, because the environment belongs to the whole
//! process.

use std::process::Command;

use kombo_client::{Client, RetryPolicy, UsersQuery};

use crate::server::{Reply, Server};
use crate::{KEY, integration};

/// The URL that the child requests; the parent reads its output.
const ASKS: &str = "KOMBO_CLIENT_TEST_ASKS";

/// Run by the tests below; does nothing on its own.
#[tokio::test]
async fn child() {
    let Ok(base_url) = std::env::var(ASKS) else { return };
    let client = Client::builder(KEY).base_url(base_url).retry(RetryPolicy::NEVER).build().unwrap();
    let error = client.users(&integration(), UsersQuery::default()).next_page().await.unwrap_err();
    eprintln!("said: {error}");
}

fn says(base_url: &str, proxy: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["proxies::child", "--exact", "--nocapture"])
        .env_clear()
        .env(ASKS, base_url)
        .env("ALL_PROXY", format!("http://user:secret@{proxy}"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("secret"), "{said}");
    said.lines().find_map(|line| line.split_once("said: ")).unwrap_or_else(|| panic!("{said}")).1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_pass_requests_on_is_named() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for base_url in ["http://kombo.invalid/v1", "https://kombo.invalid/v1"] {
        let said = says(base_url, &closed);
        assert!(said.contains(&format!("could not pass through the proxy {closed}")), "{said}");
    }
    for status in [403, 407, 502] {
        let server = Server::start([Reply::new(status, &[], "")]).await;
        let proxy = server.address().to_string();
        let said = says("https://kombo.invalid/v1", &proxy);
        assert!(said.contains(&format!("could not pass through the proxy {proxy}")), "{status}: {said}");
    }
    let server = Server::start([Reply::Drop]).await;
    let proxy = server.address().to_string();
    let said = says("http://kombo.invalid/v1", &proxy);
    assert!(said.contains(&format!("kombo.invalid:80 behind the proxy {proxy} dropped the connection")), "{said}");
    let server = Server::start([Reply::new(407, &[], "")]).await;
    let said = says("http://kombo.invalid/v1", &server.address().to_string());
    assert!(said.contains("the proxy asks for credentials"), "{said}");
}
