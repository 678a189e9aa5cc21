//! The functions of the scripts that call no Redis, run without it.

use mlua::{FromLuaMulti, IntoLuaMulti, Lua, Table};
use proptest::prelude::*;

use super::{
    compose::{INCLUDES, parts_of},
    policy::{self, CALL_BYTES},
};
use crate::policy::histogram::bucket_of;

/// An include with those that it names, and the constants; nothing else.
struct Pure {
    lua: Lua,
}

impl Pure {
    fn new(include: &str) -> Self {
        let (_, source) = INCLUDES.iter().find(|(name, _)| *name == include).unwrap();
        let mut text = String::new();
        for (name, value) in policy::constants(CALL_BYTES) {
            text.push_str(&format!("{name} = {value}\n"));
        }
        for part in parts_of(source) {
            assert!(!part.contains("redis."), "{include} is not pure");
            // Functions that are not local are found by name.
            text.push_str(&part.replace("\nlocal ", "\n"));
        }
        let lua = Lua::new();
        lua.load(format!("\n{text}").replace("\nlocal ", "\n")).exec().unwrap();
        Self { lua }
    }

    fn call<R: FromLuaMulti>(&self, function: &str, args: impl IntoLuaMulti) -> R {
        let function: mlua::Function = self.lua.globals().get(function).unwrap();
        function.call(args).unwrap()
    }

    fn list<T: mlua::IntoLua>(&self, items: impl IntoIterator<Item = T>) -> Table {
        self.lua.create_sequence_from(items).unwrap()
    }

    fn eval<T: mlua::FromLua>(&self, text: &str) -> T {
        self.lua.load(text).eval().unwrap()
    }
}

#[test]
fn large_numbers_are_written_in_full() {
    let pure = Pure::new("int");
    for n in [0_i64, 7, -3, 1_800_000_000_000_000, (1 << 53) - 1] {
        assert_eq!(pure.call::<String>("int", n), n.to_string());
    }
}

#[test]
fn a_head_line_is_taken_apart() {
    let pure = Pure::new("job");
    type Header = (String, String, String, String, String);
    let header = |body: &str| pure.call::<Header>("header", body);
    let own = |parts: [&str; 5]| {
        let [kind, flow, class, deadline, version] = parts.map(str::to_owned);
        (kind, flow, class, deadline, version)
    };
    let body = "1800000000000|1|1800000005000e|||3|invoice.issue|acme|smtp\n{}\nargs";
    assert_eq!(header(body), own(["invoice.issue", "acme|smtp", "1", "1800000005000e", "3"]));
    assert_eq!(header("1800000000000|2||||1|mail|\n\n"), own(["mail", "", "2", "", "1"]));
    assert_eq!(header("damaged"), own(["?", "", "2", "", "0"]), "no worker runs the kind of a damaged body");
    assert_eq!(pure.call::<i64>("enqueued_ms", body), 1_800_000_000_000);
    assert_eq!(pure.call::<i64>("enqueued_ms", "damaged"), 0);
    type Deadline = (Option<String>, Option<String>);
    let deadline = |text: &str| pure.call::<Deadline>("parse_deadline", text);
    assert_eq!(deadline("17e"), (Some("17".to_owned()), Some("e".to_owned())));
    assert_eq!(deadline(""), (None, None));
}

#[test]
fn a_state_says_which_attempt_and_which_claim() {
    let pure = Pure::new("job");
    for (text, state, attempt, claim) in [
        (None, "ready", "", 0),
        (Some("ready 17"), "ready", "", 0),
        (Some("running 2 w-1 17 9"), "running", " 2 w-1 17", 9),
        (Some("scheduled 20 2 w-1 17"), "scheduled", " 2 w-1 17", 0),
    ] {
        assert_eq!(pure.call::<String>("state_of", text), state);
        assert_eq!(pure.call::<String>("attempt_of", text), attempt, "{text:?}");
        assert_eq!(pure.call::<u64>("claim_of", text), claim, "{text:?}");
    }
}

#[test]
fn a_fence_lets_no_other_attempt_through() {
    let pure = Pure::new("fence");
    let fence: String = pure.call("fence_of", ("2", "w-1"));
    let is_held =
        |text: Option<&str>| pure.call::<Option<bool>>("is_held", (text, fence.as_str())) == Some(true);
    assert!(is_held(Some("running 2 w-1 17 9")));
    for other in [None, Some("running 21 w-1 17 9"), Some("running 2 w-11 17 9"), Some("scheduled 2 w-1 17")]
    {
        assert!(!is_held(other), "{other:?}");
    }
}

#[test]
fn a_flow_has_the_keys_that_may_hold_it() {
    let pure = Pure::new("flow");
    for (name, tenant, keys) in [
        ("", "", &[][..]),
        ("acme", "acme", &["tenant:acme"]),
        ("acme|smtp", "acme", &["tenant:acme", "key:smtp"]),
        ("|smtp|db", "", &["key:smtp", "key:db"]),
        ("acme|smtp|db|smtp", "acme", &["tenant:acme", "key:smtp", "key:db"]),
    ] {
        let flow: Table = pure.call("split_flow", name);
        assert_eq!(flow.get::<String>("tenant").unwrap(), tenant);
        assert_eq!(flow.get::<Vec<String>>("keys").unwrap(), keys, "{name}");
    }
}

proptest! {
    /// However long a job runs, its history stays within the caps, and has its newest line.
    #[test]
    fn a_text_stays_within_its_caps(
        lines in proptest::collection::vec("[a-z]{0,40}", 1..40),
        bytes in 1_usize..200,
        most in 1_usize..10,
    ) {
        let pure = Pure::new("add_line");
        let mut text: Option<String> = None;
        for line in &lines {
            text = Some(pure.call("add_line", (text, line.as_str(), bytes, most)));
        }
        let text = text.unwrap();
        let kept: Vec<&str> = text.split('\n').collect();
        prop_assert!(kept.len() <= most && (text.len() <= bytes || kept.len() == 1));
        let newest = &lines[lines.len() - kept.len()..];
        prop_assert!(kept.iter().eq(newest.iter()));
    }

    /// A bucket never has more than its burst, and after the wait that was said it has the tokens.
    #[test]
    fn tokens_come_in_the_time_that_was_said(
        left in 0.0_f64..50.0,
        rate in 0.01_f64..1000.0,
        burst in 1_u32..100,
        wanted in 1_u32..3,
    ) {
        let pure = Pure::new("bucket");
        let left = left.min(f64::from(burst));
        prop_assume!(wanted <= burst);
        let after = |us: f64| pure.call::<f64>("refilled", (left, 0, us, rate, burst));
        let wait: Option<f64> = pure.call("ms_until", (wanted, left, rate));
        match wait {
            None => prop_assert!(pure.call::<u32>("whole_tokens", left) >= wanted),
            Some(ms) => {
                prop_assert!(ms >= 1.0);
                prop_assert!(pure.call::<u32>("whole_tokens", after(ms * 1000.0)) >= wanted);
                prop_assert!(after((ms - 1.0) * 1000.0) < f64::from(wanted));
            }
        }
        prop_assert!(after(1e15) <= f64::from(burst));
    }

    /// Lanes that wait for a key come out by class, then by turn, and with the turn they had.
    #[test]
    fn blocked_lanes_keep_their_class_and_turn(
        one in (0_u32..4, 0.0_f64..1e9),
        other in (0_u32..4, 0.0_f64..1e9),
    ) {
        let pure = Pure::new("turns");
        let score = |(class, turn): (u32, f64)| pure.call::<f64>("blocked_score", (class, turn));
        let turn = |class: u32, score: f64| pure.call::<f64>("turn_of_score", (class, score));
        prop_assert!((turn(one.0, score(one)) - one.1).abs() <= 1.0 / 128.0);
        if one.0 != other.0 || (one.1 - other.1).abs() > 1.0 / 128.0 {
            prop_assert_eq!(score(one) < score(other), one < other);
        }
    }

    /// New lanes start behind each other, and a tenant's lanes as far apart as it may have jobs.
    #[test]
    fn new_lanes_start_apart(owners in proptest::collection::vec(0_usize..3, 1..20), weight in 0.01_f64..100.0) {
        let pure = Pure::new("turns");
        let names: Vec<String> = owners.iter().map(|owner| format!("tenant-{owner}")).collect();
        let lanes_of = pure.lua.create_table().unwrap();
        for name in &names {
            lanes_of.set(name.as_str(), 0).unwrap();
        }
        let weight_of: mlua::Function = pure.eval(&format!("function() return {weight} end"));
        let (turns, newest): (Vec<f64>, f64) =
            pure.call("new_turns", (100.0, pure.list(names.clone()), lanes_of.clone(), weight_of));
        prop_assert!((newest - 100.0 - owners.len() as f64 / 64.0).abs() < 1e-9);
        for (i, turn) in turns.iter().enumerate() {
            let lanes_before = owners[..i].iter().filter(|owner| **owner == owners[i]).count();
            let expected = 100.0 + (i + 1) as f64 / 64.0 + lanes_before as f64 / weight;
            prop_assert!((turn - expected).abs() < 1e-6, "lane {i} at {turn}, not {expected}");
        }
        for name in &names {
            let n = names.iter().filter(|each| *each == name).count();
            prop_assert_eq!(lanes_of.get::<usize>(name.as_str()).unwrap(), n);
        }
    }

    /// A lane gets jobs until the next lane's turn, and no more than the quantum ahead of that.
    #[test]
    fn a_part_ends_at_the_next_turn_or_the_quantum(
        turn in 0.0_f64..1000.0,
        ahead in 0.0_f64..50.0,
        step in 0.1_f64..10.0,
        quantum in 1_u32..160,
    ) {
        let pure = Pure::new("turns");
        let part: f64 = pure.call("part_of", (turn, turn + ahead, step, quantum));
        prop_assert!(part >= 1.0 && part.fract() == 0.0);
        let within_turn = (ahead / step).floor() + 1.0;
        let by_quantum = (f64::from(quantum) / step).floor();
        let most = if quantum > 1 { within_turn.max(by_quantum) } else { within_turn };
        prop_assert!((part - most).abs() <= 1.0, "{part}, not {most}");
    }

    /// The merge of a list with placed jobs has the first jobs of both, in order, and reads few.
    #[test]
    fn a_merge_takes_the_first_jobs_of_both(
        mut listed in proptest::collection::vec(1_u64..1000, 0..20),
        mut placed in proptest::collection::vec(0_u64..1000, 0..10),
        n in 1_usize..25,
    ) {
        listed.sort_unstable();
        placed.sort_unstable();
        let pure = Pure::new("merge");
        // An id says when the job should run.
        let ids = listed.iter().enumerate().map(|(i, by)| format!("l{i}:{by}"));
        let pairs = placed.iter().enumerate().flat_map(|(i, by)| [format!("p{i}:{by}"), by.to_string()]);
        let run_by: mlua::Function = pure.eval("function(id) return tonumber(string.match(id, ':(%d+)')) end");
        let is_spent: mlua::Function = pure.eval("function() return false end");
        let (ids, pairs) = (pure.list(ids), pure.list(pairs));
        let (taken, _, n_listed, n_placed): (Vec<String>, Table, usize, usize) =
            pure.call("merge", (ids, pairs, n, false, run_by, is_spent));
        prop_assert_eq!(taken.len(), n.min(listed.len() + placed.len()));
        prop_assert_eq!(taken.len(), n_listed + n_placed);
        let by: Vec<u64> = taken.iter().map(|id| id.split(':').nth(1).unwrap().parse().unwrap()).collect();
        prop_assert!(by.is_sorted(), "{:?}", taken);
        let mut all: Vec<u64> = listed.iter().chain(&placed).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(&by[..], &all[..taken.len()]);
    }
}

/// Where more of the list follows, a placed job does not overtake what was not read.
#[test]
fn a_merge_stops_where_the_list_goes_on_unread() {
    let pure = Pure::new("merge");
    let run_by: mlua::Function = pure.eval("function() return 5 end");
    let is_spent: mlua::Function = pure.eval("function() return false end");
    let (listed, placed) = (pure.list(["l"]), pure.list(["p", "9"]));
    let (taken, ..): (Vec<String>, Table, usize, usize) =
        pure.call("merge", (listed, placed, 3, true, run_by, is_spent));
    assert_eq!(taken, ["l"]);
}

#[test]
fn a_limit_is_read_in_all_its_forms() {
    let pure = Pure::new("bucket");
    let limit = |text: &str| pure.call::<Option<Table>>("read_limit", ("key:a", text));
    let number = |limit: &Table, part: &str| limit.get::<Option<f64>>(part).unwrap();
    let all = limit("4|0.5|3|2|17").unwrap();
    let parts = ["concurrency", "rate", "burst", "weight", "since"].map(|part| number(&all, part));
    assert_eq!(parts, [Some(4.0), Some(0.5), Some(3.0), Some(2.0), Some(17.0)]);
    let rate = limit("|0.5|||").unwrap();
    assert_eq!([number(&rate, "concurrency"), number(&rate, "burst")], [None, Some(1.0)]);
    let slow = limit("|0.000000001|||").unwrap();
    assert_eq!(
        number(&slow, "rate"),
        Some(crate::policy::limit::SLOWEST),
        "an earlier version stored slower ones"
    );
    assert!(limit("damaged").is_none());
}

/// The index of jobs that are parked for a kind is in the order of flows, and within a flow in
/// that in which the jobs should run.
#[test]
fn parked_jobs_sort_by_when_they_should_run() {
    let pure = Pure::new("unknown_member");
    let member = |enqueued: u64, deadline: &str, flow: &str| {
        let body = format!("{enqueued}|2|{deadline}|||1|mail|{flow}\n\n");
        pure.call::<String>("unknown_member", ("id", body, "2", flow))
    };
    let day = 24 * 3600 * 1000;
    let members = [
        member(1_800_000_000_000, "1800000000500e", "acme"),
        member(1_800_000_000_000 - day, "", "acme"),
        member(1_800_000_000_001, "", "acme"),
        member(900_000_000_000, "", "acme|smtp"),
    ];
    assert_eq!(
        members[1],
        "2:acme\0\
                            01800000000000\0id"
    );
    assert!(members[1] < members[0] && members[0] < members[2] && members[2] < members[3], "{members:?}");
    assert_eq!(pure.call::<Option<String>>("kind_of_condition", "kind mail@1"), Some("mail@1".to_owned()));
    assert_eq!(pure.call::<Option<String>>("kind_of_condition", "wait a kind mail@1"), None);
}

#[test]
fn scripts_and_workers_count_a_time_in_the_same_bucket() {
    let pure = Pure::new("time_bucket");
    let powers = (0..50).flat_map(|power| [(1_i64 << power) - 1, 1 << power, (1 << power) + 1]);
    for ms in powers.chain((0..5_000).map(|n| n * n * 7)) {
        assert_eq!(pure.call::<u16>("time_bucket", ms), bucket_of(ms), "{ms}");
    }
}

/// The sums of a job that leaves one state after another are the times between.
#[test]
fn a_job_sums_up_what_it_spent() {
    let pure = Pure::new("spent");
    let after = |spent: Option<&str>, text: &str, state: &str, now: i64, stage: Option<&str>| -> String {
        pure.call("spent_after", (spent, text, state, now, stage))
    };
    assert_eq!(after(None, "running 1 w-1 100 9", "scheduled", 150, None), "50 0 0 0 0");
    assert_eq!(after(Some("50 0 0 0 0"), "scheduled 150 1 w-1 100", "ready", 450, None), "50 0 300 0 0");
    assert_eq!(after(None, "parked 100", "ready", 170, None), "0 70 0 0 0");
    assert_eq!(after(None, "dead 100 1 w-1 90", "ready", 170, None), "0 0 0 0 70");
    // A state of which the job says what stage it is.
    assert_eq!(after(None, "running 1 w-1 100 9", "parked", 150, Some("c")), "50 0 0 0 0 c");
    assert_eq!(after(Some("50 0 0 0 0 c"), "parked 150 1 w-1 100", "succeeded", 155, None), "50 0 0 5 0 e");
    assert_eq!(after(Some("9 0 0 0 0 p"), "scheduled 100 1 w-1 90", "scheduled", 130, None), "9 30 0 0 0 p");
    // The clock was set back, or the field damaged.
    assert_eq!(after(Some("x"), "running 1 w-1 100 9", "ready", 90, None), "0 0 0 0 0");
    let left = |text: Option<&str>| pure.call::<Option<String>>("stage_left", text);
    assert_eq!([left(None), left(Some("ready 5 1 w-1 4")), left(Some("scheduled 5"))], [None, None, None]);
}
