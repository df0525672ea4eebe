use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ConfigError;

mod guarded;

use guarded::{Guarded, Phase};

/// Period for which an idle connection stays open. Load balancers keep connections open for a minute or longer, and
/// must be the ones to close them: a request on a connection that was just closed here is lost.
const IDLE_WITHIN: Duration = Duration::from_secs(150);
/// Wait of a new connection before an idle one is closed to make room.
const CROWDED_AFTER: Duration = Duration::from_millis(50);

/// Binds an address. `key` is the setting with this address.
pub(super) async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, ConfigError> {
    TcpListener::bind(address).await.map_err(|error| ConfigError(format!("{key}: cannot listen on {address}: {error}")))
}

/// Serves until `stop`, then answers the current requests. If there are more than `most` connections, the others wait
/// in the system's queue: by default a process may open 1,024 files only, and the database needs some of them.
pub(super) async fn serve(listener: TcpListener, most: usize, routes: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(most));
    let crowded = Arc::new(Notify::new());
    let connections = TaskTracker::new();
    while let Some(stream) = accept(&listener, &stop).await {
        let place = loop {
            tokio::select! {
                place = Arc::clone(&places).acquire_owned() => break place.ok(),
                () = tokio::time::sleep(CROWDED_AFTER) => crowded.notify_one(),
                () = stop.cancelled() => break None,
            }
        };
        let Some(place) = place else { break };
        // Small answers should be sent at once.
        drop(stream.set_nodelay(true));
        let (routes, stop, crowded) = (routes.clone(), stop.clone(), Arc::clone(&crowded));
        connections.spawn(async move {
            connection(stream, routes, &stop, &crowded).await;
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}

/// Accepts the next connection; `None` once `stop` is cancelled.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<tokio::net::TcpStream> {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => return Some(stream),
                Err(error) => {
                    // Possibly there are no free file descriptors. Waiting helps, spinning does not.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = stop.cancelled() => return None,
        }
    }
}

async fn connection<S>(stream: S, routes: Router, stop: &CancellationToken, crowded: &Notify)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let phase = Arc::new(Phase::default());
    let served = Notify::new();
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(|request: Request<Incoming>| {
        phase.request();
        let answer = routes.call(request);
        let (phase, served) = (&phase, &served);
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            phase.idle();
            served.notify_one();
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE_WITHIN);
    let io = TokioIo::new(Guarded::new(stream, Arc::clone(&phase)));
    let mut serving = pin!(http.serve_connection(io, service));
    let has_to_go = async {
        served.notified().await;
        crowded.notified().await;
    };
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
        () = has_to_go => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = error.to_string(), "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests;
