//! The services that the function talks to, on loopback, and the environment that leads it to them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::error::Error;

use apigw_log_forwarder::config::{MAX_BATCH_BYTES, RedriveSettings, Settings};
use apigw_log_forwarder::destination::JSON;
use apigw_log_forwarder::forwarder::Forwarder;
use apigw_log_forwarder::redrive::Redrive;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_ssm::config::Credentials;
use serde_json::json;

use crate::events::call;
use crate::events::samples::OWN_LOG_GROUP;
use crate::loopback::{AnalyticsApi, CLIENT_ID, CLIENT_SECRET, ObjectStore, ParameterStore, Queue, TokenEndpoint};

/// The account of everything that is invented.
pub(crate) const ACCOUNT: &str = call::ACCOUNT;
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
    /// Starts the services at these ports, unless they are taken; at free ones where they are 0. The store holds the client's
    /// credentials and no token yet.
    pub(crate) async fn start(destination: &str, ports: [u16; 3]) -> Self {
        let [of_analytics, of_endpoint, of_store] = ports;
        let endpoint = TokenEndpoint::start_at(of_endpoint).await;
        let analytics = AnalyticsApi::start_trusting_at(of_analytics, endpoint.valid()).await;
        analytics.set_max_bytes(MAX_BATCH_BYTES);
        let store = ParameterStore::start_at(of_store).await;
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

    /// Reads the function's settings: the required ones, with these over them.
    pub(crate) fn read(&self, changes: &[(String, String)]) -> Result<Settings, Box<dyn Error>> {
        for (name, _) in changes {
            let known = known_settings();
            if !known.contains(name.as_str()) {
                let near = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
                let near = near.filter(|near| strsim::damerau_levenshtein(near, name) <= 3);
                let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return Err(format!("--set {name}: the function has no such setting{near}").into());
            }
        }
        let required = self.settings();
        Ok(Settings::read(|name| value(name, changes, &required))?)
    }

    /// Lists what the function talks to with these settings.
    pub(crate) fn services(&self, settings: &Settings) -> Vec<Service> {
        let url = settings.delivery.url.to_string();
        let role = match (url == self.analytics.url(), settings.oauth.is_some(), &settings.credentials_parameter) {
            (false, ..) => "as you have set it",
            (_, true, _) => "takes the events, asks for a bearer token",
            (_, false, Some(_)) => "takes the events, asks for a key",
            (_, false, None) => "takes the events",
        };
        let mut services = vec![Service { name: "analytics API", url, role }];
        if let Some(oauth) = &settings.oauth {
            services.push(Service { name: "token endpoint", url: oauth.url.to_string(), role: "makes that token" });
        }
        if settings.credentials_parameter.is_some() {
            let url = self.store.url();
            services.push(Service { name: "Parameter Store", url, role: "keeps the credentials, and the token" });
        }
        services
    }

    /// Counts the events that the analytics API has taken; only where it gets them as they are.
    pub(crate) fn counted(&self) -> Option<usize> {
        (self.destination == JSON.name).then(|| self.analytics.accepted_events().len())
    }

    /// Sets the function up in this process.
    pub(crate) async fn forwarder(&self, settings: Settings) -> Result<Forwarder, Box<dyn Error>> {
        Ok(Forwarder::from_settings(settings, aws(&[("ssm", self.store.url())])).await?)
    }

    /// Sets the second function up in this process, with the same settings.
    pub(crate) async fn redrive(
        &self,
        changes: &[(String, String)],
        bucket: &ObjectStore,
        queue: &Queue,
    ) -> Result<Redrive, Box<dyn Error>> {
        let mut required = self.settings().to_vec();
        required.extend([("FAILED_BUCKET", bucket.bucket().to_owned()), ("REDRIVE_QUEUE_URL", queue.url())]);
        let settings = RedriveSettings::read(|name| value(name, changes, &required));
        let services = [("ssm", self.store.url()), ("s3", bucket.url()), ("sqs", queue.endpoint())];
        Ok(Redrive::from_settings(settings, aws(&services)).await?)
    }
}

/// Looks a setting up: the last change counts, then what is required.
fn value(name: &str, changes: &[(String, String)], required: &[(&str, String)]) -> Option<String> {
    let set = changes.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
    set.or_else(|| required.iter().find(|(key, _)| *key == name).map(|(_, value)| value)).cloned()
}

/// Tells the SDK where these services are, and nothing else on this machine does.
fn aws(services: &[(&str, String)]) -> ConfigLoader {
    let services: Vec<String> =
        services.iter().map(|(service, url)| format!("{service} =\n  endpoint_url = {url}\n")).collect();
    let services = services.concat();
    let profile = format!("[default]\nregion = {REGION}\nservices = loopback\n[services loopback]\n{services}");
    let [id, secret] = ACCESS_KEY;
    aws_config::defaults(BehaviorVersion::latest())
        .empty_test_environment()
        .profile_files(EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, profile).build())
        .credentials_provider(Credentials::new(id, secret, None, None, "quickstart"))
}

/// One of those that the function talks to.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) role: &'static str,
}

/// Lists the function's settings: all that it asks its environment for.
fn known_settings() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        // With a token endpoint it asks for all.
        (name == "AUTH").then(|| "oauth".to_owned())
    };
    drop(Settings::read(environment));
    asked.into_inner()
}
