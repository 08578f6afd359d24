//! A validator set arrives whole and in order, or not at all.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use pol_api::{
    convert::ConvertError,
    dht::v1::{SetValidatorsRequest, set_validators_request::Part},
    limits::{VALIDATORS, VALIDATORS_PER_MESSAGE},
    validators::{Epochs, Header, Incoming, Validator, ValidatorsError, messages},
};
use pol_core::GenesisId;

const CHAIN: GenesisId = GenesisId([7; 32]);

fn set(count: u64) -> Vec<Validator> {
    let both = Epochs { current: true, next: true, ..Epochs::default() };
    (0..count).map(|i| Validator { index: 3 * i, public_key: [7; 48], active: both, seats: both }).collect()
}

fn sent(validators: Vec<Validator>) -> Vec<SetValidatorsRequest> {
    messages(CHAIN, 11, validators.into_iter()).collect()
}

fn receive(messages: Vec<SetValidatorsRequest>) -> Result<(Header, Vec<Validator>), ValidatorsError> {
    let mut messages = messages.into_iter();
    let mut incoming = Incoming::begin(messages.next(), CHAIN)?;
    let mut all = Vec::new();
    for message in messages {
        all.extend(incoming.page(message)?);
    }
    Ok((incoming.finish()?, all))
}

fn with_count(mut messages: Vec<SetValidatorsRequest>, count: u32) -> Vec<SetValidatorsRequest> {
    if let Some(Part::Header(header)) = &mut messages[0].part {
        header.count = count;
    }
    messages
}

#[test]
fn a_set_of_any_size_arrives_whole_and_in_bounded_messages() {
    for count in [0, 1, 2_048, 2_049, 10_000] {
        let messages = sent(set(count));
        assert_eq!(messages.len(), 1 + usize::try_from(count).unwrap().div_ceil(VALIDATORS_PER_MESSAGE));
        let (header, all) = receive(messages).unwrap();
        assert_eq!((header.epoch, u64::from(header.count)), (11, count));
        assert_eq!(all, set(count));
    }
}

#[test]
fn a_set_of_another_chain_is_refused() {
    let other: Vec<_> = messages(GenesisId([8; 32]), 11, set(1).into_iter()).collect();
    assert_eq!(receive(other), Err(ValidatorsError::Chain { found: GenesisId([8; 32]), expected: CHAIN }));
}

#[test]
fn a_set_that_is_short_or_long_is_refused() {
    assert_eq!(receive(with_count(sent(set(5)), 6)), Err(ValidatorsError::Short { found: 5, expected: 6 }));
    assert_eq!(receive(with_count(sent(set(5)), 4)), Err(ValidatorsError::Long { found: 5, expected: 4 }));
    let too_many = receive(with_count(sent(set(0)), VALIDATORS + 1));
    let error = ConvertError::TooLong { field: "count", found: 1_048_577, most: 1_048_576 };
    assert_eq!(too_many, Err(ValidatorsError::Field(error)));
}

#[test]
fn validators_out_of_order_or_twice_are_refused() {
    let mut swapped = set(3);
    swapped.swap(1, 2);
    assert_eq!(receive(sent(swapped)), Err(ValidatorsError::Order { found: 3, previous: 6 }));
    let twice = vec![set(1)[0]; 2];
    assert_eq!(receive(sent(twice)), Err(ValidatorsError::Order { found: 0, previous: 0 }));
    // Across the border of two pages too.
    let mut pages = sent(set(4_096));
    pages.swap(1, 2);
    assert_eq!(receive(pages), Err(ValidatorsError::Order { found: 0, previous: 3 * 4_095 }));
}

#[test]
fn parts_in_the_wrong_place_are_refused() {
    let messages = sent(set(1));
    assert_eq!(receive(vec![]), Err(ValidatorsError::NoHeader));
    assert_eq!(receive(messages[1..].to_vec()), Err(ValidatorsError::NoHeader));
    assert_eq!(receive(vec![messages[0].clone(), messages[0].clone()]), Err(ValidatorsError::SecondHeader));
    let empty = SetValidatorsRequest { part: None };
    assert_eq!(receive(vec![empty.clone()]), Err(ValidatorsError::EmptyPart));
    assert_eq!(receive(vec![messages[0].clone(), empty]), Err(ValidatorsError::EmptyPart));
    let no_validators = SetValidatorsRequest { part: Some(Part::Page(Default::default())) };
    assert_eq!(receive(vec![messages[0].clone(), no_validators]), Err(ValidatorsError::EmptyPart));
}
