//! How the node's own trainer trains, for `polai up`.

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
    #[arg(long)]
    pub recompute: bool,
}

impl TrainingArgs {
    /// The same, for ml-sidecar.
    pub fn flags(&self) -> Vec<String> {
        let counts = [("--steps", self.steps), ("--batch", self.batch), ("--length", self.length)];
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

    use super::*;

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
    }

    #[test]
    fn numbers_out_of_bounds_are_refused_before_anything_starts() {
        for wrong in [["--train-steps", "0"], ["--train-batch", "1025"], ["--learning-rate", "0"], ["--learning-rate", "nan"]] {
            assert_eq!(flags(&wrong), None, "{wrong:?}");
        }
    }
}
