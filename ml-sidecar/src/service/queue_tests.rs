use pol_core::record::Announcement;

use super::*;

const HEAD: ModelHead = ModelHead([1; 32]);

fn candidate(trainer: u16, sequence: u64, verified: bool, seen_ms: u64) -> Candidate {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&trainer.to_be_bytes());
    let mut id = [7; 32];
    id[..2].copy_from_slice(&trainer.to_be_bytes());
    id[2..10].copy_from_slice(&sequence.to_be_bytes());
    let announcement = Announcement { update_id: UpdateId(id), model_head: HEAD, size: 400, sequence };
    Candidate { announcement, trainer: key, first_seen_unix_ms: seen_ms, verified, available_locally: false, expires_unix_s: 600 }
}

#[test]
fn vouched_trainers_come_first_and_then_who_was_seen_first() {
    let mut queue = Queue::default();
    for (trainer, verified, seen) in [(1, false, 5), (2, true, 20), (3, true, 10)] {
        assert_eq!(queue.offer(candidate(trainer, 1, verified, seen), 30), Offered::Taken);
    }
    let order: Vec<u8> =
        std::iter::from_fn(|| queue.next(HEAD, Room::Everybody, 30)).map(|candidate| candidate.trainer[1]).collect();
    assert_eq!(order, [3, 2, 1]);
    assert_eq!(queue.next(ModelHead([2; 32]), Room::Everybody, 30), None);
}

#[test]
fn a_trainer_has_one_open_candidate_per_head_the_latest() {
    let mut queue = Queue::default();
    assert_eq!(queue.offer(candidate(1, 5, true, 0), 0), Offered::Taken);
    assert_eq!(queue.offer(candidate(1, 5, true, 0), 0), Offered::Known);
    assert_eq!(queue.offer(candidate(1, 4, true, 0), 0), Offered::Outdated);
    assert_eq!(queue.offer(candidate(1, 6, true, 0), 0), Offered::Taken);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.next(HEAD, Room::Everybody, 0).unwrap().announcement.sequence, 6);
}

#[test]
fn a_trainer_that_announces_on_and_on_is_judged_a_few_times_on_a_head() {
    let mut queue = Queue::default();
    for sequence in 0..u64::from(JUDGED_PER_TRAINER) {
        assert_eq!(queue.offer(candidate(1, sequence, true, 0), 0), Offered::Taken);
        assert!(queue.next(HEAD, Room::Everybody, 0).is_some());
    }
    assert_eq!(queue.offer(candidate(1, 99, true, 0), 0), Offered::Limit);
    assert_eq!(queue.offer(candidate(2, 0, true, 0), 0), Offered::Taken);
}

#[test]
fn a_full_queue_takes_a_vouched_candidate_and_no_stranger() {
    let mut queue = Queue::default();
    for trainer in 0..256 {
        assert_eq!(queue.offer(candidate(trainer, 1, false, 10), 20), Offered::Taken);
    }
    assert_eq!(queue.offer(candidate(1_000, 1, false, 11), 20), Offered::Full);
    assert_eq!(queue.offer(candidate(1_001, 1, true, 11), 20), Offered::Taken);
    assert_eq!(queue.len(), QUEUE);
    assert_eq!(queue.next(HEAD, Room::Everybody, 20).unwrap(), candidate(1_001, 1, true, 11));
}

#[test]
fn what_waited_for_thirty_seconds_is_dropped() {
    let mut queue = Queue::default();
    assert_eq!(queue.offer(candidate(1, 1, true, 0), 0), Offered::Taken);
    assert!(queue.next(HEAD, Room::Everybody, 30_000).is_none() && queue.len() == 0);
    assert_eq!(queue.offer(candidate(1, 2, true, 0), 30_000), Offered::Late);
}

#[test]
fn one_that_is_put_back_waits_and_costs_no_judgement() {
    let mut queue = Queue::default();
    queue.offer(candidate(1, 1, true, 0), 0);
    for now in 0..10 {
        let taken = queue.next(HEAD, Room::Everybody, now * 100).unwrap();
        queue.put_back(taken, now * 100, (now + 1) * 100);
        assert!(queue.next(HEAD, Room::Everybody, now * 100).is_none());
        assert_eq!(queue.next_at_ms(HEAD, Room::Everybody), Some((now + 1) * 100));
    }
    assert_eq!(queue.len(), 1);
}

#[test]
fn the_size_that_an_announcer_says_changes_no_place_in_line() {
    for sizes in [(1, 150_000), (150_000, 1)] {
        let mut queue = Queue::default();
        for (trainer, size) in [(1, sizes.0), (2, sizes.1)] {
            let mut of = candidate(trainer, 1, false, 5);
            of.announcement.size = size;
            assert_eq!(queue.offer(of, 30), Offered::Taken);
        }
        assert_eq!(queue.next(HEAD, Room::Everybody, 30).unwrap().trainer[1], 1);
    }
}

#[test]
fn a_trainer_whose_bytes_never_come_is_tried_a_few_times_on_a_head_with_growing_pauses() {
    let (mut queue, mut now, mut tries) = (Queue::default(), 0, Vec::new());
    queue.offer(candidate(1, 1, true, 0), 0);
    while let Some(taken) = queue.next(HEAD, Room::Everybody, now) {
        tries.push(now);
        queue.fruitless(taken, now);
        now = queue.next_at_ms(HEAD, Room::Everybody).unwrap_or(now);
    }
    assert_eq!(tries, [0, 300, 900, 2_100, 4_500, 9_300, 14_300, 19_300]);
    assert_eq!(queue.offer(candidate(1, 2, true, now), now), Offered::Limit, "nor by another name");
    assert_eq!(queue.offer(candidate(2, 1, true, now), now), Offered::Taken);
}

#[test]
fn where_strangers_have_no_room_vouched_candidates_do() {
    let mut queue = Queue::default();
    queue.offer(candidate(1, 1, false, 0), 9);
    queue.offer(candidate(2, 1, true, 8), 9);
    assert_eq!((queue.next(HEAD, Room::Nobody, 9), queue.next_at_ms(HEAD, Room::Nobody)), (None, None));
    assert_eq!(queue.next(HEAD, Room::Vouched, 9).unwrap().trainer[1], 2);
    assert_eq!((queue.next(HEAD, Room::Vouched, 9), queue.next_at_ms(HEAD, Room::Vouched)), (None, None));
    assert_eq!(queue.next(HEAD, Room::Everybody, 9).unwrap().trainer[1], 1);
}

#[test]
fn what_is_known_of_trainers_is_bounded() {
    let mut queue = Queue::default();
    for trainer in 0..u16::try_from(HISTORY).unwrap() + 50 {
        queue.offer(candidate(trainer, 1, false, 0), 0);
        assert!(queue.next(HEAD, Room::Everybody, 0).is_some());
    }
    assert_eq!(queue.had.len(), HISTORY);
}
