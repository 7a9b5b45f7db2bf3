//! TLS for the services: a certificate authority that lives for one test, and leaves that a client must take or refuse.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A certificate authority that no client trusts unless it is told to.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// What a service's certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// For `localhost`, valid.
    Valid,
    /// For `localhost`, expired in 2021.
    Expired,
    /// Valid, for `other.example.com` only.
    OtherHost,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Makes an authority with a key of its own.
    ///
    /// # Panics
    /// If a key or a certificate cannot be made, which these parameters rule out.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("loopback test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key of the default kind");
        let certificate = params.self_signed(&key).expect("these parameters make a certificate").der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Returns the authority's own certificate, for a client's set of roots.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Returns the authority's own certificate as a PEM file has it.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// Makes a certificate by which services know a client, and returns it with its key as PEM.
    ///
    /// # Panics
    /// If a certificate cannot be made, which these parameters rule out.
    #[must_use]
    pub fn client_pem(&self) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = named("loopback test client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key of the default kind");
        let certificate = params.signed_by(&key, &self.issuer).expect("these parameters make a certificate");
        pem("CERTIFICATE", certificate.der()) + &pem("PRIVATE KEY", key.serialized_der())
    }

    /// Makes what a service needs to speak TLS, HTTP/2 offered before HTTP/1.1.
    #[must_use]
    pub fn acceptor(&self, leaf: Leaf) -> TlsAcceptor {
        self.acceptor_for(leaf, &["h2", "http/1.1"])
    }

    /// Makes what a service needs to speak TLS and these protocols, the preferred first.
    ///
    /// # Panics
    /// If a certificate cannot be made, which these parameters rule out.
    #[must_use]
    pub fn acceptor_for(&self, leaf: Leaf, protocols: &[&str]) -> TlsAcceptor {
        self.acceptor_with(leaf, protocols, WebPkiClientVerifier::no_client_auth())
    }

    /// Makes what a service needs that speaks TLS only with clients that have a certificate of this authority.
    ///
    /// # Panics
    /// If a certificate cannot be made, which these parameters rule out.
    #[must_use]
    pub fn acceptor_of_known_clients(&self) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate of an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        self.acceptor_with(Leaf::Valid, &["h2", "http/1.1"], verifier.expect("there is a root"))
    }

    fn acceptor_with(&self, leaf: Leaf, protocols: &[&str], clients: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
        let host = if leaf == Leaf::OtherHost { "other.example.com" } else { "localhost" };
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host name");
        params.distinguished_name = named(host);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if leaf == Leaf::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().expect("a key of the default kind");
        let certificate = params.signed_by(&key, &self.issuer).expect("these parameters make a certificate");
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .expect("the key belongs to the certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = base64_simd::STANDARD.encode_to_string(der);
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}

/// A client that trusts this authority and nobody else.
///
/// # Panics
/// If this configuration makes no client.
#[cfg(test)]
#[must_use]
pub fn client(trusted: Option<&Authority>) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(trusted.map(|authority| authority.certificate().clone()));
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder().tls_backend_preconfigured(config).build().expect("a client on this configuration")
}

#[cfg(test)]
mod tests {
    use hyper::Version;

    use super::super::{AnalyticsApi, Answer, Tokens};
    use super::*;

    #[test]
    fn the_pem_file_holds_the_certificate() {
        use rustls::pki_types::pem::PemObject as _;
        let authority = Authority::new();
        let read = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        assert_eq!(&read, authority.certificate());
    }

    async fn posted(leaf: Leaf) -> Result<(u16, Vec<Version>), reqwest::Error> {
        let (authority, tokens) = (Authority::new(), Tokens::new());
        tokens.allow("good");
        let api = AnalyticsApi::start_tls(&tokens, authority.acceptor(leaf)).await;
        let request = client(Some(&authority)).post(api.url()).bearer_auth("good");
        let status = request.header("content-type", "application/json").body("[]").send().await?.status();
        Ok((status.as_u16(), api.requests().iter().map(|posted| posted.received.version).collect()))
    }

    #[tokio::test]
    async fn a_client_that_trusts_the_authority_speaks_http_2() {
        assert_eq!(posted(Leaf::Valid).await.unwrap(), (200, vec![Version::HTTP_2]));
    }

    #[tokio::test]
    async fn an_expired_certificate_and_one_for_another_host_are_refused() {
        assert!(posted(Leaf::Expired).await.unwrap_err().is_connect());
        assert!(posted(Leaf::OtherHost).await.unwrap_err().is_connect());
    }

    #[tokio::test]
    async fn a_broken_http_2_stream_leaves_its_connection_whole() {
        let (authority, tokens) = (Authority::new(), Tokens::new());
        tokens.allow("good");
        let api = AnalyticsApi::start_tls(&tokens, authority.acceptor(Leaf::Valid)).await;
        let client = client(Some(&authority));
        let post = || {
            let request = client.post(api.url()).bearer_auth("good").header("content-type", "application/json");
            request.body("[]").send()
        };
        api.script([Answer::closed_after_body()]);
        assert!(post().await.is_err());
        assert_eq!(post().await.unwrap().status(), 200);
        assert_eq!(api.connections(), 1);
    }
}
