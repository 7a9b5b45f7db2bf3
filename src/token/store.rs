//! Parameter Store, as far as the token needs it: the cached token, the client's credentials, and create-once locks.

use std::fmt;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::primitives::DateTime;
use aws_sdk_ssm::types::{Parameter, ParameterTier, ParameterType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;
use thiserror::Error;

use super::clock::Clock;
use super::renewal::Lock;
use super::value::{Token, is_header_text};
use crate::secret::Secret;

/// What the client authenticates with at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Credentials {
    /// The client's name.
    pub client_id: String,
    /// The client's password.
    pub client_secret: Option<Secret>,
    /// What the client has instead with `private_key_jwt`: a key, as PEM.
    pub private_key: Option<Secret>,
    /// The name by which the endpoint knows that key.
    pub key_id: Option<String>,
}

/// What one read of the store found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Version of the token's parameter; 0 if there is none.
    pub version: i64,
    /// The token, if the parameter holds one.
    pub token: Option<Token>,
    /// The credentials, if their parameter holds them.
    pub credentials: Option<Credentials>,
    /// The static key, if the credentials' parameter holds one.
    pub key: Option<Secret>,
    /// The client's certificate and its key, if there is a parameter for them and it is there.
    pub certificate: Option<Secret>,
    /// Further formats, if there is a parameter for them and it is there.
    pub formats: Option<String>,
    /// Whether the credentials were written after the lock.
    pub are_newer: bool,
}

/// Why the store did not do what it was asked. Holds the error's code, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The function's role may not do it, or may not use the key.
    #[error("access denied ({code}): allow {action} on {} to the function's role, and {} with a KMS key of your own", .action.resources(), .action.key_actions())]
    Denied {
        /// What was not allowed.
        action: Action,
        /// The error's code on the wire.
        code: String,
    },
    /// The key of the parameter cannot be used.
    #[error("the KMS key of {} cannot be used ({code}): enable it and allow {} to the function's role", .action.resources(), .action.key_actions())]
    Key {
        /// What it was needed for.
        action: Action,
        /// The error's code on the wire.
        code: String,
    },
    /// Too many requests, or out of order: the same may be done later.
    #[error("too busy ({code})")]
    Busy {
        /// The error's code on the wire.
        code: String,
    },
    /// The parameter exists, where it was to be created.
    #[error("the parameter exists")]
    Exists,
    /// Any other answer.
    #[error("{action} is refused ({code}){}", hint(.code))]
    Refused {
        /// What was refused.
        action: Action,
        /// The error's code on the wire.
        code: String,
    },
    /// No answer.
    #[error("not reached for {action}: {reason}")]
    Unreachable {
        /// What it was asked for.
        action: Action,
        /// A connection that failed, or time that ran out.
        reason: &'static str,
    },
}

/// What the store is asked to do, by the name of its IAM action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `ssm:GetParameters`
    Get,
    /// `ssm:PutParameter`
    Put,
    /// `ssm:DeleteParameter`
    Delete,
}

impl Action {
    /// The parameters that it is done to.
    fn resources(self) -> &'static str {
        match self {
            Self::Get => {
                "CREDENTIALS_PARAMETER, TOKEN_PARAMETER and its locks (.lock.*), and the other parameters that are set"
            }
            Self::Put => "TOKEN_PARAMETER and its locks (.lock.*)",
            Self::Delete => "the locks of TOKEN_PARAMETER (.lock.*)",
        }
    }

    /// What it takes of a key that is not the account's own for Parameter Store.
    fn key_actions(self) -> &'static str {
        match self {
            Self::Get | Self::Delete => "kms:Decrypt",
            Self::Put => "kms:Encrypt and kms:GenerateDataKey",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "ssm:GetParameters",
            Self::Put => "ssm:PutParameter",
            Self::Delete => "ssm:DeleteParameter",
        })
    }
}

/// Reads a static key: `{"key":"…"}`, or its bare text.
fn key(value: &str) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Keyed {
        key: Secret,
    }
    let key = match serde_json::from_str::<Keyed>(value) {
        Ok(Keyed { key }) => key,
        Err(_) => Secret::new(value.trim().to_owned()),
    };
    is_header_text(key.expose()).then_some(key).filter(|key| !key.expose().starts_with('{'))
}

/// What an operator can do about an error.
fn hint(code: &str) -> &'static str {
    match code {
        "ParameterMaxVersionLimitExceeded" => {
            ": the oldest of the 100 versions of TOKEN_PARAMETER carries a label: remove the label"
        }
        "ParameterLimitExceeded" => ": the account has as many parameters as it may: delete some or raise the quota",
        "HierarchyTypeMismatchException" | "UnsupportedParameterType" => {
            ": TOKEN_PARAMETER is not a SecureString: delete it, the function makes it anew"
        }
        "ParameterPatternMismatchException" => {
            ": TOKEN_PARAMETER allows a pattern only: delete it, the function makes it anew"
        }
        "HierarchyLevelLimitExceededException" => ": the name in TOKEN_PARAMETER has more than 15 levels",
        "ValidationException" => ": the name in TOKEN_PARAMETER or CREDENTIALS_PARAMETER, or a token over 8 KB",
        _ => "",
    }
}

/// The parameters of this function in the store.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    clock: Clock,
    parameters: Parameters,
}

/// The names of the parameters: all that are there are read in one request.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// The one that caches the token.
    pub token: Option<String>,
    /// The one with the credentials or the key.
    pub credentials: Option<String>,
    /// The one with the client's certificate.
    pub certificate: Option<String>,
    /// The one with further formats.
    pub formats: Option<String>,
}

impl Store {
    /// Names the parameters.
    ///
    /// The SDK repeats nothing: reads are counted, and a write that was throttled is better preceded by a look. One whose answer was
    /// lost may have been done, where creating the same name again would look like another's lock.
    #[must_use]
    pub fn new(client: &Client, parameters: Parameters) -> Self {
        let clock = Clock::default();
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).interceptor(clock.clone());
        Self { client: Client::from_conf(config.build()), clock, parameters }
    }

    /// Returns whether there is a parameter with credentials.
    pub(super) fn has_credentials(&self) -> bool {
        self.parameters.credentials.is_some()
    }

    /// Returns whether there is a parameter with further formats.
    pub(super) fn has_formats(&self) -> bool {
        self.parameters.formats.is_some()
    }

    /// The store's clock, as far as it is known.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Reads all parameters that are set, and the lock of this version of the token, in one request.
    pub(super) async fn look(&self, version: Option<i64>) -> Result<(Found, Option<Lock>), StoreError> {
        let lock = version.map(|version| self.lock_name(version));
        let Parameters { token, credentials, certificate, formats } = &self.parameters;
        let names = [token, credentials, certificate, formats, &lock].into_iter().flatten().cloned().collect();
        let request = self.client.get_parameters().set_names(Some(names)).with_decryption(true);
        let answer = request.send().await.map_err(|error| classify(Action::Get, &error))?;
        let find = |name: &String| answer.parameters().iter().find(|parameter| parameter.name() == Some(name));
        let modified = |parameter: &Parameter| parameter.last_modified_date().map(DateTime::as_secs_f64);
        let found = |name: &Option<String>| name.as_ref().and_then(find);
        let text = |name: &Option<String>| found(name).and_then(Parameter::value).map(str::to_owned);
        let (token, credentials, lock) = (found(token), found(credentials), found(&lock));
        let found = Found {
            version: token.map_or(0, Parameter::version),
            token: token.and_then(Parameter::value).and_then(Token::from_parameter),
            // Nobody acts differently on malformed credentials than on missing ones.
            credentials: credentials.and_then(Parameter::value).and_then(|value| serde_json::from_str(value).ok()),
            key: credentials.and_then(Parameter::value).and_then(key),
            certificate: text(certificate).map(Secret::new),
            formats: text(formats),
            are_newer: lock.and_then(modified).is_some_and(|lock| credentials.and_then(modified) > Some(lock)),
        };
        let lock = lock.map(|lock| {
            let dead_at: Option<i64> = lock.value().and_then(|value| value.trim().parse().ok());
            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
            let life = modified(lock).zip(dead_at).map(|(modified, dead_at)| (dead_at as f64 - modified) as i64);
            Lock { version: lock.version(), dead_at, life }
        });
        Ok((found, lock))
    }

    /// Returns for each parameter whether it is there. The token's is, or will be.
    pub(super) async fn found(&self) -> Result<Vec<(String, bool)>, StoreError> {
        let Parameters { token, credentials, certificate, formats } = &self.parameters;
        let names: Vec<String> = [token, credentials, certificate, formats].into_iter().flatten().cloned().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let request = self.client.get_parameters().set_names(Some(names.clone())).with_decryption(true);
        let answer = request.send().await.map_err(|error| classify(Action::Get, &error))?;
        let is_there = |name: &String| answer.parameters().iter().any(|parameter| parameter.name() == Some(name));
        Ok(names.into_iter().map(|name| (is_there(&name), name)).map(|(is_there, name)| (name, is_there)).collect())
    }

    /// Returns whether this is the parameter of the token.
    pub(super) fn is_token(&self, name: &str) -> bool {
        self.parameters.token.as_deref() == Some(name)
    }

    fn token_parameter(&self) -> &str {
        self.parameters.token.as_deref().expect("tokens of an endpoint have a parameter")
    }

    fn lock_name(&self, version: i64) -> String {
        format!("{}.lock.{version}", self.token_parameter())
    }

    /// Creates the lock of a version of the token, which only one can, and returns the lock's own version.
    pub(super) async fn lock(&self, version: i64, dead_at: i64) -> Result<i64, StoreError> {
        self.put(self.client.put_parameter().name(self.lock_name(version)).overwrite(false), dead_at).await
    }

    /// Writes a lock again that is there, and returns the lock's own version, which only one gets.
    pub(super) async fn claim(&self, version: i64, dead_at: i64) -> Result<i64, StoreError> {
        self.put(self.client.put_parameter().name(self.lock_name(version)).overwrite(true), dead_at).await
    }

    async fn put(&self, lock: PutParameterFluentBuilder, dead_at: i64) -> Result<i64, StoreError> {
        written(lock.value(dead_at.to_string()).r#type(ParameterType::String)).await
    }

    /// Deletes the lock of a version.
    pub(super) async fn unlock(&self, version: i64) -> Result<(), StoreError> {
        let request = self.client.delete_parameter().name(self.lock_name(version));
        match request.send().await.map_err(|error| classify(Action::Delete, &error)) {
            Err(StoreError::Refused { code, .. }) if code == "ParameterNotFound" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Writes the token and returns the version that it became.
    pub(super) async fn write(&self, token: &Token) -> Result<i64, StoreError> {
        let value = token.to_parameter().map_err(|_| StoreError::Unreachable {
            action: Action::Put,
            reason: "the token cannot be written as JSON",
        })?;
        let request = self
            .client
            .put_parameter()
            .name(self.token_parameter())
            .value(value.as_str())
            .r#type(ParameterType::SecureString)
            // A token over 4 KB does not fit into a standard parameter.
            .tier(ParameterTier::IntelligentTiering)
            .overwrite(true);
        written(request).await
    }
}

/// Sends a write and returns the parameter's version.
async fn written(request: PutParameterFluentBuilder) -> Result<i64, StoreError> {
    let answer = request.send().await;
    answer.map(|answer| answer.version()).map_err(|error| classify(Action::Put, &error))
}

/// Most characters of an error's code that are kept: AWS's longest has 46.
const MAX_CODE: usize = 64;

/// Cuts what stands for an error's code to a short single line: whoever answers need not be AWS.
fn single_line(code: &str) -> String {
    let mut line: String = code.chars().take(MAX_CODE).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    if code.chars().nth(MAX_CODE).is_some() {
        line.push('…');
    }
    line
}

/// Tells from an error what an operator, or the caller, can do about it.
fn classify<E>(action: Action, error: &SdkError<E, HttpResponse>) -> StoreError
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
    let code = single_line(service.err().code().unwrap_or("unknown"));
    match code.as_str() {
        "AccessDeniedException" | "AccessDenied" => StoreError::Denied { action, code },
        "InvalidKeyId" => StoreError::Key { action, code },
        _ if code.starts_with("KMS") => StoreError::Key { action, code },
        "ParameterAlreadyExists" => StoreError::Exists,
        "ThrottlingException" | "TooManyUpdates" => StoreError::Busy { code },
        _ if service.raw().status().is_server_error() => StoreError::Busy { code },
        _ => StoreError::Refused { action, code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_short_single_line_whatever_was_sent_for_it() {
        assert_eq!(single_line("ThrottlingException"), "ThrottlingException");
        assert_eq!(single_line("ab\ncd\u{7} é"), "ab?cd???");
        let long = single_line(&"x\n".repeat(200_000));
        assert_eq!((long.chars().count(), long.lines().count()), (MAX_CODE + 1, 1));
        assert_eq!(single_line(&"x".repeat(MAX_CODE)).chars().count(), MAX_CODE);
    }
}
