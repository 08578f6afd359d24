//! What the service's tasks share.

use std::sync::Arc;

use pol_api::tonic::transport::Channel;
use pol_kit::{clock::Clock, metrics::Health};

use super::board::Board;
use crate::follow::Follower;

/// What calls are answered from.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) follower: Follower,
    pub(crate) board: Board,
    pub(crate) dht: Channel,
    pub(crate) health: Health,
    pub(crate) clock: Arc<dyn Clock>,
}
