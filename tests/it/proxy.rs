//! A proxy between the function and its services: what goes through it, what does not, and how its failures read.

use std::net::Ipv4Addr;

use http::Uri;
use tokio::net::TcpListener;

use crate::loopback::proxy::{Proxy, Tunnels};
use crate::loopback::tls::{Authority, Leaf};
use crate::loopback::{AnalyticsApi, TokenEndpoint};
use crate::tls::Roots;
use crate::token::record;
use crate::world::World;

/// The API and the token endpoint as the function knows them, which this machine's resolver does not.
const API: &str = "https://other.example.com/v1/events";
const ENDPOINT: &str = "https://other.example.com:8443/oauth2/token";

/// The port of a service on loopback.
fn port(url: &str) -> u16 {
    url.parse::<Uri>().expect("a URL").port_u16().expect("a port")
}

#[tokio::test]
async fn api_and_token_endpoint_are_reached_through_the_proxy_and_the_store_is_not() {
    for is_secure in [false, true] {
        let authority = Authority::new();
        let roots = Roots::of(&authority);
        let endpoint = TokenEndpoint::start_tls(authority.acceptor(Leaf::OtherHost)).await;
        let api = AnalyticsApi::start_tls(endpoint.valid(), authority.acceptor(Leaf::OtherHost)).await;
        let hosts =
            vec![("other.example.com:443", port(&api.url())), ("other.example.com:8443", port(&endpoint.url()))];
        let proxy = Proxy::start(Tunnels::To(hosts), is_secure.then(|| authority.acceptor(Leaf::Valid))).await;
        let settings = [
            ("ANALYTICS_URL", API),
            ("TOKEN_URL", ENDPOINT),
            ("PROXY_URL", proxy.url()),
            ("SSL_CERT_FILE", roots.path()),
        ];
        let world = World::start(&settings).await;
        for _ in 0..2 {
            assert_eq!(world.results(&[record(0)]).await, ["Dropped"], "{:#?}", world.function.lines());
        }
        // A tunnel is used again, as any connection is.
        assert_eq!(proxy.asked(), ["other.example.com:8443", "other.example.com:443"]);
        assert_eq!((api.accepted_events().len(), endpoint.count()), (2, 1));
        assert_eq!(format!("{:?}", api.requests()[0].received.version), "HTTP/2.0");
    }
}

#[tokio::test]
async fn this_machine_is_never_behind_the_proxy() {
    let proxy = Proxy::start(Tunnels::None(502), None).await;
    let authority = Authority::new();
    let roots = Roots::of(&authority);
    let endpoint = TokenEndpoint::start().await;
    let secure = AnalyticsApi::start_tls(endpoint.valid(), authority.acceptor(Leaf::Valid)).await;
    let (api, endpoint) = (secure.url(), endpoint.url());
    let settings = [("PROXY_URL", proxy.url()), ("SSL_CERT_FILE", roots.path())];
    for services in [&[][..], &[("ANALYTICS_URL", api.as_str()), ("TOKEN_URL", endpoint.as_str())]] {
        let world = World::start(&[&settings, services].concat()).await;
        assert_eq!(world.results(&[record(0)]).await, ["Dropped"], "{:#?}", world.function.lines());
    }
    assert_eq!(proxy.asked(), [""; 0]);
}

/// What the log says of an API behind this proxy, which is not reached.
async fn said_of(proxy: &str, roots: &str) -> String {
    let settings = [
        ("ANALYTICS_URL", API),
        ("AUTH", "none"),
        ("TOKEN_URL", ""),
        ("PROXY_URL", proxy),
        ("SSL_CERT_FILE", roots),
        ("MAX_ATTEMPTS", "1"),
    ];
    let world = World::start(&settings).await;
    assert_eq!(world.results(&[record(0)]).await, ["ProcessingFailed"], "{proxy}");
    world.function.lines().join("\n")
}

#[track_caller]
fn says(log: &str, text: &str) {
    assert!(log.contains(text), "{text} is not in {log}");
}

#[tokio::test]
async fn failures_of_the_proxy_are_told_from_those_of_the_service() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let closed = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    drop(listener);
    says(&said_of(&closed, "").await, "the proxy of PROXY_URL: it refuses the connection");
    says(&said_of("http://proxy.invalid:3128", "").await, "the proxy of PROXY_URL: its host name is not found");
    for status in [407, 502] {
        let proxy = Proxy::start(Tunnels::None(status), None).await;
        let expected = format!("the proxy of PROXY_URL answers {status} to CONNECT");
        says(&said_of(proxy.url(), "").await, &expected);
    }

    let authority = Authority::new();
    let proxy = Proxy::start(Tunnels::None(502), Some(authority.acceptor(Leaf::Valid))).await;
    let unknown = "no TLS with it: its certificate is of an unknown issuer";
    says(&said_of(proxy.url(), "").await, &format!("the proxy of PROXY_URL: {unknown}"));

    // Behind the proxy, it is the service's certificate that is not trusted, or is for another host.
    for (leaf, is_trusted, expected) in
        [(Leaf::OtherHost, false, unknown), (Leaf::Valid, true, "no TLS with it: its certificate is for another host")]
    {
        let roots = is_trusted.then(|| Roots::of(&authority));
        let api = AnalyticsApi::start_tls(&crate::loopback::Tokens::new(), authority.acceptor(leaf)).await;
        let hosts = vec![("other.example.com:443", port(&api.url()))];
        let proxy = Proxy::start(Tunnels::To(hosts), None).await;
        let log = said_of(proxy.url(), roots.as_ref().map_or("", Roots::path)).await;
        says(&log, expected);
        assert!(!log.contains("the proxy of"), "{log}");
    }
}
