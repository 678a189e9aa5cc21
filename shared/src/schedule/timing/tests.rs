//! The table of clocks that jump, and what holds for all expressions.

use proptest::prelude::*;

use super::*;

fn cron(text: &str, zone: &str) -> Timing {
    Timing::new(Some(text), Some(zone), None).unwrap()
}

fn ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// The local due times after a time, up to another one, with marks.
fn runs(text: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let due = cron(text, zone).upcoming(ms(after), 200);
    let due = due.into_iter().take_while(|due| due.at <= ms(until));
    due.map(|due| {
        let mark = due.mark.map(|mark| format!(" {}", mark.as_str())).unwrap_or_default();
        let skipped = if due.skipped > 0 { format!(" skipped {}", due.skipped) } else { String::new() };
        format!("{}{mark}{skipped}", due.local)
    })
    .collect()
}

#[test]
fn a_fixed_time_in_a_gap_runs_right_after_it() {
    // Berlin has no 02:00 to 03:00 on 29 March 2026.
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z"),
        ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00 after_gap", "2026-03-30T02:30:00+02:00",]
    );
    // New York has none on 8 March 2026.
    assert_eq!(
        runs("0 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"),
        ["2026-03-08T03:00:00-04:00 after_gap", "2026-03-09T02:00:00-04:00",]
    );
    // Lord Howe jumps by half an hour, on 4 October 2026.
    assert_eq!(
        runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", "2026-10-05T00:00:00Z"),
        ["2026-10-04T02:30:00+11:00 after_gap", "2026-10-05T02:15:00+11:00",]
    );
    // Nuuk loses the last hour of 28 March 2026, a Saturday: right after the gap is Sunday.
    assert_eq!(
        runs("30 23 * * *", "America/Nuuk", "2026-03-28T12:00:00Z", "2026-03-30T02:00:00Z"),
        ["2026-03-29T00:00:00-01:00 after_gap", "2026-03-29T23:30:00-01:00"]
    );
    let saturdays = runs("30 23 * * SAT", "America/Nuuk", "2026-03-28T12:00:00Z", "2026-04-05T02:00:00Z");
    assert!(saturdays.len() == 1 && saturdays[0].starts_with("2026-04-04T23:30:00-01:00"), "{saturdays:?}");
    // The time before the gap runs once.
    assert_eq!(
        runs("59 1 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T22:00:00Z"),
        ["2026-03-29T01:59:00+01:00"]
    );
}

#[test]
fn a_fixed_time_in_an_overlap_runs_the_first_time() {
    assert_eq!(
        runs("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
        ["2026-10-25T02:30:00+02:00 first_of_two", "2026-10-26T02:30:00+01:00",]
    );
    assert_eq!(
        runs("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"),
        ["2026-11-01T01:30:00-04:00 first_of_two", "2026-11-02T01:30:00-05:00",]
    );
    assert_eq!(
        runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T18:00:00Z"),
        ["2026-04-05T01:45:00+11:00 first_of_two", "2026-04-06T01:45:00+10:30",]
    );
}

#[test]
fn an_interval_skips_a_gap_and_runs_twice_in_an_overlap() {
    assert_eq!(
        runs("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", "2026-03-29T01:30:00Z"),
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00 skipped 2", "2026-03-29T03:30:00+02:00",]
    );
    assert_eq!(
        runs("*/30 2 * * *", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T12:00:00Z"),
        [
            "2026-10-25T02:00:00+02:00 first_of_two",
            "2026-10-25T02:30:00+02:00 first_of_two",
            "2026-10-25T02:00:00+01:00 second_of_two",
            "2026-10-25T02:30:00+01:00 second_of_two",
        ]
    );
    assert_eq!(
        runs("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z"),
        [
            "2026-10-25T02:00:00+02:00 first_of_two",
            "2026-10-25T02:00:00+01:00 second_of_two",
            "2026-10-25T03:00:00+01:00",
        ]
    );
}

#[test]
fn a_day_that_a_zone_lost_has_no_runs() {
    // Apia had no 30 December 2011.
    assert_eq!(
        runs("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z"),
        ["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00 skipped 1", "2012-01-01T12:00:00+14:00",]
    );
    assert_eq!(
        runs("0 0 * * *", "Pacific/Apia", "2011-12-29T09:00:00Z", "2011-12-31T11:00:00Z"),
        ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00 skipped 1", "2012-01-01T00:00:00+14:00",]
    );
}

#[test]
fn a_search_back_passes_a_lost_day() {
    let noon = cron("0 12 * * *", "Pacific/Apia");
    assert_eq!(noon.previous(ms("2011-12-31T12:00:00+14:00")), Some(ms("2011-12-29T12:00:00-10:00")));
}

#[test]
fn rare_dates_are_found_and_others_are_never_due() {
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2033-01-01T00:00:00Z"),
        ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00",]
    );
    // 2096 is a leap year, and 2100 is none.
    assert_eq!(
        runs("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2105-01-01T00:00:00Z"),
        ["2104-02-29T00:00:00+00:00"]
    );
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        assert_eq!(cron(never, "UTC").next(0), None, "{never}");
    }
    assert_eq!(cron("0 0 L * *", "UTC").next(ms("2028-02-01T00:00:00Z")), Some(ms("2028-02-29T00:00:00Z")));
}

#[test]
fn seconds_and_names_are_read_and_years_are_not() {
    assert_eq!(cron("15 30 6 * * *", "UTC").next(0), Some(ms("1970-01-01T06:30:15Z")));
    assert_eq!(cron("@daily", "UTC").next(0), Some(86_400_000));
    assert_eq!(
        cron("0 6 * * MON-FRI", "UTC").next(ms("2026-11-27T07:00:00Z")),
        Some(ms("2026-11-30T06:00:00Z"))
    );
    for wrong in ["", "* * * *", "0 0 1 1 * * 2030", "0 0 * * FOO", "*/0 * * * *", &"1,".repeat(99)] {
        let said = Timing::new(Some(wrong), None, None).unwrap_err().to_string();
        assert!(said.contains("minute, hour"), "{wrong}: {said}");
    }
}

#[test]
fn due_times_have_words() {
    assert_eq!(
        cron("30 6 * * SUN", "Europe/Berlin").words(Some("Europe/Berlin")),
        "At 06:30, on Sunday, Europe/Berlin"
    );
    assert_eq!(Timing::new(None, None, Some(Duration::from_secs(300))).unwrap().words(None), "every 5m");
}

#[test]
fn the_old_name_of_a_zone_is_known() {
    let (old, new) = (cron("0 6 * * *", "Europe/Kiev"), cron("0 6 * * *", "Europe/Kyiv"));
    assert_eq!(old.next(0), new.next(0));
}

/// Zones with their peculiarities, and times around their jumps.
fn somewhere() -> impl Strategy<Value = (&'static str, i64)> {
    let year = 366 * 86_400_000_i64;
    prop_oneof![
        Just(("Europe/Berlin", ms("2026-03-29T01:00:00Z"))),
        Just(("Europe/Berlin", ms("2026-10-25T01:00:00Z"))),
        Just(("America/New_York", ms("2026-11-01T06:00:00Z"))),
        Just(("Australia/Lord_Howe", ms("2026-04-04T15:00:00Z"))),
        Just(("Australia/Lord_Howe", ms("2026-10-03T15:30:00Z"))),
        Just(("Pacific/Apia", ms("2011-12-30T10:00:00Z"))),
        Just(("America/Sao_Paulo", ms("2018-11-04T03:00:00Z"))),
        (0..60 * year).prop_map(|at| ("Asia/Kathmandu", at)),
        (0..60 * year).prop_map(|at| ("UTC", at)),
    ]
    .prop_flat_map(|(zone, at)| {
        (Just(zone), -86_400_000_i64..86_400_000).prop_map(move |(zone, by)| (zone, at + by))
    })
}

fn expression() -> impl Strategy<Value = String> {
    let minute =
        prop_oneof![Just("*".to_owned()), Just("*/7".into()), (0_u8..60).prop_map(|m: u8| m.to_string())];
    let hour = prop_oneof![
        Just("*".to_owned()),
        Just("*/5".into()),
        (0_u8..24).prop_map(|h: u8| h.to_string()),
        Just("1-3".into())
    ];
    let day = prop_oneof![6 => Just("*".to_owned()), 1 => (1_u8..29).prop_map(|d: u8| d.to_string()), 1 => Just("L".into())];
    (minute, hour, day).prop_map(|(minute, hour, day)| format!("{minute} {hour} {day} * *"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn times_grow_and_none_is_skipped((zone, from) in somewhere(), text in expression()) {
        let timing = cron(&text, zone);
        let due: Vec<i64> = timing.upcoming(from, 30).iter().map(|due| due.at).collect();
        prop_assert_eq!(due.len(), 30);
        prop_assert!(due[0] > from && due.is_sorted_by(|a, b| a < b));
        for pair in due.windows(2) {
            // Wherever a search begins between two due times, it finds the second one.
            for from in [pair[0], pair[0] + 1, (pair[0] + pair[1]) / 2, pair[1] - 1] {
                prop_assert_eq!(timing.next(from), Some(pair[1]), "{} in {} from {}", &text, zone, local(from, Tz::UTC));
            }
            for from in [pair[0] + 1, (pair[0] + pair[1]) / 2 + 1, pair[1]] {
                prop_assert_eq!(timing.previous(from), Some(pair[0]), "{} in {} back from {}", &text, zone, local(from, Tz::UTC));
            }
        }
    }

    #[test]
    fn a_due_time_has_the_local_time_that_the_expression_says((zone, from) in somewhere(), text in expression()) {
        let Timing::Cron { cron, zone } = cron(&text, zone) else { unreachable!() };
        let timing = Timing::Cron { cron: cron.clone(), zone };
        for due in timing.upcoming(from, 30) {
            let matches = cron.is_time_matching(&time(due.at, zone).unwrap()).unwrap();
            prop_assert_eq!(matches, due.mark != Some(Mark::AfterGap));
        }
    }

    #[test]
    fn an_interval_is_due_at_its_multiples(every in 1_000_i64..1_000_000, from in 0_i64..2_000_000_000_000) {
        let timing = Timing::new(None, None, Some(Duration::from_millis(every.unsigned_abs()))).unwrap();
        let next = timing.next(from).unwrap();
        prop_assert!(next > from && next - from <= every && next % every == 0);
        prop_assert_eq!(timing.previous(next + 1), Some(next));
        prop_assert_eq!(timing.previous(next), Some(next - every));
    }

    /// An expression from outside ends in an answer.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9*/,LW#A-Z@ -]{0,60}") {
        if let Ok(timing) = Timing::new(Some(&text), None, None) {
            let due = timing.upcoming(0, 3);
            prop_assert!(due.is_sorted_by(|a, b| a.at < b.at));
            prop_assert!(!timing.words(None).is_empty());
        }
    }
}
