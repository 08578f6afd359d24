//! The log follows a client's chain.

use core::time::Duration;
use std::sync::Mutex;

use super::*;

/// A client's canonical chain; block n at index n - 1.
#[derive(Debug, Default)]
struct Client(Mutex<Vec<LogBlock>>);

impl Client {
    fn become_chain(&self, blocks: &[LogBlock]) {
        *self.0.lock().unwrap() = blocks.to_vec();
    }

    fn heads(&self, finalized: usize) -> Heads {
        let blocks = self.0.lock().unwrap();
        let finalized = finalized.checked_sub(1).map(|i| blocks[i].block);
        Heads { head: blocks.last().unwrap().block, finalized }
    }
}

impl ChainView for Client {
    fn canonical(&self, number: u64) -> Option<LogBlock> {
        let Some(index) = usize::try_from(number).unwrap().checked_sub(1) else {
            let block = BlockNumHash::new(0, chain().genesis_hash());
            return Some(LogBlock { block, ..log_block(0, 0, B256::ZERO, 0) });
        };
        self.0.lock().unwrap().get(index).copied()
    }
}

fn client(blocks: &[LogBlock]) -> Client {
    let client = Client::default();
    client.become_chain(blocks);
    client
}

#[test]
fn from_wherever_it_stands_the_log_comes_to_the_clients_chain() {
    let genesis = BlockNumHash::new(0, chain().genesis_hash());
    let trunk = run(genesis, 2_500, 1);
    let short = [&trunk[..1_000], &run(trunk[999].block, 3, 2)].concat();
    let long = [&trunk[..900], &run(trunk[899].block, 1_700, 3)].concat();
    let (_directory, log) = fresh();
    // Forward in batches, to a shorter branch, to a longer one, back, and nowhere.
    for (blocks, finalized) in [(&trunk, 0), (&short, 0), (&long, 500), (&trunk, 800), (&trunk, 800)] {
        let client = client(blocks);
        log.catch_up(&client, client.heads(finalized)).unwrap();
        assert_eq!((log.tip().block, log.tip().model_head), (blocks.last().unwrap().block, expected_head(blocks)));
        assert_eq!(log.finalized().block.number, u64::try_from(finalized).unwrap());
    }
}

#[test]
fn a_client_that_lost_its_newest_blocks_takes_the_log_back_with_it() {
    let trunk = run(BlockNumHash::new(0, chain().genesis_hash()), 50, 1);
    let (_directory, log) = fresh();
    log.commit(&trunk).unwrap();
    log.finalize(trunk[19].block).unwrap();
    let client = client(&trunk[..45]);
    log.catch_up(&client, client.heads(20)).unwrap();
    assert_eq!(log.tip().block, trunk[44].block);
}

#[test]
fn a_client_behind_what_is_final_leaves_the_log_where_it_is() {
    let trunk = run(BlockNumHash::new(0, chain().genesis_hash()), 50, 1);
    let (_directory, log) = fresh();
    log.commit(&trunk).unwrap();
    log.finalize(trunk[39].block).unwrap();
    let client = client(&trunk[..10]);
    log.catch_up(&client, client.heads(0)).unwrap();
    assert_eq!((log.finalized().block, log.tip().block), (trunk[39].block, trunk[39].block));
}

#[test]
fn a_client_whose_chain_contradicts_finality_is_not_followed() {
    let genesis = BlockNumHash::new(0, chain().genesis_hash());
    let (_directory, log) = fresh();
    log.commit(&run(genesis, 10, 1)).unwrap();
    log.finalize(log.tip().block).unwrap();
    let before = dump(&log);
    let other = client(&run(genesis, 30, 2));
    let error = log.catch_up(&other, other.heads(0)).unwrap_err();
    assert!(matches!(error, LogError::Contradiction { number: 10, .. }), "{error}");
    assert_eq!(dump(&log), before);
}

#[tokio::test]
async fn following_takes_in_every_head_and_ends_with_its_sender() {
    let genesis = BlockNumHash::new(0, chain().genesis_hash());
    let trunk = run(genesis, 40, 1);
    let (_directory, log) = fresh();
    let client = Arc::new(client(&trunk[..10]));
    let (heads, watch) = tokio::sync::watch::channel(client.heads(0));
    let mut following = Box::pin(follow(log.clone(), client.clone(), watch));
    for (blocks, finalized) in [(10, 0), (20, 12), (40, 30)] {
        client.become_chain(&trunk[..blocks]);
        heads.send_replace(client.heads(finalized));
        let mut events = log.snapshot_and_events().unwrap().1;
        let arrived = async {
            while log.tip().block != trunk[blocks - 1].block || log.finalized().block.number < u64::try_from(finalized).unwrap() {
                let _ = tokio::time::timeout(Duration::from_millis(20), events.recv()).await;
            }
        };
        tokio::select! {
            ended = &mut following => panic!("it ended: {ended:?}"),
            () = arrived => {}
        }
    }
    drop(heads);
    following.await.unwrap();
    assert_eq!(log.tip().model_head, expected_head(&trunk));
}

#[tokio::test]
async fn following_ends_with_an_error_when_finality_is_contradicted() {
    let genesis = BlockNumHash::new(0, chain().genesis_hash());
    let (_directory, log) = fresh();
    log.commit(&run(genesis, 10, 1)).unwrap();
    log.finalize(log.tip().block).unwrap();
    let other = Arc::new(client(&run(genesis, 30, 2)));
    let (_heads, watch) = tokio::sync::watch::channel(other.heads(0));
    assert!(matches!(follow(log, other, watch).await, Err(LogError::Contradiction { .. })));
}
