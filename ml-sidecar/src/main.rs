//! `ml-sidecar`: the program around the library.

use ml_sidecar::{cli, runtime};
use pol_kit::{config, exit, telemetry};

fn main() -> exit::Code {
    // First: it starts the program anew, once.
    let passive = runtime::wait_passively();
    exit::main("ml-sidecar", || {
        let args = config::load::<cli::Cli>(&config::Sources::of_process())?.args;
        telemetry::init(&args.log)?;
        if let Err(error) = &passive {
            tracing::warn!(target: "polai::ml", %error, "OpenMP's threads will spin while they wait");
        }
        cli::run(&args)
    })
}
