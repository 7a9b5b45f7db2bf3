//! TLS for real: a CA of the operator's, certificates that are refused, HTTP/2.

use std::path::PathBuf;
use std::time::Duration;

use crate::loopback::tls::{Authority, Leaf};
use crate::loopback::{
    AnalyticsApi, CLIENT_ID, CLIENT_SECRET, FunctionProcess, ParameterStore, RuntimeApi, TokenEndpoint,
};
use crate::world::{CREDENTIALS_PARAMETER, binary, credentials, envelope, environment, event, gzip};

/// A file with the root of an authority, as `SSL_CERT_FILE` names one. It is removed when this is dropped.
pub(crate) struct Roots(PathBuf);

impl Roots {
    pub(crate) fn of(authority: &Authority) -> Self {
        let path = std::env::temp_dir().join(format!("forwarder-roots-{:016x}.pem", fastrand::u64(..)));
        std::fs::write(&path, authority.certificate_pem()).expect("a file in the temporary folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a path that is text")
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("the file is there");
    }
}

/// Delivers one record to an API with such a certificate; returns the verdict and the API.
async fn deliver(leaf: Leaf, trusted: bool) -> (String, AnalyticsApi) {
    let authority = Authority::new();
    let roots = Roots::of(&authority);
    let endpoint = TokenEndpoint::start_tls(authority.acceptor(Leaf::Valid)).await;
    let analytics = AnalyticsApi::start_tls(endpoint.valid(), authority.acceptor(leaf)).await;
    let store = ParameterStore::start().await;
    store.put(CREDENTIALS_PARAMETER, &credentials(CLIENT_ID, CLIENT_SECRET));
    let runtime = RuntimeApi::start().await;
    let mut environment = environment(&analytics, &endpoint, &store, &[("MAX_ATTEMPTS", "1")]);
    if trusted {
        environment.insert("SSL_CERT_FILE".to_owned(), roots.path().to_owned());
    }
    let _function = FunctionProcess::spawn(binary(), &environment, &runtime);
    let data = base64_simd::STANDARD.encode_to_string(gzip(envelope("g", 0, &["x"])));
    let answer = runtime.invoke(event([data]).to_string(), Duration::from_secs(10)).await.json();
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
    for (leaf, trusted) in [(Leaf::Expired, true), (Leaf::OtherHost, true), (Leaf::Valid, false)] {
        let (result, analytics) = deliver(leaf, trusted).await;
        assert_eq!(result, "ProcessingFailed", "{leaf:?}");
        assert_eq!(analytics.count(), 0);
    }
}
