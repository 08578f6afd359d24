use super::*;
use crate::exit::Code;
use crate::limits::RESTARTS_MAX;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(5);

async fn endless() -> Result<(), Infallible> {
    std::future::pending().await
}

fn failed() -> Result<(), io::Error> {
    Err(io::Error::other("out of luck"))
}

#[tokio::test(start_paused = true)]
async fn a_critical_task_that_fails_stops_the_process_with_its_path_and_its_exit_code() {
    let root = Root::new("dht");
    let swarm = root.child("net");
    swarm.spawn_critical("swarm", async { Err(Exit::usage("port taken")) });
    let stopped = root.run(Signals::listen().unwrap(), DEADLINE).await;
    assert_eq!(stopped.reason, Reason::Failure { task: "dht/net/swarm".into() });
    let exit = stopped.into_result().unwrap_err();
    assert_eq!(exit.to_string(), "critical task dht/net/swarm failed: port taken");
    assert_eq!(exit.code(), Code::Usage);
}

#[tokio::test(start_paused = true)]
async fn a_critical_task_that_panics_stops_the_process_with_its_path() {
    let root = Root::new("dht");
    root.child("net").child("swarm").spawn_critical("poll", async {
        assert_eq!(tokio::task::yield_now().await, (), "so that it panics in its second poll");
        if true {
            panic!("index {} is gone", 7);
        }
        Ok::<_, Infallible>(())
    });
    let exit = root.run(Signals::listen().unwrap(), DEADLINE).await.into_result().unwrap_err();
    assert!(exit.to_string().starts_with("critical task dht/net/swarm/poll panicked"), "{exit}");
    assert!(exit.to_string().ends_with(": index 7 is gone"), "{exit}");
    assert_eq!(exit.code(), Code::Failure);
}

#[tokio::test(start_paused = true)]
async fn a_destructor_that_panics_is_not_lost() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    /// It is dropped by whoever awaited it, after it was done.
    impl Future for Bomb {
        type Output = Result<(), Infallible>;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
            std::task::Poll::Ready(Ok(()))
        }
    }
    let held = Bomb;
    let holds = async move {
        let _inside = &held;
        Ok::<_, Infallible>(())
    };
    for (root, bomb) in
        [(Root::new("x"), futures::future::Either::Left(holds)), (Root::new("x"), futures::future::Either::Right(Bomb))]
    {
        root.tasks().spawn_critical("bomb", bomb);
        let exit = root.run(Signals::listen().unwrap(), DEADLINE).await.into_result().unwrap_err();
        assert!(exit.to_string().starts_with("critical task x/bomb panicked"), "{exit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_critical_task_whose_work_is_done_stops_nobody() {
    let root = Root::new("x");
    root.tasks().spawn_critical("start", async { Ok::<_, Infallible>(()) });
    let tasks = root.tasks().clone();
    root.tasks().spawn_critical("later", async move {
        sleep(Duration::from_secs(60)).await;
        tasks.stop("enough");
        Ok::<_, Infallible>(())
    });
    let stopped = root.run(Signals::listen().unwrap(), DEADLINE).await;
    assert_eq!(stopped.reason, Reason::Requested { task: "x".into(), why: "enough" });
    stopped.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_tasks_until_the_deadline_then_aborts_and_names_them() {
    let root = Root::new("x");
    let tidy = root.child("store");
    let flushed = Arc::new(AtomicUsize::new(0));
    for (name, pause) in [("quick", 4), ("slow", 6)] {
        let (node, flushed) = (tidy.clone(), Arc::clone(&flushed));
        tidy.spawn_critical(name, async move {
            node.cancelled().await;
            sleep(Duration::from_secs(pause)).await;
            flushed.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(())
        });
    }
    root.child("net").spawn_critical("deaf", endless());
    let began = Instant::now();
    let stopped = root.stop(DEADLINE).await;
    assert_eq!((began.elapsed().as_secs(), flushed.load(Ordering::Relaxed)), (5, 1));
    assert_eq!(stopped.aborted, ["x/store/slow".into(), "x/net/deaf".into()]);
    let exit = stopped.into_result().unwrap_err();
    assert!(exit.to_string().ends_with("tasks aborted: x/store/slow, x/net/deaf"), "{exit}");
    assert_eq!(exit.code(), Code::Failure);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_end_in_time_make_a_clean_stop_before_the_deadline() {
    let root = Root::new("x");
    let node = root.tasks().clone();
    root.tasks().spawn_critical("loop", async move {
        node.cancelled().await;
        Ok::<_, Infallible>(())
    });
    let began = Instant::now();
    root.stop(DEADLINE).await.into_result().unwrap();
    assert!(began.elapsed() < DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_failure_during_shutdown_is_still_the_exit_code() {
    let root = Root::new("x");
    let node = root.tasks().clone();
    root.tasks().spawn_critical("flush", async move {
        node.cancelled().await;
        failed()
    });
    let stopped = root.stop(DEADLINE).await;
    assert!(matches!(stopped.reason, Reason::Requested { .. }));
    assert_eq!(stopped.into_result().unwrap_err().to_string(), "critical task x/flush failed: out of luck");
}

#[tokio::test(start_paused = true)]
async fn an_optional_task_is_restarted_five_times_then_switched_off_and_the_process_lives() {
    let root = Root::new("x");
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let mut task = root.tasks().spawn_optional("sync", move || {
        let run = counted.fetch_add(1, Ordering::Relaxed);
        async move { if run.is_multiple_of(2) { failed() } else { panic!("run {run}") } }
    });
    let began = Instant::now();
    assert!(task.switched_off().await);
    assert_eq!((runs.load(Ordering::Relaxed), task.state()), (1 + RESTARTS_MAX, OptionalState::SwitchedOff));
    assert_eq!(began.elapsed().as_millis(), 3_100, "pauses of 100, 200, 400, 800 and 1600 ms");
    assert!(!root.tasks().token().is_cancelled());
    root.stop(DEADLINE).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_optional_task_that_fails_seldom_is_never_switched_off() {
    let root = Root::new("x");
    let task = root.tasks().spawn_optional("sync", async || {
        sleep(Duration::from_secs(15)).await;
        failed()
    });
    sleep(Duration::from_secs(3_600)).await;
    let OptionalState::Running { restarts } = task.state() else { panic!("{:?}", task.state()) };
    assert!(restarts > 200, "{restarts}");
    root.stop(DEADLINE).await;
}

#[tokio::test(start_paused = true)]
async fn an_optional_task_that_cannot_even_be_made_is_switched_off_and_one_that_ends_is_done() {
    let root = Root::new("x");
    let broken = || -> std::future::Ready<Result<(), Infallible>> { panic!("cannot be made") };
    assert!(root.tasks().spawn_optional("broken", broken).switched_off().await);
    assert!(!root.tasks().spawn_optional("once", async || Ok::<_, Infallible>(())).switched_off().await);
    root.stop(DEADLINE).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_optional_task_ends_with_the_process_and_is_not_restarted() {
    let root = Root::new("x");
    let (node, runs) = (root.tasks().clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&runs);
    let mut task = root.tasks().spawn_optional("sync", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let node = node.clone();
        async move {
            node.cancelled().await;
            failed()
        }
    });
    tokio::task::yield_now().await;
    root.stop(DEADLINE).await.into_result().unwrap();
    assert!(!task.switched_off().await);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_blocking_task_sees_the_token_and_one_that_does_not_is_named() {
    let root = Root::new("x");
    let (release, stuck) = std::sync::mpsc::sync_channel::<()>(1);
    root.tasks().spawn_blocking_critical("polite", |token| {
        while !token.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok::<_, Infallible>(())
    });
    root.tasks().spawn_blocking_critical("deaf", move |_| {
        let _ = stuck.recv();
        Ok::<_, Infallible>(())
    });
    let stopped = root.stop(Duration::from_millis(200)).await;
    drop(release);
    assert_eq!(stopped.aborted, ["x/deaf".into()]);
    let root = Root::new("x");
    root.tasks().spawn_blocking_critical("worker", |_| if true { panic!("boom") } else { failed() });
    let exit = root.run(Signals::listen().unwrap(), DEADLINE).await.into_result().unwrap_err();
    assert!(exit.to_string().starts_with("critical task x/worker panicked"), "{exit}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_spawned_after_the_stop_and_no_more_than_the_bound_before() {
    let root = Root::new("x");
    for _ in 0..TASKS_MAX {
        root.tasks().spawn_critical("idle", endless());
    }
    tokio::task::yield_now().await;
    assert!(!root.tasks().token().is_cancelled());
    root.tasks().spawn_critical("more", endless());
    assert!(root.tasks().token().is_cancelled());
    let (ran, node) = (Arc::new(AtomicUsize::new(0)), root.tasks().clone());
    let seen = Arc::clone(&ran);
    node.spawn_critical("late", async move {
        seen.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(())
    });
    let exit = root.run(Signals::listen().unwrap(), Duration::ZERO).await.into_result().unwrap_err();
    assert_eq!(exit.to_string(), "critical task x/more was not spawned: too many tasks");
    assert_eq!(ran.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_root_asks_all_tasks_to_stop() {
    let root = Root::new("x");
    let node = root.tasks().clone();
    drop(root);
    node.cancelled().await;
}

#[tokio::test]
async fn a_blocking_function_gives_its_value_or_its_panic_and_shutdown_waits_for_it() {
    let root = Root::new("dht");
    assert_eq!(root.tasks().run_blocking(|| 7).await, Ok(7));
    let panic = root
        .tasks()
        .run_blocking(|| {
            if true {
                panic!("no disk")
            }
        })
        .await
        .unwrap_err();
    assert_eq!(panic.message, "no disk");
    let (begun, wait) = tokio::sync::oneshot::channel();
    let done = Arc::new(AtomicUsize::new(0));
    let (tasks, flag) = (root.tasks().clone(), Arc::clone(&done));
    let body = move || {
        begun.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        flag.fetch_add(1, Ordering::SeqCst);
    };
    let caller = tokio::time::timeout(Duration::from_millis(1), tasks.run_blocking(body)).await;
    wait.await.unwrap();
    assert!(caller.is_err(), "its caller went away");
    root.stop(DEADLINE).await.into_result().unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 1);
}
