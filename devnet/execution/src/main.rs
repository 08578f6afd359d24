//! `pol-execution`: the program around [`pol_execution::node::Node`].

use std::{sync::Arc, time::Duration};

use pol_execution::{
    args::{Args, Command},
    dev,
    node::{self, Node},
};
use pol_kit::{clock::System, config, exit, tasks, telemetry};

fn main() -> exit::Code {
    exit::main("pol-execution", || {
        let args = config::load::<Args>(&config::Sources::of_process())?.args;
        telemetry::init(&args.log)?;
        let clock = Arc::new(System::new());
        let genesis = match &args.command {
            Some(Command::Dev(dev)) => dev::genesis(&args, dev, clock.as_ref())?,
            None => node::genesis(&args)?,
        };
        tasks::run("pol-execution", Duration::from_secs(10), move |tasks| async move {
            let node = Node::start(&args, genesis, clock.clone(), &tasks).await?;
            if let Some(Command::Dev(dev)) = &args.command {
                dev::start(&node, dev, clock, &tasks)?;
            }
            Ok::<(), exit::Exit>(())
        })
    })
}
