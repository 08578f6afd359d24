use super::*;
use pol_core::{GenesisId, delta::Profile, state::Shape};

fn context(chain: u8) -> Context {
    let shape = Shape::new(2, 16, 16, 8, 24).unwrap();
    Context { genesis_id: GenesisId([chain; 32]), shape, profile: Profile::F16x20 }
}

fn container(salt: u8) -> (UpdateId, Vec<u8>) {
    let bytes = vec![salt; 300];
    (UpdateId(sha256(&[&bytes])), bytes)
}

#[test]
fn what_was_saved_is_there_again_and_sequences_grow_even_when_the_clock_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trainer");
    let mut memory = Memory::open(&place, &context(1), 7).unwrap();
    memory.residual.add(&vec![5; context(1).shape.value_count() as usize]).unwrap();
    let mut last = 0;
    for (salt, now) in [(1, 1_000), (2, 400), (3, 2_000), (4, 0)] {
        let (id, bytes) = container(salt);
        memory.add((id, &bytes), ModelHead([9; 32]), 4, now).unwrap();
        assert!(memory.sequence > last);
        last = memory.sequence;
    }
    assert_eq!(last, 2_001);
    let again = Memory::open(&place, &context(1), 8).unwrap();
    assert_eq!((again.own.clone(), again.sequence, again.place.clone()), (memory.own.clone(), 2_001, Place::new(7)));
    assert_eq!(again.residual, memory.residual);
    assert_eq!(again.bytes(container(3).0).unwrap(), container(3).1);
    assert_eq!(again.newest_on(ModelHead([9; 32])).unwrap().update_id, container(4).0);
    assert!(matches!(Memory::open(&place, &context(2), 7), Err(OpenError::Chain { .. })));
}

#[test]
fn own_updates_are_bounded_and_so_are_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = Memory::open(&folder.path().join("trainer"), &context(1), 7).unwrap();
    for salt in 0..70 {
        let (id, bytes) = container(salt);
        memory.add((id, &bytes), ModelHead([9; 32]), 4, 0).unwrap();
    }
    assert_eq!((memory.own.len(), memory.own[0].update_id), (OWN_MAX, container(6).0));
    assert!(memory.bytes(container(5).0).is_none() && memory.bytes(container(6).0).is_some());
}

#[test]
fn a_damaged_memory_is_put_aside_and_a_damaged_container_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trainer");
    let mut memory = Memory::open(&place, &context(1), 7).unwrap();
    let (id, bytes) = container(1);
    memory.add((id, &bytes), ModelHead([9; 32]), 4, 500).unwrap();
    fs::write(memory.container(id), b"other").unwrap();
    assert!(memory.bytes(id).is_none() && memory.change(id).is_none());
    let mut damaged = fs::read(place.join(MEMORY)).unwrap();
    damaged[60] ^= 1;
    fs::write(place.join(MEMORY), damaged).unwrap();
    let anew = Memory::open(&place, &context(1), 7).unwrap();
    assert!(anew.own.is_empty() && anew.sequence == 0 && place.join("memory.damaged").exists());
}

#[test]
fn a_memory_that_is_too_long_is_put_aside_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trainer");
    Memory::open(&place, &context(1), 7).unwrap().save().unwrap();
    let file = fs::OpenOptions::new().write(true).open(place.join(MEMORY)).unwrap();
    file.set_len(bytes_max(&context(1)) + 1).unwrap();
    let anew = Memory::open(&place, &context(1), 7).unwrap();
    assert!(anew.own.is_empty() && place.join("memory.damaged").exists() && !place.join(MEMORY).exists());
}

#[test]
fn a_memory_of_an_older_program_is_read_and_its_place_is_kept_until_the_texts_are_others() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("trainer");
    let mut memory = Memory::open(&place, &context(1), 7).unwrap();
    memory.place.cursor.place = 9;
    // No word of texts: as it was written before.
    memory.save().unwrap();
    let mut memory = Memory::open(&place, &context(1), 7).unwrap();
    assert_eq!(memory.texts, None);
    memory.turn_to(Hash32([1; 32]), 7);
    assert_eq!((memory.place.cursor.place, memory.texts), (9, Some(Hash32([1; 32]))));
    memory.save().unwrap();
    let mut memory = Memory::open(&place, &context(1), 7).unwrap();
    memory.turn_to(Hash32([1; 32]), 7);
    assert_eq!(memory.place.cursor.place, 9);
    memory.turn_to(Hash32([2; 32]), 7);
    assert_eq!((memory.place.clone(), memory.texts), (Place::new(7), Some(Hash32([2; 32]))));
}
