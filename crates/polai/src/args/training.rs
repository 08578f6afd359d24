//! How the node's own trainer trains, for `polai up`.

use clap::{ArgAction, builder::BoolishValueParser};

/// What is not given is ml-sidecar's default.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct TrainingArgs {
    /// Steps of a round with all values, and as many again with those of the update alone; by default 30
    #[arg(long = "train-steps", env = "TRAIN_STEPS", value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "COUNT")]
    pub steps: Option<u64>,
    /// Sequences of a step; by default 8
    #[arg(long = "train-batch", env = "TRAIN_BATCH", value_parser = clap::value_parser!(u64).range(1..=1_024), value_name = "COUNT")]
    pub batch: Option<u64>,
    /// Tokens of a sequence; by default 128
    #[arg(long = "train-length", env = "TRAIN_LENGTH", value_parser = clap::value_parser!(u64).range(1..=131_072), value_name = "TOKENS")]
    pub length: Option<u64>,
    /// Learning rate; by default 0.001. A smaller one makes more and smaller updates
    #[arg(long, env = "LEARNING_RATE", value_parser = rate, value_name = "NUMBER")]
    pub learning_rate: Option<f64>,
    /// Less memory for more time: compute what lies between the layers twice
    #[arg(long, env = "TRAIN_RECOMPUTE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub recompute: bool,
    /// Texts of each dataset that --data names; by default 1000 in all
    #[arg(long = "train-samples", env = "TRAIN_SAMPLES", value_parser = clap::value_parser!(u64).range(1..), value_name = "COUNT")]
    pub samples: Option<u64>,
}

impl TrainingArgs {
    /// The same, for ml-sidecar.
    pub fn flags(&self) -> Vec<String> {
        let (steps, batch, length) = (("--steps", self.steps), ("--batch", self.batch), ("--length", self.length));
        let counts = [steps, batch, length, ("--samples-per-dataset", self.samples)];
        let counts = counts.into_iter().filter_map(|(flag, count)| Some([flag.to_owned(), count?.to_string()]));
        let rate = self.learning_rate.map(|rate| ["--learning-rate".to_owned(), rate.to_string()]);
        let recompute = self.recompute.then(|| "--recompute".to_owned());
        counts.chain(rate).flatten().chain(recompute).collect()
    }
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0).ok_or("expected a number above 0 and up to 1")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use pol_kit::{config, exit::Exit};

    use super::*;
    use crate::args::{Args, Command};

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        training: TrainingArgs,
    }

    fn flags(given: &[&str]) -> Option<String> {
        let parsed = Flags::try_parse_from(std::iter::once(&"up").chain(given)).ok()?;
        Some(parsed.training.flags().join(" "))
    }

    #[test]
    fn what_is_said_reaches_the_trainer_and_what_is_not_stays_its_default() {
        assert_eq!(flags(&[]), Some(String::new()));
        let all = ["--train-steps", "12", "--train-batch", "4", "--train-length", "64", "--learning-rate", "3e-4", "--recompute"];
        assert_eq!(flags(&all).unwrap(), "--steps 12 --batch 4 --length 64 --learning-rate 0.0003 --recompute");
        assert_eq!(flags(&["--train-samples", "500"]).unwrap(), "--samples-per-dataset 500");
    }

    /// As `polai` reads its settings: flags above the environment.
    fn read(flags: &[&str], env: &[(&str, &str)]) -> Result<TrainingArgs, String> {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = format!("--data-dir={}", folder.path().display());
        let args = ["polai", &data_dir, "up"].iter().chain(flags).map(Into::into).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let loaded = config::load::<Args>(&config::Sources { args, env });
        let Command::Up(up) = loaded.map_err(|error| Exit::from(error).to_string())?.args.command else { panic!("no up") };
        Ok(up.training)
    }

    #[test]
    fn a_flag_for_a_trainer_that_does_not_run_is_refused_and_a_variable_is_not() {
        let given = [
            &["--train-steps", "12"][..],
            &["--train-batch", "4"],
            &["--train-length", "64"],
            &["--learning-rate", "3e-4"],
            &["--recompute"],
            &["--train-samples", "5"],
            &["--data", "a.jsonl"],
        ];
        for (given, without) in given.into_iter().flat_map(|given| [(given, "--no-train"), (given, "--no-ai")]) {
            assert!(read(given, &[]).is_ok(), "{given:?}");
            let line = read(&[given, &[without]].concat(), &[]).unwrap_err();
            assert!(line.contains(given[0]) && line.contains(without), "{line}");
        }
        let env = [("TRAIN_STEPS", "12"), ("LEARNING_RATE", "0.1"), ("TRAIN_RECOMPUTE", "1"), ("TRAIN_SAMPLES", "5")];
        for without in ["--no-train", "--no-ai"] {
            assert_eq!(read(&[without], &env).unwrap().steps, Some(12));
        }
    }

    #[test]
    fn recompute_can_be_said_in_the_environment() {
        let said = |value| read(&[], &[("TRAIN_RECOMPUTE", value)]).map(|training| training.recompute);
        assert_eq!((said("1"), said("true"), said("0"), said("")), (Ok(true), Ok(true), Ok(false), Ok(false)));
        assert!(said("perhaps").unwrap_err().contains("TRAIN_RECOMPUTE"));
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_before_anything_starts() {
        for wrong in [["--train-steps", "0"], ["--train-batch", "1025"], ["--learning-rate", "0"], ["--learning-rate", "nan"]] {
            assert_eq!(flags(&wrong), None, "{wrong:?}");
        }
    }
}
