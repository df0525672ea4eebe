use std::error::Error as StdError;
use std::fmt::Write as _;

use kombo_client::{Client, RetryPolicy, UserFilters, UsersQuery};

use crate::server::{Reply, Server};
use crate::{KEY, builder, integration};

/// Returns everything that an error shows in any form, including all its sources.
fn everything(error: &dyn StdError) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        write!(text, "{error} {error:?} {error:#?} ").unwrap();
        next = error.source();
    }
    text
}

#[tokio::test]
async fn no_error_shows_the_key_or_a_filter() {
    let echo = format!(r#"{{"status":"error","error":{{"code":null,"message":"bad key {KEY}","title":"{KEY}"}}}}"#);
    let closed = [("content-length", "9")];
    for reply in [
        Reply::Drop,
        Reply::Bytes(b"nonsense\r\n\r\n".to_vec()),
        Reply::raw(200, &closed, "{"),
        Reply::new(401, &[], echo),
        Reply::ok(r#"{"status":"success","data":{"next":["ada@example.com"],"results":[]}}"#),
        Reply::new(302, &[("location", "https://elsewhere.example/?key=the-key-that-nobody-may-see")], ""),
    ] {
        let server = Server::start([reply]).await;
        let client = builder(&server).retry(RetryPolicy::NEVER).build().unwrap();
        let filters = UserFilters { work_emails: vec!["ada@example.com".to_owned()] };
        let query = UsersQuery { filters, ..UsersQuery::default() };
        let mut pages = client.users(&integration(), query);
        let shown = format!("{pages:?} {client:?}");
        let shown = shown + &everything(&pages.next_page().await.unwrap_err());
        assert!(!shown.contains(KEY) && !shown.contains("ada"), "{shown}");
    }
}

#[test]
fn no_builder_shows_the_key() {
    let builder = Client::builder(KEY);
    assert!(!format!("{builder:?}").contains(KEY));
    let wrong = Client::builder(KEY).base_url(format!("https://me:{KEY}@host/"));
    assert!(!format!("{wrong:?}").contains(KEY));
    let error = wrong.build().unwrap_err();
    assert!(!everything(&error).contains(KEY));
    let error = Client::builder(format!("{KEY}\n")).build().unwrap_err();
    assert!(!everything(&error).contains(KEY));
}
