//! The services that the function talks to, on loopback, and the environment that leads it to them.

use std::error::Error;

use apigw_log_forwarder::config::{MAX_BATCH_BYTES, Settings};
use apigw_log_forwarder::destination::JSON;
use apigw_log_forwarder::forwarder::Forwarder;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ssm::config::Credentials;
use serde_json::json;

use crate::events::samples::OWN_LOG_GROUP;
use crate::loopback::{AnalyticsApi, CLIENT_ID, CLIENT_SECRET, ParameterStore, TokenEndpoint};

const REGION: &str = "us-east-1";
/// The store asks for a signature and does not check it.
const ACCESS_KEY: [&str; 2] = ["AKIDEXAMPLE", "not-a-real-secret-key"];
const TOKEN_PARAMETER: &str = "/quickstart/token";
const CREDENTIALS_PARAMETER: &str = "/quickstart/credentials";

/// Everything around the function.
pub(crate) struct World {
    destination: String,
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) store: ParameterStore,
    pub(crate) analytics: AnalyticsApi,
}

impl World {
    /// Starts the services. The store holds the client's credentials and no token yet.
    pub(crate) async fn start(destination: &str) -> Self {
        let endpoint = TokenEndpoint::start().await;
        let analytics = AnalyticsApi::start_trusting(endpoint.valid()).await;
        analytics.set_max_bytes(MAX_BATCH_BYTES);
        let store = ParameterStore::start().await;
        let mut credentials = json!({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET});
        if destination != JSON.name {
            analytics.speak(destination);
            credentials = json!({"key": "not-a-real-key"});
        }
        store.put(CREDENTIALS_PARAMETER, &credentials.to_string());
        Self { destination: destination.to_owned(), endpoint, store, analytics }
    }

    /// Returns the function's required settings, and the log group that the samples take for its own.
    fn settings(&self) -> [(&'static str, String); 7] {
        let auth = if self.destination == JSON.name { "oauth" } else { "key" };
        [
            ("DESTINATION", self.destination.clone()),
            ("AUTH", auth.to_owned()),
            ("ANALYTICS_URL", self.analytics.url()),
            ("TOKEN_URL", self.endpoint.url()),
            ("TOKEN_PARAMETER", TOKEN_PARAMETER.to_owned()),
            ("CREDENTIALS_PARAMETER", CREDENTIALS_PARAMETER.to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", OWN_LOG_GROUP.to_owned()),
        ]
    }

    /// Returns the environment that the built function needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let [id, secret] = ACCESS_KEY;
        let sdk = [
            ("AWS_ENDPOINT_URL_SSM", self.store.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ];
        self.settings().into_iter().chain(sdk).collect()
    }

    /// Sets the function up in this process, with these settings over the required ones.
    pub(crate) async fn forwarder(&self, changes: &[(String, String)]) -> Result<Forwarder, Box<dyn Error>> {
        let required = self.settings();
        let settings = Settings::read(|name| {
            let set = changes.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
            set.or_else(|| required.iter().find(|(key, _)| *key == name).map(|(_, value)| value)).cloned()
        })?;
        let [id, secret] = ACCESS_KEY;
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .empty_test_environment()
            .region(Region::from_static(REGION))
            .credentials_provider(Credentials::new(id, secret, None, None, "quickstart"))
            .endpoint_url(self.store.url());
        Ok(Forwarder::from_settings(settings, aws).await?)
    }
}
