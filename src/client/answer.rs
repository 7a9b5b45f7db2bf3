//! An answer whose head has come, and its body.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;

use super::idle::Lease;

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
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, lease: Lease) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: Some((body, lease)) }
    }

    /// An answer of which nothing is known but its status.
    pub(super) fn odd(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: None }
    }

    /// Reads the body, and fails rather than truncate past `limit` bytes.
    ///
    /// # Errors
    /// Past the limit, or if the connection breaks.
    pub async fn read(self, limit: usize) -> Result<Bytes, BodyError> {
        let mut body = BytesMut::new();
        self.read_into(&mut body, limit).await?;
        Ok(body.freeze())
    }

    /// Reads the body into a buffer, which holds what has come whatever happens then.
    ///
    /// # Errors
    /// Past the limit, or if the connection breaks.
    pub async fn read_into(self, buffer: &mut BytesMut, limit: usize) -> Result<(), BodyError> {
        let (mut body, lease) = self.body.ok_or(BodyError::Broken)?;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let room = limit.saturating_sub(buffer.len());
            buffer.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                return Err(BodyError::TooLarge { limit });
            }
        }
        lease.give_back().await;
        Ok(())
    }
}
