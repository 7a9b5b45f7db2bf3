//! Connections that fail, and answers that are odd but clear: over HTTP/1.1, HTTP/2 and TLS.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::loopback::tls::{Authority, Leaf};
use crate::loopback::{AnalyticsApi, Answer, Fate, Http2Api, Tokens};
use crate::tls::Roots;
use crate::world::{World, envelope, gzip, record, records};

/// A function that delivers to this API.
async fn world_of(api: &Http2Api, settings: &[(&str, &str)]) -> World {
    let (url, certificate) = (api.url(), api.certificate());
    let all = [&[("ANALYTICS_URL", url.as_str()), ("SSL_CERT_FILE", certificate.as_str())], settings].concat();
    World::start(&all).await
}

#[tokio::test]
async fn an_http_2_connection_that_is_silent_costs_one_attempt() {
    for fate in [Fate::Silent, Fate::Frozen, Fate::Resets, Fate::GoesAway, Fate::RefusesStreams] {
        let api = Http2Api::start(move |connection| if connection == 0 { fate } else { Fate::Served }).await;
        let world = world_of(&api, &[("REQUEST_TIMEOUT_MS", "300")]).await;
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{fate:?}");
        assert_eq!((api.connections(), api.requests(), api.served()), (2, 2, 1), "{fate:?}");
    }
}

#[tokio::test]
async fn an_http_2_connection_that_goes_silent_later_costs_one_attempt() {
    // 40 kB each: the second body does not fit into the window that the first has left.
    let large = gzip(envelope("g", 0, &[&"x".repeat(40_000)]));
    let api = Http2Api::start(|connection| if connection == 0 { Fate::LeaksWindow } else { Fate::Served }).await;
    let world = world_of(&api, &[("REQUEST_TIMEOUT_MS", "500")]).await;
    for _ in 0..3 {
        assert_eq!(world.results(std::slice::from_ref(&large)).await, ["Dropped"]);
    }
    assert_eq!((api.connections(), api.served()), (2, 3));
}

#[tokio::test]
async fn an_http_2_connection_that_ends_as_announced_is_no_failed_attempt() {
    let api = Http2Api::start(|_| Fate::ServesOne).await;
    let world = world_of(&api, &[("MAX_ATTEMPTS", "1")]).await;
    for _ in 0..4 {
        assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    }
    assert_eq!(api.served(), 4);
}

#[tokio::test]
async fn large_bodies_go_over_http_2_at_once() {
    let api = Http2Api::start(|_| Fate::Served).await;
    let world = world_of(&api, &[("MAX_ATTEMPTS", "1")]).await;
    let messages: Vec<String> = (0..6000).map(|number| format!("{number} {}", "x".repeat(900))).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    assert_eq!(world.results(&[gzip(envelope("g", 0, &messages))]).await, ["Dropped"]);
    assert!(api.served() >= 6);
    assert!(api.connections() <= 4);
}

#[tokio::test]
async fn posts_at_once_do_not_share_the_fate_of_a_connection() {
    // Every other connection is dead, as with two workers of which one is stopped.
    let api = Http2Api::start(|connection| if connection % 2 == 0 { Fate::Silent } else { Fate::Served }).await;
    let world = world_of(&api, &[("MAX_BATCH_EVENTS", "1"), ("REQUEST_TIMEOUT_MS", "500")]).await;
    for _ in 0..3 {
        assert_eq!(world.results(&records(8)).await, ["Dropped"; 8]);
    }
}

#[tokio::test]
async fn refused_streams_and_goaway_cost_no_more_requests_than_attempts() {
    for fate in [Fate::RefusesStreams, Fate::GoesAway, Fate::Resets] {
        let api = Http2Api::start(move |_| fate).await;
        let world = world_of(&api, &[("MAX_ATTEMPTS", "5")]).await;
        assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"], "{fate:?}");
        assert_eq!(api.requests(), 5, "{fate:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_refused_over_http_2_before_it_was_read_is_halved() {
    let api = Http2Api::start(|_| Fate::AnswersEarly(413)).await;
    let world = world_of(&api, &[]).await;
    assert_eq!(world.results(&[large()]).await, ["Dropped"]);
    assert_eq!((api.requests(), api.served()), (3, 2), "{:#?}", world.function.lines());
}

#[tokio::test]
async fn a_success_over_http_2_of_a_body_that_is_not_read_is_none() {
    let fate = |connection| if connection == 0 { Fate::AnswersEarly(200) } else { Fate::Served };
    let api = Http2Api::start(fate).await;
    let world = world_of(&api, &[]).await;
    assert_eq!(world.results(&[large()]).await, ["Dropped"]);
    assert_eq!((api.requests(), api.served()), (2, 1), "{:#?}", world.function.lines());
}

/// A record that makes one body of 770 kB.
fn large() -> Vec<u8> {
    let messages: Vec<String> = (0..700).map(|number| format!("{number} {}", "x".repeat(700))).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    gzip(envelope("g", 0, &messages))
}

#[tokio::test]
async fn an_http_1_connection_that_is_silent_costs_one_attempt() {
    let world = World::start(&[("REQUEST_TIMEOUT_MS", "300")]).await;
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    world.analytics.script([Answer::hang()]);
    assert_eq!(world.results(&records(1)).await, ["Dropped"]);
    assert_eq!((world.analytics.count(), world.analytics.connections()), (3, 2));
}

#[tokio::test]
async fn an_answer_that_is_odd_but_clear_is_what_its_status_says() {
    let many = "X-Many: y\r\n".repeat(200);
    let very_many = "X-Very-Many: y\r\n".repeat(1000);
    for head in [
        "HTTP/1.1 200 OK\r\nX-A : b\r\n",
        "HTTP/1.1 200 OK\r\nX-A: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n",
        "HTTP/1.1 200 OK\nX-A: b\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nX-A: \0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}"),
        &format!("HTTP/1.1 200 OK\r\n{very_many}"),
    ] {
        let end = if head.ends_with("\r\n") { "\r\n" } else { "\n" };
        let world = World::start(&[]).await;
        world.analytics.script([Answer::raw(format!("{head}{end}"))]);
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{:?}", &head[..head.len().min(80)]);
        assert_eq!(world.analytics.count(), 1, "{:?}", &head[..head.len().min(80)]);
    }
    let world = World::start(&[]).await;
    world.analytics.script([Answer::raw("HTTP/1.1 404 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")]);
    assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"]);
    assert_eq!(world.analytics.count(), 1);
}

#[tokio::test]
async fn an_answer_that_is_not_clear_is_a_broken_connection() {
    for bytes in ["HTTP/1.1 200 OK\r\nX-A: b\r\n", "HTTP/1.1 2", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 20x OK\r\n\r\n"] {
        let world = World::start(&[("MAX_ATTEMPTS", "2")]).await;
        world.analytics.script([Answer::raw(bytes)]);
        assert_eq!(world.results(&records(1)).await, ["Dropped"], "{bytes}");
        assert_eq!(world.analytics.count(), 2, "{bytes}");
    }
}

/// What the log says of an API that cannot be reached.
async fn said_of(settings: &[(&str, &str)]) -> String {
    let all = [&[("MAX_ATTEMPTS", "1"), ("REQUEST_TIMEOUT_MS", "500")], settings].concat();
    let world = World::start(&all).await;
    assert_eq!(world.results(&records(1)).await, ["ProcessingFailed"], "{settings:?}");
    world.function.lines().join("\n")
}

#[track_caller]
fn says(log: &str, text: &str) {
    assert!(log.contains(text), "{text} is not in {log}");
}

#[tokio::test]
async fn failures_to_reach_the_api_are_told_apart() {
    says(&said_of(&[("ANALYTICS_URL", "https://api.invalid/")]).await, "its host name is not found");

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    // It listens and says nothing: no TLS comes about, and no answer.
    let (secure, plain) = (format!("https://localhost:{port}/"), format!("http://127.0.0.1:{port}/"));
    says(&said_of(&[("ANALYTICS_URL", &secure)]).await, "no connection to it in time");
    says(&said_of(&[("ANALYTICS_URL", &plain)]).await, "no answer in time");
    drop(listener);
    says(&said_of(&[("ANALYTICS_URL", &plain)]).await, "it refuses the connection");

    let world = World::start(&[("MAX_ATTEMPTS", "1")]).await;
    world.analytics.script([Answer::closed_after_body()]);
    world.results(&records(1)).await;
    says(&world.function.lines().join("\n"), "the connection broke before the answer");
    let not_tls = world.analytics.url().replace("http://127.0.0.1", "https://localhost");
    says(&said_of(&[("ANALYTICS_URL", &not_tls)]).await, "what it sends is not TLS");
}

#[tokio::test]
async fn certificates_that_are_refused_are_told_apart() {
    for (leaf, trusted, text) in [
        (Leaf::Expired, true, "its certificate has expired"),
        (Leaf::OtherHost, true, "its certificate is for another host name"),
        (Leaf::Valid, false, "its certificate is of an unknown issuer"),
    ] {
        let authority = Authority::new();
        let file = Roots::of(&authority);
        let api = AnalyticsApi::start_tls(&Tokens::new(), authority.acceptor(leaf)).await;
        let roots = if trusted { file.path() } else { "" };
        let log = said_of(&[("ANALYTICS_URL", &api.url()), ("SSL_CERT_FILE", roots)]).await;
        says(&log, text);
    }
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_at_each() {
    // `localhost` is ::1 first where there is IPv6; nothing listens there.
    let world = World::start(&[]).await;
    let url = world.analytics.url().replace("127.0.0.1", "localhost");
    let (runtime, _function) = world.another(&[("ANALYTICS_URL", &url)]).await;
    let data = base64_simd::STANDARD.encode_to_string(record(0));
    let start = Instant::now();
    let answer = runtime.invoke(crate::world::event([data]).to_string(), Duration::from_secs(10)).await.json();
    assert_eq!(answer["records"][0]["result"], "Dropped");
    assert!(start.elapsed() < Duration::from_secs(5));
}
