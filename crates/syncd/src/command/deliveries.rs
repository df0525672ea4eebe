use kombo_model::{IntegrationId, Timestamp};
use serde::Serialize;
use sync_core::outbox::DeliveryState;
use sync_core::outbox::{self, DeadLetter, DeliveryStatus};
use sync_core::ports::{Clock as _, Scope, Store as _, StoreError, Tx, TxResult};

use crate::cli::LettersArgs;
use crate::clock::SystemClock;
use crate::config::ConfigError;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open};

/// Usual length of Kombo's integration ids.
const INTEGRATION_ID: u16 = 32;

/// Prints how far changes were delivered.
pub(crate) async fn list(context: &Context) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let receiver = config.receiver()?;
    let store = open(&config, Tables::Expect).await?;
    let delivery_statuses = store.read(outbox::delivery_statuses).await?;
    let now = SystemClock.now();
    if context.global.json {
        let url = receiver.map(|receiver| receiver.shown());
        let deliveries: Vec<_> = delivery_statuses.iter().map(|status| DeliveryReport::of(status, now)).collect();
        output::json(&serde_json::json!({ "url": url, "deliveries": deliveries }))?;
        return Ok(Exit::Done);
    }
    match receiver {
        Some(receiver) => output::line(output::one_line(&format!("Changes are delivered to {}.", receiver.shown())))?,
        None => output::line("Changes are not delivered: delivery.url is not set.")?,
    }
    print(&delivery_statuses, now)?;
    Ok(Exit::Done)
}

fn print(delivery_statuses: &[DeliveryStatus], now: Timestamp) -> anyhow::Result<()> {
    if delivery_statuses.is_empty() {
        return Ok(());
    }
    let mut table = output::narrow_table(&["INTEGRATION", "STATE", "UP TO", "BEHIND", "LAST", "NEXT TRY", "DEAD"]);
    for status in delivery_statuses {
        let DeliveryStatus { delivery, dead_letters, .. } = status;
        let state = status.state(now);
        let next =
            if state == DeliveryState::Retrying { output::ago(Some(delivery.not_before), now) } else { "-".to_owned() };
        table.add_row([
            output::one_line(delivery.integration_id.as_str()),
            state.to_string(),
            delivery.delivered_seq.to_string(),
            status.behind().to_string(),
            output::ago(delivery.delivered_at, now),
            next,
            dead_letters.len().to_string(),
        ]);
    }
    output::keep_whole(&mut table, 0, INTEGRATION_ID);
    output::print(&table)?;
    for status in delivery_statuses {
        let id = &status.delivery.integration_id;
        let failing = status.delivery.batch.as_ref().and_then(|batch| Some((batch, batch.error.as_ref()?)));
        if let Some((batch, error)) = failing {
            let (attempts, since) = (batch.attempts, output::ago(Some(batch.first_tried_at), now));
            let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
            output::paragraph(format!("{id}: tried {times} since {since}: {error}"))?;
        }
        for letter in &status.dead_letters {
            let DeadLetter { first_seq, last_seq, entries, attempts, error, .. } = letter;
            let last = output::ago(Some(letter.last_tried_at), now);
            let what = if letter.again { "is to be sent again" } else { "was given up" };
            output::paragraph(format!(
                "{id}: dead letter {} with {entries} entries, {first_seq} to {last_seq}, {what} after {attempts} tries, \
                 the last {last}: {error}",
                letter.id
            ))?;
        }
    }
    Ok(())
}

/// Marks dead letters for another attempt.
pub(crate) async fn try_again(context: &Context, args: LettersArgs) -> anyhow::Result<Exit> {
    let now = SystemClock.now();
    let marked = for_each(context, args, move |tx, id| outbox::retry(tx, id, now)).await?;
    report(context, "retried", marked, "back in line")
}

/// Drops dead letters.
pub(crate) async fn throw_away(context: &Context, args: LettersArgs) -> anyhow::Result<Exit> {
    let dropped = for_each(context, args, outbox::drop_letters).await?;
    report(context, "dropped", dropped, "thrown away")
}

/// Runs an action for the named integrations, or for all, in one transaction.
async fn for_each(
    context: &Context,
    args: LettersArgs,
    act: impl Fn(&mut dyn Tx, Option<&IntegrationId>) -> TxResult<u64> + Send + 'static,
) -> anyhow::Result<u64> {
    let store = open(&context.config()?, Tables::Expect).await?;
    let mut integrations = args.integrations;
    // Sorted, so that two of these commands do not deadlock.
    integrations.sort();
    let unknown = {
        let known = store.read(|tx| tx.deliveries()).await?;
        integrations.iter().find(|id| known.iter().all(|known| known.integration_id != **id)).cloned()
    };
    if let Some(unknown) = unknown {
        let text = format!("nothing of {unknown} was to be delivered: `syncd deliveries` names what was");
        return Err(ConfigError(text).into());
    }
    let transaction = move |tx: &mut dyn Tx| {
        if integrations.is_empty() {
            return act(tx, None);
        }
        integrations.iter().try_fold(0, |sum, id| Ok::<_, StoreError>(sum + act(tx, Some(id))?))
    };
    Ok(store.transact(Scope::Shared, transaction).await?)
}

fn report(context: &Context, name: &str, number: u64, what: &str) -> anyhow::Result<Exit> {
    if context.global.json {
        output::json(&serde_json::json!({ name: number }))?;
    } else {
        output::line(format!("Dead letters {what}: {number}."))?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct DeliveryReport<'a> {
    integration_id: &'a IntegrationId,
    state: DeliveryState,
    delivered_seq: i64,
    behind: u64,
    behind_since: Option<Timestamp>,
    last_delivered: Option<Timestamp>,
    next_try: Option<Timestamp>,
    attempts: i32,
    error: Option<&'a str>,
    dead_letters: &'a [DeadLetter],
}

impl<'a> DeliveryReport<'a> {
    fn of(status: &'a DeliveryStatus, now: Timestamp) -> Self {
        let DeliveryStatus { delivery, backlog, dead_letters } = status;
        let (state, batch) = (status.state(now), delivery.batch.as_ref());
        Self {
            integration_id: &delivery.integration_id,
            state,
            delivered_seq: delivery.delivered_seq,
            behind: status.behind(),
            behind_since: backlog.as_ref().map(|backlog| backlog.oldest_at),
            last_delivered: delivery.delivered_at,
            next_try: Some(delivery.not_before).filter(|_| state == DeliveryState::Retrying),
            attempts: batch.map_or(0, |batch| batch.attempts),
            error: batch.and_then(|batch| batch.error.as_deref()),
            dead_letters,
        }
    }
}
