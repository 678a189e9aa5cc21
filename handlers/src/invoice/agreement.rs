//! Contract and handler read alike: what the gate accepts, the handler can work on.

use std::cell::Cell;

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use upshot_runtime::settings::SmtpSettings;

use upshot::mail::{Mailer, Recipient};

use super::{
    Invoice, InvoiceError, Order, Seller,
    issue::mail,
    tests::{example, kept},
};

/// What the handler makes of the data before it needs a store or a mail server: the
/// invoice, and the mail as it is sent.
fn handled(data: &[u8]) -> Result<(Invoice, String), String> {
    let order: Order = serde_json::from_slice(data).map_err(|error| format!("cannot be read: {error}"))?;
    // The longest time to pay that can be set.
    let seller = Seller { payment_days: u16::MAX, ..Seller::default() };
    let invoice = Invoice::of(&order, &seller).map_err(|error| match error {
        // The one thing about an order as a whole that a schema cannot say.
        InvoiceError::Negative { .. } => "a credit note".to_owned(),
        error => error.to_string(),
    })?;
    let dates = [invoice.data()["issue_date"].clone(), invoice.data()["due_date"].clone()];
    if dates.iter().any(|date| date.as_str().map(str::len) != Some("2026-03-14".len())) {
        return Err(format!("a date that the template cannot read: {dates:?}"));
    }
    let customer = invoice.customer();
    let recipient = Recipient::new(&customer.name, &customer.email).map_err(|failure| failure.to_string())?;
    let name = format!("{}.pdf", invoice.number());
    let mail = mail(&invoice, &recipient, "id", &name, b"%PDF".to_vec());
    let mailer = Mailer::new(&SmtpSettings::default()).map_err(|error| error.to_string())?;
    let (_, message) = mailer.message(mail).map_err(|failure| failure.to_string())?;
    let text = String::from_utf8(message.formatted()).map_err(|error| error.to_string())?;
    if !text.is_ascii() {
        return Err("a mail that is not ASCII".to_owned());
    }
    Ok((invoice, text))
}

/// What may stand at a place, mostly close to what the contract allows there.
fn value_at(place: &str) -> BoxedStrategy<Value> {
    let text = |pattern: &'static str| pattern.prop_map(|text| json!(text)).boxed();
    match place.rsplit('/').next().unwrap_or_default() {
        "email" => prop_oneof![
            text("[a-z.+'-]{1,12}@[a-z.-]{1,14}\\.[a-z]{1,4}"),
            text("[a-z]{1,5}@[a-zü例ß.-]{1,8}\\.(example|例|x|1|é)"),
            text("[!-~]{1,70}@[!-~]{1,20}\\.[!-~]{1,4}"),
            text(".{0,12}@.{0,12}\\..{0,4}"),
        ]
        .boxed(),
        "completed_at" => prop_oneof![
            text(
                "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T([01][0-9]|2[0-4]):[0-5][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[+-][0-2][0-9]:[0-9]{2})"
            ),
            text("([129]999|0000)-12-31T23:59:(59|60)(\\.9{1,9})?(Z|[+-]23:59)"),
        ]
        .boxed(),
        "currency" => text("[A-Z]{3}|eur|EUR|ISK|IQD"),
        "quantity" => prop_oneof![
            text("-?[0-9]{0,10}(\\.[0-9]{0,5})?"),
            any::<f64>().prop_map(|number| json!(number)),
            any::<i64>().prop_map(|number| json!(number)),
            any::<u64>().prop_map(|number| json!(number)),
            (-2_000_000_000..2_000_000_000_i64).prop_map(|number| json!(number as f64)),
            (-4000..4000_i64).prop_map(|number| json!(number as f64 / 4.0)),
        ]
        .boxed(),
        "unit_price" | "vat_rate" => text("-?[0-9]{0,10}(\\.[0-9]{0,7})?|100(\\.0{0,3})?"),
        "order_number" => text("[A-Za-z0-9._/-]{0,34}"),
        "vat_id" => text("[A-Z]{2}[A-Za-z0-9+*.]{1,15}"),
        "note" => text("(.|\r|\n|\r\n|\t|\u{85}|\u{2028}){0,20}"),
        "lines" => (0..3_usize).prop_map(|n| json!(vec![example()["lines"][0].clone(); n])).boxed(),
        _ => prop_oneof![text("\\PC{0,210}"), text("(.|\"|,|<|=\\?|\u{85}|\u{feff}|\r){0,30}")].boxed(),
    }
}

fn anything() -> impl Strategy<Value = Value> {
    select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(2.0),
        json!(-0.0),
        json!(1e300),
        json!(""),
        json!("1"),
        json!([]),
        json!({}),
    ])
}

fn places(data: &Value, at: String, all: &mut Vec<String>) {
    match data {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, format!("{at}/{name}"), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, format!("{at}/{n}"), all));
        }
        _ => {}
    }
    all.push(at);
}

/// The example with one to three changes: a value replaced, removed or added.
fn orders() -> impl Strategy<Value = Value> {
    let change = |data: Value| {
        let mut all = Vec::new();
        places(&data, String::new(), &mut all);
        let of_place = |place: String| {
            let value = prop_oneof![8 => value_at(&place), 1 => anything()];
            (Just(place), value.prop_map(Some), 0..12)
        };
        let choose = any::<Index>().prop_map(move |index| all[index.index(all.len())].clone());
        (Just(data), choose.prop_flat_map(of_place)).prop_map(|(mut data, (place, value, how))| {
            let (above, name) = place.rsplit_once('/').unwrap_or_default();
            if how == 0 {
                if let Some(members) = data.pointer_mut(above).and_then(Value::as_object_mut) {
                    members.remove(name);
                }
            } else if how == 1 {
                if let Some(members) = data.pointer_mut(above).and_then(Value::as_object_mut) {
                    members.insert("more".to_owned(), json!(1));
                }
            } else if let (Some(there), Some(value)) = (data.pointer_mut(&place), value) {
                *there = value;
            }
            data
        })
    };
    let changed = Just(example()).prop_flat_map(change);
    prop_oneof![
        changed.clone(),
        changed.clone().prop_flat_map(change),
        changed.prop_flat_map(change).prop_flat_map(change),
    ]
}

#[test]
fn what_the_contract_accepts_the_handler_can_work_on() {
    let (accepted, all) = (Cell::new(0_u32), 12_000);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(all) });
    let held = runner.run(&orders(), |data| {
        if kept(&data).is_ok() {
            accepted.set(accepted.get() + 1);
            if let Err(why) = handled(data.to_string().as_bytes()) {
                prop_assert_eq!(why, "a credit note");
            }
        }
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.get() > all / 10, "only {} of {all} orders kept the contract", accepted.get());
}

/// The data of a case of `tests/cases`, as it is written there.
fn case(text: &'static str) -> (Value, &'static str) {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    let raw = serde_json::from_str::<Event<'static>>(text).unwrap().data.get();
    (serde_json::from_str(raw).unwrap(), raw)
}

#[test]
fn cases_from_outside_that_are_right_are_handled() {
    for (text, gross, said) in [
        (include_str!("../../../tests/cases/qty_2.0.json"), "€23.80", ""),
        (include_str!("../../../tests/cases/qty_1e2.json"), "€1,190.00", ""),
        (include_str!("../../../tests/cases/note_CRLF.json"), "€53.29", ""),
        (include_str!("../../../tests/cases/emailIDN.json"), "€53.29", "<ada@xn--bcher-kva.example>"),
    ] {
        let (data, raw) = case(text);
        assert_eq!(kept(&data), Ok(()), "{raw}");
        let (invoice, mail) = handled(raw.as_bytes()).unwrap_or_else(|why| panic!("{why}: {raw}"));
        assert_eq!(invoice.gross_text(), gross, "{raw}");
        assert!(mail.contains(said), "{mail}");
        if data.get("note").is_some() {
            assert_eq!(invoice.data()["note"], "Please ring twice.\nThanks");
        }
    }
}

#[test]
fn cases_from_outside_that_are_wrong_are_refused_at_the_gate_with_the_field() {
    for (text, place, why) in [
        (include_str!("../../../tests/cases/emailDotAt.json"), "/data/customer/email", "cannot be mailed"),
        (
            include_str!("../../../tests/cases/emailDoubleDot.json"),
            "/data/customer/email",
            "cannot be mailed",
        ),
        (include_str!("../../../tests/cases/date9999.json"), "/data/completed_at", "due date"),
    ] {
        let (data, raw) = case(text);
        assert_eq!(kept(&data), Err(place.to_owned()), "{raw}");
        // A contract of a team's own may accept it: then it ends before anything is filed.
        let said = handled(raw.as_bytes()).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    for (member, value) in [
        ("/currency", json!("XAU")),
        ("/currency", json!("DEM")),
        ("/customer/email", json!("ada.@x")),
        ("/customer/email", json!("ada..b@x")),
        ("/customer/email", json!("ada@[127.0.0.1]")),
        ("/customer/email", json!("ada@127.0.0.1")),
        ("/completed_at", json!("0999-12-31T00:00:00Z")),
        ("/completed_at", json!("3000-01-01T00:00:00Z")),
    ] {
        let mut data = example();
        *data.pointer_mut(member).unwrap() = value;
        assert_eq!(kept(&data), Err(format!("/data{member}")));
    }
}

/// Whatever became of it at the gate, the handler does not choose between two values.
#[test]
fn a_member_that_is_there_twice_is_not_read() {
    let (_, raw) = case(include_str!("../../../tests/cases/dupkey.json"));
    assert!(handled(raw.as_bytes()).unwrap_err().contains("duplicate field `currency`"));
}
