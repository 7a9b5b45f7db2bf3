//! The one HTTP client that the analytics API, the token endpoint and Parameter Store share: one TLS stack, one set of roots.
//!
//! Roots are bundled: reading the system's store costs more of a cold start than all the rest of the client. A private CA is
//! added from a PEM file (`SSL_CERT_FILE`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use reqwest::redirect;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// How long a connection may lie idle and still be used. Lambda freezes the process between events, and whoever is in between
/// (a NAT gateway after 350 s, a load balancer after 60 s) forgets it meanwhile.
const IDLE: Duration = Duration::from_secs(50);

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Name and version that requests carry.
pub const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The file with further roots cannot be used.
    #[error("SSL_CERT_FILE: no certificates could be read from the file: {0}")]
    CaFile(String),
    /// The TLS or HTTP stack does not take its configuration.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// Builds the client. It follows no redirects and sends no `Referer`.
///
/// # Errors
/// If the file of further roots cannot be read.
pub fn build(ca_file: Option<&Path>) -> Result<reqwest::Client, ClientError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(path) = ca_file {
        let unusable = |error: &dyn std::fmt::Display| ClientError::CaFile(error.to_string());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
            roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(USER_AGENT)
        // A proxy from the environment would see what is sent to this machine, the client's secret included.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ClientError::Setup(error.to_string()))
}

/// Why an answer's body cannot be used.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the answer broke off")]
    Broken,
    /// The body is larger than is read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}

/// Reads an answer's body, and fails rather than truncate past `limit` bytes.
///
/// # Errors
/// Past the limit, or if the connection breaks.
pub async fn read_body(mut response: reqwest::Response, limit: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The client as the AWS SDK's transport.
#[derive(Debug, Clone)]
pub struct SdkTransport(reqwest::Client);

impl SdkTransport {
    /// Most of an answer of Parameter Store: ten parameters of 8 KB, and room.
    const MAX_ANSWER: usize = 1 << 20;

    /// Wraps the client.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    async fn send(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        // A request of this SDK is always in memory.
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let request = reqwest::Request::try_from(request).map_err(|error| ConnectorError::user(error.into()))?;
        let response = client.execute(request).await.map_err(|error| {
            if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response, Self::MAX_ANSWER).await.map_err(|error| ConnectorError::io(error.into()))?;
        let mut answer = http::Response::new(SdkBody::from(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
            .try_into()
            .map_err(|error: aws_smithy_runtime_api::http::HttpError| ConnectorError::other(error.into(), None))
    }
}

impl HttpConnector for SdkTransport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(Self::send(self.0.clone(), request))
    }
}

impl HttpClient for SdkTransport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_at_the_start() {
        assert!(build(None).is_ok());
        assert!(matches!(build(Some(Path::new("/nonexistent.pem"))), Err(ClientError::CaFile(_))));
    }
}
