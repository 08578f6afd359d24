use super::*;
use axum::routing::{get, post};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SHORT: Duration = Duration::from_millis(200);

fn router() -> Router {
    let stuck = get(|| async {
        sleep(Duration::from_secs(600)).await;
        "late"
    });
    let slow = get(|| async {
        sleep(SHORT).await;
        "slow"
    });
    let panics = get(|| async { std::hint::black_box(None::<&str>).unwrap() });
    let echo = post(|body: String| async move { body.len().to_string() });
    let fast = get(|| async { "ok" });
    Router::new().route("/", fast).route("/stuck", stuck).route("/slow", slow).route("/panic", panics).route("/echo", echo)
}

struct Server {
    address: SocketAddr,
    token: CancellationToken,
    set: JoinSet<Result<(), Infallible>>,
}

async fn start(limits: Limits) -> Server {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, token) = (listener.local_addr().unwrap(), CancellationToken::new());
    let mut set = JoinSet::new();
    set.spawn(serve(listener, router(), limits, token.clone()));
    Server { address, token, set }
}

async fn request(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an answer too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn ask(address: SocketAddr, path: &str) -> String {
    request(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("TCP {address} is in use by another process"));
    assert_eq!(crate::exit::Exit::from(error).code(), crate::exit::Code::Usage);
}

#[tokio::test]
async fn clients_that_drip_their_head_or_send_nothing_are_cut_off_and_do_not_keep_others_out() {
    let limits = Limits { connections: 8, header: SHORT, ..Limits::default() };
    let server = start(limits).await;
    let mut drips = JoinSet::new();
    for drip in [false, true].repeat(8) {
        drips.spawn(async move {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            while drip && stream.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
            read_all(&mut stream).await
        });
    }
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    assert!(ask(server.address, "/").await.ends_with("ok"));
    assert!(began.elapsed() < SHORT * 10, "16 drips held 8 places for {:?}", began.elapsed());
    let ended = timeout(SHORT * 20, drips.join_all()).await.expect("a drip was never cut off");
    assert!(ended.iter().all(|answer| !answer.contains("200 OK")));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_time_for_a_head() {
    let server = start(Limits { header: SHORT, ..Limits::default() }).await;
    let began = Instant::now();
    let answer = timeout(SHORT * 20, request(server.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")).await.unwrap();
    assert!(answer.contains("200 OK") && began.elapsed() >= SHORT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_handler_that_never_answers_is_given_up() {
    let server = start(Limits { request: SHORT, ..Limits::default() }).await;
    assert!(ask(server.address, "/stuck").await.starts_with("HTTP/1.1 503"));
    let slow_body = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n12345";
    assert!(request(server.address, slow_body).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn a_connection_ends_with_its_life_and_a_request_in_progress_is_finished() {
    let server = start(Limits { connection_life: SHORT / 2, ..Limits::default() }).await;
    let answer = timeout(SHORT * 10, request(server.address, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")).await.unwrap();
    assert!(answer.ends_with("slow"), "{answer}");
}

#[tokio::test]
async fn a_head_or_a_body_above_its_bound_is_refused() {
    let server = start(Limits { body_bytes: 10, ..Limits::default() }).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert!(!request(server.address, &head).await.contains("200 OK"));
    for (length, answer) in [(10, "200"), (11, "413")] {
        let body = "x".repeat(length);
        let head = format!("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        assert!(request(server.address, &head).await.starts_with(&format!("HTTP/1.1 {answer}")), "{length}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_connection_and_nothing_else() {
    let server = start(Limits::default()).await;
    assert_eq!(ask(server.address, "/panic").await, "");
    assert!(ask(server.address, "/").await.ends_with("ok"));
}

#[tokio::test]
async fn a_cancelled_server_finishes_its_requests_and_takes_no_more() {
    let mut server = start(Limits::default()).await;
    let mut asking = JoinSet::new();
    asking.spawn(async move { ask(server.address, "/slow").await });
    let idle = TcpStream::connect(server.address).await.unwrap();
    sleep(SHORT / 2).await;
    server.token.cancel();
    assert!(asking.join_next().await.unwrap().unwrap().ends_with("slow"));
    timeout(SHORT * 10, server.set.join_next()).await.expect("an idle connection held the server").unwrap().unwrap().unwrap();
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[test]
fn an_address_has_its_own_bound_and_loopback_has_none() {
    let places = PerIp::default();
    let (ip, mapped): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "::ffff:192.0.2.1".parse().unwrap());
    let (one, two) = (places.enter(ip, 2), places.enter(mapped, 2));
    assert!(one.is_some() && two.is_some() && places.enter(ip, 2).is_none());
    assert!(places.enter("192.0.2.2".parse().unwrap(), 2).is_some());
    drop(one);
    assert!(places.enter(ip, 2).is_some());
    drop(two);
    assert!(places.0.lock().unwrap().is_empty(), "an address without connections is remembered");
    let local: Vec<_> = (0..10).map(|_| places.enter("::1".parse().unwrap(), 2)).collect();
    assert!(local.iter().all(Option::is_some));
}
