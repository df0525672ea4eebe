//! The command: a sandbox on a port, until Ctrl-C.

mod cli;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use kombo_sandbox::{Sandbox, SandboxConfig};

use crate::cli::Cli;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut source = error.source();
            while let Some(it) = source {
                text = format!("{text}: {it}");
                source = it.source();
            }
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = cli.into_config();
    runtime.block_on(serve(config))
}

async fn serve(config: SandboxConfig) -> Result<(), Box<dyn std::error::Error>> {
    let key = config.api_key.clone();
    let sandbox = Sandbox::start(config).await?;
    welcome(&sandbox, &key)?;
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}

fn welcome(sandbox: &Sandbox, key: &str) -> io::Result<()> {
    let (base, control, integrations) = (sandbox.base_url(), sandbox.control_url(), sandbox.integrations());
    let mut out = io::stdout().lock();
    writeln!(out, "kombo-sandbox at {base}")?;
    writeln!(out, "api key          {key}")?;
    for id in &integrations {
        writeln!(out, "integration      {id}")?;
    }
    let first = integrations.first().map_or(kombo_sandbox::FIRST_INTEGRATION, String::as_str);
    writeln!(out, "\nTry:")?;
    writeln!(out, "  curl -H 'Authorization: Bearer {key}' {base}/check-api-key")?;
    writeln!(
        out,
        "  curl -H 'Authorization: Bearer {key}' -H 'X-Integration-Id: {first}' '{base}/lms/users?page_size=2'"
    )?;
    writeln!(
        out,
        "  curl -H 'Content-Type: application/json' -d '{{\"integration\":\"{first}\",\"count\":5,\"seed\":1}}' {control}/mutate"
    )?;
    out.flush()
}
