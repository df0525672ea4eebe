//! The command: runs a sandbox on a port until Ctrl-C.

mod cli;
#[cfg(feature = "contract-check")]
mod contract;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use kombo_sandbox::{Sandbox, SandboxConfig};

use crate::cli::Cli;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
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

fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    #[cfg(feature = "contract-check")]
    if let Some(cli::Command::CheckContract { contract }) = &cli.command {
        let fits = runtime.block_on(contract::check(contract))?;
        return Ok(if fits { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    runtime.block_on(serve(cli.into_config()))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: SandboxConfig) -> Result<(), Box<dyn std::error::Error>> {
    let (key, secret) = (config.api_key.clone(), config.webhooks.secret.clone());
    let sandbox = Sandbox::start(config).await?;
    welcome(&sandbox, &key, &secret)?;
    tokio::signal::ctrl_c().await?;
    sandbox.shutdown().await;
    Ok(())
}

fn welcome(sandbox: &Sandbox, key: &str, secret: &str) -> io::Result<()> {
    let (base, control, integrations) = (sandbox.base_url(), sandbox.control_url(), sandbox.integrations());
    let mut out = io::stdout().lock();
    writeln!(out, "kombo-sandbox at {base}")?;
    writeln!(out, "api key          {key}")?;
    writeln!(out, "webhook secret   {secret}")?;
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
