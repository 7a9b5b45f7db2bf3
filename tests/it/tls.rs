//! TLS for real: a CA of the operator's, certificates that are refused, HTTP/2.

use std::time::Duration;

use crate::loopback::tls::{Authority, Leaf};
use crate::loopback::{
    AnalyticsApi, CLIENT_ID, CLIENT_SECRET, FunctionProcess, ParameterStore, RuntimeApi, TokenEndpoint,
};
use crate::world::{CREDENTIALS_PARAMETER, binary, credentials, envelope, environment, event, gzip};

/// Delivers one record to an API with such a certificate; returns the verdict and the API.
async fn deliver(leaf: Leaf, trusted: bool) -> (String, AnalyticsApi) {
    let authority = Authority::new();
    let file = std::env::temp_dir().join(format!("forwarder-ca-{}-{leaf:?}-{trusted}.pem", std::process::id()));
    std::fs::write(&file, authority.certificate_pem()).expect("a file in the temporary folder");
    let endpoint = TokenEndpoint::start_tls(authority.acceptor(Leaf::Valid)).await;
    let analytics = AnalyticsApi::start_tls(endpoint.valid(), authority.acceptor(leaf)).await;
    let store = ParameterStore::start().await;
    store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
    let runtime = RuntimeApi::start().await;
    let mut environment = environment(&analytics, &endpoint, &store, &[("MAX_ATTEMPTS", "1")]);
    if trusted {
        environment.insert("SSL_CERT_FILE".to_owned(), file.display().to_string());
    }
    let _function = FunctionProcess::spawn(binary(), &environment, &runtime);
    let data = base64_simd::STANDARD.encode_to_string(gzip(envelope("g", 0, &["x"])));
    let answer = runtime.invoke(event([data]).to_string(), Duration::from_secs(10)).await.json();
    std::fs::remove_file(&file).expect("the file is there");
    (answer["records"][0]["result"].as_str().expect("a result").to_owned(), analytics)
}

#[tokio::test]
async fn a_certificate_of_the_operators_authority_is_taken_and_http_2_spoken() {
    let (result, analytics) = deliver(Leaf::Valid, true).await;
    assert_eq!(result, "Dropped");
    assert_eq!(analytics.accepted_events().len(), 1);
    assert_eq!(format!("{:?}", analytics.requests()[0].received.version), "HTTP/2.0");
}

#[tokio::test]
async fn an_expired_an_unknown_and_another_hosts_certificate_are_refused() {
    for (leaf, trusted) in [(Leaf::Expired, true), (Leaf::WrongHost, true), (Leaf::Valid, false)] {
        let (result, analytics) = deliver(leaf, trusted).await;
        assert_eq!(result, "ProcessingFailed", "{leaf:?}");
        assert_eq!(analytics.count(), 0);
    }
}
