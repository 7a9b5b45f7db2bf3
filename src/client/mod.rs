//! The one HTTP client that the analytics API, the token endpoint and Parameter Store share: one TLS stack, one set of roots.
//!
//! It is smaller than a general client, and stricter in one thing: a connection carries one request at a time, over HTTP/2 too,
//! and one whose request has no answer is closed, together with the idle ones to the same service. So a connection that has gone
//! silent costs one attempt. General clients share one HTTP/2 connection among all requests and keep it for as long as there is
//! traffic, whether it answers or not. Nothing is repeated here, either: how many requests an attempt makes is exact.
//!
//! Roots are bundled: reading the system's store costs more of a cold start than all the rest of the client. A private CA is
//! added from a PEM file (`SSL_CERT_FILE`). No redirect is followed, and no proxy is used but that of `PROXY_URL`, to which
//! neither this machine nor Parameter Store is left: a proxy of the environment would see what is sent to them.

mod answer;
mod connect;
mod connection;
mod identity;
mod idle;
mod odd;
mod proxy;
mod sdk;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Uri};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::time::Instant;

pub use self::answer::{Answer, BodyError};
pub(crate) use self::connect::is_loopback;
pub use self::connect::{ConnectError, HostError, TlsFault};
pub use self::identity::{Identity, IdentityError};
pub use self::idle::SETTLING;
pub use self::sdk::SdkTransport;

use self::connect::Connector;
use self::connection::{Connection, ExchangeError, Head, Outgoing, Sent};
use self::idle::{Idle, Lease, Origin};

/// Longest wait for a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Name and version that requests carry.
const NAME_AND_VERSION: HeaderValue =
    HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The file with further roots cannot be used.
    #[error("SSL_CERT_FILE: no certificates could be read from the file: {0}")]
    CaFile(String),
    /// The TLS stack does not take its configuration.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SendError {
    /// There is no connection: nothing was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request was sent, at least in part, and then the connection failed.
    #[error("{0}")]
    Broken(&'static str),
    /// The request was sent, at least in part, and nothing came in time.
    #[error("no answer in time")]
    NoAnswer,
}

/// Which connections a request may go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One that is idle, or a new one.
    Any,
    /// A new one: an attempt has failed.
    None,
}

/// The client. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    connector: Connector,
    idle: Arc<Idle>,
}

impl Client {
    /// Sets the client up; `ca_file` is a PEM file of further roots.
    ///
    /// # Errors
    /// If the file cannot be read or holds no certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        if let Some(path) = ca_file {
            add_roots(&mut roots, path)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Setup(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { connector: Connector::new(Arc::new(tls)), idle: Arc::default() })
    }

    /// Returns a client that goes through a proxy, if there is one, to all but this machine.
    #[must_use]
    pub fn through(&self, proxy: Option<Uri>) -> Self {
        let Some(proxy) = proxy else { return self.clone() };
        Self { connector: self.connector.through(proxy), idle: Arc::default() }
    }

    /// Returns a client that services know by a certificate, if there is to be one. A proxy is not shown it.
    #[must_use]
    pub fn presenting(&self, identity: Option<Arc<Identity>>) -> Self {
        let Some(identity) = identity else { return self.clone() };
        Self { connector: self.connector.presenting(identity), idle: Arc::default() }
    }

    /// Sends a request to an absolute URI, once, and waits for the head of its answer, for as long as `timeout` in all.
    ///
    /// # Errors
    /// If there is no connection or no answer; the connection is closed then.
    pub async fn send(&self, request: Request<Bytes>, timeout: Duration, reuse: Reuse) -> Result<Answer, SendError> {
        let end = Instant::now().checked_add(timeout);
        let origin = Origin::of(request.uri());
        let mut request = request.map(Outgoing::new);
        request.headers_mut().entry(USER_AGENT).or_insert(NAME_AND_VERSION);
        while reuse == Reuse::Any
            && let Some(connection) = self.idle.take(&origin).await
        {
            match self.exchange(connection, &origin, request, end).await? {
                Ok(answer) => return Ok(answer),
                // It was closed while it lay idle.
                Err(unsent) => request = *unsent,
            }
        }
        let connect = Box::pin(self.connector.connect(request.uri()));
        let until = Instant::now() + CONNECT_TIMEOUT;
        let until = end.map_or(until, |end| end.min(until));
        let connection =
            tokio::time::timeout_at(until, connect).await.map_err(|_| ConnectError::Service(HostError::Timeout))??;
        self.exchange(connection, &origin, request, end)
            .await?
            .map_err(|_| SendError::Broken("the connection broke before the request was sent"))
    }

    /// Sends a request over a connection. Gives the request back if nothing of it was sent.
    async fn exchange(
        &self,
        connection: Connection,
        origin: &Origin,
        request: Sent,
        end: Option<Instant>,
    ) -> Result<Result<Answer, Box<Sent>>, SendError> {
        let mut lease = Lease::new(connection, origin.clone(), Arc::clone(&self.idle));
        let exchange = lease.connection.exchange(request);
        let outcome = match end {
            Some(end) => tokio::time::timeout_at(end, exchange).await.map_err(|_| SendError::NoAnswer)?,
            None => exchange.await,
        };
        match outcome {
            Ok(Head::Whole(response)) => Ok(Ok(Answer::new(response, lease.answered()))),
            Ok(Head::Odd(status)) => Ok(Ok(Answer::odd(status))),
            Err(ExchangeError::Unsent(request)) => Ok(Err(request)),
            Err(ExchangeError::Broken(reason)) => Err(SendError::Broken(reason)),
        }
    }
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let unusable = |error: &dyn std::fmt::Display| ClientError::CaFile(error.to_string());
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    }
    if roots.len() == before { Err(unusable(&"it holds none")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_at_the_start() {
        assert!(Client::new(None).is_ok());
        assert!(matches!(Client::new(Some(Path::new("/nonexistent.pem"))), Err(ClientError::CaFile(_))));
        assert!(matches!(Client::new(Some(Path::new("Cargo.toml"))), Err(ClientError::CaFile(_))));
    }
}
