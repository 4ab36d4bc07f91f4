//! The operators' page on loopback: is it alive, is it ready, which version, which figures.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::ClockWatch;
use crate::samples::{Gather, render};

/// Whether the node takes payments, and why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Recovery or the first connection is not done.
    Starting,
    /// Takes payments.
    Ready,
    /// The disk has no room for the log: what was taken in waits, unanswered.
    DiskFull,
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
            Self::DiskFull => "disk full: free space; what was sent waits and is answered then",
            Self::Stopping => "stopping: send elsewhere",
            Self::Failed => "failed: see the log for the cause",
        }
    }
}

clearway_flow::metrics! {
    /// Counters of the page itself.
    pub struct AdminMetrics in "admin" {
        /// Requests to this page that ask for nothing it has.
        refused: total,
    }
}

#[derive(Clone)]
struct Page {
    readiness: watch::Receiver<Readiness>,
    clocks: Arc<ClockWatch>,
    figures: Arc<dyn Gather>,
    counters: Arc<AdminMetrics>,
}

/// Serves the page until `readiness` has no sender any more.
///
/// # Errors
/// The listener's, when it breaks.
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
    clocks: Arc<ClockWatch>,
    figures: Arc<dyn Gather>,
    counters: Arc<AdminMetrics>,
) -> std::io::Result<()> {
    let mut ended = readiness.clone();
    let page = Page {
        readiness,
        clocks,
        figures,
        counters,
    };
    let router = Router::new()
        .route("/livez", get(|| async { "alive" }))
        .route("/readyz", get(readyz))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/metrics", get(metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
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

async fn readyz(State(page): State<Page>) -> (StatusCode, String) {
    let readiness = *page.readiness.borrow();
    match (readiness, page.clocks.ahead()) {
        (Readiness::Ready, None) => (StatusCode::OK, readiness.text().to_owned()),
        (Readiness::Ready, Some(ahead)) => (StatusCode::SERVICE_UNAVAILABLE, ahead.to_string()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, readiness.text().to_owned()),
    }
}

async fn no_such_path(State(page): State<Page>) -> (StatusCode, &'static str) {
    page.counters.refused.add(1);
    let help = "no such page: ask for /livez, /readyz, /version or /metrics";
    (StatusCode::NOT_FOUND, help)
}

async fn no_such_method(State(page): State<Page>) -> (StatusCode, &'static str) {
    page.counters.refused.add(1);
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "this page is read only: use GET",
    )
}

async fn metrics(State(page): State<Page>) -> Result<String, StatusCode> {
    render(&page.figures).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
