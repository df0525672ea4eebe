//! Applies faults to answers.

use std::{
    convert::Infallible,
    io::{self, Write as _},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use hyper::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::FaultKind;
use crate::api::{Reply, error_reply};

/// An answer with a fault applied.
#[derive(Debug)]
pub(crate) enum Spoilt {
    /// A response, possibly broken.
    Response(Response<Body>),
    /// No response: the connection is closed.
    Dropped,
}

/// Returns the answer of a fault that does not need the correct one.
pub(crate) fn answer_instead(kind: &FaultKind) -> Option<Reply> {
    match kind {
        FaultKind::Error { status, code, retry_after } => {
            let mut reply = error_reply(*status, code.as_deref(), "This error was ordered.");
            reply.retry_after.clone_from(retry_after);
            Some(reply)
        }
        FaultKind::Foreign { status, content_type, body } => Some(Reply {
            status: *status,
            content_type: content_type.clone(),
            body: Bytes::from(body.clone()),
            retry_after: None,
            content_encoding: None,
        }),
        FaultKind::ForeignJson => Some(Reply::json(200, &json!({ "message": "hello", "items": [1, 2, 3] }))),
        FaultKind::EmptyBody => Some(Reply {
            status: 200,
            content_type: "application/json".to_owned(),
            body: Bytes::new(),
            retry_after: None,
            content_encoding: None,
        }),
        FaultKind::DropConnection
        | FaultKind::TruncatedBody
        | FaultKind::CutJson
        | FaultKind::SlowBody { .. }
        | FaultKind::HangingBody { .. }
        | FaultKind::Delay { .. }
        | FaultKind::RepeatedCursor
        | FaultKind::EndlessPages { .. }
        | FaultKind::Padded { .. }
        | FaultKind::ManyRecords { .. }
        | FaultKind::Encoded { .. }
        | FaultKind::MalformedRecord { .. }
        | FaultKind::NoJson { .. }
        | FaultKind::DuplicateRecord
        | FaultKind::MissingField { .. } => None,
    }
}

/// Compresses bytes into one gzip member.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector does not fail.
    encoder.write_all(bytes).ok();
    encoder.finish().unwrap_or_default()
}

fn edit(reply: &mut Reply, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body) = serde_json::from_slice(&reply.body) {
        change(&mut body);
        reply.body = Bytes::from(body.to_string());
    }
}

fn results(body: &mut Value) -> Option<&mut Vec<Value>> {
    body.pointer_mut("/data/results").and_then(Value::as_array_mut)
}

fn spoil_page(kind: &FaultKind, reply: &mut Reply, own_cursor: &str) {
    match kind {
        FaultKind::RepeatedCursor => edit(reply, |body| {
            if let Some(next) = body.pointer_mut("/data/next") {
                *next = Value::from(own_cursor);
            }
        }),
        FaultKind::EndlessPages { empty } => edit(reply, |body| {
            if let Some(next) = body.pointer_mut("/data/next") {
                *next = Value::from(own_cursor);
            }
            if let Some(results) = results(body).filter(|_| *empty) {
                results.clear();
            }
        }),
        FaultKind::Padded { bytes } => reply.body = [&reply.body[..], &vec![b' '; *bytes]].concat().into(),
        FaultKind::ManyRecords { records } => edit(reply, |body| {
            if let Some(results) = results(body) {
                *results = results.iter().cycle().take(*records).cloned().collect();
            }
        }),
        FaultKind::Encoded { coding, members } => {
            let piece = reply.body.len().div_ceil((*members).max(1)).max(1);
            reply.body = reply.body.chunks(piece).flat_map(gzip).collect();
            reply.content_encoding = Some(coding.clone());
        }
        FaultKind::MalformedRecord { index, field, value } => edit(reply, |body| {
            if let Some(record) = results(body).and_then(|it| it.get_mut(*index)).and_then(Value::as_object_mut) {
                record.insert(field.clone(), value.clone());
            }
        }),
        FaultKind::NoJson { index, field, text } => {
            const PLACE: &str = "here stands no JSON";
            edit(reply, |body| {
                if let Some(record) = results(body).and_then(|it| it.get_mut(*index)).and_then(Value::as_object_mut) {
                    record.insert(field.clone(), Value::from(PLACE));
                }
            });
            let body = String::from_utf8_lossy(&reply.body).replace(&format!("\"{PLACE}\""), text);
            reply.body = Bytes::from(body);
        }
        FaultKind::MissingField { field } => edit(reply, |body| {
            for record in results(body).into_iter().flatten().filter_map(Value::as_object_mut) {
                record.remove(field);
            }
        }),
        FaultKind::DuplicateRecord => edit(reply, |body| {
            if let Some(results) = results(body) {
                results.extend(results.first().cloned());
            }
        }),
        FaultKind::CutJson => reply.body = reply.body.slice(..reply.body.len() / 2),
        FaultKind::Error { .. }
        | FaultKind::Foreign { .. }
        | FaultKind::DropConnection
        | FaultKind::TruncatedBody
        | FaultKind::SlowBody { .. }
        | FaultKind::HangingBody { .. }
        | FaultKind::Delay { .. }
        | FaultKind::ForeignJson
        | FaultKind::EmptyBody => {}
    }
}

/// Applies a fault to the correct answer. `own_cursor` is the cursor of the same page.
pub(crate) async fn spoil(kind: Option<&FaultKind>, mut reply: Reply, own_cursor: &str) -> Spoilt {
    let Some(kind) = kind else {
        return Spoilt::Response(reply.into_response());
    };
    spoil_page(kind, &mut reply, own_cursor);
    match kind {
        FaultKind::DropConnection => Spoilt::Dropped,
        FaultKind::Delay { pause_ms } => {
            tokio::time::sleep(Duration::from_millis(*pause_ms)).await;
            Spoilt::Response(reply.into_response())
        }
        FaultKind::TruncatedBody => Spoilt::Response(truncated(reply)),
        FaultKind::SlowBody { chunk, pause_ms } => Spoilt::Response(slow(reply, *chunk, *pause_ms, true)),
        FaultKind::HangingBody { pause_ms } => {
            let half = reply.body.len().div_ceil(2);
            Spoilt::Response(slow(reply, half, *pause_ms, false))
        }
        FaultKind::Error { .. }
        | FaultKind::Foreign { .. }
        | FaultKind::CutJson
        | FaultKind::ForeignJson
        | FaultKind::EmptyBody
        | FaultKind::RepeatedCursor
        | FaultKind::EndlessPages { .. }
        | FaultKind::Padded { .. }
        | FaultKind::ManyRecords { .. }
        | FaultKind::Encoded { .. }
        | FaultKind::MalformedRecord { .. }
        | FaultKind::NoJson { .. }
        | FaultKind::DuplicateRecord
        | FaultKind::MissingField { .. } => Spoilt::Response(reply.into_response()),
    }
}

fn with_body(reply: Reply, body: Body) -> Response<Body> {
    let length = reply.body.len();
    let mut response = reply.into_response();
    *response.body_mut() = body;
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

fn truncated(reply: Reply) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    // The error comes one poll later, so that the first half is written.
    let pieces = stream::unfold(Some(Ok(half)), |piece| async move {
        tokio::task::yield_now().await;
        let piece = piece?;
        let rest = piece.is_ok().then(|| Err(io::Error::other("cut as ordered")));
        Some((piece, rest))
    });
    let body = Body::from_stream(pieces);
    with_body(reply, body)
}

fn slow(reply: Reply, chunk: usize, pause_ms: u64, pause_first: bool) -> Response<Body> {
    let pause = Duration::from_millis(pause_ms);
    let pieces = stream::unfold((reply.body.clone(), pause_first), move |(rest, pauses)| async move {
        if rest.is_empty() {
            return None;
        }
        if pauses {
            tokio::time::sleep(pause).await;
        }
        let mut rest = rest;
        let piece = rest.split_to(chunk.clamp(1, rest.len()));
        Some((Ok::<_, Infallible>(piece), (rest, true)))
    });
    let body = Body::from_stream(pieces);
    with_body(reply, body)
}

impl Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Ok(content_type) = self.content_type.parse() {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some(retry_after) = self.retry_after.and_then(|it| it.parse().ok()) {
            headers.insert(header::RETRY_AFTER, retry_after);
        }
        if let Some(coding) = self.content_encoding.and_then(|it| it.parse().ok()) {
            headers.insert(header::CONTENT_ENCODING, coding);
        }
        response
    }
}
