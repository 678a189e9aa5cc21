//! Values of every kind, in messages of every kind.

use proptest::prelude::*;

use super::*;

#[test]
fn the_same_cause_looks_the_same() {
    let pairs = [
        ("timeout after 5012 ms", "timeout after 499321 ms"),
        ("timeout after 512ms", "timeout after 5s"),
        ("slots [1, 2, 3] are taken", "slots [7] are taken"),
        ("no customer `c-81`", "no customer `c-99912`"),
        ("connect to 10.0.0.1:6379 refused", "connect to [2001:db8::8a2e]:6380 refused"),
        ("order-1042 not found", "order-7 not found"),
        ("charge ch_NffrFeUfNV2Hib failed", "charge ch_a1b2 failed"),
        ("user a.b@shop.example is unknown", "user \"c d\"@other.example is unknown"),
        ("job 5d0a1c0e-2f5b-4f0a-9a53-6a1f3c1b7e42 gone", "job abcdabcd-abcd-abcd-abcd-abcdabcdabcd gone"),
        ("due Mon, 30 Nov 2026 16:12:06 +0000: late", "due 2026-11-30T16:12:06.123Z: late"),
        ("line 404, column 17", "line 7, column 503"),
        ("no such \"a\nb\" here", "no such \"\" here"),
        ("ids 1, 2, 3 are unknown", "ids 17 are unknown"),
    ];
    for (one, other) in pairs {
        assert_eq!(normalise(one), normalise(other));
    }
}

#[test]
fn different_causes_look_different() {
    assert_ne!(normalise("503 from the bank"), normalise("503 from the store"));
    assert_ne!(normalise("connection refused"), normalise("connection reset"));
    assert_ne!(normalise("order-17 not found"), normalise("customer-17 not found"));
    assert_eq!(normalise("the customer's card isn't valid"), "the customer's card isn't valid");
    assert_eq!(normalise("first\nsecond"), "first");
    assert_eq!(normalise("a decade on the facade may be late"), "a decade on the facade may be late");
    assert_eq!(normalise("std::fmt failed for utf8"), "std::fmt failed for utf<*>");
}

/// Texts that values stand in.
const AROUND: [(&str, &str); 9] = [
    ("", ""),
    ("customer ", " is unknown"),
    ("it failed: ", ""),
    ("refused (", "): try later"),
    ("key=", ", nothing else"),
    ("for ", "."),
    ("[", "] is missing"),
    ("value <", "> is out of range"),
    ("Job ", "\nand more"),
];

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (0u32..1000).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:e}")),
        (1u32..1000, 0u32..1000, 0u32..100).prop_map(|(a, b, c)| format!("{a},{b:03}.{c:02}")),
        (1u32..1000, 0u32..1000).prop_map(|(a, b)| format!("{a} {b:03}")),
        any::<u32>().prop_map(|n| format!("{n:#x}")),
        (any::<u32>(), prop::sample::select(vec!["ms", "s", "µs", "%", " ms", "kB", "MiB"]))
            .prop_filter("a percent sign is no unit", |(_, unit)| *unit != "%" && *unit != " ms")
            .prop_map(|(n, unit)| format!("{n}{unit}")),
    ]
}

fn ids() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<u128>().prop_map(|n| uuid::Uuid::from_u128(n).to_string()),
        any::<u128>().prop_map(|n| uuid::Uuid::from_u128(n).simple().to_string()),
        "[0-7][0-9A-HJKMNP-TV-Z]{25}",
        "[0-9a-f]{8,64}",
        "[0-9A-F]{8,64}",
        Just("deadbeef".to_owned()),
        any::<[u8; 16]>().prop_map(|_| crate::job::id::JobId::random().to_string()),
    ]
}

fn dates() -> impl Strategy<Value = String> {
    let day = (1u32..=12, 1u32..=28, 1970u32..2100);
    let time = (0u32..24, 0u32..60, 0u32..60, 0u32..1000);
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    (day, time, 0..8usize).prop_map(|((m, d, y), (h, min, s, ms), form)| {
        let (month, weekday) = (MONTHS[m as usize - 1], DAYS[d as usize % 7]);
        match form {
            0 => format!("{y}-{m:02}-{d:02}"),
            1 => format!("{y}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{ms:03}Z"),
            2 => format!("{y}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}+02:00"),
            3 => format!("{weekday}, {d:02} {month} {y} {h:02}:{min:02}:{s:02} +0000"),
            4 => format!("{weekday}, {d:02} {month} {y} {h:02}:{min:02}:{s:02} GMT"),
            5 => format!("{d} {month} {y}"),
            6 => format!("{month} {d}, {y}"),
            _ => format!("{m}/{d}/{y} {h}:{min:02} PM"),
        }
    })
}

fn mails() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9][a-z0-9.+_-]{0,20}[a-z0-9]@[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\\.[a-z]{2,8}){1,3}",
        "[A-Za-z]{1,8}@[a-zäöü]{2,10}\\.example",
        "\"[a-z ]{1,9}\"@[a-z]{1,9}\\.example",
        "[a-z]{1,9}@\\[192\\.0\\.2\\.[0-9]{1,2}\\]",
        "[a-z]{1,9}@localhost",
    ]
}

fn ips() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<[u8; 16]>().prop_map(|ip| Ipv6Addr::from(ip).to_string()),
        any::<[u16; 2]>().prop_map(|[a, b]| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, a, b).to_string()),
        Just("::1".to_owned()),
        any::<([u8; 4], u16)>().prop_map(|address| std::net::SocketAddr::from(address).to_string()),
        any::<([u8; 16], u16)>().prop_map(|address| std::net::SocketAddr::from(address).to_string()),
    ]
}

fn quoted_values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|value| format!("{value:?}")),
        "`[^`\\\\]{0,40}`",
        "'[^'\\\\]{0,40}'",
        "'O'Brien'",
        "“[^”\\\\]{0,40}”",
        "«[^»\\\\]{0,40}»",
    ]
}

/// Two values of one kind.
fn pairs() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        (numbers(), numbers()),
        (ids(), ids()),
        (dates(), dates()),
        (mails(), mails()),
        (ips(), ips()),
        (quoted_values(), quoted_values()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_message_has_a_short_form(message in "[\\PC\n]{0,600}") {
        let once = normalise(&message);
        prop_assert!(once.chars().count() <= MOST);
        prop_assert!(!once.contains('\n'));
    }

    #[test]
    fn another_value_keeps_the_group(
        (one, other) in pairs(),
        (before, after) in prop::sample::select(&AROUND[..]),
    ) {
        let message = |value: &str| normalise(&format!("{before}{value}{after}"));
        prop_assert_eq!(message(&one), message(&other), "{} and {}", one, other);
    }

    #[test]
    fn other_values_keep_the_group(pairs in prop::collection::vec(pairs(), 1..4)) {
        let (ones, others): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
        let message = |values: &[String]| normalise(&format!("the {} was not found", values.join(" nor the ")));
        prop_assert_eq!(message(&ones), message(&others), "{:?} and {:?}", ones, others);
    }
}
