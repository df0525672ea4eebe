//! The socket: one accept loop, one task per connection.

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

/// Serves until `stop` is set, then lets open requests finish.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let control = control::router(Arc::clone(&shared));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A peer that disconnects before it is accepted does not matter.
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
    // Without it, a small answer would wait for the peer's acknowledgement of the headers.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| route(Arc::clone(&shared), control.clone(), request));
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A connection ends in an error if a fault says so, or because the client disconnected.
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
    // Read completely, so that the connection can be reused.
    let Ok(body) = body.collect().await else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    api::handle(shared, Request::from_parts(parts, body.to_bytes())).await
}
