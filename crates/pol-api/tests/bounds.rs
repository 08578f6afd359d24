//! What one connection, and all of them, can cost the server: over a real loopback port, with clients that do not play by the rules.
#![allow(
    missing_docs,
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "../examples/tiny/mod.rs"]
mod tiny;

use core::{future::poll_fn, time::Duration};
use std::{sync::Arc, time::Instant};

use pol_api::{
    connections::{Connections, Counts},
    dht::v1::{self, dht_client::DhtClient},
    limits, serve,
    tonic::{
        self, Code, Status,
        body::Body,
        codegen::{Service as _, http},
        transport::{Channel, server::TcpIncoming},
    },
};
use prost::{Message as _, bytes::Bytes};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_stream::StreamExt as _;

const SHORT: Duration = Duration::from_millis(400);

async fn start() -> (Channel, JoinSet<()>) {
    let mut tasks = JoinSet::new();
    let uri = tiny::Tiny::new().start(&mut tasks).await.unwrap();
    (serve::endpoint(uri).unwrap().connect().await.unwrap(), tasks)
}

/// A server with other limits: its address and its counters.
async fn start_with(server: tonic::transport::Server, most: usize, preface: Duration) -> (String, Arc<Counts>, JoinSet<()>) {
    let (mut server, mut tasks) = (server, JoinSet::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Connections::with_limits(TcpIncoming::from(listener), most, preface);
    let counts = connections.counts();
    let router = server.add_service(serve::dht_server(tiny::Tiny::new()));
    tasks.spawn(async move { router.serve_with_incoming(connections).await.unwrap() });
    (address, counts, tasks)
}

async fn connect(address: &str) -> Result<DhtClient<Channel>, tonic::transport::Error> {
    Ok(serve::dht_client(serve::endpoint(format!("http://{address}"))?.connect().await?))
}

fn watch_all() -> v1::WatchAcksRequest {
    v1::WatchAcksRequest::default()
}

/// Sends bytes that are not what the generated client would send. All below 0x80, because a text is the simplest body there is.
async fn raw_call(channel: &mut Channel, method: &str, body: Vec<u8>) -> Status {
    let request = http::Request::post(format!("http://localhost/polai.dht.v1.Dht/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(String::from_utf8(body).unwrap()))
        .unwrap();
    poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let response = timeout(SHORT, channel.call(request)).await.expect("no answer").unwrap();
    Status::from_header_map(response.headers()).expect("accepted")
}

/// The five bytes before each message: not compressed, and a length.
fn frame(length: [u8; 4], message: &[u8]) -> Vec<u8> {
    [&[0], &length[..], message].concat()
}

#[tokio::test]
async fn stream_65_of_a_connection_waits_until_one_ends() {
    let (channel, _tasks) = start().await;
    let mut client = serve::dht_client(channel);
    let mut watches = Vec::new();
    for _ in 0..limits::STREAMS_PER_CONNECTION {
        watches.push(timeout(SHORT, client.watch_acks(watch_all())).await.expect("64 streams are allowed").unwrap());
    }
    assert!(timeout(SHORT, client.status(v1::StatusRequest {})).await.is_err(), "a call beyond the cap was answered");
    drop(watches.pop());
    timeout(SHORT, client.status(v1::StatusRequest {})).await.expect("a place is free").unwrap();
}

/// One HTTP/2 frame.
fn http2(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn a_client_that_ignores_the_cap_has_its_surplus_streams_refused() {
    let (address, _counts, _tasks) = start_with(serve::server(), 2, SHORT).await;
    let mut socket = TcpStream::connect(&address).await.unwrap();
    // HPACK: indexed POST and http, then literals without index for path, authority and content-type.
    let text = |name: &[u8], value: &str| [name, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    let path = text(&[0x04], "/polai.dht.v1.Dht/WatchAcks");
    let headers = [vec![0x83, 0x86], path, text(&[0x01], "localhost"), text(&[0x0f, 0x10], "application/grpc")].concat();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(http2(0x4, 0, 0, &[]));
    let streams = 100;
    for i in 0..streams {
        // End of headers, not of the stream: the call's message never comes.
        bytes.extend(http2(0x1, 0x4, 2 * i + 1, &headers));
    }
    socket.write_all(&bytes).await.unwrap();
    let mut refused = 0;
    let mut head = [0; 9];
    while let Ok(Ok(_)) = timeout(SHORT, socket.read_exact(&mut head)).await {
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        socket.read_exact(&mut payload).await.unwrap();
        // RST_STREAM with REFUSED_STREAM.
        refused += u32::from(head[3] == 0x3 && payload == [0, 0, 0, 7]);
    }
    assert_eq!(refused, streams - limits::STREAMS_PER_CONNECTION);
    // Another connection is served as before.
    connect(&address).await.unwrap().status(v1::StatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn a_burst_before_the_server_has_named_its_cap_is_never_lost_silently() {
    let mut tasks = JoinSet::new();
    let uri = tiny::Tiny::new().start(&mut tasks).await.unwrap();
    // Lazy: the calls go out with the very first bytes of the connection.
    let client = serve::dht_client(serve::endpoint(uri).unwrap().connect_lazy());
    let mut calls = JoinSet::new();
    for _ in 0..200 {
        let mut client = client.clone();
        calls.spawn(async move { client.status(v1::StatusRequest {}).await });
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(result) = timeout(10 * SHORT, calls.join_next()).await.expect("a call got neither answer nor error") {
        match result.unwrap() {
            Ok(_) => answered += 1,
            Err(status) => {
                assert!([Code::Unavailable, Code::Cancelled].contains(&status.code()), "{status:?}");
                refused += 1;
            }
        }
    }
    println!("200 calls at once on a new connection: {answered} answered, {refused} refused");
    assert!(answered >= 64, "{answered}");
}

#[tokio::test]
async fn a_message_of_256_kib_passes_and_one_byte_more_is_refused() {
    let (channel, _tasks) = start().await;
    let mut client = serve::dht_client(channel);
    for (bytes, code, words) in [
        (limits::MESSAGE_BYTES, Code::InvalidArgument, "expected 241"),
        (limits::MESSAGE_BYTES + 1, Code::OutOfRange, "length too large"),
    ] {
        // Tag and three bytes of length stand before the value.
        let request = v1::PutAckRequest { value: vec![1; bytes - 4].into() };
        assert_eq!(request.encoded_len(), bytes);
        let status = client.put_ack(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(words), "{status}");
    }
}

#[tokio::test]
async fn garbage_truncation_and_false_lengths_give_a_clean_error() {
    let (mut channel, _tasks) = start().await;
    let unary =
        ["PutAck", "GetAcks", "PutFault", "PutIdentity", "Peers", "WatchAcks", "WatchCandidates", "WatchFaults", "FetchDelta"];
    for method in unary.into_iter().chain(["PublishDelta", "SetValidators"]) {
        for (what, body) in [
            ("a field of a wrong type", frame([0, 0, 0, 2], &[0x08, 0x01])),
            ("a field longer than the message", frame([0, 0, 0, 3], &[0x0a, 0x7f, 0x01])),
            ("an endless number", frame([0, 0, 0, 3], &[0x7f, 0x7f, 0x7f])),
            ("a frame cut off", frame([0, 0, 0, 0x7f], b"abc")),
            ("half a frame's head", vec![0, 0, 0]),
            ("2 GB announced", frame([0x7f; 4], b"abc")),
            ("an unknown compression", frame([0, 0, 0, 0], b"").into_iter().map(|b| b | 2).collect()),
        ] {
            let status = raw_call(&mut channel, method, body).await;
            let expected = if what == "2 GB announced" { Code::OutOfRange } else { Code::Internal };
            assert_eq!(status.code(), expected, "{method}, {what}: {status}");
        }
    }
    assert_eq!(raw_call(&mut channel, "NoSuchCall", frame([0; 4], b"")).await.code(), Code::Unimplemented);
    // The connection survived all of it.
    serve::dht_client(channel).status(v1::StatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn connection_17_is_closed_at_once_and_a_freed_place_is_given_again() {
    let (address, counts, _tasks) = start_with(serve::server(), limits::CONNECTIONS, limits::PREFACE_TIMEOUT).await;
    let mut clients = Vec::new();
    for _ in 0..limits::CONNECTIONS {
        let mut client = connect(&address).await.unwrap();
        client.status(v1::StatusRequest {}).await.unwrap();
        clients.push(client);
    }
    let mut one_more = TcpStream::connect(&address).await.unwrap();
    let read = timeout(SHORT, one_more.read(&mut [0; 8])).await.expect("not closed");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!((counts.open(), counts.refused()), (16, 1));
    clients[0].status(v1::StatusRequest {}).await.unwrap();
    drop(clients.pop());
    let begin = Instant::now();
    loop {
        if let Ok(mut client) = connect(&address).await
            && client.status(v1::StatusRequest {}).await.is_ok()
        {
            break;
        }
        assert!(begin.elapsed() < 10 * SHORT, "the place was not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_drips_loses_its_place() {
    let (address, counts, _tasks) = start_with(serve::server(), 2, SHORT).await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut dripping = TcpStream::connect(&address).await.unwrap();
    let drip = async {
        for byte in b"PRI * HTTP/2.0" {
            let _ = dripping.write_all(&[*byte]).await;
            tokio::time::sleep(SHORT / 8).await;
        }
    };
    let begin = Instant::now();
    // The server speaks first (its settings), then hangs up.
    let mut said = Vec::new();
    let (read, ()) = tokio::join!(timeout(4 * SHORT, silent.read_to_end(&mut said)), drip);
    assert!(read.is_ok(), "kept open");
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(counts.open(), 0);
    connect(&address).await.unwrap().status(v1::StatusRequest {}).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_drips_is_cut_off_and_a_watch_is_not() {
    let (address, _counts, _tasks) = start_with(serve::server().timeout(SHORT), 2, SHORT).await;
    let mut client = connect(&address).await.unwrap();
    let mut watch = client.watch_acks(watch_all()).await.unwrap().into_inner();
    let messages = pol_api::client::upload(&Bytes::from(vec![1; 100_000]), None);
    let dripping = tokio_stream::iter(messages).throttle(2 * SHORT);
    let begin = Instant::now();
    let status = client.publish_delta(dripping).await.unwrap_err();
    assert!(begin.elapsed() < 4 * SHORT, "{:?}", begin.elapsed());
    println!("a slow upload ends with {:?}: {}", status.code(), status.message());
    assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&status.code()), "{status}");
    assert!(timeout(2 * SHORT, watch.message()).await.is_err(), "the watch ended");
}

#[tokio::test]
async fn headers_beyond_their_limit_are_refused() {
    let (channel, _tasks) = start().await;
    let mut client = serve::dht_client(channel);
    let mut request = tonic::Request::new(v1::StatusRequest {});
    request.metadata_mut().insert("x-large", "a".repeat(20_000).parse().unwrap());
    let result = timeout(5 * SHORT, client.status(request)).await.expect("neither answer nor error");
    assert!(result.is_err());
    client.status(v1::StatusRequest {}).await.unwrap();
}
