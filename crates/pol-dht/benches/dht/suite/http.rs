//! 50 people who look at `/dht/peers` all the time, while records are put.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::body::{Body, to_bytes};
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use pol_dht::{Node, service};
use pol_kit::{http, tasks::Root};
use tokio::{net::TcpStream, task::JoinSet, time};

use super::{
    Options,
    cluster::{Members, SEATS, cluster, stop, update},
    runtime,
    table::{Row, Times},
};

const CONNECTIONS: usize = 50;
/// Peers that the answer lists.
const NEIGHBOURS: usize = 8;
/// Puts per second at the node that is looked at, and as many again at a neighbour.
const PUTS: u32 = 10;
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One connection that asks again as soon as it is answered; one time per answer. Opened anew when the server ends its life.
async fn look(address: SocketAddr, until: Instant) -> Vec<Duration> {
    let mut times = Vec::new();
    while Instant::now() < until {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        while Instant::now() < until && sender.ready().await.is_ok() {
            let request = Request::get("/dht/peers").header(HOST, "localhost").body(Body::empty()).unwrap();
            let start = Instant::now();
            // A connection at the end of its life may close between two requests.
            let Ok(answer) = sender.send_request(request).await else { break };
            assert_eq!(answer.status(), StatusCode::OK);
            let body = to_bytes(Body::new(answer.into_body()), ANSWER_BYTES_MAX).await.unwrap();
            times.push(start.elapsed());
            assert!(body.starts_with(b"{\"local\""));
        }
    }
    times
}

/// Puts ACKs at a steady rate; returns how many.
async fn put(node: Node, acks: Vec<pol_core::ack::VerifiedAck>, until: Instant) -> usize {
    let mut ticks = time::interval(Duration::from_secs(1) / PUTS);
    let mut done = 0;
    for ack in acks {
        ticks.tick().await;
        if Instant::now() >= until {
            break;
        }
        node.put_value(ack.raw().key(), &ack.raw().to_value()).await.unwrap();
        done += 1;
    }
    done
}

/// The rows of this subject.
pub(crate) fn rows(options: &Options) -> Vec<Row> {
    let seconds = options.size(options.seconds, 30, 1);
    let connections = if options.quick { 5 } else { CONNECTIONS };
    let members = Members::new(SEATS);
    let acks = |place: usize| -> Vec<_> {
        let count = PUTS as usize * usize::try_from(seconds).unwrap();
        (0..count).map(|i| members.ack(update(place), i)).collect()
    };
    let acks = [acks(0), acks(1)];
    runtime().block_on(async {
        let places = cluster(if options.quick { 2 } else { NEIGHBOURS + 1 }, &members).await;
        let root = Root::new("bench");
        let listener = http::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = root.child("http");
        let router = service::http::router(places[0].running.node.clone());
        tasks.spawn_critical("server", http::serve(listener, router, http::Limits::default(), tasks.token()));

        let until = Instant::now() + Duration::from_secs(seconds);
        let (mut lookers, mut putters) = (JoinSet::new(), JoinSet::new());
        for (place, acks) in places.iter().zip(acks) {
            putters.spawn(put(place.running.node.clone(), acks, until));
        }
        for _ in 0..connections {
            lookers.spawn(look(address, until));
        }
        let times: Vec<Duration> = lookers.join_all().await.into_iter().flatten().collect();
        let puts: usize = putters.join_all().await.iter().sum();
        root.stop(Duration::from_secs(5)).await;
        let peers = places.len() - 1;
        stop(places).await;

        let answers = times.len() as u64 / seconds.max(1);
        let times = Times::new(times);
        vec![Row::judged(
            format!("{connections} connections on /dht/peers ({peers} peers) for {seconds} s during {puts} puts, p99"),
            "<= 25 ms",
            format!("{}; {answers} answers/s", times.text()),
            times.percentile(99) <= Duration::from_millis(25),
        )]
    })
}
