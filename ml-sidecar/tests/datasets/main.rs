//! Data from a hub to a set of texts, over real sockets: a hub that is honest and a hub that lies.

mod files;
mod honest;
mod local;
mod lying;
mod models;
mod server;

use std::{path::Path, time::Duration};

use ml_sidecar::{
    data::{AcquireError, DATASETS, DataAcquisition, Dataset, Named, Request, TextSource},
    hub::{Hub, HubArgs},
};
use server::TestHub;

/// Bytes that the cache may take in most tests.
const BUDGET: u64 = 1 << 30;

fn args(server: &TestHub, folder: &Path) -> HubArgs {
    HubArgs { hf_endpoint: server.url(), hf_home: Some(folder.join("hf_home")), ..HubArgs::default() }
}

fn hub(args: &HubArgs, folder: &Path, budget: u64) -> Hub {
    Hub::new(args, &folder.join("cache"), budget).unwrap().pausing(Duration::from_millis(2))
}

fn acquisition(args: &HubArgs, folder: &Path) -> DataAcquisition {
    DataAcquisition::new(hub(args, folder, BUDGET), &folder.join("cache"), BUDGET)
}

fn dataset(key: &str) -> &'static Dataset {
    key.parse::<Named>().unwrap().0
}

fn request(keys: &[&str], total: u64) -> Request {
    Request { datasets: keys.iter().map(|key| dataset(key)).collect(), total: Some(total), ..Request::default() }
}

fn all_datasets() -> Vec<&'static Dataset> {
    DATASETS.iter().collect()
}

fn texts_of(source: &impl TextSource) -> Vec<String> {
    (0..source.count()).map(|number| source.get(number).unwrap()).collect()
}

fn acquire(args: &HubArgs, folder: &Path, request: &Request) -> Result<Vec<String>, AcquireError> {
    acquisition(args, folder).acquire(request, &mut |_| {}).map(|set| texts_of(&set))
}
