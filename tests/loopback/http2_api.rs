//! An analytics API that speaks HTTP/2 only, over TLS, and fares as each of its connections is told to.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::tls::{Authority, Leaf};

/// What becomes of the requests of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Each is answered 200.
    Served,
    /// The first is answered 200, and the connection said to end.
    ServesOne,
    /// None is answered; PING is.
    Silent,
    /// Nothing is read any more.
    Frozen,
    /// Each is answered 200 as long as the connection's window lasts, which never grows again.
    LeaksWindow,
    /// Each is answered with `REFUSED_STREAM`.
    RefusesStreams,
    /// The first is answered with `GOAWAY`, as if it had not been read.
    GoesAway,
    /// Each is reset in the middle.
    Resets,
    /// A large body is answered with this status before it is read, and the rest of it asked for no more.
    AnswersEarly(u16),
}

/// The API. It stops when this is dropped.
#[derive(Debug)]
pub struct Http2Api {
    port: u16,
    certificate: PathBuf,
    log: Arc<Mutex<Log>>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Log {
    connections: usize,
    requests: usize,
    served: usize,
}

impl Http2Api {
    /// Starts it; `fate` tells what becomes of the connection of this number, counted from 0.
    ///
    /// # Panics
    /// If there is no free port or no temporary folder.
    pub async fn start(fate: impl Fn(usize) -> Fate + Send + 'static) -> Self {
        let authority = Authority::new();
        let acceptor = authority.acceptor_for(Leaf::Valid, &["h2"]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on 127.0.0.1");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let certificate = std::env::temp_dir().join(format!("forwarder-http2-{}-{port}.pem", std::process::id()));
        std::fs::write(&certificate, authority.certificate_pem()).expect("a file in the temporary folder");
        let log = Arc::new(Mutex::new(Log::default()));
        let mut task = JoinSet::new();
        let entries = Arc::clone(&log);
        task.spawn(async move {
            // Dropped with this task.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let number = with(&entries, |log| {
                    log.connections += 1;
                    log.connections - 1
                });
                let (acceptor, entries, fate) = (acceptor.clone(), Arc::clone(&entries), fate(number));
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, fate, &entries).await;
                    }
                });
            }
        });
        Self { port, certificate, log, _task: task }
    }

    /// `https://localhost:PORT/events`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}/events", self.port)
    }

    /// The PEM file of the authority that a client has to trust.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.certificate.display().to_string()
    }

    /// Returns how many connections came.
    #[must_use]
    pub fn connections(&self) -> usize {
        with(&self.log, |log| log.connections)
    }

    /// Returns how many requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        with(&self.log, |log| log.requests)
    }

    /// Returns how many requests were answered.
    #[must_use]
    pub fn served(&self) -> usize {
        with(&self.log, |log| log.served)
    }
}

impl Drop for Http2Api {
    fn drop(&mut self) {
        // A file that is left in the temporary folder does no harm.
        std::fs::remove_file(&self.certificate).ok();
    }
}

fn with<T>(log: &Mutex<Log>, act: impl FnOnce(&mut Log) -> T) -> T {
    act(&mut log.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn serve(stream: TlsStream<TcpStream>, fate: Fate, log: &Arc<Mutex<Log>>) {
    let Ok(mut connection) = server::handshake(stream).await else { return };
    // Held open, so that nothing is reset.
    let mut held = Vec::new();
    let mut bodies = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        with(log, |log| log.requests += 1);
        match fate {
            Fate::AnswersEarly(status) if is_large(&request) => {
                let early = Response::builder().status(status).body(()).expect("a status");
                // The request, dropped unread, is reset with `NO_ERROR` once that has left.
                respond.send_response(early, true).ok();
            }
            Fate::Served | Fate::ServesOne | Fate::LeaksWindow | Fate::AnswersEarly(_) => {
                // A task of its own: the connection has to be driven meanwhile.
                let mut answered = tokio::spawn(answer(request, respond, fate != Fate::LeaksWindow, Arc::clone(log)));
                let body = tokio::select! {
                    body = &mut answered => body.ok().flatten(),
                    _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return,
                };
                // Dropped, a body gives the window back that it has taken.
                bodies.extend(body.filter(|_| fate == Fate::LeaksWindow));
                if fate == Fate::ServesOne {
                    connection.graceful_shutdown();
                }
            }
            Fate::Silent => held.push((request, respond)),
            Fate::Frozen => std::future::pending().await,
            Fate::RefusesStreams => respond.send_reset(Reason::REFUSED_STREAM),
            Fate::Resets => respond.send_reset(Reason::INTERNAL_ERROR),
            Fate::GoesAway => connection.abrupt_shutdown(Reason::NO_ERROR),
        }
    }
}

fn is_large(request: &Request<RecvStream>) -> bool {
    let length = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    length.is_some_and(|length: usize| length > 500_000)
}

/// Reads a request to its end and answers it; returns its body if that came whole.
async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    grows: bool,
    log: Arc<Mutex<Log>>,
) -> Option<RecvStream> {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let length = data.ok()?.len();
        if grows {
            body.flow_control().release_capacity(length).ok()?;
        }
    }
    // Before the answer, after which a client may look.
    with(&log, |log| log.served += 1);
    respond.send_response(Response::new(()), true).ok()?;
    Some(body)
}
