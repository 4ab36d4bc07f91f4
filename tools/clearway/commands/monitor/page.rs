//! The operators' page of a node, asked over HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::sample::{Sample, TextError};
use crate::failure::{Failure, Kind};

/// Bytes of an answer at most: a node's figures take some 60 KB.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// How long a node may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Characters that are shown of what a node says of itself.
const READINESS_MAX: usize = 160;

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error("nothing answers at {target}: {source}; {HELP}")]
    Unreachable {
        target: SocketAddr,
        source: io::Error,
    },
    #[error("{target} gave no answer within {} s; {HELP}", ANSWER_TIMEOUT.as_secs())]
    Silent { target: SocketAddr },
    #[error("{target} does not answer as an operators' page does: {source}; {HELP}")]
    Cut {
        target: SocketAddr,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{target} has no {path} (HTTP status {}); {HELP}", status.as_u16())]
    Status {
        target: SocketAddr,
        path: &'static str,
        status: StatusCode,
    },
    #[error("{target} is no operators' page of a node: {source}; {HELP}")]
    Text {
        target: SocketAddr,
        source: TextError,
    },
}

/// What to do where a page cannot be read.
const HELP: &str = "start the node, or name its `admin_listen`, which `clearway node run` tells as \
                    `admin`, with --target or --config";

impl PageError {
    /// The same in a few words, for a line that has room for no more.
    pub(super) fn brief(&self) -> String {
        match self {
            Self::Unreachable { source, .. } => source.kind().to_string(),
            Self::Silent { .. } => format!("none within {} s", ANSWER_TIMEOUT.as_secs()),
            Self::Cut { source, .. } => source.to_string(),
            Self::Status { path, status, .. } => format!("{path}: {status}"),
            Self::Text { source, .. } => source.to_string(),
        }
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        let kind = match &error {
            PageError::Unreachable { .. } | PageError::Silent { .. } | PageError::Cut { .. } => {
                Kind::Unavailable
            }
            PageError::Status { .. } | PageError::Text { .. } => Kind::Failed,
        };
        Self::new(kind, error)
    }
}

/// Who asks one node again and again.
pub(super) struct Asker {
    runtime: tokio::runtime::Runtime,
    target: SocketAddr,
    since: Instant,
}

impl Asker {
    pub(super) fn new(target: SocketAddr) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            target,
            since: Instant::now(),
        })
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.target
    }

    /// Since this began.
    pub(super) fn uptime(&self) -> Duration {
        self.since.elapsed()
    }

    /// The node as it is now.
    pub(super) fn sample(&self) -> Result<Sample, PageError> {
        let target = self.target;
        let asking = async { tokio::time::timeout(ANSWER_TIMEOUT, ask(target)).await };
        let answer = self.runtime.block_on(asking);
        let (readiness, text) = answer.map_err(|_| PageError::Silent { target })??;
        let sample = Sample::read(self.uptime(), readiness, &text);
        sample.map_err(|source| PageError::Text { target, source })
    }
}

/// Readiness and figures, over one connection.
async fn ask(target: SocketAddr) -> Result<(String, String), PageError> {
    let stream = TcpStream::connect(target).await;
    let stream = stream.map_err(|source| PageError::Unreachable { target, source })?;
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut requests, connection) = opened.map_err(|error| cut(target, error))?;
    let questions = async move {
        // A node that takes no payments says so with 503 and why.
        let unready = StatusCode::SERVICE_UNAVAILABLE;
        let readiness = get(&mut requests, target, "/readyz", &[StatusCode::OK, unready]).await?;
        let figures = get(&mut requests, target, "/metrics", &[StatusCode::OK]).await?;
        Ok((first_line(&readiness), figures))
    };
    // The connection ends when the questions have ended and dropped their side of it; what breaks
    // it before, the question under way tells.
    let (answer, _) = tokio::join!(questions, connection);
    answer
}

async fn get(
    requests: &mut SendRequest<Empty<Bytes>>,
    target: SocketAddr,
    path: &'static str,
    expected: &[StatusCode],
) -> Result<String, PageError> {
    let broken = |error| cut(target, error);
    requests.ready().await.map_err(broken)?;
    let request = Request::get(path).header(HOST, target.to_string());
    let request = request.body(Empty::new());
    let request = request.expect("a path and a header that are well formed");
    let response = requests.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if !expected.contains(&status) {
        return Err(PageError::Status {
            target,
            path,
            status,
        });
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = body
        .collect()
        .await
        .map_err(|source| PageError::Cut { target, source })?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}

fn cut(target: SocketAddr, error: hyper::Error) -> PageError {
    PageError::Cut {
        target,
        source: error.into(),
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().take(READINESS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// What is made of a server that answers each request of one connection with the next of these.
    fn answered(answers: &'static [&'static str]) -> Result<Sample, PageError> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let target = listener.local_addr().expect("it is bound");
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            for answer in answers {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).expect("a request");
                assert!(read > 0);
                stream.write_all(answer.as_bytes()).expect("sent");
            }
        });
        let sample = Asker::new(target).expect("a runtime").sample();
        serving.join().expect("it has answered");
        sample
    }

    const READY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n";

    #[test]
    fn a_node_that_takes_no_payments_is_watched_all_the_same() {
        let sample = answered(&[
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\ndisk full",
            "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\nclearway_block_height 7\n",
        ]);
        let sample = sample.expect("a sample");
        assert_eq!(sample.readiness, "disk full");
        assert_eq!(sample.sum("clearway_block_height", &[]), Some(7.0));
    }

    #[test]
    fn what_is_no_operators_page_is_told_with_what_to_do() {
        let rows: [(&[&str], Kind, &str); 6] = [
            (
                &["SSH-2.0-OpenSSH_9.2\r\n"],
                Kind::Unavailable,
                "does not answer as",
            ),
            (&[""], Kind::Unavailable, "does not answer as"),
            (
                &["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"],
                Kind::Failed,
                "no /readyz (HTTP status 404)",
            ),
            (
                &[READY, "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"],
                Kind::Failed,
                "no /metrics (HTTP status 500)",
            ),
            (
                &[READY, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n"],
                Kind::Failed,
                "no operators' page of a node: it has no figure clearway_block_height",
            ),
            (
                &[
                    READY,
                    "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nup 1\n",
                ],
                Kind::Unavailable,
                "does not answer as",
            ),
        ];
        for (answers, kind, words) in rows {
            let answers: Vec<&'static str> = answers.to_vec();
            let error = answered(answers.leak()).expect_err(words);
            assert!(!error.brief().is_empty());
            let failure = Failure::from(error);
            assert_eq!(failure.kind(), kind, "{failure}");
            let said = failure.to_string();
            assert!(said.contains(words) && said.contains("--target"), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn nobody_at_the_address_is_told_with_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let target = listener.local_addr().expect("it is bound");
        drop(listener);
        let error = Asker::new(target).expect("a runtime").sample();
        let failure = Failure::from(error.expect_err("nobody listens"));
        assert_eq!(failure.kind(), Kind::Unavailable);
        assert!(failure.to_string().contains("start the node"), "{failure}");
    }
}
