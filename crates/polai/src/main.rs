//! `polai`: see [`polai::args`].

use pol_kit::{clock::System, config, exit};
use polai::{
    args::{Args, Command},
    commands, enter, genesis,
    layout::Layout,
    programs::Programs,
    refeed, status, up, verify,
};

fn main() -> exit::Code {
    if let Some(code) = enter::if_asked() {
        return code;
    }
    exit::main("polai", || {
        let args = config::load::<Args>(&config::Sources::of_process())?.args;
        let layout = Layout::new(&args.data.data_dir);
        match &args.command {
            Command::Up(of) => up::run(&layout, of),
            Command::Prepare(of) => up::prepare::run(&layout, of),
            Command::Refeed(of) => refeed::command(&layout, of),
            Command::Down => commands::down(&layout),
            Command::Status(of) => status::status(&layout, *of),
            Command::Logs(of) => commands::logs(&layout, of),
            Command::Verify(of) => verify::verify(&layout, of, &Programs::of_process()),
            Command::Doctor(of) => commands::doctor(&layout, of, &Programs::of_process()),
            Command::Env => commands::env(&Programs::of_process()),
            Command::Reset(of) => commands::reset(&layout, *of),
            Command::Genesis(of) => {
                let folder = genesis::make(layout.directory(), of, &System::new())?;
                println!("{folder}");
                Ok(())
            }
        }
    })
}
