//! The certificate by which services know the client (mutual TLS).
//!
//! It is read from Parameter Store, over this same client, and so is known only some time after the client is made: before the
//! first connection to a service that it is for. Then it stays.

use std::sync::{Arc, OnceLock};

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as RustlsError, InconsistentKeys, SignatureScheme};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Why there is no certificate to present. Nothing of the parameter's value is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// There is no parameter.
    #[error("is missing: put the chain and its private key there, as PEM")]
    Missing,
    /// There is no chain.
    #[error("holds no certificate that is PEM text")]
    Certificate,
    /// There is no key.
    #[error("holds no private key that is PEM text without a passphrase")]
    Key,
    /// The key is of a kind that TLS cannot use.
    #[error("holds a private key that is neither RSA of 2048 to 4096 bits, nor P-256, P-384 or Ed25519")]
    KeyKind,
    /// They do not belong together, or the certificate is damaged.
    #[error("holds a private key that is not that of its first certificate")]
    Mismatch,
}

/// The chain and its key, once they are known.
#[derive(Debug, Default)]
pub struct Identity(OnceLock<Arc<CertifiedKey>>);

impl Identity {
    /// Returns whether they are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// Takes them from a parameter's value, unless they are known: certificates from the client's own on, and a private key, as PEM.
    ///
    /// # Errors
    /// If there is no parameter, or it holds something else.
    pub fn take(&self, parameter: Option<&Secret>) -> Result<(), IdentityError> {
        if !self.is_known() {
            let pem = parameter.ok_or(IdentityError::Missing)?.expose().as_bytes();
            self.0.set(Arc::new(certified(pem)?)).ok();
        }
        Ok(())
    }
}

fn certified(pem: &[u8]) -> Result<CertifiedKey, IdentityError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(IdentityError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(pem).map(Zeroizing::new).map_err(|_| IdentityError::Key)?;
    let key = any_supported_type(&key).map_err(|_| IdentityError::KeyKind)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err(IdentityError::Mismatch),
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.get().cloned()
    }

    fn has_certs(&self) -> bool {
        self.is_known()
    }
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", STANDARD.encode_to_string(der))
    }

    /// A certificate and its key.
    fn pair() -> [String; 2] {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
        [pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", key.serialized_der())]
    }

    fn take(identity: &Identity, parts: &[&str]) -> Result<(), IdentityError> {
        identity.take(Some(&Secret::new(parts.join("\n"))))
    }

    #[test]
    fn a_chain_and_its_key_are_taken_in_either_order_and_kept() {
        let ([certificate, key], [other, _]) = (pair(), pair());
        for parts in [[&*certificate, &other, &key], [&key, &certificate, &other]] {
            let identity = Identity::default();
            assert_eq!(take(&identity, &parts), Ok(()));
            assert_eq!(identity.resolve(&[], &[]).expect("a certificate").cert.len(), 2);
            // What comes of the parameter later changes nothing.
            assert_eq!(identity.take(None), Ok(()));
            assert!(identity.is_known());
        }
    }

    #[test]
    fn what_is_no_chain_with_its_key_is_refused_until_it_is_one() {
        let ([certificate, key], [other, _]) = (pair(), pair());
        let identity = Identity::default();
        let locked = pem("ENCRYPTED PRIVATE KEY", b"hush");
        let [damaged, no_key] = ["CERTIFICATE", "PRIVATE KEY"].map(|label| pem(label, b"hush"));
        assert_eq!(identity.take(None), Err(IdentityError::Missing));
        for (parts, expected) in [
            (&["hush"][..], IdentityError::Certificate),
            (&[&key], IdentityError::Certificate),
            (&[&certificate], IdentityError::Key),
            (&[&certificate, &locked], IdentityError::Key),
            (&[&certificate, &no_key], IdentityError::KeyKind),
            (&[&other, &key], IdentityError::Mismatch),
            (&[&other, &certificate, &key], IdentityError::Mismatch),
            (&[&damaged, &key], IdentityError::Mismatch),
        ] {
            assert_eq!(take(&identity, parts), Err(expected));
            assert!(!identity.has_certs());
        }
        assert_eq!(take(&identity, &[&certificate, &key]), Ok(()));
    }
}
