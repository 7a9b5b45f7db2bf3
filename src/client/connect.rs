//! The way to a service, one step after the other: its name, a TCP connection, TLS, and HTTP/1.1 or HTTP/2 as ALPN says.
//!
//! Where there is a proxy, the same is done to reach it, and then again within its tunnel; but this machine is never behind it.
//!
//! Each step fails in its own way, so that the log tells a wrong name from a closed port, an expired certificate from an unknown
//! issuer, and the proxy from the service.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
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
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::connection::{Connection, Io};
use super::identity::Identity;
use super::proxy::tunnel;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The service cannot be reached.
    #[error(transparent)]
    Service(#[from] HostError),
    /// The proxy cannot be reached.
    #[error("the proxy of PROXY_URL: {0}")]
    Proxy(HostError),
    /// The proxy makes no tunnel.
    #[error("the proxy of PROXY_URL answers {0} to CONNECT")]
    ProxyAnswer(u16),
}

/// Why a host cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostError {
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
    proxy: Option<Proxy>,
}

/// A proxy, and how TLS is spoken with it.
#[derive(Debug, Clone)]
struct Proxy {
    url: Uri,
    tls: Arc<ClientConfig>,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, tls, proxy: None }
    }

    /// Returns a connector that goes through a proxy to all but this machine.
    pub(super) fn through(&self, proxy: Uri) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        // Tunnels are asked for over HTTP/1.1.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { proxy: Some(Proxy { url: proxy, tls: Arc::new(tls) }), ..self.clone() }
    }

    /// Returns a connector that presents a certificate to services.
    pub(super) fn presenting(&self, identity: Arc<Identity>) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.client_auth_cert_resolver = identity;
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    /// Connects to the host and port of a URI. Plain HTTP is for this machine, which no proxy leads to.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Connection, ConnectError> {
        let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
        let io = match &self.proxy {
            Some(proxy) if is_secure && !uri.host().is_some_and(is_loopback) => {
                tunnel(self.reach(proxy).await.map_err(ConnectError::Proxy)?, uri).await?
            }
            _ => self.dial(uri).await?,
        };
        if !is_secure {
            return Ok(http1(io).await?);
        }
        let tls = secure(&self.tls, uri, io).await?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(if is_http2 {
            Connection::http2(Box::new(tls)).await.map_err(|_| HostError::Tls(TlsFault::Broken))?
        } else {
            http1(Box::new(tls)).await?
        })
    }

    async fn dial(&self, uri: &Uri) -> Result<Io, HostError> {
        let tcp = self.tcp.clone().call(uri.clone()).await.map_err(|error| of_tcp(&error))?;
        Ok(Box::new(tcp.into_inner()))
    }

    async fn reach(&self, proxy: &Proxy) -> Result<Io, HostError> {
        let io = self.dial(&proxy.url).await?;
        let is_secure = proxy.url.scheme() == Some(&Scheme::HTTPS);
        Ok(if is_secure { Box::new(secure(&proxy.tls, &proxy.url, io).await?) } else { io })
    }
}

async fn secure(config: &Arc<ClientConfig>, uri: &Uri, io: Io) -> Result<TlsStream<Io>, HostError> {
    // A URI writes the address of an IPv6 host in brackets, a certificate does not.
    let name = ServerName::try_from(bare(uri.host().unwrap_or_default()).to_owned()).map_err(|_| HostError::Name)?;
    let tls = TlsConnector::from(Arc::clone(config)).connect(name, io).await;
    tls.map_err(|error| HostError::Tls(of_tls(&error)))
}

async fn http1(io: Io) -> Result<Connection, HostError> {
    Connection::http1(io).await.map_err(|_| HostError::Tcp(io::ErrorKind::ConnectionReset))
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or `::1`.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
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

fn of_tcp(error: &(dyn StdError + 'static)) -> HostError {
    if cause::<NameNotFound>(error).is_some() {
        return HostError::Name;
    }
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => HostError::Refused,
        Some(io::ErrorKind::TimedOut) => HostError::Timeout,
        kind => HostError::Tcp(kind.unwrap_or(io::ErrorKind::Other)),
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
