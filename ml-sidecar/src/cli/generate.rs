//! `ml-sidecar generate`: what a model says, with and without an adapter.

use std::path::PathBuf;

use clap::Args;
use pol_kit::exit::{Exit, OrUsage as _};

use super::{Cli, ModelArgs, load_adapter};
use crate::generate::{Choice, End, generate};

/// Flags of `generate`.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// An adapter: a state file or a folder of PEFT's
    #[arg(long, value_name = "PATH")]
    pub adapter: Option<PathBuf>,
    /// Tokens at most
    #[arg(long, default_value_t = 64, value_name = "COUNT")]
    pub tokens: usize,
    /// Draw with this temperature (0.1 to 2 are useful); without it the most probable token is taken
    #[arg(long, value_name = "NUMBER", value_parser = temperature)]
    pub temperature: Option<f64>,
    /// Draw from the most probable tokens that together have this probability
    #[arg(long, default_value_t = 0.95, value_name = "NUMBER", value_parser = share, requires = "temperature")]
    pub top_p: f64,
    /// Draw from so many of the most probable tokens; 0: from all
    #[arg(long, default_value_t = 0, value_name = "COUNT", requires = "temperature")]
    pub top_k: usize,
    /// Where chance begins
    #[arg(long, default_value_t = 0, value_name = "NUMBER", requires = "temperature")]
    pub seed: u64,
}

fn temperature(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number| (0.001..=100.0).contains(number)).ok_or("expected a number from 0.001 to 100")
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0).ok_or("expected a number above 0 and up to 1")
}

impl GenerateArgs {
    const fn choice(&self) -> Choice {
        match self.temperature {
            None => Choice::Greedy,
            Some(temperature) => Choice::Sampled { temperature, top_p: self.top_p, top_k: self.top_k, seed: self.seed },
        }
    }
}

pub(super) fn run(cli: &Cli, args: &GenerateArgs) -> Result<(), Exit> {
    let checkpoint = args.model.open(cli)?.checkpoint;
    let prompt = checkpoint.tokens(&args.prompt).or_usage()?;
    if prompt.is_empty() {
        return Err(Exit::usage("the prompt has no tokens"));
    }
    let compute = cli.compute.start()?;
    let model = compute.run(|device| checkpoint.load(device, cli.compute.precision)).or_usage()?;
    let adapter = args.adapter.as_ref().map(|path| load_adapter(path, model.device())).transpose()?;
    let mut tokens = prompt.clone();
    let mut printed = checkpoint.tokenizer.decode(&tokens).or_usage()?;
    say_part!("{printed}");
    let mut failed = None;
    let mut on_token = |token| {
        tokens.push(token);
        let shown = checkpoint.tokenizer.decode(&tokens).or_usage().map(|text| {
            // A character may come in several tokens: what is cut is printed when it is whole.
            let new = text.strip_prefix(printed.as_str()).filter(|new| !new.ends_with('\u{fffd}'));
            if let Some(new) = new {
                say_part!("{new}");
                printed = text;
            }
        });
        failed = shown.err();
        failed.is_none()
    };
    let end = generate(&model, adapter.as_ref(), &prompt, args.tokens, args.choice(), &mut on_token).or_usage()?;
    if let Some(exit) = failed {
        return Err(exit);
    }
    say!("");
    if end == End::Positions {
        tracing::warn!(target: "polai::ml", positions = model.config().positions, "the model has no position left");
    }
    Ok(())
}
