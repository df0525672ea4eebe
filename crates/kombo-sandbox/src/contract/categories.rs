//! The listings of HRIS and ATS: fresh, after many changes, and when deleted rows are anonymised.

use chrono::TimeDelta;
use kombo_model::{Category, Endpoint};
use kombo_sandbox::{ClockMode, FIRST_INTEGRATION, GeneratorConfig, Sandbox, SandboxConfig, Stamp};

use super::cases::{Checked, Outcome, schema};

pub(super) async fn run(checked: &mut Checked) -> Outcome {
    for category in [Category::Hris, Category::Ats] {
        let now = Stamp::parse_request("2025-06-01").unwrap_or_default();
        let rates =
            GeneratorConfig { deleted_rate: 0.1, extra_rate: 0.6, null_rate: 0.2, ..GeneratorConfig::default() };
        let sandbox = Sandbox::start(SandboxConfig {
            clock: ClockMode::Manual { now },
            generator: GeneratorConfig { category, users: 40, ..rates },
            ..SandboxConfig::default()
        })
        .await?;
        for (changes, days) in [(0, 0), (300, 0), (0, 20)] {
            for seed in 0..changes {
                // A change may be impossible, such as one of a row that an earlier change purged.
                let _ = sandbox.mutate_random(FIRST_INTEGRATION, seed);
            }
            sandbox.advance(TimeDelta::days(days));
            for endpoint in category.endpoints() {
                list(checked, &sandbox, endpoint).await?;
            }
        }
        sandbox.shutdown().await;
    }
    Ok(())
}

async fn list(checked: &mut Checked, sandbox: &Sandbox, endpoint: Endpoint) -> Outcome {
    let facts = endpoint.info();
    let words = endpoint.path().split(['/', '-']);
    let camel: String = words.map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let validator = checked.document.validator(&schema(&format!("Get{camel}PositiveResponse")))?;
    let mut queries = vec!["ids=nobody".to_owned(), "remote_ids=nothing".to_owned()];
    if facts.has_include_deleted {
        queries.extend(["true", "false"].map(|deleted| format!("include_deleted={deleted}")));
    }
    if facts.has_updated_after {
        queries.extend(["1990-01-01", "2025-05-31T00:00:00.000Z"].map(|after| format!("updated_after={after}")));
    }
    if facts.is_paged {
        queries.push("page_size=7".to_owned());
    }
    for query in queries {
        checked.ask_all_but(sandbox, &format!("/{endpoint}?{query}"), facts.newer, &validator).await?;
    }
    Ok(())
}
