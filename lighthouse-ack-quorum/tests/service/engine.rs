//! The AI engine's answers, one by one.

use std::sync::Arc;

use lighthouse_ack_quorum::push::{AiEngine, Push, PushError};
use pol_core::{Hash32, UpdateId};
use pol_kit::{
    clock::{Clock, Manual},
    jwt::Secret,
};

use crate::mock::engine::{Engine, Mood, SECRET};

#[tokio::test]
async fn each_way_to_refuse_a_candidate_has_its_own_error_and_none_waits_longer_than_a_second() {
    let clock: Arc<dyn Clock> = Arc::new(Manual::at(1_800_000_000));
    let engine = Engine::start(Arc::clone(&clock)).await;
    let to = |url: &str, secret| AiEngine::new(url, Arc::new(Secret::from_bytes(secret)), Arc::clone(&clock)).unwrap();
    let push = Push { parent_hash: Hash32([1; 32]), slot: 7, update_id: UpdateId([2; 32]), certificate: vec![3; 131] };
    let good = to(&engine.url, SECRET);
    good.set_candidate(&push).await.unwrap();
    assert_eq!(engine.held([1; 32], 7), Some((UpdateId([2; 32]), vec![3; 131])));
    good.set_candidate(&Push::clear(Hash32([1; 32]), 7)).await.unwrap();
    assert_eq!(engine.held([1; 32], 7), Some((UpdateId::ZERO, vec![])));

    engine.set_mood(Mood::Refusing);
    assert!(matches!(good.set_candidate(&push).await, Err(PushError::Refused { code: -39_001, .. })));
    for mood in [Mood::Broken, Mood::Garbage] {
        engine.set_mood(mood);
        assert!(matches!(good.set_candidate(&push).await, Err(PushError::Answer { .. })), "{mood:?}");
    }
    engine.set_mood(Mood::Slow);
    let start = std::time::Instant::now();
    assert!(matches!(good.set_candidate(&push).await, Err(PushError::Transport(error)) if error.is_timeout()));
    assert!(start.elapsed().as_secs() < 4);
    let stranger = to(&engine.url, [9; 32]);
    assert!(matches!(stranger.set_candidate(&push).await, Err(PushError::Unauthorized)));
    let nobody = to("http://127.0.0.1:9", SECRET);
    assert!(matches!(nobody.set_candidate(&push).await, Err(PushError::Transport(_))));
    assert!(AiEngine::new("8552", Arc::new(Secret::from_bytes(SECRET)), clock).is_err());
}
