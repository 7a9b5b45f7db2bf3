//! What a client proves itself with that has a private key instead of a secret (`private_key_jwt`): a JSON Web Token, signed anew
//! for each request.
//!
//! ```text
//! {"alg":"ES256","kid":"2026-11","typ":"JWT"}
//! {"aud":"https://id.example.com/token","exp":1795284240,"iat":1795283940,"iss":"forwarder","jti":"9f86…","sub":"forwarder"}
//! ```
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc7523#section-3>

use base64_simd::URL_SAFE_NO_PAD;
use ring::rand::{self, SystemRandom};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use zeroize::Zeroizing;

use super::store::Credentials;
use crate::ids::hex;

/// What `client_assertion_type` says.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion can be used, in seconds.
const LIFETIME: i64 = 300;

/// Makes an assertion for the endpoint `audience`, at `now` in epoch seconds. No two are alike: issuers take each one once.
pub(super) fn assertion(
    credentials: &Credentials,
    audience: &str,
    now: i64,
) -> Result<Zeroizing<String>, &'static str> {
    let pem = credentials.private_key.as_ref().ok_or("there is no private_key")?.expose();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map(Zeroizing::new);
    let key = key.map_err(|_| "the private_key is no PEM text of a private key without a passphrase")?;
    let signer = any_supported_type(&key).ok().and_then(|key| {
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256])
    });
    let signer = signer.ok_or("the private_key is neither an RSA key of 2048 to 4096 bits nor a P-256 key")?;
    let is_ecdsa = signer.scheme() == SignatureScheme::ECDSA_NISTP256_SHA256;

    let id: [u8; 16] = rand::generate(&SystemRandom::new()).map_err(|_| "there are no random numbers")?.expose();
    let algorithm = if is_ecdsa { "ES256" } else { "RS256" };
    let header = match &credentials.key_id {
        Some(key_id) => json!({"alg": algorithm, "typ": "JWT", "kid": key_id}),
        None => json!({"alg": algorithm, "typ": "JWT"}),
    };
    let client = &credentials.client_id;
    let claims = json!({
        "iss": client, "sub": client, "aud": audience, "iat": now, "exp": now + LIFETIME, "jti": hex(&id, id.len()),
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    let mut token =
        Zeroizing::new([encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes())].join("."));
    let signature = signer.sign(token.as_bytes()).ok();
    let signature = if is_ecdsa { signature.and_then(|der| fixed(&der)) } else { signature };
    let signature = signature.ok_or("the private_key does not sign")?;
    token.push('.');
    token.push_str(&encode(&signature));
    Ok(token)
}

/// Writes a signature of P-256 as JSON Web Tokens have it: its two numbers, of 32 bytes each. TLS has them in DER.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc7518#section-3.4>
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    // A sequence of two integers, each with a zero before it where it would look negative.
    let mut rest = der.get(2..)?;
    let mut numbers = vec![0; 64];
    for place in numbers.chunks_exact_mut(32) {
        let length = usize::from(*rest.get(1)?);
        let (number, behind) = rest.get(2..)?.split_at_checked(length)?;
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let start = place.len().checked_sub(number.len())?;
        place.get_mut(start..)?.copy_from_slice(number);
        rest = behind;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use base64_simd::STANDARD;
    use ring::rsa;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey,
    };
    use serde_json::Value;

    use super::*;
    use crate::secret::Secret;

    const NOW: i64 = 1_795_283_940;

    /// An RSA key as PKCS#1, made for these tests and used nowhere else: nothing at hand makes one.
    const RSA: &str = "\
        MIIEpAIBAAKCAQEAsg5zg7Speg8hSHP5mFkOQg5WuFQI0Lr5TxK3ywbKy68KUukZ/oJf8aKOzr8FRxsqSgGQE2akw8sqqpN7lnkQkon0cv/s\
        1H5pwA975/6IPNk4Yw/3dnE0U9zPMHGSabdRo1VClAdi90/QjnlAY0wkPfNzAF9D7tHO/yzrX5IvcTtVF/QBeNwYOIGTund7QGYMJUIMNaLc\
        qIs8OU6Pu40ydhAql3ljI+BKcQIog3XHgAdQzgNZB5QWj/A9oiuCQd0ssL1iMp5N4nEhL4SlXXyXdCaDZ/TndtOBxMwo4CL3ghXRv1YbChGq\
        gBMGcwWP0sck9NNhjwT4JROfFDrcYHh3BwIDAQABAoIBAAUnLJSn39fBJFdyc8ttmF9fsYbNd8vX/WsabD3wnmHdWPvOnzVMafZrm/JueM/2\
        q0ylAERveLPp51GJyc6FsRhslv8qWkeeuPTD/fQC28fXCYNkbOb9SQ8RmYrEtAC3O3ecpLv1UsSRh274Igg9peGHxXuXRjddKb5yJbBdt13G\
        1hQBpIGK0Npw3bTLmvmK3DtiH5rffdykQ6utFEX8kaUMQG+QyA0wQe49Ig6ebhWdFnp30YWQFzZYsGRtZDmBItpw72oc0RX4Gpqh8j0O3Tjq\
        ZBUiBnYZWGNTPp49jUX369pgzUhnlo7eFGlXRXANJniMI45WdUbMY+jJiNeBhZECgYEA5y2xeLdsmqUEhutPZHMOeYH3gE0XyCcg63PN0ZKO\
        olUScgBSKBEbPSlea7wF0Y4UfHrNM7Kt0VELzmpbvKWPJU+W7pBRV4KscWC/YiMnmLzEM5eM9dtR/zYFss4v5WKE5wGrRu+zdz+x6TV8WaCo\
        HqQ0HaAfxW/wTmu4L6gduD0CgYEAxSydWOet+ZUOWg9RJu8blcEeDUIynkApN1CDuBPTJrigHnmnmO3V0UjYhGTAOFij5wLoOPD7OMTjtHGc\
        CLTdxb/XG09OPYi6zSHuFkfzU4Jvw6+MQu9OPofOYydAnH202BL445jbDkwUufpcp8FLObxWub7uycxl/IuzfsdVHJMCgYEAsYz4hvxpXwRq\
        S60iVsW/Ujctfc63+zOCJxPT+aeUAL1R41i3wKoSv5CsQhYwadeziD9QpuoOcXrLlIc/Wc3V+RP9mdAhiRKFmrZxhs/1M2uXTQCSdKkzes1k\
        5wVQ594YsMspXtvufCHhZHl9veCT/qSimjZG8H6ek7xLw95cpQkCgYAy1hLndixL2htuKt7Qe/uPu8/EuVmVpZM62L5tOmdJZ3aZBOKqMj/b\
        ir2QPO22WVxA1mYLME6FT3Yp8tS5BfDb6F9MgkD46oTHGMVq5zgcQtgQCvXN2CdDRf53YApvjpWO1C1peOKZqBH79UnoUpTTmPR/RXQJgXKW\
        D2rC+B/AkwKBgQDaY4E+kvw59rQbtLiXezn66pEvpk8dyar24kAG5AjzN7SP0zALkohxoPfN/+Ro6b4luOzGcZMblOXEa11BHgAVO0izwSmn\
        tq6uo6SxITv8qrrDgkdfAtFgO62OlgN8Ojco94LwvWadkstslCm+yvpRnmaWiAsGt6F53UjH5MhpoQ==";

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode_to_string(der))
    }

    /// An ECDSA key as PKCS#8.
    fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Vec<u8> {
        EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key").as_ref().to_vec()
    }

    fn credentials(private_key: &str) -> Credentials {
        Credentials {
            client_id: "a \"client\"".to_owned(),
            client_secret: None,
            private_key: Some(Secret::new(private_key.to_owned())),
            key_id: Some("k-1".to_owned()),
        }
    }

    /// Makes an assertion; returns its header, its claims, what is signed and the signature.
    #[track_caller]
    fn made(private_key: &str) -> (Value, Value, String, Vec<u8>) {
        let made = assertion(&credentials(private_key), "https://id.example.com/token", NOW).expect("an assertion");
        let (signed, signature) = made.rsplit_once('.').expect("three parts");
        let (header, claims) = signed.split_once('.').expect("three parts");
        let decode = |part: &str| URL_SAFE_NO_PAD.decode_to_vec(part).expect("base64");
        let [header, claims] = [header, claims].map(|part| serde_json::from_slice(&decode(part)).expect("JSON"));
        (header, claims, signed.to_owned(), decode(signature))
    }

    #[test]
    fn an_rsa_key_in_either_form_signs_rs256() {
        let pkcs1 = STANDARD.decode_to_vec(RSA).expect("base64");
        let length = u16::try_from(pkcs1.len()).expect("small");
        let [whole, inner] = [length + 22, length].map(u16::to_be_bytes);
        let rsa_encryption = [2, 1, 0, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0, 4, 0x82];
        let pkcs8 = [&[0x30, 0x82], &whole[..], &rsa_encryption, &inner, &pkcs1].concat();
        let public = rsa::KeyPair::from_der(&pkcs1).expect("a key").public_key().as_ref().to_vec();
        for key in [pem("RSA PRIVATE KEY", &pkcs1), pem("PRIVATE KEY", &pkcs8)] {
            let (header, _, signed, signature) = made(&key);
            assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k-1"}));
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public);
            assert_eq!(key.verify(signed.as_bytes(), &signature), Ok(()));
        }
    }

    #[test]
    fn a_p256_key_in_either_form_signs_es256() {
        let pkcs8 = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new());
        let public = pair.expect("a key").public_key().as_ref().to_vec();
        // Where OpenSSL names the curve, PKCS#8 has named it before.
        let (private, public_part) = pkcs8[29..].split_at(39);
        let curve = [0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        let sec1 = [&[0x30, 0x77], &private[2..], &curve, public_part].concat();
        for key in [pem("EC PRIVATE KEY", &sec1), pem("PRIVATE KEY", &pkcs8)] {
            // A number of a signature is shorter than others once in 128 times.
            for _ in 0..500 {
                let (header, _, signed, signature) = made(&key);
                assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k-1"}));
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public);
                assert_eq!(key.verify(signed.as_bytes(), &signature), Ok(()));
            }
        }
    }

    #[test]
    fn claims_name_client_audience_and_five_minutes_and_no_two_ids_are_alike() {
        let key = pem("PRIVATE KEY", &ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING));
        let [first, second] = [made(&key).1, made(&key).1];
        let id = first["jti"].as_str().expect("a text");
        assert_eq!(id.len(), 32);
        assert_ne!(first["jti"], second["jti"]);
        assert_eq!(
            first,
            json!({
                "iss": "a \"client\"", "sub": "a \"client\"", "aud": "https://id.example.com/token",
                "iat": NOW, "exp": NOW + 300, "jti": id,
            })
        );
    }

    #[test]
    fn a_key_that_cannot_be_used_is_told_and_not_shown() {
        let other_curve = pem("PRIVATE KEY", &ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING));
        let damaged = pem("PRIVATE KEY", b"hush");
        for key in
            ["", "hush", &pem("ENCRYPTED PRIVATE KEY", b"hush"), &pem("PUBLIC KEY", b"hush"), &damaged, &other_curve]
        {
            let error = assertion(&credentials(key), "x", NOW).expect_err(key);
            assert!(error.contains("private_key") && !error.contains("hush"), "{error}");
        }
    }
}
