//! The socket: one loop that accepts, one task a connection.

use std::sync::Arc;

use axum::{Router, body::Body};
use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    api::{self, Dropped},
    control,
    shared::Shared,
};

/// Serves until `stop` says so, then lets open requests end.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let control = control::router(Arc::clone(&shared));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A peer that is gone before it was accepted is its own affair.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&shared), control.clone(), stop.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, control: Router, mut stop: watch::Receiver<bool>) {
    // Without it a small answer would wait for the peer's acknowledgement of its headers.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| route(Arc::clone(&shared), control.clone(), request));
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // Connections end in errors when that was ordered, or because the client went away.
    tokio::select! {
        _ = &mut connection => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn route(shared: Arc<Shared>, control: Router, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    if request.uri().path().starts_with("/control/") {
        return match TowerToHyperService::new(control).call(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        };
    }
    let (parts, body) = request.into_parts();
    // Read to its end, so that the connection can be used again.
    let Ok(body) = body.collect().await else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    api::handle(shared, Request::from_parts(parts, body.to_bytes())).await
}
