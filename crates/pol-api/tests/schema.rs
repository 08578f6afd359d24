//! The schema keeps its promises: numbers never change their meaning, every field is explained, every enum has a zero that means nothing.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{collections::BTreeSet, fmt::Write as _};

use protox::prost_reflect::{DescriptorPool, EnumDescriptor, MessageDescriptor};

fn pool() -> DescriptorPool {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let mut compiler = protox::Compiler::new([root]).unwrap();
    compiler.include_source_info(true).include_imports(true);
    let files = ["common/v1/common", "dht/v1/service", "execution/v1/service", "quorum/v1/service", "sidecar/v1/service"];
    compiler.open_files(files.map(|file| format!("polai/{file}.proto"))).unwrap();
    compiler.descriptor_pool()
}

fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages().filter(|message| !message.is_map_entry()).collect()
}

fn enums(pool: &DescriptorPool) -> Vec<EnumDescriptor> {
    pool.all_enums().collect()
}

/// One line for everything that another version must find unchanged.
fn table(pool: &DescriptorPool) -> String {
    let mut lines = BTreeSet::new();
    for message in messages(pool) {
        for field in message.fields() {
            let (cardinality, kind) = (field.cardinality(), field.kind());
            let oneof = field.containing_oneof().map(|oneof| format!(" oneof {}", oneof.name())).unwrap_or_default();
            lines.insert(format!(
                "{} {:>3} {} {kind:?} {cardinality:?}{oneof}",
                message.full_name(),
                field.number(),
                field.name()
            ));
        }
    }
    for an_enum in enums(pool) {
        for value in an_enum.values() {
            lines.insert(format!("{} {:>3} {}", an_enum.full_name(), value.number(), value.name()));
        }
    }
    for service in pool.services() {
        for method in service.methods() {
            let stream = |is_stream| if is_stream { "stream " } else { "" };
            let (input, output) = (method.input(), method.output());
            let (from, to) = (stream(method.is_client_streaming()), stream(method.is_server_streaming()));
            lines.insert(format!("{} {from}{} -> {to}{}", method.full_name(), input.full_name(), output.full_name()));
        }
    }
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{line}").unwrap();
    }
    text
}

#[test]
fn no_number_changes_its_meaning() {
    let found = table(&pool());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/schema.txt");
    if std::env::var_os("POLAI_BLESS").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    let missing: Vec<&str> = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    assert!(missing.is_empty(), "changed or removed: a released number keeps its meaning for ever (README.md): {missing:#?}");
    assert_eq!(found, expected, "new: write proto/schema.txt anew with POLAI_BLESS=1");
}

#[test]
fn numbers_stay_below_the_range_of_experiments() {
    for message in messages(&pool()) {
        for field in message.fields() {
            assert!(field.number() < 100, "{}", field.full_name());
        }
    }
}

#[test]
fn the_zero_of_every_enum_means_nothing() {
    for an_enum in enums(&pool()) {
        let zero = an_enum.get_value(0).unwrap();
        assert!(zero.name().ends_with("_UNSPECIFIED"), "{}", zero.full_name());
    }
}

#[test]
fn everything_is_explained() {
    let pool = pool();
    for file in pool.files() {
        let info = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
        let explained: BTreeSet<&[i32]> =
            info.location.iter().filter(|l| l.leading_comments().trim().len() > 2).map(|l| l.path.as_slice()).collect();
        let check = |path: &[i32], name: &str| assert!(explained.contains(path), "{name} has no comment");
        for message in file.messages() {
            check(message.path(), message.full_name());
            message.fields().for_each(|field| check(field.path(), field.full_name()));
        }
        for an_enum in file.enums() {
            check(an_enum.path(), an_enum.full_name());
            an_enum.values().for_each(|value| check(value.path(), value.full_name()));
        }
        for service in file.services() {
            check(service.path(), service.full_name());
            service.methods().for_each(|method| check(method.path(), method.full_name()));
        }
    }
}
