//! An answer whose head has come, and its body.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;

use super::idle::{Lease, SETTLING};

/// Why an answer's body cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the answer broke off")]
    Broken,
    /// The body is larger than is read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
}

/// An answer. Dropped before its body was read, it closes its connection.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// What is still to be read, and over which connection; `None` where the body cannot be read.
    body: Option<(Incoming, Lease)>,
    /// Whether the body was read to its end.
    is_read: bool,
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, lease: Lease) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: Some((body, lease)), is_read: false }
    }

    /// An answer of which nothing is known but its status.
    pub(super) fn odd(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: None, is_read: false }
    }

    /// Reads the body, and fails rather than truncate past `limit` bytes. The connection can be used again then.
    ///
    /// # Errors
    /// Past the limit, or if the connection breaks.
    pub async fn read(mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut body = BytesMut::new();
        self.read_into(&mut body, limit).await?;
        self.end(SETTLING).await;
        Ok(body.freeze())
    }

    /// Reads the body into a buffer, which holds what has come whatever happens then.
    ///
    /// # Errors
    /// Past the limit, or if the connection breaks.
    pub async fn read_into(&mut self, buffer: &mut BytesMut, limit: usize) -> Result<(), BodyError> {
        while let Some(data) = self.next().await? {
            let room = limit.saturating_sub(buffer.len());
            buffer.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                return Err(BodyError::TooLarge { limit });
            }
        }
        Ok(())
    }

    /// Returns whether the body can be read: not that of an odd answer.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Reads what comes next of the body; `None` at its end. What the library will not read of an odd answer says nothing.
    ///
    /// # Errors
    /// If the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some((body, _)) = self.body.as_mut() else { return Ok(None) };
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                return Ok(Some(data));
            }
        }
        self.is_read = true;
        Ok(None)
    }

    /// Ends the exchange; the connection can be used again if the answer was read to its end. Who answers early may still be
    /// reading the request: `false` if that takes longer than `longest`, or the connection ends before, and so the request was cut
    /// short.
    pub async fn end(self, longest: Duration) -> bool {
        // Dropped before the request has left, the body would end the connection.
        let Some((_body, mut lease)) = self.body else { return true };
        let is_sent = lease.is_sent(longest).await;
        if is_sent && self.is_read {
            lease.give_back().await;
        }
        is_sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::super::connection::{Connection, Head, Outgoing};
    use super::super::idle::{Idle, Origin};
    use super::*;

    const BODY: usize = 1_000_000;

    /// Sends a large request to a service that answers at its start. Returns the answer, and the service.
    async fn answered_early() -> (Answer, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(16 * 1024);
        let mut connection = Connection::http1(Box::new(near)).await.expect("a connection");
        let request = Request::post("http://api.invalid/").body(Outgoing::new(Bytes::from(vec![b'x'; BODY])));
        let request = request.expect("a request");
        let origin = Origin::of(request.uri());
        let answer = async {
            assert!(far.read(&mut [0; 1024]).await.expect("open") > 0);
            far.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await.expect("open");
        };
        let (head, ()) = tokio::join!(connection.exchange(request), answer);
        let Ok(Head::Whole(response)) = head else { panic!("an answer") };
        let lease = Lease::new(connection, origin, Arc::new(Idle::default())).answered();
        let mut answer = Answer::new(response, lease);
        answer.read_into(&mut BytesMut::new(), 0).await.expect("no body");
        (answer, far)
    }

    #[tokio::test]
    async fn a_request_is_sent_to_its_end_though_its_answer_has_come() {
        let (answer, mut far) = answered_early().await;
        let read = async {
            let (mut buffer, mut read) = ([0; 1024], 0);
            while read < BODY - 1024 {
                read += far.read(&mut buffer).await.expect("open");
            }
        };
        let (is_read, ()) = tokio::join!(answer.end(Duration::from_secs(10)), read);
        assert!(is_read);
    }

    #[tokio::test]
    async fn a_request_that_is_not_read_is_told() {
        let (answer, _far) = answered_early().await;
        assert!(!answer.end(Duration::from_millis(10)).await);
        let (answer, far) = answered_early().await;
        drop(far);
        assert!(!answer.end(Duration::from_secs(10)).await);
    }
}
