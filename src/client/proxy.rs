//! The way through a proxy: a tunnel to a host, which the proxy finds and connects to, and in which TLS is spoken with that host.
//!
//! ```text
//! CONNECT api.example.com:443 HTTP/1.1
//! Host: api.example.com:443
//! ```
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6>

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use super::connect::{ConnectError, HostError};
use super::connection::{Io, Outgoing};
use super::odd::{Seen, Watched};

/// Asks a proxy, to which there is a connection, for a tunnel to the host and port of a URI.
pub(super) async fn tunnel(proxy: Io, to: &Uri) -> Result<Io, ConnectError> {
    let broken = |_| ConnectError::Proxy(HostError::Tcp(io::ErrorKind::ConnectionReset));
    // A connection as all others have it, so that HTTP is compiled for one kind only.
    let watched = Watched::new(proxy, Seen::default(), watch::Sender::new(0));
    let (mut sender, connection) = http1::handshake(TokioIo::new(watched)).await.map_err(broken)?;
    let target = format!("{}:{}", to.host().unwrap_or_default(), to.port_u16().unwrap_or(443));
    let host = HeaderValue::try_from(&target).map_err(|_| ConnectError::Service(HostError::Name))?;
    let request = Request::connect(target).header(HOST, host).body(Outgoing::new(Bytes::new()));
    let request = request.map_err(|_| ConnectError::Service(HostError::Name))?;
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(ConnectError::ProxyAnswer(answer.status().as_u16()));
        }
        hyper::upgrade::on(answer).await.map_err(broken)
    };
    let tunnel = match select(pin!(answer), pin!(connection.with_upgrades())).await {
        Either::Left((tunnel, _)) => tunnel?,
        // It has handed over what it went over.
        Either::Right((_, answer)) => answer.await?,
    };
    Ok(Box::new(TokioIo::new(tunnel)))
}
