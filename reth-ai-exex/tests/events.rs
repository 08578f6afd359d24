//! What the execution side tells people: one update's life in the log, and the metrics.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod common;

use core::num::NonZeroUsize;
use std::{
    io,
    sync::{Arc, Mutex},
};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};
use common::{NOW, certificate, chain, clock, run};
use pol_core::{UpdateId, extra_data::ExtraData};
use pol_kit::{clock::System, metrics::registry};
use prometheus_client::encoding::text::encode;
use reth_ai_exex::{
    candidate::{Mode, Push, Register},
    metrics::Metrics,
    model_log::ModelLog,
    sealer::{Cancel, SealJob, Sealer},
};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A parent that a block of this chain can stand on.
fn parent() -> Header {
    Header {
        difficulty: U256::from(1_000),
        timestamp: common::GENESIS_TIME,
        extra_data: Bytes::copy_from_slice(&ExtraData::GENESIS.encode()),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

/// One update from the sealer to finality, a refused candidate, a cancelled seal and a reorg.
fn story(metrics: &Metrics) {
    let sealer = Sealer::start(NonZeroUsize::MIN, &chain(), Arc::new(System::new()), metrics.clone()).unwrap();
    let (parent, id) = (parent(), common::update(3));
    let hash = parent.hash_slow();
    let job = |id| {
        let draft = Header { parent_hash: hash, timestamp: parent.timestamp + common::SLOT, ..parent.clone() };
        SealJob::new(draft, hash, &parent, id, chain().difficulty()).unwrap()
    };
    sealer.seal(job(id), &Cancel::new()).unwrap();
    sealer.seal(job(UpdateId::ZERO), &Cancel::new()).unwrap();
    let cancelled = Cancel::new();
    cancelled.cancel();
    assert!(sealer.seal(job(id), &cancelled).is_err());

    let register = Register::new(chain(), clock(), Mode::Enabled, metrics.clone());
    let push = Push { parent_hash: B256::ZERO, slot: NOW, update_id: id, certificate: certificate() };
    register.push(&push).unwrap();
    assert!(register.push(&Push { slot: NOW - 1, ..push }).is_err());

    let directory = tempfile::tempdir().unwrap();
    let log = ModelLog::open(directory.path(), &chain(), metrics.clone()).unwrap();
    let blocks = run(0, log.tip().block.hash, 5, 1, 3);
    log.commit(&blocks).unwrap();
    log.finalize(blocks[3].block).unwrap();
    log.revert(blocks[3].block).unwrap();
    metrics.header_checked(true, core::time::Duration::from_micros(7));
}

#[test]
fn one_grep_for_an_update_shows_that_it_was_sealed_imported_and_final_and_nothing_of_empty_blocks() {
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || story(&Metrics::new()));
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let events: Vec<&str> = text.lines().filter(|line| line.contains("polai::update")).collect();
    let stages: Vec<&str> = events.iter().map(|line| line.rsplit_once("stage=").unwrap().1.trim_matches('"')).collect();
    assert_eq!(stages, ["sealed", "imported", "finalized"], "{text}");
    let id = common::update(3).to_string();
    assert!(events.iter().all(|line| line.contains(&id)), "{text}");
}

#[test]
fn metrics_are_named_by_part_what_and_unit_and_count_what_happened() {
    let (metrics, mut registry) = (Metrics::new(), registry());
    metrics.register(&mut registry);
    story(&metrics);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    for line in [
        "polai_execution_seals_total 2",
        "polai_execution_seal_failures_total 1",
        "polai_execution_seal_seconds_count 2",
        "polai_execution_candidates_total{result=\"held\"} 1",
        "polai_execution_candidates_total{result=\"expired\"} 1",
        "polai_execution_ai_mode{mode=\"enabled\"} 1",
        "polai_execution_ai_mode{mode=\"disabled\"} 0",
        "polai_execution_headers_total{result=\"accepted\"} 1",
        "polai_execution_model_log_height 4",
        "polai_execution_model_log_finalized_height 4",
        "polai_execution_model_log_updates 1",
        "polai_execution_model_log_blocks_total 5",
        "polai_execution_model_log_finalized_updates_total 1",
        "polai_execution_model_log_reverted_blocks_total 1",
        "polai_execution_model_log_failures_total 0",
        "polai_execution_feed_readers 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
