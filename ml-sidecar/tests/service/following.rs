//! The state follows the chain, whatever happens on the way.

use ml_sidecar::adapter;
use pol_api::{
    sidecar::{
        model::{AdapterFormat, ExportReader},
        v1::{self, ExportAdapterRequest, StatusRequest, TrainRequest, ValidateRequest},
    },
    status::Reason,
};
use pol_core::{
    GenesisId,
    delta::{Context, Profile},
    state::Shape,
};

use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::world::World;

async fn world() -> World {
    let shape = Shape::new(2, 24, 24, 12, 40).unwrap();
    World::new(Context { genesis_id: GenesisId([6; 32]), shape, profile: Profile::F16x20 }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reorg_the_state_is_that_of_a_fresh_fold_and_it_is_kept_over_a_restart() {
    let mut world = world().await;
    for seed in 0..5 {
        let id = world.chain.delta(seed);
        world.chain.accept(id);
    }
    world.share();
    let mut sidecar = world.start(None, None).await;
    let root = world.chain.fresh().root();
    sidecar.until("five updates", |state| state.updates == 5 && state.root == root).await;
    world.chain.revert(3);
    for seed in 10..14 {
        let id = world.chain.delta(seed);
        world.chain.accept(id);
    }
    world.share();
    world.chain.finalize(5);
    let (root, head) = (world.chain.fresh().root(), world.chain.head());
    let state = sidecar.until("the other branch", |state| state.model_head == head && state.finalized_updates == 5).await;
    assert_eq!((state.root, state.updates, state.behind), (root, 7, 0));
    assert_eq!(state.finalized_head, world.chain.updates[4].1);
    sidecar.stop().await;
    // While it was away the chain went on.
    let id = world.chain.delta(20);
    world.chain.accept(id);
    world.share();
    let mut sidecar = world.start(None, None).await;
    assert!(sidecar.state().await.updates >= 7, "it does not begin anew");
    let root = world.chain.fresh().root();
    sidecar.until("what came meanwhile", |state| state.updates == 8 && state.root == root).await;
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_missing_or_corrupt_are_waited_for_and_then_offered_to_others() {
    let mut world = world().await;
    for seed in 0..3 {
        let id = world.chain.delta(seed);
        world.chain.accept(id);
    }
    world.share();
    let (missing, corrupt) = (world.chain.updates[1].0, world.chain.updates[2].0);
    let bytes = world.dht.held().deltas.remove(&missing).unwrap();
    world.dht.held().corrupt.insert(corrupt);
    let mut sidecar = world.start(None, None).await;
    let state = sidecar.until("the first update", |state| state.updates == 1 && state.behind == 2).await;
    assert_eq!(state.chain_head, world.chain.head());
    world.dht.put(missing, &bytes);
    sidecar.until("the second", |state| state.updates == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(sidecar.state().await.updates, 2, "corrupt bytes are no update");
    world.dht.held().corrupt.clear();
    let root = world.chain.fresh().root();
    sidecar.until("the third", |state| state.updates == 3 && state.root == root).await;
    let begin = std::time::Instant::now();
    while !world.chain.updates.iter().all(|(id, _)| world.dht.held().stored.contains(id)) {
        assert!(begin.elapsed() < crate::world::PATIENCE, "every accepted update is offered to others");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_are_away_are_waited_for() {
    let mut world = world().await;
    let id = world.chain.delta(1);
    world.chain.accept(id);
    world.share();
    let there = world.uris.clone();
    // Nobody listens there.
    world.uris = ("http://127.0.0.1:1".to_owned(), "http://127.0.0.1:1".to_owned());
    let mut sidecar = world.start(None, None).await;
    let status = |client: &mut pol_api::sidecar::v1::sidecar_client::SidecarClient<_>| {
        let mut client = client.clone();
        async move { client.status(StatusRequest {}).await.unwrap().into_inner() }
    };
    let begin = std::time::Instant::now();
    while status(&mut sidecar.client).await.alarms.is_empty() {
        assert!(begin.elapsed() < crate::world::PATIENCE, "the feed that is away is an alarm");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(sidecar.state().await.updates, 0);
    sidecar.stop().await;
    world.uris = there;
    let mut sidecar = world.start(None, None).await;
    sidecar.until("the update", |state| state.updates == 1).await;
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_state_is_the_state_and_a_peft_folder_has_its_two_files() {
    let mut world = world().await;
    let id = world.chain.delta(1);
    world.chain.accept(id);
    world.share();
    let mut sidecar = world.start(None, None).await;
    sidecar.until("the update", |state| state.updates == 1).await;
    let mut export = async |format: AdapterFormat| {
        let request = ExportAdapterRequest { format: v1::AdapterFormat::from(format).into() };
        let mut parts = sidecar.client.export_adapter(request).await.unwrap().into_inner();
        let mut reader = ExportReader::new(1 << 24);
        while let Some(part) = parts.message().await.unwrap() {
            reader.push(part).unwrap();
        }
        reader.finish().unwrap()
    };
    let files = export(AdapterFormat::State).await;
    let path = world.folder.path().join("exported.pols");
    std::fs::write(&path, &files[0].bytes).unwrap();
    assert_eq!(adapter::read_state(&path).unwrap(), world.chain.fresh());
    let names: Vec<String> = export(AdapterFormat::Peft).await.into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_process_does_not_have_is_refused_by_name() {
    let world = world().await;
    let mut sidecar = world.start(None, None).await;
    let refused = sidecar.client.train(TrainRequest { rounds: 1, ..TrainRequest::default() }).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NoRole));
    let update = v1::validate_request::Update::UpdateId(vec![1; 32].into());
    let refused = sidecar.client.validate(ValidateRequest { update: Some(update) }).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NoRole));
    let status = sidecar.client.status(StatusRequest {}).await.unwrap().into_inner();
    assert!(!status.gates && !status.trains && !status.training);
    let channel = pol_api::serve::endpoint(format!("http://{}", sidecar.running.grpc)).unwrap().connect_lazy();
    let request = HealthCheckRequest { service: "polai.sidecar.v1.Sidecar".to_owned() };
    let health = HealthClient::new(channel).check(request).await.unwrap().into_inner();
    assert_eq!(health.status(), ServingStatus::Serving);
    sidecar.stop().await;
}
