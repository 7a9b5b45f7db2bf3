//! The client as the AWS SDK's transport: one TLS stack and one set of roots for all that the function talks to.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::time::Duration;

use super::{Client, Reuse, SendError};

/// Most of an answer of Parameter Store, in bytes: ten parameters of 8 KB, and room.
const MAX_ANSWER: usize = 1 << 20;

/// The client as the AWS SDK's transport. How long it waits is the SDK's own setting.
#[derive(Debug, Clone)]
pub struct SdkTransport(Client);

impl SdkTransport {
    /// Wraps the client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    async fn send(client: Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        if request.body().bytes().is_none() {
            return Err(ConnectorError::user("a request whose body is not in memory".into()));
        }
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let answer = client.send(request, Duration::MAX, Reuse::Any).await.map_err(|error| match error {
            SendError::Connect(_) | SendError::Broken(_) => ConnectorError::io(error.into()),
            SendError::NoAnswer => ConnectorError::timeout(error.into()),
        })?;
        let (status, headers) = (answer.status, answer.headers.clone());
        let body = answer.read(MAX_ANSWER).await.map_err(|error| ConnectorError::io(error.into()))?;
        let mut response = http::Response::new(SdkBody::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.try_into().map_err(|error: HttpError| ConnectorError::other(error.into(), None))
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
