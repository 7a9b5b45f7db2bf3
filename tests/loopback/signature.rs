//! Signature Version 4, in a request's headers: what every AWS service asks for, checked as AWS does.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};

use super::server::Received;

/// The secret that goes with any access key: no real one.
pub(super) const SECRET_ACCESS_KEY: &str = "not-a-real-secret-key";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request is not taken: an error's code and message.
pub(super) type Unsigned = (&'static str, &'static str);

/// Checks that a request is signed for a service with [`SECRET_ACCESS_KEY`], all of it.
///
/// The path is taken as S3 takes it: decoded, and encoded once.
pub(super) fn check(request: &Received, service: &str) -> Result<(), Unsigned> {
    let missing = ("MissingAuthenticationToken", "Request is missing Authentication Token");
    let header = request.header("authorization").ok_or(missing)?;
    let parts = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(missing)?;
    let part = |name: &str| {
        let mut parts = parts.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    let incomplete = ("IncompleteSignature", "Authorization header requires Credential, SignedHeaders and Signature");
    let (Some(credential), Some(signed), Some(signature)) =
        (part("Credential"), part("SignedHeaders"), part("Signature"))
    else {
        return Err(incomplete);
    };
    let time = request.header("x-amz-date").ok_or(incomplete)?;
    let (_, scope) = credential.split_once('/').ok_or(incomplete)?;
    let [date, _, scoped, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(incomplete);
    };
    if scoped != service || !time.starts_with(date) {
        return Err(("SignatureDoesNotMatch", "Credential should be scoped to the service and the date"));
    }
    let must = ["host", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-target"];
    let names: Vec<&str> = signed.split(';').collect();
    if must.iter().any(|name| request.headers.contains_key(*name) && !names.contains(name)) {
        return Err(("AccessDenied", "There were headers present in the request which were not signed"));
    }
    if signature_of(request, signed, time, scope) == signature {
        Ok(())
    } else {
        Err(("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided"))
    }
}

/// Computes the signature of a request whose headers of these names are signed.
fn signature_of(request: &Received, signed: &str, time: &str, scope: &str) -> String {
    let payload = request.header("x-amz-content-sha256").map_or_else(|| hex(&sha256(&request.body)), ToOwned::to_owned);
    let headers = signed.split(';').map(|name| {
        let values: Vec<String> = request.headers.get_all(name).iter().map(trimmed).collect();
        format!("{name}:{}\n", values.join(","))
    });
    let canonical = [
        request.method.to_string(),
        canonical_path(request),
        canonical_query(request),
        headers.collect::<Vec<_>>().concat(),
        signed.to_owned(),
        payload,
    ]
    .join("\n");
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let key = scope.split('/').fold(format!("AWS4{SECRET_ACCESS_KEY}").into_bytes(), |key, part| mac(&key, part));
    hex(&mac(&key, &text))
}

/// Returns the parameters of a query, decoded, in their order.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        })
        .collect()
}

/// Undoes percent-encoding.
pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Encodes all but the unreserved characters.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Returns lowercase hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("four bits");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn canonical_path(request: &Received) -> String {
    request.path.split('/').map(|segment| encoded(&decoded(segment))).collect::<Vec<_>>().join("/")
}

fn canonical_query(request: &Received) -> String {
    let mut pairs: Vec<String> = parameters(&request.query)
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

fn trimmed(value: &hyper::header::HeaderValue) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], text: impl AsRef<[u8]>) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_ref()).as_ref().to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
    use hyper::{HeaderMap, Method, Version};

    use super::*;

    /// Sends a signed request and returns the answer's status, headers and body.
    pub(crate) async fn send(
        service: &str,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<(u16, HeaderMap, Vec<u8>), reqwest::Error> {
        let request = signed(service, method, url, headers, body);
        let client = super::super::tls::client(None);
        let answer = client.request(request.method, url).headers(request.headers).body(request.body).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok((status, headers, answer.bytes().await?.to_vec()))
    }

    fn signed(service: &str, method: Method, url: &str, headers: &[(&'static str, &str)], body: &str) -> Received {
        let (_, rest) = url.split_once("://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (time, scope) = ("20261121T185900Z", format!("20261121/us-east-1/{service}/aws4_request"));
        let hash = hex(&sha256(body.as_bytes()));
        let own = [("host", host), ("x-amz-content-sha256", hash.as_str()), ("x-amz-date", time)];
        let headers = own.iter().chain(headers);
        let mut request = Received {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            version: Version::HTTP_11,
            headers: headers
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
                .collect(),
            body: body.to_owned().into(),
            connection: 0,
            started: Instant::now(),
            finished: None,
            status: None,
        };
        let mut names: Vec<String> = request.headers.keys().map(ToString::to_string).collect();
        names.sort();
        let names = names.join(";");
        let signature = signature_of(&request, &names, time, &scope);
        let header =
            format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}");
        request.headers.insert(AUTHORIZATION, header.parse().unwrap());
        request
    }

    #[test]
    fn a_request_is_signed_as_a_whole() {
        let sign = || signed("s3", Method::GET, "http://h/b/a%2Bb%20c?prefix=x%2F&a=1", &[("range", "bytes=0-")], "");
        assert_eq!(check(&sign(), "s3"), Ok(()));
        let code = |change: fn(&mut Received)| {
            let mut request = sign();
            change(&mut request);
            check(&request, "s3").unwrap_err().0
        };
        assert_eq!(code(|request| request.path.push('x')), "SignatureDoesNotMatch");
        assert_eq!(code(|request| request.query.push('x')), "SignatureDoesNotMatch");
        assert_eq!(code(|request| request.method = Method::DELETE), "SignatureDoesNotMatch");
        assert_eq!(code(|request| drop(request.headers.remove("range"))), "SignatureDoesNotMatch");
        assert_eq!(code(|request| drop(request.headers.remove(AUTHORIZATION))), "MissingAuthenticationToken");
        let late = |request: &mut Received| {
            request.headers.insert("x-amz-security-token", HeaderValue::from_static("x"));
        };
        assert_eq!(code(late), "AccessDenied");
        assert_eq!(check(&sign(), "sqs").unwrap_err().0, "SignatureDoesNotMatch");
    }

    #[test]
    fn a_query_is_decoded_in_its_order() {
        let pairs = parameters("b=1%2F2&a&c=x+y");
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("b", "1/2"), ("a", ""), ("c", "x y")]);
    }
}
