//! Answers before they are serialized.

use bytes::Bytes;
use serde_json::{Value, json};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    pub(crate) retry_after: Option<String>,
    pub(crate) content_encoding: Option<String>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::json_bytes(status, Bytes::from(body.to_string()))
    }

    pub(crate) fn json_bytes(status: u16, body: Bytes) -> Self {
        Self {
            status,
            content_type: "application/json; charset=utf-8".to_owned(),
            body,
            retry_after: None,
            content_encoding: None,
        }
    }

    pub(crate) fn success(data: &Value) -> Self {
        Self::json(200, &json!({ "status": "success", "data": data }))
    }

    /// Creates the answer to a write.
    pub(crate) fn written(data: &Value, warnings: &[&str]) -> Self {
        let warnings: Vec<Value> = warnings.iter().map(|it| json!({ "message": it })).collect();
        Self::json(200, &json!({ "status": "success", "data": data, "warnings": warnings }))
    }
}

/// Creates Kombo's error envelope.
pub(crate) fn error_reply(status: u16, code: Option<&str>, message: &str) -> Reply {
    let title = code.map(|it| it.rsplit('.').next().unwrap_or(it).replace('_', " ").to_lowercase());
    let error = json!({ "code": code, "title": title, "message": message, "log_url": null });
    Reply::json(status, &json!({ "status": "error", "error": error }))
}
