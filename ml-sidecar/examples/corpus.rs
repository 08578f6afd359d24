//! Prints texts of the built-in corpus: `cargo run -p ml-sidecar --example corpus -- 10 weather`.

use ml_sidecar::corpus::{Corpus, Topic, UnknownTopic};

fn main() -> Result<(), UnknownTopic> {
    let mut args = std::env::args().skip(1);
    let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(5);
    let topics = args.map(|name| name.parse()).collect::<Result<Vec<Topic>, _>>()?;
    for text in Corpus::new(1, &topics).iter().take(count) {
        println!("{text}\n");
    }
    Ok(())
}
