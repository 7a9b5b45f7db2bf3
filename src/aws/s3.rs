//! S3: objects read as they come, written, deleted and listed.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>

use std::borrow::Cow;
use std::time::Instant;

use aws_config::SdkConfig;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, ETAG, IF_MATCH, RANGE, TRANSFER_ENCODING};
use http::{HeaderValue, Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::endpoint::{self, Service};
use super::{Aws, AwsError, Call};
use crate::client::{Answer, Reuse};
use crate::retry::Deadline;

const GET: &str = "s3:GetObject";

const S3: Service = Service { id: "S3", host: "s3" };

/// What a key's characters but these become in a path.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The same in a query.
const QUERY: &AsciiSet = &KEY.add(b'/');

/// Most of an answer, which may list keys: a thousand of a kilobyte, every character of three.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// How often in a row the reading of an object goes on over a new connection, with nothing read in between.
const MAX_REOPENED: usize = 10;

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    aws: Aws,
    /// What stands before a key.
    base: String,
}

impl Bucket {
    /// A bucket of this name: in the host of an AWS endpoint, in the path of any other.
    ///
    /// # Errors
    /// If it is not known where S3 is.
    pub async fn new(aws: Aws, sdk: &SdkConfig, name: &str) -> Result<Self, String> {
        let (url, in_path) = match endpoint::configured(sdk, &S3)? {
            Some(url) => (url, true),
            // A wildcard certificate has no name with a dot.
            None => (endpoint::of_region(sdk, &S3).await.ok_or("AWS_REGION is not set")?, name.contains('.')),
        };
        let url = url.as_str().trim_end_matches('/');
        let base = if in_path {
            format!("{url}/{name}/")
        } else {
            format!("{}/", url.replacen("://", &format!("://{name}."), 1))
        };
        Ok(Self { aws, base })
    }

    fn call(&self, action: &'static str, method: Method, key_and_query: &str, body: Bytes) -> Result<Call, AwsError> {
        let uri = Uri::try_from(format!("{}{key_and_query}", self.base));
        let uri = uri.map_err(|error| AwsError::Unsigned { action, reason: error.to_string() })?;
        Ok(Call { action, service: "s3", method, uri, headers: Vec::new(), body })
    }

    /// Opens an object. `None` if there is none of this key.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn get(&self, key: &str, deadline: Deadline) -> Result<Option<Object<'_>>, AwsError> {
        let mut object = Object {
            bucket: self,
            key: key.to_owned(),
            etag: None,
            bytes: None,
            answer: None,
            read: 0,
            skip: 0,
            reopened: 0,
        };
        match object.open(deadline).await {
            Ok(()) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// If it may not have been written.
    pub async fn put(&self, key: &str, body: Bytes, deadline: Deadline) -> Result<(), AwsError> {
        let call = self.call("s3:PutObject", Method::PUT, &encode(key), body)?;
        self.aws.fetch(&call, MAX_ANSWER_BYTES, deadline).await.map(drop)
    }

    /// Deletes an object, unless its content is another by now; returns whether it is gone.
    ///
    /// # Errors
    /// If it may still be there.
    pub async fn delete(&self, key: &str, etag: Option<&HeaderValue>, deadline: Deadline) -> Result<bool, AwsError> {
        let mut call = self.call("s3:DeleteObject", Method::DELETE, &encode(key), Bytes::new())?;
        call.headers.extend(etag.map(|etag| (IF_MATCH.as_str(), etag.clone())));
        match self.aws.fetch(&call, MAX_ANSWER_BYTES, deadline).await {
            Err(AwsError::Refused { status: StatusCode::PRECONDITION_FAILED, .. }) => Ok(false),
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(true),
        }
    }

    /// Lists keys under a prefix that come after another in S3's order, a thousand at a time; and whether there are more.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub async fn list(&self, prefix: &str, after: &str, deadline: Deadline) -> Result<(Vec<String>, bool), AwsError> {
        let action = "s3:ListBucket";
        let [prefix, after] = [prefix, after].map(|text| utf8_percent_encode(text, QUERY));
        let query = format!("?encoding-type=url&list-type=2&prefix={prefix}&start-after={after}");
        let call = self.call(action, Method::GET, &query, Bytes::new())?;
        let body = self.aws.fetch(&call, MAX_ANSWER_BYTES, deadline).await?;
        parse_list(&body).map_err(|reason| AwsError::Unreadable { action, reason })
    }
}

/// An object that is being read.
#[derive(Debug)]
pub struct Object<'a> {
    bucket: &'a Bucket,
    key: String,
    etag: Option<HeaderValue>,
    /// Its size, where that is told.
    bytes: Option<u64>,
    answer: Option<Answer>,
    /// Bytes that were handed out.
    read: u64,
    /// Bytes of the open answer that were handed out before.
    skip: u64,
    reopened: usize,
}

impl Object<'_> {
    /// Returns what tells this content from another.
    #[must_use]
    pub fn etag(&self) -> Option<HeaderValue> {
        self.etag.clone()
    }

    /// Returns the size in bytes, as far as it is known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.unwrap_or_default()
    }

    /// Sends the request for what is still to be read.
    async fn open(&mut self, deadline: Deadline) -> Result<(), AwsError> {
        let Self { bucket, key, etag, read, .. } = &*self;
        let mut call = bucket.call(GET, Method::GET, &encode(key), Bytes::new())?;
        if *read > 0 {
            let range = HeaderValue::try_from(format!("bytes={read}-")).expect("digits are header text");
            call.headers.push((RANGE.as_str(), range));
            call.headers.extend(etag.clone().map(|etag| (IF_MATCH.as_str(), etag)));
        }
        let reuse = if *read > 0 { Reuse::None } else { Reuse::Any };
        let answer = bucket.aws.retried(GET, deadline, async || bucket.aws.send(&call, reuse, deadline).await).await?;
        let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let length: Option<u64> = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
        // Cut short, an answer that does not tell its end would look whole.
        if !answer.has_body() || length.is_none() && header(TRANSFER_ENCODING).is_none() {
            return Err(unreadable("it does not tell how long it is"));
        }
        self.skip = if answer.status == StatusCode::PARTIAL_CONTENT { 0 } else { self.read };
        if self.read == 0 {
            self.bytes = length;
            self.etag = answer.headers.get(ETAG).cloned();
        }
        self.answer = Some(answer);
        Ok(())
    }

    /// Reads what comes next; `None` at the end. Where the connection breaks, the reading goes on over another.
    ///
    /// # Errors
    /// If the rest cannot be read.
    pub async fn next(&mut self, deadline: Deadline) -> Result<Option<Bytes>, AwsError> {
        loop {
            let Some(timeout) = deadline.allows(self.bucket.aws.timeout, Instant::now()) else {
                return Err(AwsError::Deadline { action: GET });
            };
            let answer = self.answer.as_mut().expect("an object is open");
            let reason = match tokio::time::timeout(timeout, answer.next()).await {
                Ok(Ok(Some(mut bytes))) => {
                    let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                    self.skip -= skipped as u64;
                    let bytes = bytes.split_off(skipped);
                    self.read += bytes.len() as u64;
                    if bytes.is_empty() {
                        continue;
                    }
                    self.reopened = 0;
                    return Ok(Some(bytes));
                }
                Ok(Ok(None)) if self.bytes.is_none_or(|bytes| bytes == self.read) => return Ok(None),
                Ok(Ok(None)) => "it is shorter than it says".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not go on in time".to_owned(),
            };
            if self.reopened == MAX_REOPENED {
                return Err(unreadable(&reason));
            }
            self.reopened += 1;
            if self.bytes == Some(self.read) {
                return Ok(None);
            }
            self.open(deadline).await?;
        }
    }
}

fn unreadable(reason: &str) -> AwsError {
    AwsError::Unreadable { action: GET, reason: reason.to_owned() }
}

fn encode(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string()
}

/// Reads `<Error><Code>SlowDown</Code>…`.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let mut document = Document::try_from(body).ok()?;
    let mut root = document.root_element().ok()?;
    text_of(&mut root, "Code")
}

fn text_of(parent: &mut ScopedDecoder<'_, '_>, name: &str) -> Option<String> {
    while let Some(mut tag) = parent.next_tag() {
        if tag.start_el().local() == name {
            return try_data(&mut tag).ok().map(Cow::into_owned);
        }
    }
    None
}

/// Reads `<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>…`.
fn parse_list(body: &[u8]) -> Result<(Vec<String>, bool), String> {
    let mut document = Document::try_from(body).map_err(|error| error.to_string())?;
    let mut root = document.root_element().map_err(|error| error.to_string())?;
    let (mut keys, mut is_truncated, mut is_encoded) = (Vec::new(), false, false);
    while let Some(mut tag) = root.next_tag() {
        match tag.start_el().local() {
            "Contents" => keys.extend(text_of(&mut tag, "Key")),
            "IsTruncated" => is_truncated = try_data(&mut tag).is_ok_and(|text| text == "true"),
            "EncodingType" => is_encoded = try_data(&mut tag).is_ok_and(|text| text == "url"),
            _ => {}
        }
    }
    if is_encoded {
        keys = keys.iter().map(|key| decode_key(key)).collect();
    }
    Ok((keys, is_truncated))
}

/// Undoes the encoding of a key in a list or a notification: that of a form.
#[must_use]
pub fn decode_key(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_keys_undone() {
        let list = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>failed/</Prefix>
            <IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>
            <Contents><Size>3</Size><Key>failed/a%2Bb+c</Key></Contents><Contents><Key>failed/d&amp;e</Key></Contents>
            </ListBucketResult>"#;
        assert_eq!(parse_list(list), Ok((vec!["failed/a+b c".to_owned(), "failed/d&e".to_owned()], true)));
        let plain =
            b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a+b</Key></Contents></ListBucketResult>";
        assert_eq!(parse_list(plain), Ok((vec!["a+b".to_owned()], false)));
        assert!(parse_list(b"{}").is_err());
    }

    #[test]
    fn an_error_has_a_code() {
        assert_eq!(
            error_code(b"<Error><Code>NoSuchKey</Code><Message>x</Message></Error>").as_deref(),
            Some("NoSuchKey")
        );
        assert_eq!(error_code(b""), None);
        assert_eq!(error_code(b"<html>"), None);
    }

    #[test]
    fn a_key_is_encoded_but_for_its_slashes() {
        assert_eq!(encode("failed/a b+c/\u{fc}(1)~"), "failed/a%20b%2Bc/%C3%BC%281%29~");
    }
}
