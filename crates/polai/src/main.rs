//! `polai`: see [`polai::args`].

use pol_kit::{clock::System, config, exit};
use polai::{
    args::{Args, Command},
    genesis,
};

fn main() -> exit::Code {
    exit::main("polai", || {
        let args = config::load::<Args>(&config::Sources::of_process())?.args;
        match &args.command {
            Command::Genesis(of) => {
                let folder = genesis::make(&args.data.data_dir, of, &System::new())?;
                println!("{folder}");
                Ok(())
            }
        }
    })
}
