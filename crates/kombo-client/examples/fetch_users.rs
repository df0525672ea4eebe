//! Lists users page by page, from a sandbox, or from an account named by the environment:
//! `KOMBO_API_KEY=… KOMBO_INTEGRATION_ID=… cargo run -p kombo-client --example fetch_users`.
//!
//! With the sandbox, it prints:
//!
//! ```text
//! page 1: 40 users
//! page 2: 40 users
//! page 3: 16 users
//! 96 users, of which 82 are active; 0 could not be read
//! ```
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::env;
use std::error::Error;

use kombo_client::{Client, UsersQuery};
use kombo_model::{ActiveStatus, IntegrationId};
use kombo_sandbox::{FIRST_INTEGRATION, Sandbox, SandboxConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::start(SandboxConfig::default()).await?;
    let (client, integration) = match (env::var("KOMBO_API_KEY"), env::var("KOMBO_INTEGRATION_ID")) {
        (Ok(key), Ok(integration)) => (Client::builder(key), integration),
        _ => (Client::builder("sandbox-key").base_url(sandbox.base_url()), FIRST_INTEGRATION.to_owned()),
    };
    // The default of 250 per page is better: this only shows several pages.
    let client = client.page_size(40).build()?;

    let mut pages = client.users(&IntegrationId::from(integration), UsersQuery::default());
    let (mut number, mut all, mut active, mut unreadable) = (0, 0, 0, 0);
    while let Some(page) = pages.next_page().await? {
        number += 1;
        println!("page {number}: {} users", page.records.len());
        all += page.records.len();
        active += page.records.iter().filter(|user| user.status == Some(ActiveStatus::Active)).count();
        unreadable += page.rejected.len();
    }
    println!("{all} users, of which {active} are active; {unreadable} could not be read");
    Ok(())
}
