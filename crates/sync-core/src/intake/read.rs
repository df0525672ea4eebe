use kombo_model::{
    ChangedModel, DataChanged, Extra, FreeJson, IntegrationCategory, IntegrationId, ModelName, Webhook, WebhookEvent,
    WebhookEventId,
};
use serde::Deserialize;

/// Reads the body of a webhook whose signature was verified; `None` if it is none. Of data in a shape that this version does not know, what can be read is used: a change of an
/// integration that is named leads to fetches, whatever else is missing.
pub fn read(bytes: &[u8]) -> Option<Webhook> {
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
    tracing::error!(webhook.id = %id, webhook.kind = kind, fault = ?error.classify(), "a webhook has an unknown shape");
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
