//! The feed over a real port: resumable, told of reverts, and cut off when slow.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod common;

use core::time::Duration;

use alloy_primitives::B256;
use common::{chain, clock, grow, log, run};
use pol_api::{
    convert::{ChainEvent, Cursor, View, WatchUpdates},
    execution::v1::{StatusRequest, WatchUpdatesRequest, WatchUpdatesResponse, execution_client::ExecutionClient},
    serve as api,
    status::Reason,
    tonic::{Status, Streaming, transport::Channel},
};
use pol_core::Hash32;
use reth_ai_exex::{
    feed::{self, Feed, Program},
    metrics::Metrics,
    model_log::{LogBlock, ModelLog},
};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

const PROGRAM: Program = Program { name: "test", version: "1.2.3" };

struct Served {
    log: ModelLog,
    client: ExecutionClient<Channel>,
    stop: CancellationToken,
    /// Ends the server when dropped.
    server: JoinSet<()>,
    _directory: tempfile::TempDir,
}

async fn serve() -> Served {
    let (directory, log) = log();
    let stop = CancellationToken::new();
    let feed = Feed::new(log.clone(), &chain(), PROGRAM, clock().as_ref(), stop.clone(), Metrics::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { feed::serve(listener, feed).await.unwrap() });
    let client = api::execution_client(api::endpoint(uri).unwrap().connect().await.unwrap());
    Served { log, client, stop, server, _directory: directory }
}

type Watch = Streaming<WatchUpdatesResponse>;

impl Served {
    async fn watch(&self, after: Option<Cursor>, view: View) -> Watch {
        self.try_watch(after, view).await.unwrap()
    }

    async fn try_watch(&self, after: Option<Cursor>, view: View) -> Result<Watch, Status> {
        let request = WatchUpdatesRequest::from(WatchUpdates { after, view });
        Ok(self.client.clone().watch_updates(request).await?.into_inner())
    }
}

async fn next(watch: &mut Watch) -> Result<ChainEvent, Status> {
    let message = timeout(Duration::from_secs(20), watch.message()).await.expect("an event")?;
    Ok(ChainEvent::try_from(&message.expect("an event, not the end")).unwrap())
}

/// The events of a watch as short words: `u4` an update at height 4, `f` finality, `r` a revert.
async fn words(watch: &mut Watch, events: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..events {
        words.push(word(&next(watch).await.unwrap()));
    }
    words
}

fn word(event: &ChainEvent) -> String {
    let kind = match event {
        ChainEvent::Update(_) => "u",
        ChainEvent::Reverted(_) => "r",
        ChainEvent::Finalized(_) => "f",
    };
    format!("{kind}{}", event.block().height)
}

async fn silent(watch: &mut Watch) -> bool {
    timeout(Duration::from_millis(50), watch.message()).await.is_err()
}

const fn cursor(block: &LogBlock) -> Cursor {
    Cursor { height: block.block.number, block_hash: Hash32(block.block.hash.0) }
}

#[tokio::test]
async fn a_reader_hears_what_was_before_it_came_and_then_what_comes() {
    let served = serve().await;
    let blocks = grow(&served.log, 10, 3);
    let mut watch = served.watch(None, View::Canonical).await;
    assert_eq!(words(&mut watch, 3).await, ["u3", "u6", "u9"]);
    let blocks = [blocks, grow(&served.log, 5, 3)].concat();
    served.log.finalize(blocks[6].block).unwrap();
    assert_eq!(words(&mut watch, 3).await, ["u12", "u15", "f7"]);
    served.log.revert(blocks[12].block).unwrap();
    assert_eq!(words(&mut watch, 1).await, ["r13"]);
    assert!(silent(&mut watch).await);
}

#[tokio::test]
async fn an_event_carries_what_the_log_says() {
    let served = serve().await;
    let blocks = grow(&served.log, 4, 2);
    let mut watch = served.watch(None, View::Canonical).await;
    let ChainEvent::Update(update) = next(&mut watch).await.unwrap() else { panic!() };
    let entry = served.log.snapshot().unwrap().block(2).unwrap().unwrap();
    assert_eq!((update.block, update.update_id), (cursor(&blocks[1]), entry.update_id));
    assert_eq!((update.model_head, update.number, update.timestamp), (entry.model_head, 1, entry.timestamp));
    assert!(!update.finalized);
}

#[tokio::test]
async fn a_reader_that_comes_back_with_its_cursor_misses_nothing_and_hears_nothing_twice() {
    let served = serve().await;
    let mut cursor: Option<Cursor> = None;
    let mut heard = Vec::new();
    for round in 0..12_u64 {
        let blocks = grow(&served.log, 7, 2);
        if round % 3 == 2 {
            served.log.finalize(blocks[2].block).unwrap();
        }
        // It comes, deals with some events, and goes away in the middle.
        let mut watch = served.watch(cursor, View::Canonical).await;
        for _ in 0..=round % 4 {
            let Ok(message) = timeout(Duration::from_millis(200), watch.message()).await else { break };
            let event = ChainEvent::try_from(&message.unwrap().unwrap()).unwrap();
            cursor = Some(event.advance(cursor));
            if let ChainEvent::Update(update) = event {
                heard.push(update.number);
            }
        }
    }
    let mut watch = served.watch(cursor, View::Canonical).await;
    while let Ok(message) = timeout(Duration::from_millis(200), watch.message()).await {
        if let ChainEvent::Update(update) = ChainEvent::try_from(&message.unwrap().unwrap()).unwrap() {
            heard.push(update.number);
        }
    }
    assert_eq!(heard, (1..=served.log.tip().updates).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_whose_block_a_reorg_took_is_sent_back_first() {
    let served = serve().await;
    let trunk = grow(&served.log, 20, 2);
    served.log.finalize(trunk[9].block).unwrap();
    let branch = run(trunk[13].block.number, trunk[13].block.hash, 10, 2, 3);
    served.log.commit(&branch).unwrap();
    let mut watch = served.watch(Some(cursor(&trunk[17])), View::Canonical).await;
    assert_eq!(words(&mut watch, 8).await, ["r10", "u12", "u14", "u15", "u18", "u21", "u24", "f10"]);
    // A cursor on the common part hears only what is new to it.
    let mut watch = served.watch(Some(cursor(&trunk[13])), View::Canonical).await;
    assert_eq!(words(&mut watch, 5).await, ["u15", "u18", "u21", "u24", "f10"]);
}

#[tokio::test]
async fn a_reader_of_final_blocks_hears_nothing_that_is_ever_reverted() {
    let served = serve().await;
    let mut watch = served.watch(None, View::Finalized).await;
    let trunk = grow(&served.log, 20, 4);
    assert!(silent(&mut watch).await, "nothing is final yet");
    served.log.finalize(trunk[9].block).unwrap();
    assert_eq!(words(&mut watch, 3).await, ["u4", "u8", "f10"]);
    let branch = run(12, trunk[11].block.hash, 10, 2, 5);
    served.log.commit(&branch).unwrap();
    assert!(silent(&mut watch).await, "a reorg above what is final");
    served.log.finalize(branch[7].block).unwrap();
    assert_eq!(words(&mut watch, 4).await, ["u12", "u15", "u20", "f20"]);
    let mut again = served.watch(Some(cursor(&branch[2])), View::Finalized).await;
    assert_eq!(words(&mut again, 2).await, ["u20", "f20"]);
}

#[tokio::test]
async fn a_long_history_comes_in_pages_and_in_order() {
    let served = serve().await;
    let blocks = grow(&served.log, 2_000, 1);
    served.log.finalize(blocks[1_500].block).unwrap();
    let mut watch = served.watch(Some(cursor(&blocks[9])), View::Canonical).await;
    for height in 11..=2_000 {
        let ChainEvent::Update(update) = next(&mut watch).await.unwrap() else { panic!() };
        assert_eq!((update.block.height, update.finalized), (height, height <= 1_501));
    }
    assert_eq!(words(&mut watch, 1).await, ["f1501"]);
}

#[tokio::test]
async fn a_cursor_that_contradicts_finality_is_refused_and_one_ahead_may_ask_again() {
    let served = serve().await;
    let blocks = grow(&served.log, 10, 2);
    served.log.finalize(blocks[4].block).unwrap();
    let reason = async |after, view| Reason::of(&served.try_watch(Some(after), view).await.unwrap_err());
    let stranger = |height| Cursor { height, block_hash: Hash32([9; 32]) };
    for view in [View::Canonical, View::Finalized] {
        assert_eq!(reason(stranger(0), view).await, Some(Reason::ForeignChain));
        assert_eq!(reason(stranger(5), view).await, Some(Reason::ForeignChain));
        assert_eq!(reason(stranger(11), view).await, Some(Reason::NotFound));
        assert_eq!(reason(stranger(u64::MAX), view).await, Some(Reason::NotFound));
    }
    assert_eq!(reason(cursor(&blocks[7]), View::Finalized).await, Some(Reason::NotFound), "canonical, not final");
    assert!(served.try_watch(Some(stranger(7)), View::Canonical).await.is_ok(), "a reorg may have taken it");
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_by_its_field() {
    let served = serve().await;
    let mut client = served.client.clone();
    let short = pol_api::execution::v1::Cursor { height: 1, block_hash: vec![1; 31].into() };
    let good = WatchUpdatesRequest::from(WatchUpdates { after: None, view: View::Canonical });
    for request in [
        WatchUpdatesRequest { view: 0, ..good.clone() },
        WatchUpdatesRequest { view: 3, ..good.clone() },
        WatchUpdatesRequest { view: -1, ..good.clone() },
        WatchUpdatesRequest { after: Some(short), ..good },
    ] {
        let status = client.watch_updates(request).await.unwrap_err();
        assert_eq!(Reason::of(&status), Some(Reason::BadField), "{status}");
    }
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_cut_off_and_told_so() {
    let served = serve().await;
    let mut watch = served.watch(None, View::Canonical).await;
    // About 150 bytes each: windows and buffers take some thousand, the queue 1,024 more.
    let blocks = 20_000;
    for _ in 0..blocks / 500 {
        grow(&served.log, 500, 1);
        tokio::task::yield_now().await;
    }
    let (mut heard, mut at) = (0, None);
    let status = loop {
        match next(&mut watch).await {
            Ok(event) => (heard, at) = (heard + 1, Some(event.advance(at))),
            Err(status) => break status,
        }
    };
    assert!((1..blocks).contains(&heard), "{heard}");
    assert_eq!(Reason::of(&status), Some(Reason::Lagged), "{status}");
    // Its cursor brings it back to where it was.
    let mut watch = served.watch(at, View::Canonical).await;
    assert_eq!(next(&mut watch).await.unwrap().block().height, at.unwrap().height + 1);
}

#[tokio::test]
async fn the_status_says_who_it_is_and_where_the_chain_stands() {
    let served = serve().await;
    let blocks = grow(&served.log, 9, 2);
    served.log.finalize(blocks[5].block).unwrap();
    let status = served.client.clone().status(StatusRequest {}).await.unwrap().into_inner();
    let build = status.build.unwrap();
    assert_eq!(
        (build.name.as_str(), build.version.as_str(), build.genesis_id.as_ref()),
        ("test", "1.2.3", [0x11; 32].as_slice())
    );
    let head = pol_api::convert::Head::try_from(&status.head.unwrap()).unwrap();
    assert_eq!((head.block, head.model_head, head.updates), (cursor(&blocks[8]), served.log.tip().model_head, 4));
    let finalized = pol_api::convert::Head::try_from(&status.finalized.unwrap()).unwrap();
    assert_eq!((finalized.block, finalized.updates), (cursor(&blocks[5]), 3));
}

#[tokio::test]
async fn at_shutdown_every_reader_is_told_and_the_server_ends() {
    let mut served = serve().await;
    let mut watch = served.watch(None, View::Canonical).await;
    served.stop.cancel();
    let status = next(&mut watch).await.unwrap_err();
    assert_eq!(Reason::of(&status), Some(Reason::ShuttingDown));
    drop((watch, served.client));
    timeout(Duration::from_secs(20), served.server.join_next()).await.expect("the server ends");
}

#[tokio::test]
async fn a_genesis_cursor_is_the_beginning() {
    let served = serve().await;
    grow(&served.log, 4, 2);
    let genesis = Cursor { height: 0, block_hash: Hash32(B256::repeat_byte(0x99).0) };
    let mut watch = served.watch(Some(genesis), View::Canonical).await;
    assert_eq!(words(&mut watch, 2).await, ["u2", "u4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_in_a_blocks_certificate_comes_with_its_update_from_disk_and_live() {
    let served = serve().await;
    let certificate = [&[0x22_u8; 32][..], &8_u16.to_le_bytes(), &[0b1110_0001], &[0x33; 96]].concat();
    let tip = served.log.tip().block;
    let blocks = run(tip.number, tip.hash, 9, 1, 3);
    let other = [&[0x44_u8; 32][..], &certificate[32..]].concat();
    for (block, trailer) in [
        (&blocks[2], &certificate),
        (&blocks[2], &certificate),
        (&blocks[8], &certificate),
        (&blocks[8], &other),
        (&blocks[5], &vec![1; 9]),
    ] {
        served.log.certify(block.block.hash, &[&[0; 80], &trailer[..]].concat());
    }
    served.log.commit(&blocks[..6]).unwrap();
    let mut watch = served.watch(None, View::Canonical).await;
    let mut roots = Vec::new();
    for _ in 0..2 {
        let ChainEvent::Update(update) = next(&mut watch).await.unwrap() else { panic!("an update") };
        roots.push(update.result_root);
    }
    served.log.commit(&blocks[6..]).unwrap();
    let ChainEvent::Update(update) = next(&mut watch).await.unwrap() else { panic!("an update") };
    roots.push(update.result_root);
    let root = Some(pol_core::ResultRoot([0x22; 32]));
    assert_eq!(
        roots,
        [root, None, None],
        "of a block that came with two nothing is known, and what is no certificate says nothing"
    );
}
