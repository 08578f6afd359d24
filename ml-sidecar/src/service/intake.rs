//! Candidates that pol-dht tells of.

use pol_api::{
    convert::Candidate,
    dht::v1::WatchCandidatesRequest,
    serve,
    tonic::{Status, transport::Channel},
};
use pol_kit::{exit::Exit, link::Link, metrics::Health};
use tokio::sync::mpsc;

/// Watches candidates; after every break from the beginning, since what is held comes first. While the gate is busy it reads no further.
///
/// # Errors
/// Never; it ends with the gate.
pub(crate) async fn run(dht: Channel, candidates: mpsc::Sender<Candidate>, health: Health) -> Result<(), Exit> {
    let mut link = Link::new("dht", health);
    loop {
        let error = match serve::dht_client(dht.clone()).watch_candidates(WatchCandidatesRequest::default()).await {
            Ok(stream) => {
                link.works();
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => match Candidate::try_from(message) {
                            Ok(candidate) => {
                                if candidates.send(candidate).await.is_err() {
                                    return Ok(());
                                }
                            }
                            Err(error) => tracing::debug!(target: "polai::gate", %error, "a candidate that is none"),
                        },
                        Ok(None) => break Status::unavailable("the stream of candidates ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        link.failed(&error.message()).await;
    }
}
