//! The HTTP server under every service: a listener on a free port of 127.0.0.1, one task for each connection, HTTP/1.1
//! and HTTP/2, with or without TLS, and a log of all that was asked.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONTENT_LENGTH;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Fault};
use super::wire::{Fuse, Wire};

/// One request as a service received it, and what became of it.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// The path, percent-encoding as sent, without the query.
    pub path: String,
    /// The query, percent-encoding as sent, without its question mark.
    pub query: String,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as sent, a content coding not undone. Empty where the connection closed before it was read.
    pub body: Bytes,
    /// The connection that it came on, counted from 0.
    pub connection: usize,
    /// When its head had been read.
    pub started: Instant,
    /// When the last byte of the answer had been handed over, or the connection closed.
    pub finished: Option<Instant>,
    /// The status answered. None where the connection closed without an answer.
    pub status: Option<u16>,
}

impl Received {
    /// Returns a header's value. Nothing if it is not there or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as JSON, `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a service does with requests.
pub(super) trait Service: Send + Sync + 'static {
    /// Takes the next planned answer for a request with this head.
    fn planned(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer>;

    /// Answers by the service's own rules. Called only where the planned answer leaves it to them.
    fn answer(&self, request: &Received) -> impl Future<Output = Answer> + Send;
}

/// A running service. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    log: Arc<Log>,
    down: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds a free port of 127.0.0.1 and serves it.
    pub(super) async fn start<S: Service>(service: Arc<S>, tls: Option<TlsAcceptor>) -> Self {
        Self::start_at(0, service, tls).await
    }

    /// Binds this port of 127.0.0.1, or a free one if it is taken, and serves it.
    pub(super) async fn start_at<S: Service>(port: u16, service: Arc<S>, tls: Option<TlsAcceptor>) -> Self {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on 127.0.0.1"),
        };
        let address = listener.local_addr().expect("a bound listener has an address");
        let log = Arc::new(Log::default());
        let (down, is_down) = watch::channel(false);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn(accept(listener, tls, service, Arc::clone(&log), is_down));
        Self { address, scheme, log, down, task }
    }

    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`, for which certificates are made.
    pub(super) fn origin(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection and refuses new ones, or ends that.
    pub(super) fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.log.with(|entries| entries.requests.clone())
    }

    /// Drops the bodies of the requests that have been answered.
    pub(super) fn forget_bodies(&self) {
        self.log.with(|entries| {
            for request in entries.requests.iter_mut().filter(|request| request.finished.is_some()) {
                request.body = Bytes::new();
                request.headers = HeaderMap::new();
            }
        });
    }

    pub(super) fn count(&self) -> usize {
        self.log.with(|entries| entries.requests.len())
    }

    pub(super) fn connections(&self) -> usize {
        self.log.with(|entries| entries.connections)
    }

    pub(super) fn peak_in_flight(&self) -> usize {
        self.log.with(|entries| entries.peak)
    }

    /// Waits until so many requests have come whole.
    pub(super) async fn received(&self, requests: usize) {
        let mut whole = self.log.whole.subscribe();
        whole.wait_for(|whole| *whole >= requests).await.expect("the log outlives its server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Default)]
struct Log {
    entries: Mutex<Entries>,
    whole: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Entries {
    requests: Vec<Received>,
    connections: usize,
    in_flight: usize,
    peak: usize,
}

impl Log {
    fn with<T>(&self, act: impl FnOnce(&mut Entries) -> T) -> T {
        act(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that has not been answered to its end. Its drop is that end.
struct InFlight {
    log: Arc<Log>,
    index: usize,
}

impl InFlight {
    fn open(log: &Arc<Log>, received: Received) -> Self {
        let index = log.with(|entries| {
            entries.in_flight += 1;
            entries.peak = entries.peak.max(entries.in_flight);
            entries.requests.push(received);
            entries.requests.len() - 1
        });
        Self { log: Arc::clone(log), index }
    }

    /// Changes the entry and returns it as it is then.
    fn update(&self, change: impl FnOnce(&mut Received)) -> Received {
        self.log.with(|entries| {
            let entry = entries.requests.get_mut(self.index).expect("entries are only added");
            change(entry);
            entry.clone()
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        self.log.with(|entries| entries.in_flight -= 1);
        self.update(|entry| entry.finished = Some(now));
    }
}

async fn accept<S: Service>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<S>,
    log: Arc<Log>,
    down: watch::Receiver<bool>,
) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                if *down.borrow() {
                    continue;
                }
                let connection = log.with(|entries| {
                    entries.connections += 1;
                    entries.connections - 1
                });
                let at = Connection { number: connection, fuse: Fuse::default(), log: Arc::clone(&log) };
                connections.spawn(until_down(down.clone(), serve(stream, tls.clone(), Arc::clone(&service), at)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn until_down(mut down: watch::Receiver<bool>, connection: impl Future<Output = ()>) {
    tokio::select! {
        () = connection => {}
        _ = down.wait_for(|down| *down) => {}
    }
}

#[derive(Clone)]
struct Connection {
    number: usize,
    fuse: Fuse,
    log: Arc<Log>,
}

async fn serve<S: Service>(stream: TcpStream, tls: Option<TlsAcceptor>, service: Arc<S>, at: Connection) {
    // An answer is written at once; without it, it would wait for the client's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match tls {
        None => serve_http(stream, service, at).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve_http(stream, service, at).await;
            }
        }
    }
}

async fn serve_http<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: Arc<S>,
    at: Connection,
) {
    let wire = TokioIo::new(Wire::new(stream, at.fuse.clone()));
    let respond = service_fn(|request| respond(request, Arc::clone(&service), at.clone()));
    // A broken connection is the client's to notice: here it is often the plan.
    drop(auto::Builder::new(TokioExecutor::new()).serve_connection(wire, respond).await);
}

/// Serves one request. An error closes the connection (HTTP/1.1) or resets the stream (HTTP/2).
async fn respond<S: Service>(
    request: Request<Incoming>,
    service: Arc<S>,
    at: Connection,
) -> io::Result<Response<AnswerBody>> {
    let (head, body) = request.into_parts();
    let planned = service.planned(&head.method, head.uri.path(), &head.headers);
    let in_flight = InFlight::open(
        &at.log,
        Received {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            version: head.version,
            headers: head.headers,
            body: Bytes::new(),
            connection: at.number,
            started: Instant::now(),
            finished: None,
            status: None,
        },
    );
    if matches!(&planned, Some(Answer { fault: Some(Fault::CloseBeforeBody), .. })) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let received = in_flight.update(|entry| entry.body = bytes);
    at.log.whole.send_modify(|whole| *whole += 1);

    let answer = match planned {
        Some(planned) if !planned.follows_rules() => planned,
        planned => service.answer(&received).await.dressed_as(planned),
    };
    tokio::time::sleep(answer.delay).await;
    if let Some(gate) = &answer.gate {
        gate.passed().await;
    }
    if !answer.replaces() {
        in_flight.update(|entry| entry.status = Some(answer.status.as_u16()));
    }
    let mut body = AnswerBody::new(answer.body.unwrap_or_default(), in_flight);
    let mut length = None;
    match answer.fault {
        None => {}
        Some(Fault::CloseBeforeBody | Fault::CloseAfterBody) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Cut(bytes)) => at.fuse.cut_after(bytes),
        Some(Fault::Raw(bytes)) => at.fuse.replace(bytes),
        Some(Fault::Drip(pause)) => body.pause = Some(pause),
        Some(Fault::ContentLength(bytes)) => {
            body.known = false;
            length = Some(bytes);
        }
        Some(Fault::CloseUnannounced) => body.closes = Some(at.fuse),
    }
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Ok(response)
}

/// The body of an answer as it goes out.
struct AnswerBody {
    rest: Bytes,
    /// Whether the length is told to the server, which then writes `Content-Length` itself.
    known: bool,
    /// Before each byte.
    pause: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
    closes: Option<Fuse>,
    in_flight: Option<InFlight>,
}

impl AnswerBody {
    fn new(rest: Bytes, in_flight: InFlight) -> Self {
        Self { rest, known: true, pause: None, sleep: None, closes: None, in_flight: Some(in_flight) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let body = self.get_mut();
        let frame = if body.rest.is_empty() {
            None
        } else if let Some(pause) = body.pause {
            let sleep = body.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            ready!(sleep.as_mut().poll(cx));
            body.sleep = None;
            Some(Ok(Frame::data(body.rest.split_to(1))))
        } else {
            Some(Ok(Frame::data(std::mem::take(&mut body.rest))))
        };
        if body.rest.is_empty() {
            body.in_flight = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.known
    }

    fn size_hint(&self) -> SizeHint {
        if self.known { SizeHint::with_exact(self.rest.len() as u64) } else { SizeHint::default() }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(fuse) = &self.closes {
            fuse.close_at_next_flush();
        }
    }
}

/// The answer to a path or a method that a service does not have.
pub(super) fn unknown() -> Answer {
    Answer::status(404).json(&serde_json::json!({"error": "no such path or method"}))
}
