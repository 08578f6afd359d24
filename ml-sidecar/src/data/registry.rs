//! The named datasets: one table.

use std::{fmt, str::FromStr};

use crate::hub::{NameError, RepoKind, RepoName};

/// A dataset that can be named on the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub key: &'static str,
    /// Repository on the hub, `owner/name`.
    pub repo: &'static str,
    /// Name of the part that is taken, as the repository's card has it.
    pub config: &'static str,
    /// Folder of its files.
    pub folder: &'static str,
    /// How the paths of its files begin.
    pub prefix: &'static str,
    /// How they end.
    pub suffix: &'static str,
    /// Parquet column or JSON field of the text.
    pub column: &'static str,
    /// Licence, as the card has it. Single documents may have others.
    pub licence: &'static str,
    /// What it is.
    pub about: &'static str,
}

const WIKIPEDIA: &str = "CC-BY-SA-3.0, GFDL";

macro_rules! wikipedia {
    ($code:literal, $about:literal) => {
        Dataset {
            key: concat!("wikipedia_", $code),
            repo: "wikimedia/wikipedia",
            config: concat!("20231101.", $code),
            folder: concat!("20231101.", $code),
            prefix: concat!("20231101.", $code, "/train-"),
            suffix: ".parquet",
            column: "text",
            licence: WIKIPEDIA,
            about: $about,
        }
    };
}

macro_rules! c4 {
    ($code:literal, $folder:literal, $prefix:literal, $about:literal) => {
        Dataset {
            key: concat!("c4_", $code),
            repo: "allenai/c4",
            config: $code,
            folder: $folder,
            prefix: $prefix,
            suffix: ".json.gz",
            column: "text",
            licence: "ODC-BY",
            about: $about,
        }
    };
}

/// All of them.
pub const DATASETS: &[Dataset] = &[
    wikipedia!("en", "Wikipedia, English"),
    wikipedia!("simple", "Wikipedia, Simple English"),
    wikipedia!("de", "Wikipedia, German"),
    wikipedia!("fr", "Wikipedia, French"),
    wikipedia!("es", "Wikipedia, Spanish"),
    wikipedia!("it", "Wikipedia, Italian"),
    wikipedia!("pt", "Wikipedia, Portuguese"),
    wikipedia!("ru", "Wikipedia, Russian"),
    wikipedia!("zh", "Wikipedia, Chinese"),
    wikipedia!("ja", "Wikipedia, Japanese"),
    wikipedia!("ar", "Wikipedia, Arabic"),
    c4!("en", "en", "en/c4-train.", "C4, English: cleaned web pages"),
    c4!("de", "multilingual", "multilingual/c4-de.tfrecord-", "mC4, German: web pages"),
    c4!("fr", "multilingual", "multilingual/c4-fr.tfrecord-", "mC4, French: web pages"),
    c4!("es", "multilingual", "multilingual/c4-es.tfrecord-", "mC4, Spanish: web pages"),
    Dataset {
        key: "fineweb",
        repo: "HuggingFaceFW/fineweb",
        config: "default",
        folder: "data",
        prefix: "data/CC-MAIN-",
        suffix: ".parquet",
        column: "text",
        licence: "ODC-BY",
        about: "FineWeb: filtered web pages, English",
    },
    Dataset {
        key: "fineweb_sample",
        repo: "HuggingFaceFW/fineweb",
        config: "sample-10BT",
        folder: "sample/10BT",
        prefix: "sample/10BT/",
        suffix: ".parquet",
        column: "text",
        licence: "ODC-BY",
        about: "FineWeb, its sample of 10 billion tokens",
    },
    Dataset {
        key: "wikisource_en",
        repo: "wikimedia/wikisource",
        config: "20231201.en",
        folder: "20231201.en",
        prefix: "20231201.en/train-",
        suffix: ".parquet",
        column: "text",
        licence: WIKIPEDIA,
        about: "Wikisource, English: public domain texts",
    },
    Dataset {
        key: "common_corpus",
        repo: "PleIAs/common_corpus",
        config: "default",
        folder: "",
        prefix: "common_corpus_",
        suffix: ".parquet",
        column: "text",
        licence: "public domain or permissive, by document",
        about: "Common Corpus: books, newspapers, law, science, code",
    },
    Dataset {
        key: "long_data",
        repo: "togethercomputer/Long-Data-Collections",
        config: "pretrain",
        folder: "pretrain",
        prefix: "pretrain/",
        suffix: ".jsonl.zst",
        column: "text",
        licence: "by source",
        about: "Long documents",
    },
];

impl Dataset {
    /// Its repository.
    ///
    /// # Errors
    /// [`NameError`]: our fault, a mistake in the table.
    pub fn repository(&self) -> Result<RepoName, NameError> {
        RepoName::new(RepoKind::Dataset, self.repo)
    }

    /// Whether a file of the repository belongs to it.
    pub fn holds(&self, path: &str) -> bool {
        path.starts_with(self.prefix) && path.ends_with(self.suffix)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key)
    }
}

/// Not the name of a dataset. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no dataset; there are: {}", DATASETS.iter().map(|dataset| dataset.key).collect::<Vec<_>>().join(", "))]
pub struct UnknownDataset {
    /// What was given.
    pub found: String,
}

/// A dataset by its name, for the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named(pub &'static Dataset);

impl FromStr for Named {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, UnknownDataset> {
        let found = DATASETS.iter().find(|dataset| dataset.key == name);
        found.map(Self).ok_or_else(|| UnknownDataset { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Format;
    use std::collections::BTreeSet;

    #[test]
    fn every_dataset_of_the_original_is_in_the_table() {
        let keys: BTreeSet<&str> = DATASETS.iter().map(|dataset| dataset.key).collect();
        let wikipedias =
            ["en", "simple", "de", "fr", "es", "it", "pt", "ru", "zh", "ja", "ar"].map(|code| format!("wikipedia_{code}"));
        let c4 = ["en", "de", "fr", "es"].map(|code| format!("c4_{code}"));
        let others = ["fineweb", "fineweb_sample", "wikisource_en", "common_corpus", "long_data"].map(str::to_owned);
        let expected: Vec<String> = wikipedias.into_iter().chain(c4).chain(others).collect();
        assert_eq!(keys, expected.iter().map(String::as_str).collect());
        assert_eq!(DATASETS.len(), 20);
    }

    #[test]
    fn every_row_names_a_repository_and_a_format() {
        for dataset in DATASETS {
            assert!(dataset.repository().is_ok() && !dataset.licence.is_empty(), "{dataset}");
            assert!(Format::of(&format!("x{}", dataset.suffix)).is_some(), "{dataset}");
            assert!(dataset.prefix.starts_with(dataset.folder), "{dataset}");
            assert_eq!(dataset.key.parse::<Named>(), Ok(Named(dataset)));
        }
        assert!("wikipedia_xx".parse::<Named>().unwrap_err().to_string().contains("wikipedia_simple"));
    }

    #[test]
    fn files_of_other_parts_do_not_belong_to_a_dataset() {
        let named = |name: &str| name.parse::<Named>().unwrap().0;
        assert!(named("c4_de").holds("multilingual/c4-de.tfrecord-00000-of-02048.json.gz"));
        assert!(!named("c4_de").holds("multilingual/c4-de-validation.tfrecord-00000-of-00016.json.gz"));
        assert!(!named("c4_en").holds("en/c4-validation.00000-of-00008.json.gz"));
        assert!(named("wikipedia_de").holds("20231101.de/train-00000-of-00020.parquet"));
        assert!(!named("fineweb_sample").holds("sample/100BT/000_00000.parquet"));
    }
}
