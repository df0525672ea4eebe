use kombo_model::{
    ChangedModel, DataChanged, Extra, FreeJson, IntegrationCategory, IntegrationId, ModelName, Webhook, WebhookEvent,
    WebhookEventId,
};
use serde::Deserialize;

/// A longer id names nothing of Kombo's, and not every database can look it up.
const LONGEST_ID: usize = 1_000;

/// Reads the body of a webhook whose signature was verified; `None` if it is none, or no database could store it. Of data
/// in a shape that this version does not know, what can be read is used: a change of an integration that is named leads to
/// fetches, whatever else is missing.
pub fn read(bytes: &[u8]) -> Option<Webhook> {
    parse(bytes).filter(can_be_stored)
}

/// Whether what is stored of a webhook is of a length and without zero bytes.
fn can_be_stored(webhook: &Webhook) -> bool {
    let (tool, models): (&str, &[ChangedModel]) = match &webhook.event {
        WebhookEvent::DataChanged(data) => (&data.integration_tool, &data.changed_models),
        WebhookEvent::IntegrationCreated(data) => (&data.tool, &[]),
        WebhookEvent::IntegrationDeleted(data) => (&data.tool, &[]),
        WebhookEvent::IntegrationStateChanged(data) => (&data.integration_tool, &[]),
        WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) | WebhookEvent::Other { .. } | _ => {
            ("", &[])
        }
    };
    let ids = [webhook.id.as_str(), webhook.event.integration_id().map(IntegrationId::as_str).unwrap_or_default()];
    let models = models.iter().map(|model| model.name.as_str());
    let mut texts = ids.into_iter().chain([webhook.event.kind(), tool]).chain(models);
    ids.iter().all(|id| id.len() <= LONGEST_ID) && !texts.any(|text| text.contains('\0'))
}

fn parse(bytes: &[u8]) -> Option<Webhook> {
    #[derive(Deserialize)]
    struct Envelope {
        id: WebhookEventId,
        #[serde(rename = "type")]
        kind: String,
        data: FreeJson,
    }
    #[derive(Deserialize)]
    struct Named {
        integration_id: IntegrationId,
        #[serde(default)]
        integration_category: Option<IntegrationCategory>,
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(webhook) => return Some(webhook),
        Err(error) => error,
    };
    let Envelope { id, kind, data } = serde_json::from_slice(bytes).ok()?;
    if id.as_str().is_empty() {
        return None;
    }
    // Not what the error says: it may quote the data.
    tracing::error!(webhook.id = id.as_str(), webhook.kind = kind, fault = ?error.classify(), "a webhook has an unknown shape");
    let named = data.read::<Named>().ok().filter(|_| kind == "data-changed");
    let event = match named {
        Some(Named { integration_id, integration_category }) => WebhookEvent::DataChanged(DataChanged {
            integration_id,
            integration_tool: String::new(),
            integration_category: integration_category.unwrap_or(IntegrationCategory::Lms),
            // A model that nobody knows calls everything.
            changed_models: vec![ChangedModel { name: ModelName::from("lms_unreadable"), extra: Extra::default() }],
            extra: Extra::default(),
        }),
        None => WebhookEvent::Other { kind, data },
    };
    Some(Webhook { id, event })
}
