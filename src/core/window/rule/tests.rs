use super::super::wall::date_of;
use super::*;
use jiff::civil::date;
use proptest::prelude::*;

fn day(text: &str) -> i64 {
    day_of(text.parse().unwrap())
}

fn named(rule: &Days, from: i64, to: i64) -> Vec<i64> {
    let mut days = Vec::new();
    rule.each(from, to, &mut Budget::full(), &mut |day, _| {
        days.push(day);
        Ok(days.len() < 5_000)
    })
    .unwrap();
    days
}

fn rule(text: &str, start: &str) -> Days {
    Days::new(Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), day(start), &mut Budget::full()).unwrap()
}

fn dates(text: &str, start: &str, to: &str) -> String {
    let days = named(&rule(text, start), day(start), day(to));
    days.iter().map(|day| date_of(*day).unwrap().to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn rules_name_the_days_that_the_standard_says() {
    for (text, start, to, expected) in [
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-30", "2026-05-31", "2026-01-30 2026-02-27 2026-03-27 2026-04-24 2026-05-29"),
        ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", "1998-01-01", "1997-09-02 1997-09-12 1997-09-22 1997-10-02 1997-10-12"),
        ("FREQ=DAILY;BYMONTH=1", "2026-12-30", "2027-01-02", "2027-01-01 2027-01-02"),
        ("FREQ=WEEKLY", "2026-11-20", "2026-12-05", "2026-11-20 2026-11-27 2026-12-04"),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", "1998-01-01", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", "1998-01-01", "1997-08-05 1997-08-17 1997-08-19 1997-08-31"),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1998-02-13", "1999-12-31", "1998-02-13 1998-03-13 1998-11-13 1999-08-13"),
        ("FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "1997-09-13", "1997-12-31", "1997-09-13 1997-10-11 1997-11-08 1997-12-13"),
        ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28", "1997-12-31", "1997-09-28 1997-10-29 1997-11-28 1997-12-29"),
        ("FREQ=MONTHLY", "2026-01-31", "2026-08-01", "2026-01-31 2026-03-31 2026-05-31 2026-07-31"),
        ("FREQ=MONTHLY;BYMONTHDAY=-31", "2026-01-01", "2026-08-01", "2026-01-01 2026-03-01 2026-05-01 2026-07-01 2026-08-01"),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "2026-01-30",
            "2026-05-31",
            "2026-01-30 2026-02-27 2026-03-31 2026-04-30 2026-05-29",
        ),
        ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "1999-01-01", "1997-09-04 1997-10-07 1997-11-06"),
        ("FREQ=MONTHLY;INTERVAL=2;BYDAY=1SU,-1SU;COUNT=4", "1997-09-07", "1999-01-01", "1997-09-07 1997-09-28 1997-11-02 1997-11-30"),
        ("FREQ=YEARLY", "2024-02-29", "2033-01-01", "2024-02-29 2028-02-29 2032-02-29"),
        ("FREQ=YEARLY;BYMONTHDAY=13;BYMONTH=2,11", "2026-02-13", "2027-03-01", "2026-02-13 2026-11-13 2027-02-13"),
        ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "2000-01-01", "1997-05-19 1998-05-18 1999-05-17"),
        ("FREQ=YEARLY;BYDAY=-1FR", "2026-12-25", "2028-12-31", "2026-12-25 2027-12-31 2028-12-29"),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH;UNTIL=19990101", "1997-03-13", "1998-03-07", "1997-03-13 1997-03-20 1997-03-27 1998-03-05"),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "2026-11-26", "2028-12-01", "2026-11-26 2027-11-25 2028-11-23"),
        (
            "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
            "1996-11-05",
            "2005-01-01",
            "1996-11-05 2000-11-07 2004-11-02",
        ),
        ("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=1,-1", "2026-01-01", "2027-06-01", "2026-01-01 2026-12-31 2027-01-01"),
    ] {
        assert_eq!(dates(text, start, to), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_said() {
    for (text, says) in [
        ("", "FREQ is missing"),
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=HOURLY", "the shortest is DAILY"),
        ("FREQ=SECONDLY;COUNT=5", "the shortest is DAILY"),
        ("FREQ=FORTNIGHTLY", "FREQ=FORTNIGHTLY is not DAILY"),
        ("RRULE:FREQ=DAILY", "FREQ is missing"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is given twice"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL: \"0\" is not a number from 1 to 10000"),
        ("FREQ=DAILY;COUNT=1000000000", "UNTIL has no such limit"),
        ("FREQ=DAILY;COUNT=99999999999999999999", "COUNT"),
        ("FREQ=DAILY;COUNT=-1", "COUNT"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101", "COUNT or UNTIL"),
        ("FREQ=DAILY;UNTIL=tomorrow", "\"TOMORROW\" is not a date"),
        ("FREQ=DAILY;UNTIL=20260231", "not a date"),
        ("FREQ=DAILY;BYDAY=-1FR", "needs FREQ=MONTHLY"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYDAY=FRI", "BYDAY: \"RI\" is not one of MO, TU"),
        ("FREQ=MONTHLY;BYDAY=é", "BYDAY"),
        ("FREQ=MONTHLY;BYDAY=54MO", "from 1 to 53 or from -1 to -53"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,", "BYMONTHDAY: \"\""),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS picks"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO is not supported"),
        ("FREQ=DAILY;BYHOUR=9", "BYHOUR is not supported"),
        ("FREQ=DAILY;BYEASTER=1", "\"BYEASTER\" is no part of a rule"),
        ("FREQ=DAILY;X", "\"X\" is not NAME=VALUE"),
    ] {
        let error = Rule::parse(text).unwrap_err();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert!(Rule::parse(&"FREQ=DAILY;".repeat(60)).unwrap_err().contains("longer than 512"));
}

#[test]
fn a_count_counts_from_the_first_day_whether_the_rule_names_it_or_not() {
    let last = |text: &str, start: &str| date_of(rule(text, start).last).unwrap();
    assert_eq!(last("FREQ=WEEKLY;BYDAY=FR;COUNT=3", "2026-11-20"), date(2026, 12, 4));
    // A Thursday: it is the first, then come two Fridays.
    assert_eq!(last("FREQ=WEEKLY;BYDAY=FR;COUNT=3", "2026-11-19"), date(2026, 11, 27));
    assert_eq!(last("FREQ=DAILY;COUNT=1", "2026-11-19"), date(2026, 11, 19));
    assert_eq!(last("FREQ=DAILY;COUNT=10000", "2000-01-01"), date(2027, 5, 18));
}

/// The work of the worst rules is bounded by steps, which are the same on every machine.
#[test]
fn the_work_for_a_rule_is_bounded() {
    for (text, most) in [
        ("FREQ=DAILY", 1_000),
        ("FREQ=DAILY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=30", 1_000),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU", 1_000),
        ("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2", 100),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 100),
        ("FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-366", 1_000),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", 1_000),
        ("FREQ=MONTHLY;INTERVAL=10000", 100),
    ] {
        // Begun long ago: the walk goes straight to the asked year.
        let rule = rule(text, "0001-01-01");
        let mut budget = Budget::full();
        rule.each(day("2026-01-01"), day("2027-02-05"), &mut budget, &mut |_, _| Ok(true)).unwrap();
        assert!(budget.spent() <= most, "{text}: {}", budget.spent());
    }
    // To count, all must be walked; what cannot be counted within the budget is refused.
    let never = Rule::parse("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=2").unwrap();
    assert_eq!(Days::new(never, day("0001-01-01"), &mut Budget::full()), Err(TooMuch::Steps));
    let numbered: String = (1..=53).flat_map(|n| [format!("{n}MO,"), format!("{n}TU,")]).take(90).collect();
    let many = Rule::parse(&format!("FREQ=YEARLY;COUNT=9999;BYDAY={}", numbered.trim_end_matches(','))).unwrap();
    assert!(Days::new(many, day("2026-01-01"), &mut Budget::full()).is_ok());
}

#[test]
fn the_ends_of_time_end_a_rule() {
    assert_eq!(named(&rule("FREQ=YEARLY", "9990-01-01"), day("9990-01-01"), i64::MAX).len(), 10);
    assert_eq!(named(&rule("FREQ=YEARLY;INTERVAL=10000", "2026-01-01"), day("2026-01-01"), i64::MAX).len(), 1);
    assert_eq!(named(&rule("FREQ=MONTHLY;INTERVAL=10000", "9999-01-01"), day("9999-01-01"), i64::MAX).len(), 1);
    assert_eq!(named(&rule("FREQ=WEEKLY", "9999-12-20"), day("9999-12-20"), i64::MAX).len(), 2);
}

/// Another way to the same days: look at every day of a rule's period by itself.
fn naive(rule: &Rule, start: i64, from: i64, to: i64) -> Vec<i64> {
    let (begin, month_of) = (date_of(start).unwrap(), |date: Date| i64::from(date.year()) * 12 + i64::from(date.month()));
    let first_week = |day: i64| day - (weekday_of(day) - rule.week_start).rem_euclid(7);
    let period = |day: i64| {
        let date = date_of(day).unwrap();
        match rule.frequency {
            Frequency::Daily => day - start,
            Frequency::Weekly => (first_week(day) - first_week(start)) / 7,
            Frequency::Monthly => month_of(date) - month_of(begin),
            Frequency::Yearly => i64::from(date.year() - begin.year()),
        }
    };
    let named = |day: i64| {
        let date = date_of(day).unwrap();
        let (back, in_year) = (date.day() - date.days_in_month() - 1, rule.frequency == Frequency::Yearly && rule.months == 0);
        let month_day = rule.month_days & (1 << date.day()) != 0 || rule.month_days_from_end & (1 << -back) != 0;
        let (place, from_end) = if in_year {
            (i64::from(date.day_of_year() - 1) / 7 + 1, i64::from(date.day_of_year() - date.days_in_year()) / 7 - 1)
        } else {
            (i64::from(date.day() - 1) / 7 + 1, i64::from(date.day() - date.days_in_month()) / 7 - 1)
        };
        let weekday = weekday_of(day);
        let by_place = rule.numbered.contains(&(place, weekday)) || rule.numbered.contains(&(from_end, weekday));
        (rule.months == 0 || rule.months & (1 << date.month()) != 0)
            && (!rule.has_month_days() || month_day)
            && (!rule.has_weekdays() || rule.weekdays & (1 << weekday) != 0 || by_place)
    };
    let mut periods: std::collections::BTreeMap<i64, Vec<i64>> = std::collections::BTreeMap::new();
    // Whole periods: from a year before the first day to a year after the last.
    for day in start - 366..=to + 366 {
        if period(day).rem_euclid(rule.interval) == 0 && named(day) {
            periods.entry(period(day)).or_default().push(day);
        }
    }
    let picked = periods.values().flat_map(|days| {
        let at = |place: &i64| {
            let index = if *place > 0 { *place - 1 } else { i64::try_from(days.len()).unwrap() + place };
            usize::try_from(index).ok().and_then(|index| days.get(index)).copied()
        };
        if rule.positions.is_empty() { days.clone() } else { rule.positions.iter().filter_map(at).collect() }
    });
    let mut picked: Vec<i64> = picked.filter(|day| (from.max(start)..=to).contains(day)).collect();
    picked.sort_unstable();
    picked.dedup();
    picked
}

fn any_rule() -> impl Strategy<Value = String> {
    let list = |items: Vec<&'static str>| proptest::sample::subsequence(items, 1..=3).prop_map(|items| items.join(","));
    let part = |name: &'static str, values: BoxedStrategy<String>| {
        proptest::option::weighted(0.4, values.prop_map(move |v| format!(";{name}={v}")))
    };
    let weekdays = list(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"]).boxed();
    let numbered = list(vec!["1MO", "2TU", "-1FR", "5WE", "-2SU", "TH", "-5SA", "53MO", "10FR"]).boxed();
    let month_days = list(vec!["1", "13", "29", "30", "31", "-1", "-31", "-15"]).boxed();
    let months = list(vec!["1", "2", "3", "6", "11", "12"]).boxed();
    let places = list(vec!["1", "2", "-1", "-2", "5", "20", "-100"]).boxed();
    let interval = (1..5_i32).prop_map(|n| n.to_string()).boxed();
    let week_start = proptest::sample::select(vec!["MO", "SU", "TH"]).prop_map(str::to_owned).boxed();
    let monthly = (
        proptest::sample::select(vec!["MONTHLY", "YEARLY"]),
        part("BYDAY", prop_oneof![weekdays.clone(), numbered].boxed()),
        part("BYMONTHDAY", month_days.clone()),
    );
    let daily = (Just("DAILY"), part("BYDAY", weekdays.clone()), part("BYMONTHDAY", month_days));
    let weekly = (Just("WEEKLY"), part("BYDAY", weekdays), Just(None));
    let base = prop_oneof![2 => monthly, 1 => daily, 1 => weekly];
    (base, part("BYMONTH", months), part("INTERVAL", interval), part("BYSETPOS", places), part("WKST", week_start)).prop_map(
        |((frequency, weekdays, month_days), months, interval, places, week_start)| {
            let any = weekdays.is_some() || month_days.is_some() || months.is_some();
            let parts = [weekdays, month_days, months, interval, places.filter(|_| any), week_start];
            parts.into_iter().flatten().fold(format!("FREQ={frequency}"), |text, part| text + &part)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_rule_names_the_days_that_a_look_at_every_day_finds(text in any_rule(), start in 18_000_i64..22_000, later in 0_i64..3_000) {
        let days = Days::new(Rule::parse(&text).unwrap(), start, &mut Budget::full()).unwrap();
        let (from, to) = (start + later, start + later + 800);
        prop_assert_eq!(named(&days, from, to), naive(&days.rule, start, from, to), "{}", text);
    }

    #[test]
    fn any_text_is_a_rule_or_refused(text in "\\PC{0,60}|(FREQ=(DAILY|MONTHLY|YEARLY)(;[A-Z]{3,9}=[-+A-Z0-9,]{0,9}){0,4})", start in any::<i32>()) {
        if let Ok(rule) = Rule::parse(&text)
            && let Ok(days) = Days::new(rule, i64::from(start), &mut Budget::full())
        {
            let _ = days.each(i64::from(start), i64::MAX, &mut Budget::full(), &mut |_, budget| budget.spend(1).map(|()| true));
        }
    }
}
