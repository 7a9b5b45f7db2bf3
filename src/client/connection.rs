//! One connection that carries one request at a time, HTTP/1.1 and HTTP/2 alike.
//!
//! A request never shares its connection: one that has gone silent costs the request that is on it, and closing it harms no
//! other. What HTTP/2 would save by sharing is a handshake for each POST that is under way at once.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::odd::{Seen, Watched};

/// Header lines that an answer over HTTP/1.1 may have: far more than any has.
const MAX_HEADERS: usize = 1024;

/// Most bytes of an answer's headers over HTTP/2.
const MAX_HEADER_BYTES: u32 = 1 << 20;

/// What is sent.
pub(super) type Sent = Request<Full<Bytes>>;

/// A connection. Its drop closes it, whatever is under way.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    /// What drives it: aborted with it.
    _tasks: Arc<Tasks>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>, Watch),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// What is known of a request over HTTP/1.1 and its answer from the bytes themselves.
#[derive(Debug)]
struct Watch {
    /// What was seen of the answer that is under way.
    seen: Seen,
    /// Bytes that were written.
    written: watch::Receiver<usize>,
    /// Bytes that are written once the request has left.
    end: usize,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum ExchangeError {
    /// Nothing of the request was sent: here it is again.
    Unsent(Box<Sent>),
    /// The connection broke, or what came is no HTTP.
    Broken(&'static str),
}

/// An answer whose head has come.
#[derive(Debug)]
pub(super) enum Head {
    /// As it should be.
    Whole(Response<Incoming>),
    /// Its status is clear; the rest cannot be read.
    Odd(http::StatusCode),
}

impl Connection {
    pub(super) async fn http1(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Self> {
        let seen = Seen::default();
        let (counter, written) = watch::channel(0);
        let (sender, connection) = http1::Builder::new()
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(Watched::new(io, seen.clone(), counter)))
            .await?;
        let tasks = Arc::new(Tasks::default());
        // How it ends is told to whoever waits for an answer.
        tasks.spawn(async { drop(connection.await) });
        Ok(Self { sender: Sender::Http1(sender, Watch { seen, written, end: 0 }), _tasks: tasks })
    }

    pub(super) async fn http2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> hyper::Result<Self> {
        let tasks = Arc::new(Tasks::default());
        let spawner = Spawner(Arc::downgrade(&tasks));
        let (sender, connection) =
            http2::Builder::new(spawner).max_header_list_size(MAX_HEADER_BYTES).handshake(TokioIo::new(io)).await?;
        tasks.spawn(async { drop(connection.await) });
        Ok(Self { sender: Sender::Http2(sender), _tasks: tasks })
    }

    /// Waits until the connection can carry another request; `false` if it never will.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender, _) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Waits until the last request has left; `false` if it never will. Who answers early may still be reading it.
    ///
    /// Over HTTP/2, where the connection lives on, it goes on leaving.
    pub(super) async fn is_sent(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(_, Watch { written, end, .. }) => written.wait_for(|written| written >= end).await.is_ok(),
            Sender::Http2(_) => true,
        }
    }

    /// Sends a request to an absolute URI and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, mut request: Sent) -> Result<Head, ExchangeError> {
        match &mut self.sender {
            Sender::Http1(sender, Watch { seen, written, end }) => {
                seen.start();
                to_origin_form(&mut request);
                *end = *written.borrow() + bytes(&request);
                match sender.try_send_request(request).await {
                    Ok(response) => Ok(Head::Whole(response)),
                    Err(error) => seen.status().map(Head::Odd).ok_or_else(|| failure(error)),
                }
            }
            Sender::Http2(sender) => sender.try_send_request(request).await.map(Head::Whole).map_err(failure),
        }
    }
}

/// Writes the target as HTTP/1.1 has it: the path, and the authority as `Host`.
fn to_origin_form(request: &mut Sent) {
    let uri = std::mem::take(request.uri_mut());
    if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    let path = uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
}

/// Bytes of a request over HTTP/1.1, but for `Content-Length`, which hyper adds: not one more than it has, lest it is never sent.
fn bytes(request: &Sent) -> usize {
    let line = request.method().as_str().len() + " ".len() + request.uri().path().len() + " HTTP/1.1\r\n".len();
    let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    let body = request.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    line + request.headers().iter().map(header).sum::<usize>() + "\r\n".len() + body
}

fn failure(mut error: TrySendError<Sent>) -> ExchangeError {
    match error.take_message() {
        Some(request) => ExchangeError::Unsent(Box::new(request)),
        None if error.error().is_parse() => ExchangeError::Broken("what came is no HTTP answer"),
        None => ExchangeError::Broken("the connection broke before the answer"),
    }
}

/// The tasks of a connection.
#[derive(Debug, Default)]
struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

/// Spawns tasks of a connection for as long as there is one.
#[derive(Debug, Clone)]
struct Spawner(Weak<Tasks>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.spawn(task);
        }
    }
}
