//! Parameter Store, as far as the token needs it: the cached token, the client's credentials, and create-once locks.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::{Parameter, ParameterTier, ParameterType};
use serde::Deserialize;
use thiserror::Error;

use super::value::Token;
use crate::secret::Secret;

/// What the client authenticates with at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Credentials {
    /// The client's name.
    pub client_id: String,
    /// The client's password.
    pub client_secret: Secret,
}

/// What one read of the store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Version of the token's parameter; 0 if there is none.
    pub version: i64,
    /// The token, if the parameter holds one.
    pub token: Option<Token>,
    /// The credentials, if they were asked for and their parameter holds them.
    pub credentials: Option<Credentials>,
}

/// Why the store did not do what it was asked. Holds the error's code, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The function's role may not do it, or may not use the key.
    #[error(
        "access denied ({code}): allow {action} on the parameter, and the use of its KMS key, to the function's role"
    )]
    Denied {
        /// The IAM action that is missing.
        action: &'static str,
        /// The error's code on the wire.
        code: String,
    },
    /// The key of the parameter cannot be used.
    #[error("the parameter's KMS key cannot be used ({code}): enable it and allow it to the function's role")]
    Key {
        /// The error's code on the wire.
        code: String,
    },
    /// Too many requests.
    #[error("throttled ({code})")]
    Throttled {
        /// The error's code on the wire.
        code: String,
    },
    /// The parameter exists, where it was to be created.
    #[error("the parameter exists")]
    Exists,
    /// Any other answer.
    #[error("refused {action} ({code})")]
    Refused {
        /// The IAM action.
        action: &'static str,
        /// The error's code on the wire.
        code: String,
    },
    /// No answer.
    #[error("not reached for {action}: {reason}")]
    Unreachable {
        /// The IAM action.
        action: &'static str,
        /// A connection that failed, or time that ran out.
        reason: &'static str,
    },
}

/// The parameters of this function in the store.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    token: String,
    credentials: String,
}

impl Store {
    /// Names the parameters.
    #[must_use]
    pub fn new(client: Client, token: String, credentials: String) -> Self {
        Self { client, token, credentials }
    }

    /// Reads token and credentials in one request.
    pub(super) async fn read(&self) -> Result<Found, StoreError> {
        const ACTION: &str = "ssm:GetParameters";
        let request = self.client.get_parameters().names(&self.token).names(&self.credentials).with_decryption(true);
        let answer = request.send().await.map_err(|error| classify(ACTION, &error))?;
        let mut found = self.found(answer.parameters());
        found.credentials =
            value_of(answer.parameters(), &self.credentials).and_then(|value| serde_json::from_str(value).ok());
        Ok(found)
    }

    /// Looks for the token, and for the time after which the lock of `version` counts as dead.
    pub(super) async fn look(&self, version: i64) -> Result<(Found, Option<i64>), StoreError> {
        let lock = self.lock_name(version);
        let request = self.client.get_parameters().names(&self.token).names(&lock).with_decryption(true);
        let answer = request.send().await.map_err(|error| classify("ssm:GetParameters", &error))?;
        let dead_at = value_of(answer.parameters(), &lock).and_then(|value| value.parse().ok());
        Ok((self.found(answer.parameters()), dead_at))
    }

    fn found(&self, parameters: &[Parameter]) -> Found {
        let version = parameters.iter().find(|parameter| parameter.name() == Some(&self.token)).map(Parameter::version);
        let token = value_of(parameters, &self.token).and_then(Token::from_parameter);
        Found { version: version.unwrap_or(0), token, credentials: None }
    }

    fn lock_name(&self, version: i64) -> String {
        format!("{}.lock.{version}", self.token)
    }

    /// Creates the lock of a version of the token, which only one can; it counts as dead after `dead_at`, in epoch seconds.
    pub(super) async fn lock(&self, version: i64, dead_at: i64) -> Result<(), StoreError> {
        let request = self
            .client
            .put_parameter()
            .name(self.lock_name(version))
            .value(dead_at.to_string())
            .r#type(ParameterType::String)
            .overwrite(false);
        request.send().await.map(drop).map_err(|error| classify("ssm:PutParameter", &error))
    }

    /// Deletes the lock of a version.
    pub(super) async fn unlock(&self, version: i64) -> Result<(), StoreError> {
        let request = self.client.delete_parameter().name(self.lock_name(version));
        match request.send().await.map_err(|error| classify("ssm:DeleteParameter", &error)) {
            Err(StoreError::Refused { code, .. }) if code == "ParameterNotFound" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Writes the token and returns the version that it became.
    pub(super) async fn write(&self, token: &Token) -> Result<i64, StoreError> {
        let request = self
            .client
            .put_parameter()
            .name(&self.token)
            .value(token.to_parameter().as_str())
            .r#type(ParameterType::SecureString)
            // A token over 4 KB does not fit into a standard parameter.
            .tier(ParameterTier::IntelligentTiering)
            .overwrite(true);
        let answer = request.send().await.map_err(|error| classify("ssm:PutParameter", &error))?;
        Ok(answer.version())
    }
}

fn value_of<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a str> {
    parameters.iter().find(|parameter| parameter.name() == Some(name)).and_then(Parameter::value)
}

/// Tells from an error what an operator, or the caller, can do about it.
fn classify<E, R>(action: &'static str, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(service) = error else {
        let reason = match error {
            SdkError::TimeoutError(_) => "no answer in time",
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "no answer in time",
            SdkError::DispatchFailure(failure) if failure.is_io() => "no connection",
            SdkError::DispatchFailure(_) => "no credentials, Region or connection",
            SdkError::ResponseError(_) => "an answer that is none of its own",
            _ => "the request could not be made",
        };
        return StoreError::Unreachable { action, reason };
    };
    let code = service.err().code().unwrap_or("unknown").to_owned();
    match code.as_str() {
        "AccessDeniedException" | "AccessDenied" => StoreError::Denied { action, code },
        "InvalidKeyId" => StoreError::Key { code },
        _ if code.starts_with("KMS") => StoreError::Key { code },
        "ParameterAlreadyExists" => StoreError::Exists,
        "ThrottlingException" | "TooManyUpdates" | "RequestLimitExceeded" | "InternalServerError" => {
            StoreError::Throttled { code }
        }
        _ => StoreError::Refused { action, code },
    }
}
