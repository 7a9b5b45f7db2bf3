//! The AWS services that the other functions use: S3, SQS and CloudWatch Logs, as far as they need them.
//!
//! The SDK's client for S3 alone would add 1.3 MB to the binary and a tenth to the build, while what is used of each service is
//! a handful of requests. So the SDK finds region, credentials and endpoints and signs, and the requests are written here:
//!
//! ```text
//! GET  https://bucket.s3.eu-west-1.amazonaws.com/failed/2026/11/21/…       the object's lines
//! POST https://sqs.eu-west-1.amazonaws.com/  X-Amz-Target: AmazonSQS.ChangeMessageVisibility  {"QueueUrl":…}
//! ```

mod endpoint;
mod logs;
mod s3;
mod sqs;

use std::time::{Duration, Instant, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::Value;
use thiserror::Error;

pub use self::logs::{Filter, LogEvent, LogGroups, Page, Range};
pub use self::s3::{Bucket, Object, decode_key};
pub(crate) use self::sqs::MAX_BATCH;
pub use self::sqs::Queue;

use crate::client::{Answer, BodyError, Client, Reuse, SendError};
use crate::retry::{self, Deadline};

/// How much longer than the settings say a request may take for each megabyte that it carries.
const SECOND_A_MEGABYTE: Duration = Duration::from_secs(1);

/// Attempts of one request.
const MAX_ATTEMPTS: usize = 5;

/// Most of an answer that says why a request failed.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Why a request to AWS failed. Holds codes, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AwsError {
    /// There is nothing to sign with, or the request cannot be signed.
    #[error("{action}: the request cannot be signed: {reason}")]
    Unsigned {
        /// What was to be done, by its IAM action.
        action: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The service refuses.
    #[error("{action} is refused: {status}{}{}", if .code.is_empty() { "" } else { " " }, .code)]
    Refused {
        /// What was to be done, by its IAM action.
        action: &'static str,
        /// The answer's status.
        status: StatusCode,
        /// The error's code on the wire, if there is one.
        code: String,
    },
    /// No answer.
    #[error("{action}: {error}")]
    Unreachable {
        /// What was to be done, by its IAM action.
        action: &'static str,
        /// Why there is none.
        error: SendError,
    },
    /// The answer cannot be read.
    #[error("{action}: the answer cannot be read: {reason}")]
    Unreadable {
        /// What was to be done, by its IAM action.
        action: &'static str,
        /// Why not.
        reason: String,
    },
    /// There is no time left.
    #[error("{action}: no time left")]
    Deadline {
        /// What was to be done, by its IAM action.
        action: &'static str,
    },
}

impl AwsError {
    /// Returns whether the same request may be answered otherwise in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS || is_throttling(code)
            }
            Self::Unreachable { .. } | Self::Unreadable { .. } => true,
            Self::Unsigned { .. } | Self::Deadline { .. } => false,
        }
    }

    /// Returns whether the service has refused with this code.
    #[must_use]
    pub fn is_code(&self, expected: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == expected)
    }

    /// Returns whether the service does not know what it was asked.
    fn is_unknown_operation(&self) -> bool {
        // The last is what a stand-in for AWS says.
        ["UnknownOperationException", "InvalidAction", "NotImplemented", "InvalidOperationException"]
            .iter()
            .any(|code| self.is_code(code))
            || matches!(self, Self::Refused { status: StatusCode::NOT_FOUND | StatusCode::NOT_IMPLEMENTED, .. })
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, code, .. } if code != "NoSuchBucket")
    }
}

/// Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html> and the services' own lists.
fn is_throttling(code: &str) -> bool {
    [
        "Throttl",
        "RequestThrottled",
        "TooManyRequests",
        "SlowDown",
        "RequestLimitExceeded",
        "OverLimit",
        "OperationAborted",
    ]
    .iter()
    .any(|start| code.starts_with(start))
}

/// What all requests share.
#[derive(Debug, Clone)]
pub struct Aws {
    client: Client,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    timeout: Duration,
}

/// One request, not yet signed.
struct Call {
    /// What it does, by its IAM action.
    action: &'static str,
    /// The service's name in a signature.
    service: &'static str,
    method: Method,
    uri: Uri,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Bytes,
}

impl Aws {
    /// Takes region and credentials from what the AWS SDK was told. An answer is waited for as long as `timeout`.
    #[must_use]
    pub fn new(client: Client, sdk: &SdkConfig, timeout: Duration) -> Self {
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        Self { client, credentials: sdk.credentials_provider(), region, timeout }
    }

    /// Sends a request until there is an answer that is a success, and reads that.
    async fn fetch(&self, call: &Call, limit: usize, deadline: Deadline) -> Result<Bytes, AwsError> {
        self.retried(call.action, deadline, async || self.fetch_once(call, limit, deadline).await).await
    }

    async fn fetch_once(&self, call: &Call, limit: usize, deadline: Deadline) -> Result<Bytes, AwsError> {
        let answer = self.send(call, Reuse::Any, deadline).await?;
        let timeout = deadline.allows(self.timeout, Instant::now()).unwrap_or_default();
        read(call.action, answer, limit, timeout).await
    }

    /// Makes attempts until one succeeds, or is refused for good.
    async fn retried<T>(
        &self,
        action: &'static str,
        deadline: Deadline,
        attempt: impl AsyncFn() -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut made = 1;
        loop {
            let error = match attempt().await {
                Err(error) if error.is_passing() && made < MAX_ATTEMPTS => error,
                done => return done,
            };
            let Some(then) = deadline.after(retry::pause(made, fastrand::f64()), Instant::now()) else {
                return Err(error);
            };
            tracing::debug!(action, attempt = made, reason = %error, "tried again");
            tokio::time::sleep_until(then.into()).await;
            made += 1;
        }
    }

    /// Signs a request, sends it once, and turns an answer that is no success into an error.
    async fn send(&self, call: &Call, reuse: Reuse, deadline: Deadline) -> Result<Answer, AwsError> {
        let action = call.action;
        let request = self.sign(call).await.map_err(|reason| AwsError::Unsigned { action, reason })?;
        let longest = self.timeout + SECOND_A_MEGABYTE * u32::try_from(call.body.len() >> 20).unwrap_or(u32::MAX);
        let timeout = deadline.allows(longest, Instant::now()).ok_or(AwsError::Deadline { action })?;
        let sent = self.client.send(request, timeout, reuse).await;
        let answer = sent.map_err(|error| AwsError::Unreachable { action, error })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let status = answer.status;
        let header = answer.headers.get("x-amzn-errortype").and_then(|code| code.to_str().ok()).map(str::to_owned);
        let body = read(action, answer, MAX_ERROR_BYTES, timeout).await.unwrap_or_default();
        let code = header.or_else(|| json_code(&body)).or_else(|| s3::error_code(&body)).unwrap_or_default();
        Err(AwsError::Refused { action, status, code: short_code(&code).to_owned() })
    }

    async fn sign(&self, call: &Call) -> Result<Request<Bytes>, String> {
        let credentials = match &self.credentials {
            Some(provider) => provider.provide_credentials().await.map_err(|error| error.to_string())?,
            None => return Err("no credentials".to_owned()),
        };
        let mut settings = SigningSettings::default();
        if call.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = credentials.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(call.service)
            .time(now())
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = call.headers.iter().filter_map(|(name, value)| Some((*name, value.to_str().ok()?)));
        let body = SignableBody::Bytes(&call.body);
        let signable = SignableRequest::new(call.method.as_str(), call.uri.to_string(), headers, body)
            .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &params).map_err(|error| error.to_string())?.into_parts();
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        request
            .headers_mut()
            .extend(call.headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.clone())));
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

#[expect(clippy::disallowed_methods, reason = "a signature holds its time")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Reads an answer to its end.
async fn read(action: &'static str, answer: Answer, limit: usize, timeout: Duration) -> Result<Bytes, AwsError> {
    let unreadable = |reason: String| AwsError::Unreadable { action, reason };
    let body = tokio::time::timeout(timeout, answer.read(limit)).await;
    body.map_err(|_| unreadable("it does not end in time".to_owned()))?
        .map_err(|error: BodyError| unreadable(error.to_string()))
}

/// Reads `{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}`.
fn json_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("__type").or_else(|| body.get("code"))?.as_str().map(str::to_owned)
}

/// Leaves a code's name alone: `com.amazonaws.sqs#QueueDoesNotExist`, `ThrottlingException:http://…`.
fn short_code(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_wherever_a_service_writes_it() {
        assert_eq!(
            json_code(br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"x"}"#).as_deref(),
            Some("com.amazonaws.sqs#QueueDoesNotExist")
        );
        assert_eq!(short_code("com.amazonaws.sqs#QueueDoesNotExist"), "QueueDoesNotExist");
        assert_eq!(short_code("ThrottlingException:http://internal.amazon.com/coral/"), "ThrottlingException");
        assert_eq!(json_code(b"<Error/>"), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused = |status: u16, code: &str| AwsError::Refused {
            action: "s3:GetObject",
            status: StatusCode::from_u16(status).expect("a status"),
            code: code.to_owned(),
        };
        for (error, is_passing) in [
            (refused(503, "SlowDown"), true),
            (refused(400, "ThrottlingException"), true),
            (refused(400, "RequestThrottled"), true),
            (refused(429, ""), true),
            (refused(500, ""), true),
            (refused(404, "NoSuchKey"), false),
            (refused(403, "AccessDenied"), false),
            (refused(400, "InvalidParameterException"), false),
        ] {
            assert_eq!(error.is_passing(), is_passing, "{error}");
        }
        assert!(refused(404, "NoSuchKey").is_not_found() && refused(404, "").is_not_found());
        assert!(!refused(404, "NoSuchBucket").is_not_found());
    }
}
