//! What the limits say.

use crate::core::gate::Resource;
use crate::core::starts::{
    Aim, Asking, Book, Finding, Life, Limit, Past, PastStart, Per, Place, STORED_WITHIN, Since, Started, Subject, Targets, Times, USABLE,
    UseOnce, find,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn times(seconds: i64) -> Times {
    Times { earliest: at(seconds), latest: at(seconds) }
}

fn resource() -> Arc<Resource> {
    Arc::new(Resource { group: "chaos-mesh.org".to_owned(), resource: "podchaos".to_owned() })
}

fn started(name: &str, life: Life, since: i64) -> Started {
    Started {
        resource: resource(),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: name.into(),
        life,
        since: at(since),
        created: at(since),
        requester: Some("jane".into()),
        aim: None,
    }
}

fn place(name: Option<&str>, since: i64) -> Place {
    Place {
        run: name.unwrap_or("run").into(),
        subject: Subject { resource: resource(), namespace: Some("shop".into()), name: name.map(Into::into), create: true },
        digest: "d".into(),
        requester: "jane".into(),
        aim: None,
        replica: "one".into(),
        since: at(since),
        until: at(since).checked_add(USABLE).unwrap(),
        used_by: None,
        withdrawn: false,
        once: UseOnce::default(),
    }
}

fn book(objects: impl IntoIterator<Item = Started>, places: impl IntoIterator<Item = Place>) -> Book {
    Book { objects: objects.into_iter().map(Arc::new).collect(), places: places.into_iter().collect(), ..Book::default() }
}

fn nothing(_: &Aim) -> Targets {
    None
}

fn asking(who: &str) -> Asking<'static> {
    Asking { requester: who.into(), targets: None, resolve: &nothing, digest: None }
}

fn concurrency(max: u32, per: Per) -> Limit {
    Limit::Concurrency { max, per }
}

fn cooldown(seconds: i64, since: Since, per: Per) -> Limit {
    Limit::Cooldown { wait: SignedDuration::from_secs(seconds), since, per }
}

fn has_room(limit: Limit, book: &Book, who: &str, now: i64) -> bool {
    matches!(find(limit, book, &asking(who), times(now)), Finding::Room(..))
}

fn refusal(limit: Limit, book: &Book, now: i64) -> (String, Option<Timestamp>) {
    match find(limit, book, &asking("jane"), times(now)) {
        Finding::None { message, until, .. } => (message, until),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_runs_and_what_was_granted_takes_places_and_what_is_over_does_not() {
    let limit = concurrency(2, Per::Gate);
    let running = book([started("a", Life::Running, 0)], []);
    assert!(has_room(limit, &running, "jane", 10));
    let and_granted = book([started("a", Life::Running, 0)], [place(Some("b"), 0)]);
    assert!(!has_room(limit, &and_granted, "jane", 10));
    let (message, _) = refusal(limit, &and_granted, 10);
    assert_eq!(message, "2 of 2 places for starts are taken: podchaos shop/a, 1 just admitted");
    let over = book([started("a", Life::Over(None), 0), started("b", Life::Idle, 0), started("c", Life::Running, 0)], []);
    assert!(has_room(limit, &over, "jane", 10));
}

#[test]
fn a_grant_and_its_object_are_one_and_a_grant_that_comes_to_nothing_ends() {
    let limit = concurrency(2, Per::Gate);
    assert!(has_room(limit, &book([started("a", Life::Running, 3)], [place(Some("a"), 1)]), "jane", 5));
    let last = USABLE.as_secs() + STORED_WITHIN.as_secs();
    let granted = book([started("a", Life::Running, 0)], [place(Some("b"), 0)]);
    assert!(!has_room(limit, &granted, "jane", last - 1));
    assert!(has_room(limit, &granted, "jane", last));
}

#[test]
fn a_grant_ends_with_the_object_that_came_of_it_and_an_update_may_be_made_again() {
    let limit = concurrency(1, Per::Gate);
    let ended = |used_by: Option<&str>| {
        let used = Place { used_by: used_by.map(Into::into), ..place(Some("a"), 5) };
        book([started("a", Life::Over(None), 6)], [used])
    };
    assert!(has_room(limit, &ended(Some("a")), "jane", 8), "it came of the grant");
    assert!(!has_room(limit, &ended(Some("b")), "jane", 8), "it is another of the same name");
    assert!(!has_room(limit, &ended(None), "jane", 8), "it may have been there before");
    assert!(!has_room(limit, &book([], [place(Some("a"), 5)]), "jane", 8), "it is not there yet");
}

#[test]
fn a_grant_for_a_generated_name_ends_with_the_object_that_it_was_used_for_and_no_other() {
    let limit = concurrency(2, Per::Gate);
    let mut used = place(None, 0);
    assert!(!has_room(limit, &book([started("x-1", Life::Running, 1)], [used.clone()]), "jane", 5));
    used.used_by = Some("x-1".into());
    assert!(has_room(limit, &book([started("x-1", Life::Running, 1)], [used]), "jane", 5));
}

#[test]
fn of_each_requester_and_who_is_not_known_is_everybody() {
    let limit = concurrency(1, Per::Requester);
    let jane = book([started("a", Life::Running, 0)], []);
    assert!(!has_room(limit, &jane, "jane", 5));
    assert!(has_room(limit, &jane, "joe", 5));
    let unknown = book([Started { requester: None, ..started("a", Life::Running, 0) }], []);
    assert!(!has_room(limit, &unknown, "joe", 5));
    assert!(refusal(limit, &unknown, 5).0.contains("not known who started them"));
}

#[test]
fn of_each_target_and_what_cannot_be_told_is_unknown_or_counts() {
    let limit = concurrency(1, Per::Target);
    assert!(matches!(find(limit, &Book::default(), &asking("jane"), times(0)), Finding::Unknown(_)));
    let told = Asking { targets: Some([Arc::from("shop/cart")].into()), ..asking("jane") };
    assert!(matches!(find(limit, &book([started("a", Life::Running, 0)], []), &told, times(0)), Finding::None { .. }));
    assert!(matches!(find(limit, &Book::default(), &told, times(0)), Finding::Room(..)));
}

#[test]
fn a_cooldown_says_how_many_seconds_are_left() {
    let limit = cooldown(60, Since::Start, Per::Gate);
    assert!(has_room(limit, &Book::default(), "jane", 0));
    let one = book([started("a", Life::Running, 0)], []);
    assert_eq!(refusal(limit, &one, 20), ("the last one started 20 s ago: 40 s of 60 s are left".to_owned(), Some(at(60))));
    assert!(!has_room(limit, &one, "jane", 59));
    assert!(has_room(limit, &one, "jane", 60));
    assert!(!has_room(limit, &book([], [place(Some("b"), 10)]), "jane", 20), "what was granted counts as started");
    assert!(has_room(limit, &book([started("a", Life::Idle, 0)], []), "jane", 1));
}

#[test]
fn a_cooldown_since_the_end_waits_for_the_end() {
    let limit = cooldown(60, Since::Finish, Per::Gate);
    assert!(refusal(limit, &book([started("a", Life::Running, 0)], []), 500).0.contains("has not ended"));
    assert!(refusal(limit, &book([], [place(Some("b"), 0)]), 5).0.contains("admitted just now"));
    let ended = book([started("a", Life::Over(Some(at(30))), 0)], []);
    assert!(!has_room(limit, &ended, "jane", 89));
    assert!(has_room(limit, &ended, "jane", 90));
}

#[test]
fn what_is_remembered_counts_and_what_is_forgotten_may_have_been_anybody() {
    let limit = cooldown(60, Since::Start, Per::Requester);
    let past = |forgotten| Past {
        starts: vec![PastStart { uid: "x".into(), requester: Some("jane".into()), started: at(100), finished: None }],
        forgotten,
    };
    let known = Book { past: past(None), ..Book::default() };
    assert!(!has_room(limit, &known, "jane", 110));
    assert!(has_room(limit, &known, "joe", 110));
    let full = Book { past: past(Some(at(90))), ..Book::default() };
    assert!(!has_room(limit, &full, "joe", 110));
    assert!(has_room(limit, &full, "joe", 150));
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let unread = Book { unread: Some("no right to watch podchaos".into()), ..Book::default() };
    assert_eq!(
        find(concurrency(9, Per::Gate), &unread, &asking("jane"), times(0)),
        Finding::Unknown("no right to watch podchaos".to_owned())
    );
}

#[test]
fn a_grant_passes_once_where_it_was_asked_for() {
    for name in [Some("a"), None] {
        let granted = book([], [place(name, 0)]);
        assert!(granted.pass("d", "two", "u1", times(1)).is_none(), "another replica");
        assert!(granted.pass("other", "one", "u1", times(1)).is_none());
        assert!(granted.pass("d", "one", "u1", times(USABLE.as_secs())).is_none(), "it has run out");
        assert!(granted.pass("d", "one", "u1", times(1)).is_some());
        assert!(granted.pass("d", "one", "u1", times(1)).is_some(), "another check asks for the same");
        assert!(granted.pass("d", "one", "u2", times(1)).is_none(), "it is used up");
    }
}

#[test]
fn what_is_given_back_takes_no_place_and_can_be_used_no_more() {
    let given_back = book([], [Place { withdrawn: true, ..place(None, 0) }]);
    assert!(has_room(concurrency(1, Per::Gate), &given_back, "jane", 5));
    assert!(given_back.pass("d", "one", "u", times(5)).is_none());
    let granted = book([], [place(None, 0)]);
    assert!(granted.pass("d", "one", "u", times(5)).is_some());
    assert!(!granted.places[0].once.give_back(), "what was used cannot be given back");
    let unused = book([], [place(None, 0)]);
    assert!(unused.places[0].once.give_back() && unused.places[0].once.give_back());
    assert!(unused.pass("d", "one", "u", times(5)).is_none(), "what was given back cannot be used");
    assert!(!unused.places[0].once.tell());
}

#[test]
fn a_run_is_needed_while_its_start_may_still_close_a_cooldown() {
    let started_by =
        |uid: &str, finished: Option<i64>| PastStart { uid: uid.into(), requester: None, started: at(0), finished: finished.map(at) };
    let wait = SignedDuration::from_secs(900);
    let past = Past { starts: vec![started_by("over", Some(100)), started_by("unknown", None)], forgotten: None };
    let book = Book { past, longest_wait: wait, ..book([started("object", Life::Running, 0)], []) };
    assert!(book.needs("over", None, at(999)) && !book.needs("over", None, at(1000)));
    assert!(book.needs("unknown", None, at(99_999)));
    assert!(book.needs("any", Some("object"), at(99_999)), "its object is there, and may be deleted at any time");
    assert!(!book.needs("any", Some("another"), at(0)));
    assert!(!Book { longest_wait: SignedDuration::ZERO, ..book }.needs("unknown", Some("object"), at(0)));
}
