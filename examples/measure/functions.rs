//! What the function is compared with, as Lambda functions: this program is one where `_HANDLER`, Lambda's own name for it, says so.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use rustls::{ClientConfig, RootCertStore};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::naive;

/// The handler that drops the event: what Lambda's own runtime costs.
pub(crate) const BARE: &str = "bare";
/// The handler of the naive implementation.
pub(crate) const NAIVE: &str = "naive";

/// Serves invocations as the function of this name, until Lambda has no more. Nothing if there is no such function.
pub(crate) fn play(handler: &str) -> Option<ExitCode> {
    if ![BARE, NAIVE].contains(&handler) {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let ended = runtime.block_on(async {
        if handler == BARE { Runtime::new(service_fn(drop_event)).run().await } else { serve_naive().await }
    });
    Some(if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drop_event(_: LambdaEvent<IgnoredAny>) -> Result<Value, Diagnostic> {
    Ok(json!({"records": []}))
}

async fn serve_naive() -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = client()?;
    let url = environment("ANALYTICS_URL");
    let is_gzip = environment("PAYLOAD_ENCODING") == "gzip";
    let handler = service_fn(async |event: LambdaEvent<Box<RawValue>>| {
        deliver(event.payload.get(), &client, &url, is_gzip)
            .await
            .map_err(|error| Diagnostic { error_type: "Naive".to_owned(), error_message: error.to_string() })
    });
    Runtime::new(handler).run().await
}

/// A client as most programs have it.
fn client() -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}

/// One POST after the other, and `Dropped` for every record.
async fn deliver(
    payload: &str,
    client: &reqwest::Client,
    url: &str,
    is_gzip: bool,
) -> Result<Value, Box<dyn Error + Send + Sync>> {
    for mut body in naive::bodies(payload.as_bytes())? {
        let mut request = client.post(url).bearer_auth("none").header("content-type", "application/json");
        if is_gzip {
            body = naive::gzip(&body)?;
            request = request.header("content-encoding", "gzip");
        }
        request.body(body).send().await?.error_for_status()?;
    }
    let event: Value = serde_json::from_str(payload)?;
    let records = event.get("records").and_then(Value::as_array).ok_or("no records")?;
    let answers = records.iter().map(|record| json!({"recordId": record.get("recordId"), "result": "Dropped"}));
    Ok(json!({"records": answers.collect::<Vec<_>>()}))
}

#[expect(clippy::disallowed_methods, reason = "as a function, this program is set up by its environment")]
pub(crate) fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}
