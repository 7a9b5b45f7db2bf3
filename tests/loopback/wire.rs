//! One connection's byte stream, which can be made to fail at an exact byte of an answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream between the HTTP server and the socket, with a [`Fuse`] in it.
pub(super) struct Wire<S> {
    stream: S,
    fuse: Fuse,
}

/// Breaks a connection from outside. Clones belong to the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Fuse(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Bytes that may still be written, where they are counted.
    left: Option<usize>,
    /// What is written in place of all that the server writes.
    instead: Option<Bytes>,
    end: End,
    reader: Option<Waker>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    AtNextFlush,
    Reached,
}

impl Fuse {
    /// Fails all writing after so many bytes from now.
    pub(super) fn cut_after(&self, bytes: usize) {
        self.with(|state| state.left = Some(bytes));
    }

    /// Writes these bytes in place of whatever the server writes from now on, then fails.
    pub(super) fn replace(&self, bytes: Bytes) {
        self.with(|state| state.instead = Some(bytes));
    }

    /// Lets the server read the end of the stream once it has flushed what it has written, so that it closes.
    pub(super) fn close_at_next_flush(&self) {
        self.with(|state| state.end = End::AtNextFlush);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, fuse: Fuse) -> Self {
        Self { stream, fuse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let ended = wire.fuse.with(|state| {
            state.reader = Some(cx.waker().clone());
            state.end == End::Reached
        });
        if ended { Poll::Ready(Ok(())) } else { Pin::new(&mut wire.stream).poll_read(cx, into) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let stream = Pin::new(&mut wire.stream);
        wire.fuse.with(|state| {
            if let Some(instead) = &mut state.instead {
                let mut stream = stream;
                while instead.has_remaining() {
                    match stream.as_mut().poll_write(cx, instead) {
                        Poll::Ready(Ok(written)) => instead.advance(written),
                        failed_or_pending => return failed_or_pending,
                    }
                }
                return Poll::Ready(Err(broken()));
            }
            match state.left {
                None => stream.poll_write(cx, bytes),
                Some(0) => Poll::Ready(Err(broken())),
                Some(left) => {
                    let allowed = bytes.get(..left).unwrap_or(bytes);
                    let written = stream.poll_write(cx, allowed);
                    if let Poll::Ready(Ok(written)) = written {
                        state.left = Some(left - written);
                    }
                    written
                }
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let flushed = Pin::new(&mut wire.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            wire.fuse.with(|state| {
                if state.end == End::AtNextFlush {
                    state.end = End::Reached;
                    if let Some(reader) = state.reader.take() {
                        reader.wake();
                    }
                }
            });
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script cuts the connection here")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn written(set: impl FnOnce(&Fuse)) -> (Vec<u8>, bool) {
        let (near, mut far) = tokio::io::duplex(64);
        let fuse = Fuse::default();
        let mut wire = Wire::new(near, fuse.clone());
        set(&fuse);
        let failed = wire.write_all(b"0123456789").await.is_err();
        drop(wire);
        let mut seen = Vec::new();
        far.read_to_end(&mut seen).await.unwrap();
        (seen, failed)
    }

    #[tokio::test]
    async fn a_cut_comes_after_exactly_as_many_bytes_as_it_says() {
        assert_eq!(written(|_| ()).await, (b"0123456789".to_vec(), false));
        assert_eq!(written(|fuse| fuse.cut_after(0)).await, (b"".to_vec(), true));
        assert_eq!(written(|fuse| fuse.cut_after(9)).await, (b"012345678".to_vec(), true));
        assert_eq!(written(|fuse| fuse.cut_after(10)).await, (b"0123456789".to_vec(), false));
    }

    #[tokio::test]
    async fn other_bytes_can_stand_in_for_the_answer() {
        assert_eq!(written(|fuse| fuse.replace(Bytes::from_static(b"???"))).await, (b"???".to_vec(), true));
    }
}
