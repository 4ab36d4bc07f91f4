//! The operators' page on loopback: is it alive, is it ready, which version, which figures.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::samples::{Gather, render};

/// Whether the node takes payments, and why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Recovery or the first connection is not done.
    Starting,
    /// Takes payments.
    Ready,
    /// Was asked to stop.
    Stopping,
    /// A stage ended with an error.
    Failed,
}

impl Readiness {
    fn text(self) -> &'static str {
        match self {
            Self::Starting => "starting: recovering the store",
            Self::Ready => "ready",
            Self::Stopping => "stopping: send elsewhere",
            Self::Failed => "failed: see the log for the cause",
        }
    }
}

#[derive(Clone)]
struct Page {
    readiness: watch::Receiver<Readiness>,
    figures: Arc<dyn Gather>,
}

/// Serves the page until `readiness` has no sender any more.
///
/// # Errors
/// The listener's, when it breaks.
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
    figures: Arc<dyn Gather>,
) -> std::io::Result<()> {
    let mut ended = readiness.clone();
    let page = Page { readiness, figures };
    let router = Router::new()
        .route("/livez", get(|| async { "alive" }))
        .route("/readyz", get(readyz))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/metrics", get(metrics))
        .with_state(page);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { while ended.changed().await.is_ok() {} })
        .await
}

/// Whether an address is one that only this machine reaches.
#[must_use]
pub(crate) fn private(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

async fn readyz(State(page): State<Page>) -> (StatusCode, &'static str) {
    let readiness = *page.readiness.borrow();
    let code = match readiness {
        Readiness::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, readiness.text())
}

async fn metrics(State(page): State<Page>) -> Result<String, StatusCode> {
    render(&page.figures).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
