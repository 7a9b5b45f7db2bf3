//! Answers over HTTP/1.1 that the HTTP library refuses although their status is clear.
//!
//! Two values of `Content-Length`, a control character in a header: a library that is strict for good reasons gives up, and a
//! delivery that was taken would count as failed and be sent again. The first bytes of an answer are watched on their way, so
//! that its status is known whatever becomes of the rest.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// Bytes of a status line up to the status: `HTTP/1.1 200`.
const STATUS_BYTES: usize = "HTTP/1.1 200".len();

/// What was seen of the answer under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Start>>);

/// The start of an answer.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    bytes: [u8; STATUS_BYTES],
    length: usize,
    /// Line feeds in a row at the end of what has come, carriage returns passed over: two end the head.
    line_feeds: u8,
}

impl Start {
    fn status(&self) -> Option<StatusCode> {
        let (version, status) = self.bytes.split_at_checked("HTTP/1.1 ".len())?;
        let is_http = matches!(version, b"HTTP/1.1 " | b"HTTP/1.0 ") && self.length == STATUS_BYTES;
        StatusCode::from_bytes(status).ok().filter(|_| is_http)
    }

    /// Returns whether another head follows this one, which has come to its end.
    fn is_interim(&self) -> bool {
        self.status().is_some_and(|status| status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS)
    }
}

impl Seen {
    /// Forgets the answer before.
    pub(super) fn start(&self) {
        self.with(|start| *start = Start::default());
    }

    /// Returns the status of an answer whose head has come to its end.
    pub(super) fn status(&self) -> Option<StatusCode> {
        let start = self.with(|start| *start);
        start.status().filter(|status| start.line_feeds >= 2 && !status.is_informational())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Start) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, bytes: &[u8]) {
        self.with(|start| {
            if start.line_feeds >= 2 {
                return;
            }
            for &byte in bytes {
                if let Some(place) = start.bytes.get_mut(start.length) {
                    *place = byte;
                    start.length += 1;
                }
                match byte {
                    b'\n' => start.line_feeds += 1,
                    b'\r' => {}
                    _ => start.line_feeds = 0,
                }
                if start.line_feeds < 2 {
                    continue;
                }
                if !start.is_interim() {
                    break;
                }
                *start = Start::default();
            }
        });
    }
}

/// A connection whose answers are watched, and the bytes of its requests counted.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    seen: Seen,
    written: watch::Sender<usize>,
}

impl<T> Watched<T> {
    pub(super) fn new(io: T, seen: Seen, written: watch::Sender<usize>) -> Self {
        Self { io, seen, written }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.send_modify(|all| *all += bytes);
        }
        written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        self.seen.read(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.count(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status that is seen when an answer comes in pieces of this size.
    fn seen(answer: &str, size: usize) -> Option<u16> {
        let seen = Seen::default();
        seen.read(b"HTTP/1.1 503 the answer before\r\n\r\n");
        seen.start();
        answer.as_bytes().chunks(size).for_each(|piece| seen.read(piece));
        seen.status().map(|status| status.as_u16())
    }

    #[test]
    fn a_status_is_clear_once_the_head_has_ended() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", Some(200)),
            ("HTTP/1.0 503\n\n", Some(503)),
            ("HTTP/1.1 200 OK\r\nX: y\r\n", None),
            ("HTTP/1.1 200", None),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Some(200)),
            (
                "HTTP/1.1 103 \r\nLink: x\r\n\r\nHTTP/1.1 103 \r\n\r\nHTTP/1.1 503\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                Some(503),
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", None),
            ("HTTP/1.1 101 Switching\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
            ("SSH-2.0-OpenSSH 200\r\n\r\n", None),
            ("HTTP/1.1 2xx\r\n\r\n", None),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            for size in [1, 2, 7, 1000] {
                assert_eq!(seen(answer, size), expected, "{answer:?} in pieces of {size}");
            }
        }
    }
}
