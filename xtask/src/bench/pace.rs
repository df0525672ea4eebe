//! Measures eight integrations under Kombo's rate limit, with the latency of the internet.

use anyhow::{Context, Result};

use super::figure::{Figure, Target, seconds};
use super::world::{World, watch};

const PER_MINUTE: u64 = 3_000;
const INTEGRATIONS: u64 = 8;

pub(crate) fn run(world: &World) -> Result<Vec<Figure>> {
    // About six thousand requests, so that the limit's window passes.
    let rows = (world.options.records / 10).clamp(10_000, 64_000);
    let each = rows.to_string();
    let sandbox = world.sandbox(&[
        "--prerender",
        "--integrations",
        "8",
        "--latency",
        "200ms",
        "--rate-limit",
        "3000",
        "--users",
        &each,
        "--courses",
        &each,
        "--progressions",
        &each,
    ])?;
    let state = sandbox.control()?.get("/control/state")?;
    let integrations = state.get("integrations").and_then(serde_json::Value::as_object).context("no integrations")?;
    let ids: Vec<String> = integrations.keys().cloned().collect();
    let url = world.postgres.create_database("pace")?;
    let more = format!("[sync]\nworkers = {}", INTEGRATIONS * 3);
    let config = world.config("pace.toml", sandbox.port, &url, &more, &ids)?;
    let ran = watch(&mut world.syncd(&config, &["sync"]))?;
    let log = sandbox.control()?.get("/control/requests")?;
    let requests = log.get("requests").and_then(serde_json::Value::as_array).context("no requests")?;
    let is = |request: &serde_json::Value, status: u64| {
        request.get("status").and_then(serde_json::Value::as_u64) == Some(status)
    };
    let refused = requests.iter().filter(|request| is(request, 429)).count();
    let asked = u64::try_from(requests.len())?;
    let least = INTEGRATIONS * 3 * u64::try_from(rows.div_ceil(250))?;
    let number = |count: u64| std::time::Duration::from_secs(count).as_secs_f64();
    let ideal = number(least) / number(PER_MINUTE) * 60.0;
    Ok(vec![
        Figure {
            what: format!("{INTEGRATIONS} integrations, {least} pages, 200 ms each, {PER_MINUTE} requests a minute"),
            measured: seconds(ran.took),
            yardstick: format!("pages by the limit {ideal:.1} s"),
            judged: ran.took.as_secs_f64() / ideal,
            unit: "x",
            target: Target::AtMost(1.05),
        },
        Figure {
            what: "answers 429 among these".to_owned(),
            measured: refused.to_string(),
            yardstick: "–".to_owned(),
            judged: number(u64::try_from(refused)?),
            unit: "",
            target: Target::AtMost(0.0),
        },
        Figure {
            what: "requests sent".to_owned(),
            measured: asked.to_string(),
            yardstick: format!("{least} pages, and one for the key"),
            judged: number(asked) / number(least + 1),
            unit: "x",
            target: Target::AtMost(1.0),
        },
    ])
}
