//! One connection that carries one request at a time, HTTP/1.1 and HTTP/2 alike.
//!
//! A request never shares its connection: one that has gone silent costs the request that is on it, and closing it harms no
//! other. What HTTP/2 would save by sharing is a handshake for each POST that is under way at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
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

/// Bytes of a body that are handed over at once over HTTP/2: as many as a frame holds.
const PIECE: usize = 16 * 1024;

/// What a connection goes over: TCP, TLS, or a tunnel through a proxy.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One of them, of whatever kind: HTTP is compiled once for all.
pub(super) type Io = Box<dyn Stream>;

/// What is sent.
pub(super) type Sent = Request<Outgoing>;

/// A connection. Its drop closes it, whatever is under way.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    /// What drives it: aborted with it.
    _tasks: Arc<Tasks>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Outgoing>, Watch),
    /// With whether the body of the last request was handed over.
    Http2(http2::SendRequest<Outgoing>, watch::Receiver<bool>),
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

/// The body of a request, handed over whole or in pieces.
#[derive(Debug)]
pub(super) struct Outgoing {
    rest: Bytes,
    piece: usize,
    /// Whether nothing is left.
    is_handed_over: watch::Sender<bool>,
}

impl Outgoing {
    pub(super) fn new(body: Bytes) -> Self {
        Self { is_handed_over: watch::Sender::new(body.is_empty()), rest: body, piece: usize::MAX }
    }

    /// Has it handed over in pieces of this size, and tells when that is done.
    fn begin(&mut self, piece: usize) -> watch::Receiver<bool> {
        self.piece = piece;
        self.is_handed_over.subscribe()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.rest.len().min(self.piece);
        if length == 0 {
            return Poll::Ready(None);
        }
        let piece = self.rest.split_to(length);
        if self.rest.is_empty() {
            self.is_handed_over.send_replace(true);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
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
    pub(super) async fn http1(io: Io) -> hyper::Result<Self> {
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

    pub(super) async fn http2(io: Io) -> hyper::Result<Self> {
        let tasks = Arc::new(Tasks::default());
        let spawner = Spawner(Arc::downgrade(&tasks));
        let (sender, connection) =
            http2::Builder::new(spawner).max_header_list_size(MAX_HEADER_BYTES).handshake(TokioIo::new(io)).await?;
        tasks.spawn(async { drop(connection.await) });
        Ok(Self { sender: Sender::Http2(sender, watch::channel(true).1), _tasks: tasks })
    }

    /// Waits until the connection can carry another request; `false` if it never will.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender, _) => sender.ready().await.is_ok(),
            Sender::Http2(sender, _) => sender.ready().await.is_ok(),
        }
    }

    /// Waits until the last request has left; `false` if it never will. Who answers early may still be reading it.
    pub(super) async fn is_sent(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(_, Watch { written, end, .. }) => written.wait_for(|written| written >= end).await.is_ok(),
            // It is handed over as the other side makes room.
            Sender::Http2(_, handed_over) => handed_over.wait_for(|is_handed_over| *is_handed_over).await.is_ok(),
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
            Sender::Http2(sender, handed_over) => {
                *handed_over = request.body_mut().begin(PIECE);
                sender.try_send_request(request).await.map(Head::Whole).map_err(failure)
            }
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
    line + request.headers().iter().map(header).sum::<usize>() + "\r\n".len() + request.body().rest.len()
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
