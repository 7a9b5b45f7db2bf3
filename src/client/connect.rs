//! The way to a service, one step after the other: its name, a TCP connection, TLS, and HTTP/1.1 or HTTP/2 as ALPN says.
//!
//! Each step fails in its own way, so that the log tells a wrong name from a closed port and an expired certificate from an
//! unknown issuer.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, Error as RustlsError};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::connection::Connection;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The host's name stands for no address.
    #[error("its host name is not found")]
    Name,
    /// Nothing listens there.
    #[error("it refuses the connection")]
    Refused,
    /// TCP fails otherwise.
    #[error("no connection to it: {0}")]
    Tcp(io::ErrorKind),
    /// TLS fails.
    #[error("no TLS with it: {0}")]
    Tls(TlsFault),
    /// Not in time.
    #[error("no connection to it in time")]
    Timeout,
}

/// Why TLS fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// The certificate's time is over.
    #[error("its certificate has expired")]
    Expired,
    /// The certificate's time has not come.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// The certificate is for another host.
    #[error("its certificate is for another host name")]
    OtherHost,
    /// Nobody who is trusted has issued the certificate.
    #[error("its certificate is of an unknown issuer; SSL_CERT_FILE names a file of further roots")]
    UnknownIssuer,
    /// Anything else about the certificate.
    #[error("its certificate cannot be used")]
    Certificate,
    /// The service sends an alert.
    #[error("it breaks the handshake off")]
    Alert,
    /// What is sent is not TLS.
    #[error("what it sends is not TLS")]
    NotTls,
    /// The connection ends on the way.
    #[error("the connection broke during the handshake")]
    Broken,
}

/// What every connection is made with.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: Arc<ClientConfig>,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, tls }
    }

    /// Connects to the host and port of a URI.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Connection, ConnectError> {
        let tcp = self.tcp.clone().call(uri.clone()).await.map_err(|error| of_tcp(&error))?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return http1(tcp.into_inner()).await;
        }
        // A URI writes the address of an IPv6 host in brackets, a certificate does not.
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Name)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp.into_inner()).await;
        let tls = tls.map_err(|error| ConnectError::Tls(of_tls(&error)))?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_http2 {
            Connection::http2(tls).await.map_err(|_| ConnectError::Tls(TlsFault::Broken))
        } else {
            http1(tls).await
        }
    }
}

async fn http1(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, ConnectError> {
    Connection::http1(io).await.map_err(|_| ConnectError::Tcp(io::ErrorKind::ConnectionReset))
}

/// The operating system's resolver, with an error that can be told from others.
#[derive(Debug, Clone)]
struct Resolver(GaiResolver);

/// The name stands for no address, or nobody could say.
#[derive(Debug, Error)]
#[error("name not found")]
struct NameNotFound;

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = NameNotFound;
    type Future = BoxFuture<'static, Result<GaiAddrs, NameNotFound>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NameNotFound>> {
        self.0.poll_ready(context).map_err(|_| NameNotFound)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0.call(name);
        Box::pin(async move { addresses.await.map_err(|_| NameNotFound) })
    }
}

/// Finds in an error, or what it came of, the first one of a type.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

fn of_tcp(error: &(dyn StdError + 'static)) -> ConnectError {
    if cause::<NameNotFound>(error).is_some() {
        return ConnectError::Name;
    }
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => ConnectError::Refused,
        Some(io::ErrorKind::TimedOut) => ConnectError::Timeout,
        kind => ConnectError::Tcp(kind.unwrap_or(io::ErrorKind::Other)),
    }
}

fn of_tls(error: &io::Error) -> TlsFault {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(RustlsError::InvalidCertificate(error)) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFault::OtherHost,
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
            _ => TlsFault::Certificate,
        },
        Some(RustlsError::AlertReceived(_)) => TlsFault::Alert,
        Some(RustlsError::InvalidMessage(_)) => TlsFault::NotTls,
        Some(_) => TlsFault::Certificate,
        None => TlsFault::Broken,
    }
}
