//! An HTTP proxy that makes tunnels, whatever they are asked to lead to, to ports of this machine.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A proxy on 127.0.0.1. It stops when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

/// What the proxy does when it is asked for a tunnel.
#[derive(Debug, Clone)]
pub enum Tunnels {
    /// It makes one to the port of this machine that stands for this host and port, and answers 502 where none does.
    To(Vec<(&'static str, u16)>),
    /// It answers with this status.
    None(u16),
}

impl Proxy {
    /// Starts a proxy that speaks TLS where it is given a certificate.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(tunnels: Tunnels, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on 127.0.0.1");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let url = if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let asked = Arc::default();
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls, tunnels, Arc::clone(&asked)));
        Self { url, asked, _task: task }
    }

    /// Returns where tunnels are asked for.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the hosts and ports that tunnels were asked to, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, tunnels: Tunnels, asked: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, tunnels, asked) = (tls.clone(), tunnels.clone(), Arc::clone(&asked));
        connections.spawn(async move {
            // A broken connection is the client's to notice.
            match tls {
                None => serve(stream, &tunnels, &asked).await.ok(),
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, &tunnels, &asked).await.ok(),
                    Err(_) => None,
                },
            }
        });
    }
}

async fn serve(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    tunnels: &Tunnels,
    asked: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let target = head.strip_prefix("connect ").and_then(|rest| rest.split_once(" http/1.1\r\n"));
    let Some((target, headers)) = target.filter(|(target, headers)| headers.contains(&format!("host: {target}\r\n")))
    else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    };
    // Nobody has told the function of a user.
    assert!(!headers.contains("proxy-authorization"));
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(target.to_owned());
    let status = match tunnels {
        Tunnels::None(status) => *status,
        Tunnels::To(hosts) => match hosts.iter().find(|(host, _)| *host == target) {
            None => 502,
            Some((_, port)) => {
                let mut service = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
                client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 loopback\r\n\r\n").await?;
                return copy_bidirectional(&mut client, &mut service).await.map(drop);
            }
        },
    };
    client.write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno").as_bytes()).await
}
