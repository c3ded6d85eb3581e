//! Moves case by case, and contenders whose clocks run at different speeds, who pause, and whose messages are late or lost: never two at once.

use super::*;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Moment {
    Moment { steady: Duration::ZERO, wall: Timestamp::UNIX_EPOCH }.after(Duration::from_millis(millis))
}

fn view(revision: u64, holder: Option<&str>, term: i64) -> LeaseView {
    let holder = holder.map(str::to_owned);
    LeaseView { version: revision.to_string(), revision: Revision(revision), holder, term, watermark: None }
}

fn mark(term: i64, second: i64) -> Watermark {
    Watermark { time: Timestamp::from_second(second).unwrap(), revision: Revision(7), term, since: Revision(5) }
}

/// What the API server makes of a write.
fn applied(write: &Write, revision: u64) -> LeaseView {
    let watermark = write.watermark.clone().or_else(|| write.replaces.watermark.clone());
    LeaseView { version: revision.to_string(), revision: Revision(revision), holder: write.holder.clone(), term: write.term, watermark }
}

fn candidate() -> Elector {
    Elector::new("me".to_owned(), Duration::ZERO)
}

/// Leads since 0 s, at revision 1.
fn leader() -> Elector {
    let mut elector = candidate();
    elector.observe(Some(view(0, None, 0)), at(0));
    let Move::Acquire(write) = elector.step(at(0), None) else { panic!() };
    elector.written(&write, at(0), Outcome::Written(applied(&write, 1)), at(100));
    elector
}

#[test]
fn an_empty_or_given_up_lease_is_taken_at_once_and_one_made_anew_after_a_while() {
    let mut elector = candidate();
    assert_eq!(elector.step(at(0), None), Move::Wait(None), "nothing is known of the Lease");
    elector.observe(Some(view(1, None, 0)), at(0));
    assert!(matches!(elector.step(at(0), None), Move::Acquire(write) if write.term == 1));
    elector.observe(Some(view(2, Some("other"), 4)), at(1000));
    assert_eq!(elector.step(at(1000), None), Move::Wait(Some(6 * SECOND)));
    elector.observe(Some(view(3, None, 4)), at(2000));
    assert!(matches!(elector.step(at(2000), None), Move::Acquire(write) if write.term == 5), "given up");
    elector.observe(None, at(3000));
    assert_eq!(elector.step(at(3000), None), Move::Wait(None), "deleted");
    elector.observe(Some(view(9, None, 0)), at(4000));
    assert_eq!(elector.step(at(4000), None), Move::Wait(Some(6 * SECOND)), "its holder may not know yet");
    assert!(matches!(elector.step(at(10_000), None), Move::Acquire(write) if write.term == 5), "terms go on");
}

#[test]
fn a_candidate_waits_until_it_saw_no_change_for_long_enough_on_its_own_clock() {
    let mut elector = Elector::new("me".to_owned(), Duration::from_millis(300));
    elector.observe(Some(view(1, Some("other"), 1)), at(0));
    elector.observe(Some(view(2, Some("other"), 1)), at(5000));
    elector.observe(Some(view(2, Some("other"), 1)), at(6000));
    elector.observe(Some(view(1, Some("other"), 1)), at(7000));
    assert_eq!(elector.step(at(7000), None), Move::Wait(Some(Duration::from_millis(4300))));
    let set_forward = Moment { wall: Timestamp::from_second(9999).unwrap(), ..at(8000) };
    assert_eq!(elector.step(set_forward, None), Move::Wait(Some(Duration::from_millis(3300))), "a clock that is set does not hasten it");
    let mut last = view(2, Some("other"), 1);
    last.watermark = Some(mark(1, 50));
    elector.observe(Some(LeaseView { version: "3".to_owned(), revision: Revision(3), ..last }), at(8000));
    let Move::Acquire(write) = elector.step(at(14_300), None) else { panic!() };
    assert_eq!((write.replaces.version.as_str(), write.holder.as_deref(), write.term), ("3", Some("me"), 2));
    elector.written(&write, at(14_300), Outcome::Written(applied(&write, 4)), at(14_400));
    assert_eq!(elector.leading().unwrap().taken_over, Some(mark(1, 50)));
}

#[test]
fn a_leader_renews_every_second_with_the_newest_watermark_of_its_own_term() {
    let mut elector = leader();
    assert_eq!(elector.step(at(100), None), Move::Wait(Some(Duration::from_millis(900))));
    let Move::Renew(write) = elector.step(at(1000), Some(&mark(1, 10))) else { panic!() };
    assert_eq!((write.replaces.version.as_str(), &write.watermark), ("1", &Some(mark(1, 10))));
    elector.written(&write, at(1000), Outcome::Written(applied(&write, 2)), at(1100));
    assert_eq!(elector.leading().unwrap().renewed, at(1000));
    let Move::Renew(write) = elector.step(at(2000), Some(&mark(0, 10))) else { panic!() };
    assert_eq!(write.watermark, None, "an earlier leadership's is not its own");
}

#[test]
fn a_leader_counts_from_when_the_write_was_begun_and_stops_by_itself() {
    let mut elector = leader();
    let Move::Renew(write) = elector.step(at(1000), None) else { panic!() };
    elector.written(&write, at(1000), Outcome::Unanswered, at(3000));
    assert_eq!(elector.leading().unwrap().renewed, at(0), "nobody knows whether it was made");
    assert!(matches!(elector.step(at(3000), None), Move::Renew(_)));
    assert!(elector.leading().unwrap().holds(at(3999)));
    assert!(!elector.leading().unwrap().holds(at(4000)));
    assert_eq!(elector.step(at(4000), None), Move::StepDown);
    let suspended = Moment { wall: at(4000).wall, ..at(200) };
    assert_eq!(elector.step(suspended, None), Move::StepDown, "its monotonic clock stood still");
    let set_back = Moment { wall: Timestamp::from_second(-99).unwrap(), ..at(4000) };
    assert_eq!(elector.step(set_back, None), Move::StepDown);
}

#[test]
fn a_refused_write_is_not_repeated_and_one_that_was_made_unheard_is_recognised() {
    let mut elector = leader();
    let Move::Renew(write) = elector.step(at(1000), None) else { panic!() };
    elector.written(&write, at(1000), Outcome::Refused, at(1100));
    assert_eq!(elector.step(at(1100), None), Move::Wait(Some(Duration::from_millis(900))));
    elector.observe(Some(view(5, Some("me"), 1)), at(1200));
    assert!(matches!(elector.step(at(1300), None), Move::Renew(write) if write.replaces.version == "5"));
    elector.observe(Some(view(6, Some("other"), 2)), at(1400));
    assert_eq!(elector.step(at(1400), None), Move::StepDown);
    elector.step_down();
    assert_eq!(elector.leading(), None);
    assert_eq!(elector.step(at(1400), None), Move::Wait(Some(6 * SECOND)));
}

#[test]
fn a_leader_that_was_cut_off_leads_again_at_once_with_another_term_if_nobody_else_did() {
    let mut elector = leader();
    elector.step_down();
    assert!(matches!(elector.step(at(9000), None), Move::Acquire(write) if write.term == 2));
}

#[test]
fn a_leader_whose_lease_was_deleted_leads_no_longer_than_it_may() {
    let mut elector = leader();
    elector.observe(None, at(1000));
    assert_eq!(elector.step(at(1000), None), Move::Wait(Some(3 * SECOND)));
    elector.observe(Some(view(20, None, 0)), at(2000));
    assert_eq!(elector.step(at(2000), None), Move::StepDown);
}

#[test]
fn only_what_is_held_is_given_up() {
    let mut elector = leader();
    let write = elector.release().unwrap();
    assert_eq!((&write.holder, write.term, write.replaces.version.as_str()), (&None, 1, "1"));
    elector.written(&write, at(500), Outcome::Written(applied(&write, 2)), at(600));
    assert_eq!((elector.leading(), elector.release()), (None, None));
    let mut deposed = leader();
    deposed.observe(Some(view(3, Some("other"), 2)), at(100));
    assert_eq!(deposed.release(), None);
    assert_eq!(candidate().release(), None);
}

#[test]
fn what_is_written_is_read_again_and_nonsense_counts_as_nothing() {
    let lease = |annotations: &[(&str, String)], holder: &str, term: i32| Lease {
        metadata: ObjectMeta {
            resource_version: Some("12".to_owned()),
            annotations: Some(annotations.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec { holder_identity: Some(holder.to_owned()), lease_transitions: Some(term), ..LeaseSpec::default() }),
    };
    let read = LeaseView::of(&lease(&annotations(&mark(3, 99)), "pod", 3));
    assert_eq!(read, LeaseView { watermark: Some(mark(3, 99)), ..view(12, Some("pod"), 3) });
    let mut broken = annotations(&mark(3, 99));
    broken[1].1 = "-1".to_owned();
    assert_eq!(LeaseView::of(&lease(&broken, "", -5)), view(12, None, 0));
    let long = LeaseView::of(&lease(&[], &"x".repeat(100_000), 1));
    assert_eq!(long.holder.unwrap().len(), HOLDER);
    assert_eq!(LeaseView::of(&Lease::default()).version, "");
}

// Contenders in one world. Its time goes in steps of 100 ms; each contender's clocks run at their own speed.

const STEP: i64 = 100;

/// What one contender suffers at a step.
#[derive(Clone, Debug)]
struct Luck {
    /// It does nothing for so many steps, as if it were stopped.
    pause: u8,
    /// The write that it begins here takes so many steps to the API server, and the answer as many back.
    there: u8,
    back: u8,
    /// The answer is lost.
    lost: bool,
    /// What it sees of the Lease here.
    sees: bool,
    /// Its wall clock is set by so many seconds.
    set: i8,
}

fn luck() -> impl Strategy<Value = Luck> {
    let pause = prop_oneof![30 => Just(0_u8), 1 => 1..120_u8];
    let delay = || prop_oneof![10 => 0..3_u8, 1 => 0..100_u8];
    let set = prop_oneof![50 => Just(0_i8), 1 => -100..100_i8];
    (pause, delay(), delay(), prop::bool::weighted(0.1), prop::bool::weighted(0.6), set)
        .prop_map(|(pause, there, back, lost, sees, set)| Luck { pause, there, back, lost, sees, set })
}

struct Sent {
    write: Write,
    began: Moment,
    arrives: usize,
    answered: usize,
    outcome: Option<Outcome>,
    lost: bool,
}

struct Contender {
    elector: Elector,
    /// In thousandths of the world's speed.
    speed: i64,
    set: i64,
    paused_until: usize,
    sent: Option<Sent>,
    /// Writes of which the contender heard nothing in time, that may still arrive.
    late: Vec<Sent>,
}

impl Contender {
    fn moment(&self, step: usize) -> Moment {
        let millis = i64::try_from(step).unwrap() * STEP * self.speed / 1000;
        let wall = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millis) + SignedDuration::from_secs(self.set);
        Moment { steady: Duration::from_millis(millis.unsigned_abs()), wall }
    }
}

/// The API server: a write is made if it replaces what there is.
fn arrive(lease: &mut LeaseView, sent: &mut Sent) {
    sent.outcome = Some(if sent.write.replaces.version == lease.version {
        *lease = applied(&sent.write, lease.revision.0 + 1);
        Outcome::Written(lease.clone())
    } else {
        Outcome::Refused
    });
}

/// Runs a world; returns how many steps had a leader, and how many leaderships there were, or who led at once.
fn run(
    speeds: &[i64],
    fate: &[Vec<Luck>],
    step_of: impl Fn(&Elector, Moment) -> Move,
    holds: impl Fn(&Leading, Moment) -> bool,
) -> Result<(usize, i64), String> {
    let mut lease = view(1, None, 0);
    let mut led = 0;
    let mut contenders: Vec<Contender> = speeds
        .iter()
        .enumerate()
        .map(|(i, &speed)| Contender {
            elector: Elector::new(format!("c{i}"), Duration::from_millis(70 * i as u64)),
            speed,
            set: 0,
            paused_until: 0,
            sent: None,
            late: Vec::new(),
        })
        .collect();
    for (step, lucks) in fate.iter().enumerate() {
        for (contender, luck) in contenders.iter_mut().zip(lucks) {
            for sent in contender.late.iter_mut().chain(&mut contender.sent).filter(|sent| sent.arrives <= step && sent.outcome.is_none()) {
                arrive(&mut lease, sent);
            }
            contender.late.retain(|sent| sent.outcome.is_none());
            contender.set += i64::from(luck.set);
            if luck.pause > 0 && contender.paused_until <= step {
                contender.paused_until = step + usize::from(luck.pause);
            }
            if contender.paused_until <= step {
                play(contender, luck, step, &lease, &step_of);
            }
        }
        let leaders: Vec<usize> = contenders
            .iter()
            .enumerate()
            .filter(|(_, c)| c.elector.leading().is_some_and(|leading| holds(leading, c.moment(step))))
            .map(|(i, _)| i)
            .collect();
        if leaders.len() > 1 {
            return Err(format!("step {step}: {leaders:?} lead at once: {lease:?}"));
        }
        led += leaders.len();
    }
    Ok((led, lease.term))
}

/// One contender's turn, as the shell plays it.
fn play(contender: &mut Contender, luck: &Luck, step: usize, lease: &LeaseView, step_of: &impl Fn(&Elector, Moment) -> Move) {
    let now = contender.moment(step);
    if let Some(sent) = &contender.sent {
        let answered = sent.answered <= step && !sent.lost;
        // The shell waits for 2 s.
        if !answered && now.steady_since(sent.began) < 2 * SECOND {
            return;
        }
        if let Some(sent) = contender.sent.take() {
            let outcome = if answered { sent.outcome.clone().unwrap_or(Outcome::Unanswered) } else { Outcome::Unanswered };
            contender.elector.written(&sent.write, sent.began, outcome, now);
            if sent.outcome.is_none() {
                contender.late.push(sent);
            }
        }
    }
    if luck.sees {
        contender.elector.observe(Some(lease.clone()), now);
    }
    match step_of(&contender.elector, now) {
        Move::Wait(_) => {}
        Move::StepDown => contender.elector.step_down(),
        Move::Acquire(write) | Move::Renew(write) => {
            let arrives = step + 1 + usize::from(luck.there);
            let answered = arrives + usize::from(luck.back);
            contender.sent = Some(Sent { write, began: now, arrives, answered, outcome: None, lost: luck.lost });
        }
    }
}

fn fate(contenders: usize) -> impl Strategy<Value = Vec<Vec<Luck>>> {
    prop::collection::vec(prop::collection::vec(luck(), contenders), 300..600)
}

fn speeds() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(820..1200_i64, 3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn there_are_never_two_leaders_at_once(speeds in speeds(), fate in fate(3)) {
        let outcome = run(&speeds, &fate, |elector, now| elector.step(now, None), Leading::holds);
        prop_assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// No bad luck at all.
fn calm(contenders: usize, steps: usize) -> Vec<Vec<Luck>> {
    let luck = Luck { pause: 0, there: 0, back: 0, lost: false, sees: true, set: 0 };
    vec![vec![luck; contenders]; steps]
}

#[test]
fn one_leads_from_the_start_and_another_soon_after_it_stopped() {
    let mut fate = calm(3, 600);
    assert_eq!(run(&[1000, 1000, 1000], &fate, |e, now| e.step(now, None), Leading::holds), Ok((599, 1)));
    fate[100][0].pause = 200;
    let (led, terms) = run(&[1000, 1000, 1000], &fate, |e, now| e.step(now, None), Leading::holds).unwrap();
    assert!(led > 560 && terms == 2, "{led} steps of 600, {terms} terms");
}

#[test]
fn the_search_finds_two_leaders_if_one_does_not_stop_by_itself() {
    let mut fate = calm(2, 300);
    fate[100][0].pause = 150;
    let outcome = run(&[1000, 1000], &fate, |elector, now| elector.step(now, None), |_, _| true);
    assert!(outcome.unwrap_err().contains("lead at once"));
}
