//! What a process tells about itself: `/metrics` for Prometheus, `/health` for supervisors.
//!
//! Purpose: one way for every process. Contract: make a [`registry`], register under a sub-registry per part, so that names read
//! `polai_<part>_<what>_<unit>` (counters get `_total`); give it and a [`Health`] to [`router`]; serve that with
//! [`crate::http::serve`], on loopback unless the operator says otherwise. What it does not protect against: whoever reaches the
//! port reads all of it; nothing secret, and no label that a peer chooses, belongs into a metric.

mod health;

pub use health::{Condition, Health, Report, Status};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An empty registry whose metrics are named `polai_...`.
pub fn registry() -> Registry {
    Registry::with_prefix("polai")
}

/// A family of metrics that is told of, name, type and meaning, before it has counted anything: who makes a dashboard or an alarm sees at once
/// what there is, and docs/METRICS.md can be compared with a process that has just begun.
pub fn described(family: impl Metric) -> impl Metric {
    Described(family)
}

#[derive(Debug)]
struct Described<M>(M);

impl<M: EncodeMetric> EncodeMetric for Described<M> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

/// Where metrics are served by default: this port on loopback.
pub const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// `GET /metrics` (Prometheus text) and `GET /health`: 200 when all is well, 206 when the process does its work for blocks but not
/// for the AI path, 503 when it does neither; with the reasons as JSON. Merge it into a process's own router.
pub fn router(registry: Registry, health: Health) -> Router {
    let metrics = get(metrics).with_state(Arc::new(registry));
    Router::new().route("/metrics", metrics).route("/health", get(report).with_state(health))
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn report(State(health): State<Health>) -> Response {
    let report = health.report();
    let code = match report.status {
        Status::Ok => StatusCode::OK,
        Status::Degraded => StatusCode::PARTIAL_CONTENT,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(report)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Root;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    async fn get_text(router: Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(router).call(request).await.unwrap();
        let status = response.status();
        (status, String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text_and_named_by_part_what_and_unit() {
        let root = Root::new("test");
        let mut registry = registry();
        root.tasks().register(&mut registry);
        let mut optional = root.tasks().spawn_optional("sync", async || Err(std::io::Error::other("x")));
        tokio::time::pause();
        assert!(optional.switched_off().await);
        let (status, text) = get_text(router(registry, Health::new()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("polai_tasks_restarts_total{task=\"test/sync\"} 5\n"), "{text}");
        assert!(text.contains("polai_tasks_switched_off{task=\"test/sync\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE polai_tasks_alive gauge\n") && text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn health_is_200_206_when_only_the_ai_path_is_missing_and_503() {
        let health = Health::new();
        let answer = async || get_text(router(registry(), health.clone()), "/health").await;
        assert_eq!(answer().await.0, StatusCode::SERVICE_UNAVAILABLE);
        health.set("net", Condition::Ok);
        assert_eq!(answer().await, (StatusCode::OK, r#"{"status":"ok","reasons":[]}"#.to_owned()));
        health.set("net", Condition::Degraded("0 peers".to_owned()));
        let degraded = r#"{"status":"degraded","reasons":[{"part":"net","status":"degraded","reason":"0 peers"}]}"#;
        assert_eq!(answer().await, (StatusCode::PARTIAL_CONTENT, degraded.to_owned()));
        health.set("store", Condition::Down("disk full".to_owned()));
        assert_eq!(answer().await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_family_is_described_before_it_has_counted_anything() {
        let mut registry = registry();
        Root::new("test").tasks().register(&mut registry);
        let (_, text) = get_text(router(registry, Health::new()), "/metrics").await;
        assert!(text.contains("# TYPE polai_tasks_restarts counter\n"), "{text}");
        assert!(!text.contains("polai_tasks_restarts_total"), "{text}");
    }

    #[test]
    fn metrics_are_on_loopback_by_default() {
        assert_eq!(loopback(9001).to_string(), "127.0.0.1:9001");
    }
}
