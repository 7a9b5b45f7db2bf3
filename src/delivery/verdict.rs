//! What an answer of the API means. Its status says, by one total function, unless `Answers::action` has a meaning of its own for the
//! destination; a success may be taken back by what it says.
//!
//! ```text
//! 200                                            accepted
//! 200 <!doctype html><title>Sign in</title>…     refused: a web page is not an analytics API
//! 207                                            refused: some of the events, and nobody says which
//! 200 {"errors":true}, ANSWER_CHECK=/errors      refused
//! ```

use std::borrow::Cow;

use http::{HeaderValue, StatusCode};
use serde_json::Value;
use thiserror::Error;

use crate::inflate::{self, InflateError, Inflater};

/// Bytes at the start of an answer in which a web page shows itself.
const PAGE_START: usize = 1024;

/// Most of an answer's body that `ANSWER_CHECK` looks at, in bytes, its gzip undone or not.
pub(super) const MAX_CHECKED_ANSWER: usize = 4 << 20;

/// What an answer's status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The events are delivered.
    Accept,
    /// The token is not taken: try another one.
    RenewToken,
    /// As [`RenewToken`](Self::RenewToken) if the token may have died, else refused.
    Forbidden,
    /// Try the same body again later.
    Retry,
    /// The body is too large: halve it.
    Halve,
    /// The API will not take some event: find it.
    Bisect,
    /// It is refused, and will be again.
    Refuse,
}

/// Tells what a status asks for; `retried` are further statuses that are tried again.
#[must_use]
pub fn classify(status: StatusCode, retried: &[u16]) -> Action {
    match status.as_u16() {
        200..=299 => Action::Accept,
        401 => Action::RenewToken,
        403 => Action::Forbidden,
        413 => Action::Halve,
        status if retried.contains(&status) => Action::Retry,
        501 => Action::Refuse,
        408 | 409 | 425 | 429 | 500..=599 => Action::Retry,
        400 | 422 => Action::Bisect,
        _ => Action::Refuse,
    }
}

/// Returns whether an event that was refused alone with this status will be refused again: it is the event that is wrong.
pub(super) fn is_for_good(status: u64) -> bool {
    matches!(status, 400 | 413 | 422)
}

/// Why a 2xx is not a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotAccepted {
    /// The answer is a web page: what answers is not an analytics API.
    #[error("with a web page")]
    WebPage,
    /// `207 Multi-Status`: only some of the events were taken.
    #[error("that only some of it was taken")]
    Partial,
    /// `ANSWER_CHECK` has found something.
    #[error("with what ANSWER_CHECK looks for")]
    Checked,
    /// `ANSWER_CHECK` has nothing to look at.
    #[error("with something other than the JSON that ANSWER_CHECK looks at")]
    NotJson,
    /// `ANSWER_CHECK` has too much to look at.
    #[error("with more than ANSWER_CHECK looks at")]
    TooLarge,
}

/// Judges a success by its body without `ANSWER_CHECK`; the start of the body is enough. `tells_events` says whether the answer is
/// also read for single events.
///
/// # Errors
/// If the events were not accepted, or not all of them.
pub(super) fn judge(status: StatusCode, body: &[u8], tells_events: bool) -> Result<(), NotAccepted> {
    if status == StatusCode::MULTI_STATUS && !tells_events {
        return Err(NotAccepted::Partial);
    }
    if is_web_page(body) { Err(NotAccepted::WebPage) } else { Ok(()) }
}

/// Judges a success by its whole body: accepted only if nothing is at `pointer`, or `false`, `0`, `null`, or something empty.
///
/// # Errors
/// If the events were not accepted, or not all of them.
pub(super) fn check(pointer: &str, body: &[u8]) -> Result<(), NotAccepted> {
    let mut inflated = Vec::new();
    let body = if is_gzip(body) {
        let undone = Inflater::default().inflate(body, MAX_CHECKED_ANSWER, &mut inflated);
        undone.map_err(|error| match error {
            InflateError::Damaged => NotAccepted::NotJson,
            InflateError::TooLarge => NotAccepted::TooLarge,
        })?;
        inflated.as_slice()
    } else {
        body
    };
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    if body.is_empty() {
        return Ok(());
    }
    if is_web_page(body) {
        return Err(NotAccepted::WebPage);
    }
    let answer: Value = serde_json::from_slice(body).map_err(|_| NotAccepted::NotJson)?;
    let is_nothing = match answer.pointer(pointer) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Bool(true)) => false,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(object)) => object.is_empty(),
    };
    if is_nothing { Ok(()) } else { Err(NotAccepted::Checked) }
}

/// Returns whether a media type is that of a web page: its body is worth waiting for.
pub(super) fn is_html(content_type: &HeaderValue) -> bool {
    let media_type = content_type.as_bytes().to_ascii_lowercase();
    [&b"text/html"[..], b"application/xhtml"].iter().any(|html| media_type.trim_ascii_start().starts_with(html))
}

/// Returns the start of a body, as much of it as so many bytes hold, gzip undone.
pub(super) fn start(body: &[u8], bytes: usize) -> Cow<'_, [u8]> {
    if is_gzip(body) {
        Cow::Owned(inflate::start(body, bytes))
    } else {
        Cow::Borrowed(body.get(..bytes).unwrap_or(body))
    }
}

/// Returns whether a body is gzip: nobody asks for it, and some send it. Neither JSON nor a web page starts like this.
fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&[0x1f, 0x8b])
}

/// Returns whether a body starts as HTML does, whatever comments or declarations stand first.
fn is_web_page(body: &[u8]) -> bool {
    let start = start(body, PAGE_START);
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&start).trim_ascii_start().to_ascii_lowercase();
    let has = |tag: &[u8]| memchr::memmem::find(&start, tag).is_some();
    start.first() == Some(&b'<') && (has(b"<html") || has(b"<!doctype html"))
}

#[cfg(test)]
mod tests {
    use super::super::gzip;
    use super::*;

    #[track_caller]
    fn asks(statuses: &[u16], action: Action) {
        for status in statuses {
            assert_eq!(classify(StatusCode::from_u16(*status).expect("a status"), &[]), action, "{status}");
        }
    }

    #[test]
    fn every_status_asks_for_one_thing() {
        asks(&[200, 201, 202, 204, 207, 299], Action::Accept);
        asks(&[401], Action::RenewToken);
        asks(&[403], Action::Forbidden);
        asks(&[408, 409, 425, 429, 500, 502, 503, 504, 507, 599], Action::Retry);
        asks(&[413], Action::Halve);
        asks(&[400, 422], Action::Bisect);
        asks(&[100, 301, 302, 307, 308, 402, 404, 405, 410, 415, 431, 451, 501, 600, 999], Action::Refuse);
    }

    #[test]
    fn a_status_of_the_setting_is_tried_again() {
        for status in [400, 404, 422, 423, 501] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(classify(status, &[400, 404, 422, 423, 501]), Action::Retry, "{status}");
        }
    }

    #[test]
    fn a_web_page_is_no_success() {
        for body in [
            "<html><body>Sign in",
            "<!DOCTYPE html>\n<title>Sign in</title>",
            "\u{feff}  \r\n<!-- proxy --><HTML lang=en>",
            "<?xml version=\"1.0\"?><!doctype HTML>",
        ] {
            assert_eq!(judge(StatusCode::OK, body.as_bytes(), false), Err(NotAccepted::WebPage), "{body}");
            assert_eq!(check("/errors", body.as_bytes()), Err(NotAccepted::WebPage), "{body}");
        }
        for body in ["", "OK", "{\"page\":\"<html>\"}", "<ok/>", "html", "[\"<!doctype html>\"]"] {
            assert_eq!(judge(StatusCode::OK, body.as_bytes(), false), Ok(()), "{body}");
        }
        assert_eq!(judge(StatusCode::MULTI_STATUS, b"", false), Err(NotAccepted::Partial));
    }

    #[test]
    fn a_web_page_is_announced_by_its_media_type_in_any_case() {
        for (content_type, expected) in [
            ("text/html", true),
            ("Text/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("text/plain", false),
            ("application/json; profile=text/html", false),
            ("", false),
        ] {
            assert_eq!(is_html(&HeaderValue::from_static(content_type)), expected, "{content_type}");
        }
    }

    #[test]
    fn gzip_that_nobody_asked_for_is_undone() {
        let page = gzip(format!("<html>{}", "x".repeat(MAX_CHECKED_ANSWER)).as_bytes());
        for whole_or_cut in [&page[..], &page[..page.len() - 9]] {
            assert_eq!(judge(StatusCode::OK, whole_or_cut, false), Err(NotAccepted::WebPage));
        }
        assert_eq!(judge(StatusCode::OK, &gzip(b"OK"), false), Ok(()));
        let checked = |body: &[u8]| check("/errors", body);
        assert_eq!(checked(&gzip(b"{\"errors\":false}")), Ok(()));
        assert_eq!(checked(&gzip(b"")), Ok(()));
        assert_eq!(checked(&gzip(b"{\"errors\":true}")), Err(NotAccepted::Checked));
        assert_eq!(checked(&gzip(b"<html>")), Err(NotAccepted::WebPage));
        let whole = gzip(b"{}");
        assert_eq!(checked(&whole[..whole.len() - 1]), Err(NotAccepted::NotJson));
        for (length, expected) in [(MAX_CHECKED_ANSWER, Ok(())), (MAX_CHECKED_ANSWER + 1, Err(NotAccepted::TooLarge))] {
            assert_eq!(checked(&gzip(format!("{{}}{}", " ".repeat(length - 2)).as_bytes())), expected, "{length}");
        }
    }

    #[test]
    fn a_check_passes_where_there_is_nothing() {
        for body in [
            "",
            " \n",
            "{}",
            "[]",
            "null",
            "7",
            r#"{"errors":false}"#,
            r#"{"errors":null}"#,
            r#"{"errors":0}"#,
            r#"{"errors":-0.0}"#,
            r#"{"errors":""}"#,
            r#"{"errors":[]}"#,
            "\u{feff}{\"errors\":{}}",
        ] {
            assert_eq!(check("/errors", body.as_bytes()), Ok(()), "{body}");
        }
        for value in ["true", "1", "0.5", "\"no\"", "[0]", "{\"a\":1}"] {
            let body = format!("{{\"errors\":{value}}}");
            assert_eq!(check("/errors", body.as_bytes()), Err(NotAccepted::Checked), "{body}");
        }
        for body in ["OK", "{", "{\"errors\":false}x"] {
            assert_eq!(check("/errors", body.as_bytes()), Err(NotAccepted::NotJson), "{body}");
        }
        assert_eq!(check("/a/0/b~1c", br#"{"a":[{"b/c":1}]}"#), Err(NotAccepted::Checked));
    }
}
