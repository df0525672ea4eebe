use kombo_model::{
    ChangedModel, DataChanged, Extra, FreeJson, IntegrationCategory, IntegrationCreated, IntegrationDeleted,
    IntegrationId, IntegrationState, IntegrationStateChanged, ModelName, Webhook, WebhookEvent, WebhookEventId,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// A longer id names nothing of Kombo's, and not every database can look it up.
const LONGEST_ID: usize = 1_000;

/// What stands for a type that is missing or no text.
const NO_TYPE: &str = "unknown";

/// What stands for models that cannot be read: a model that nobody knows calls everything.
const UNREADABLE: &str = "lms_unreadable";

/// Reads the body of a webhook whose signature was verified; `None` if it is none.
///
/// The signature says that Kombo sent it, so no hint in it is lost because something else is odd. An id that is missing or
/// cannot be a key becomes a digest of the body, which is the same when it is delivered again. Changes of an integration
/// that is named lead to fetches, whatever their type is called; where they cannot be read, to a fetch of everything.
pub fn read(bytes: &[u8]) -> Option<Webhook> {
    let mut webhook = match serde_json::from_slice(bytes) {
        Ok(webhook) => webhook,
        Err(error) => {
            let webhook = read_leniently(bytes)?;
            // Not what the error says: it may quote the data.
            let (id, kind) = (webhook.id.as_str(), webhook.event.kind());
            tracing::error!(webhook.id = id, webhook.kind = kind, fault = ?error.classify(), "a webhook has an unknown shape");
            webhook
        }
    };
    if let WebhookEvent::Other { data, .. } = &webhook.event
        && let Some(event) = changes_of_another_type(data)
    {
        webhook.event = event;
    }
    if !is_key(webhook.id.as_str()) {
        webhook.id = WebhookEventId::from(digest(bytes));
    }
    webhook.event = storable(webhook.event);
    Some(webhook)
}

/// Whether a text can be the key of a row.
fn is_key(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && !id.contains('\0')
}

fn digest(bytes: &[u8]) -> String {
    let hex: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}

/// The event without what no database stores. One about an integration that cannot be one is about none.
fn storable(event: WebhookEvent) -> WebhookEvent {
    let id = event.integration_id().map(IntegrationId::as_str).unwrap_or_default();
    if id.len() > LONGEST_ID || id.contains('\0') {
        return WebhookEvent::Other { kind: event.kind().to_owned(), data: nothing() };
    }
    match event {
        WebhookEvent::DataChanged(mut data) => {
            data.integration_tool = without_zeros(data.integration_tool);
            for model in data.changed_models.iter_mut().filter(|model| model.name.as_str().contains('\0')) {
                model.name = ModelName::from(UNREADABLE);
            }
            WebhookEvent::DataChanged(data)
        }
        WebhookEvent::IntegrationCreated(mut data) => {
            data.tool = without_zeros(data.tool);
            WebhookEvent::IntegrationCreated(data)
        }
        WebhookEvent::IntegrationDeleted(mut data) => {
            data.tool = without_zeros(data.tool);
            WebhookEvent::IntegrationDeleted(data)
        }
        WebhookEvent::IntegrationStateChanged(mut data) => {
            data.integration_tool = without_zeros(data.integration_tool);
            WebhookEvent::IntegrationStateChanged(data)
        }
        WebhookEvent::Other { kind, data } => WebhookEvent::Other { kind: without_zeros(kind), data },
        event @ (WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) | _) => event,
    }
}

fn without_zeros(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn nothing() -> FreeJson {
    FreeJson::from(RawValue::NULL.to_owned())
}

fn read_leniently(bytes: &[u8]) -> Option<Webhook> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow, default)]
        data: Option<&'a RawValue>,
    }
    // Serde would take a list of the values for it as well.
    bytes.trim_ascii_start().starts_with(b"{").then_some(())?;
    let Envelope { id, kind, data } = serde_json::from_slice(bytes).ok()?;
    let kind = kind.and_then(text);
    if kind.is_none() && !data.is_some_and(|data| data.get().starts_with('{')) {
        return None;
    }
    let kind = kind.unwrap_or_else(|| NO_TYPE.to_owned());
    let fields = data.and_then(read_as::<Fields>).unwrap_or_default();
    let event = fields.event(&kind).unwrap_or_else(|| WebhookEvent::Other {
        kind,
        data: data.map_or_else(nothing, |data| FreeJson::from(data.to_owned())),
    });
    Some(Webhook { id: WebhookEventId::from(id.and_then(text).unwrap_or_default()), event })
}

/// Changes that a type which this version does not know tells of.
fn changes_of_another_type(data: &FreeJson) -> Option<WebhookEvent> {
    let fields: Fields = data.as_str().starts_with('{').then(|| data.read().ok()).flatten()?;
    fields.changed_models.is_some().then(|| fields.changes()).flatten()
}

/// What events say, each field as it came.
#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default)]
    integration_id: Option<Box<RawValue>>,
    #[serde(default)]
    id: Option<Box<RawValue>>,
    #[serde(default)]
    integration_tool: Option<Box<RawValue>>,
    #[serde(default)]
    tool: Option<Box<RawValue>>,
    #[serde(default)]
    integration_category: Option<Box<RawValue>>,
    #[serde(default)]
    category: Option<Box<RawValue>>,
    #[serde(default)]
    changed_models: Option<Box<RawValue>>,
    #[serde(default)]
    state: Option<Box<RawValue>>,
    #[serde(default)]
    updated_at: Option<Box<RawValue>>,
    #[serde(default)]
    deleted_at: Option<Box<RawValue>>,
}

impl Fields {
    /// The event, if enough of it can be read.
    fn event(&self, kind: &str) -> Option<WebhookEvent> {
        let id = || self.id.as_deref().and_then(name).map(IntegrationId::from);
        match kind {
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
                deleted_at: self.deleted_at.as_deref().and_then(read_as),
                extra: Extra::default(),
            })),
            "integration-state-changed" => Some(WebhookEvent::IntegrationStateChanged(IntegrationStateChanged {
                integration_id: self.integration_id.as_deref().and_then(name)?.into(),
                integration_tool: self.tool(),
                integration_category: self.category(),
                end_user: None,
                qa_status: None,
                setup_status: None,
                state: self.state.as_deref().and_then(read_as::<IntegrationState>)?,
                updated_at: self.updated_at.as_deref().and_then(read_as),
                extra: Extra::default(),
            })),
            _ => None,
        }
    }

    fn changes(&self) -> Option<WebhookEvent> {
        Some(WebhookEvent::DataChanged(DataChanged {
            integration_id: self.integration_id.as_deref().and_then(name)?.into(),
            integration_tool: self.tool(),
            integration_category: self.category(),
            changed_models: models(self.changed_models.as_deref()),
            extra: Extra::default(),
        }))
    }

    fn tool(&self) -> String {
        self.integration_tool.as_deref().or(self.tool.as_deref()).and_then(text).unwrap_or_default()
    }

    fn category(&self) -> IntegrationCategory {
        let category = self.integration_category.as_deref().or(self.category.as_deref());
        category.and_then(read_as).unwrap_or(IntegrationCategory::Lms)
    }
}

fn models(list: Option<&RawValue>) -> Vec<ChangedModel> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named = |name: String| ChangedModel { name: ModelName::from(name.as_str()), extra: Extra::default() };
    let unreadable = || named(UNREADABLE.to_owned());
    match list.and_then(read_as::<Vec<Box<RawValue>>>) {
        Some(members) => members
            .iter()
            .map(|member| text(member).or_else(|| read_as::<Named>(member).map(|named| named.name)))
            .map(|name| name.map_or_else(unreadable, named))
            .collect(),
        None => vec![unreadable()],
    }
}

fn read_as<T: DeserializeOwned>(json: &RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

fn text(json: &RawValue) -> Option<String> {
    read_as(json)
}

/// A name, which may be written as a number.
fn name(json: &RawValue) -> Option<String> {
    text(json).or_else(|| read_as::<serde_json::Number>(json).map(|_| json.get().to_owned()))
}
