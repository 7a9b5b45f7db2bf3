//! An analytics API that takes everything and looks at nothing: beside the function, on the same processors, it must be cheap.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An HTTP/1.1 server on 127.0.0.1 that discards bodies and answers 200.
#[derive(Debug)]
pub(crate) struct Sink {
    url: String,
    /// What it waits before an answer, in ms.
    delay: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
}

const READ_BYTES: usize = 1 << 18;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

impl Sink {
    /// Binds a free port and serves it as long as this program runs.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let sink = Self { url, delay: Arc::default(), received: Arc::default() };
        let (delay, received) = (Arc::clone(&sink.delay), Arc::clone(&sink.received));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks is its client's end.
                let (delay, received) = (Arc::clone(&delay), Arc::clone(&received));
                tokio::spawn(async move { serve(stream, &delay, &received).await.ok() });
            }
        });
        Ok(sink)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sets the time that an answer takes, once the body has come.
    pub(crate) fn set_delay(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the bytes of the bodies that came since the last call.
    pub(crate) fn take_received(&self) -> u64 {
        self.received.swap(0, Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, delay: &AtomicU64, received: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut head = Vec::new();
    loop {
        // The end of a head and the beginning of its body may come together.
        let end = loop {
            if let Some(at) = memchr::memmem::find(&head, b"\r\n\r\n") {
                break at + 4;
            }
            let read = stream.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        };
        let body = content_length(head.get(..end).unwrap_or_default())?;
        let mut left = body.saturating_sub(head.len() - end);
        head.drain(..(end + body).min(head.len()));
        while left > 0 {
            let most = left.min(READ_BYTES);
            let read = stream.read(buffer.get_mut(..most).unwrap_or_default()).await?;
            if read == 0 {
                return Ok(());
            }
            left -= read;
        }
        received.fetch_add(body as u64, Ordering::Relaxed);
        let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(ANSWER).await?;
    }
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
