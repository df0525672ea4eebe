use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{
    ChangedModel, DataChanged, Extra, FreeJson, IntegrationCategory, IntegrationCreated, IntegrationDeleted,
    IntegrationId, IntegrationState, IntegrationStateChanged, ModelName, Webhook, WebhookEvent, WebhookEventId,
    mend_json,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// No id of Kombo's is longer, and not every database can look up longer ids.
const LONGEST_ID: usize = 1_000;

/// Replaces a type that is missing or not text.
const NO_TYPE: &str = "unknown";

/// The type of a body that is not a webhook.
const NO_WEBHOOK: &str = "unreadable";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Replaces models that cannot be read. An unknown model calls all endpoints.
pub(super) const UNREADABLE: &str = "unreadable";

/// Reads the body of a webhook. The caller has checked its signature.
///
/// The signature proves that Kombo sent the webhook, so it is never discarded for its content. If the id is missing or
/// cannot be a key, a digest of the body replaces it, which is the same for a repeated delivery. If a key occurs twice,
/// its last value counts. Case and spaces in names do not matter. Changes of a named integration lead to fetches,
/// whatever the webhook's type; if they cannot be read, everything is fetched. A body that is not a webhook has the
/// type `unreadable`.
pub fn read(bytes: &[u8]) -> Webhook {
    let body = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut webhook = match serde_json::from_slice(body) {
        Ok(webhook) => webhook,
        Err(error) => {
            let webhook = read_leniently(body);
            // The error is not logged, because it may quote the data.
            let kind = webhook.event.kind();
            tracing::error!(webhook.kind = kind, fault = ?error.classify(), "a webhook has an unknown shape");
            webhook
        }
    };
    if let WebhookEvent::Other { kind, data } = &webhook.event
        && let Some(event) = Fields::of(data.as_str()).event(kind)
    {
        webhook.event = event;
    }
    if !is_key(webhook.id.as_str()) {
        webhook.id = WebhookEventId::from(digest(bytes));
    }
    webhook.event = storable(webhook.event);
    webhook
}

/// Whether a text can be the key of a row. Texts with U+FFFD cannot, because different ids may look the same.
fn is_key(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && !id.contains(['\0', '\u{fffd}'])
}

fn digest(bytes: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}

/// Returns the event without content that no database can store. An invalid integration id is dropped.
fn storable(event: WebhookEvent) -> WebhookEvent {
    let id = event.integration_id().map(IntegrationId::as_str).unwrap_or_default();
    if id.len() > LONGEST_ID || id.contains('\0') {
        return WebhookEvent::Other { kind: event.kind().to_owned(), data: nothing() };
    }
    match event {
        WebhookEvent::DataChanged(mut data) => {
            data.integration_tool = without_zeros(data.integration_tool);
            data.integration_category = category(&data.integration_category);
            let mut named = BTreeSet::new();
            data.changed_models.iter_mut().for_each(|model| model.name = understood(&model.name));
            data.changed_models.retain(|model| named.insert(model.name.clone()));
            WebhookEvent::DataChanged(data)
        }
        WebhookEvent::IntegrationCreated(mut data) => {
            data.tool = without_zeros(data.tool);
            data.category = category(&data.category);
            WebhookEvent::IntegrationCreated(data)
        }
        WebhookEvent::IntegrationDeleted(mut data) => {
            data.tool = without_zeros(data.tool);
            data.category = category(&data.category);
            WebhookEvent::IntegrationDeleted(data)
        }
        WebhookEvent::IntegrationStateChanged(mut data) => {
            data.integration_tool = without_zeros(data.integration_tool);
            data.integration_category = category(&data.integration_category);
            data.state = IntegrationState::from(data.state.as_str().trim().to_ascii_uppercase());
            WebhookEvent::IntegrationStateChanged(data)
        }
        WebhookEvent::Other { kind, data } => WebhookEvent::Other { kind: without_zeros(kind), data },
        event @ (WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) | _) => event,
    }
}

fn without_zeros(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// Returns the category, whatever the notation of its name.
fn category(category: &IntegrationCategory) -> IntegrationCategory {
    IntegrationCategory::from(category.as_str().trim().to_ascii_uppercase())
}

/// Returns the model, whatever the notation of its name.
fn understood(name: &ModelName) -> ModelName {
    let plain = name.as_str().trim().to_ascii_lowercase();
    if plain.is_empty() || plain.contains(['\0', '\u{fffd}']) {
        ModelName::from(UNREADABLE)
    } else {
        ModelName::from(plain)
    }
}

fn nothing() -> FreeJson {
    FreeJson::from(RawValue::NULL.to_owned())
}

fn read_leniently(bytes: &[u8]) -> Webhook {
    let text = String::from_utf8_lossy(bytes);
    let text = mend_json(&text);
    let Fields(fields) = Fields::of(&text);
    let data = fields.get("data").copied();
    let kind = match fields.get("type").copied().map(text_of) {
        Some(Some(kind)) => kind,
        None if !data.is_some_and(|data| data.get().starts_with('{')) => NO_WEBHOOK.to_owned(),
        Some(None) | None => NO_TYPE.to_owned(),
    };
    let id = fields.get("id").copied().and_then(text_of).unwrap_or_default();
    let data = data.map_or_else(nothing, |data| FreeJson::from(data.to_owned()));
    Webhook { id: WebhookEventId::from(id), event: WebhookEvent::Other { kind, data } }
}

/// The values of an object by key, as received.
#[derive(Default)]
struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Returns the fields of the first value in a text; none if it is not an object.
    fn of(text: &'a str) -> Self {
        serde_json::Deserializer::from_str(text).into_iter().next().and_then(Result::ok).map(Self).unwrap_or_default()
    }

    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied()
    }

    /// Returns the event, if enough of it can be read.
    fn event(&self, kind: &str) -> Option<WebhookEvent> {
        let id = || self.get("id").and_then(name).map(IntegrationId::from);
        match kind.trim().to_ascii_lowercase().as_str() {
            "data-changed" | NO_TYPE => self.changes(),
            "integration-created" => Some(WebhookEvent::IntegrationCreated(IntegrationCreated {
                id: id()?,
                tool: self.tool(),
                category: self.category(),
                end_user: None,
                extra: Extra::default(),
            })),
            "integration-deleted" => Some(WebhookEvent::IntegrationDeleted(IntegrationDeleted {
                id: id()?,
                tool: self.tool(),
                category: self.category(),
                end_user: None,
                deleted_at: self.get("deleted_at").and_then(read_as),
                extra: Extra::default(),
            })),
            "integration-state-changed" => Some(WebhookEvent::IntegrationStateChanged(IntegrationStateChanged {
                integration_id: self.get("integration_id").and_then(name)?.into(),
                integration_tool: self.tool(),
                integration_category: self.category(),
                end_user: None,
                qa_status: None,
                setup_status: None,
                state: self.get("state").and_then(read_as::<IntegrationState>)?,
                updated_at: self.get("updated_at").and_then(read_as),
                extra: Extra::default(),
            })),
            _ if self.get("changed_models").is_some() => self.changes(),
            _ => None,
        }
    }

    fn changes(&self) -> Option<WebhookEvent> {
        Some(WebhookEvent::DataChanged(DataChanged {
            integration_id: self.get("integration_id").and_then(name)?.into(),
            integration_tool: self.tool(),
            integration_category: self.category(),
            changed_models: models(self.get("changed_models")),
            extra: Extra::default(),
        }))
    }

    fn tool(&self) -> String {
        self.get("integration_tool").or(self.get("tool")).and_then(text_of).unwrap_or_default()
    }

    fn category(&self) -> IntegrationCategory {
        let category = self.get("integration_category").or(self.get("category"));
        category.and_then(read_as).unwrap_or_else(|| IntegrationCategory::from(String::new()))
    }
}

fn models(list: Option<&RawValue>) -> Vec<ChangedModel> {
    let named = |name: String| ChangedModel { name: ModelName::from(name), extra: Extra::default() };
    let unreadable = || named(UNREADABLE.to_owned());
    match list.and_then(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).ok()) {
        Some(members) => members
            .iter()
            .map(|member| text_of(member).or_else(|| Fields::of(member.get()).get("name").and_then(text_of)))
            .map(|name| name.map_or_else(unreadable, named))
            .collect(),
        None => vec![unreadable()],
    }
}

fn read_as<T: DeserializeOwned>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

fn text_of(json: &RawValue) -> Option<String> {
    read_as(json)
}

/// Returns a name, which may be written as a number.
fn name(json: &RawValue) -> Option<String> {
    text_of(json).or_else(|| read_as::<serde_json::Number>(json).map(|_| json.get().to_owned()))
}
